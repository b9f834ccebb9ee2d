import { currentContext } from './request-context';

/** What several pages of Klaviyo may take before the rows at hand are answered. */
const PAGES_MS = 10_000;
/** What statistics may take after them. */
const STATISTICS_MS = 2_000;
/** For our own work before and after. */
const MARGIN_MS = 250;

/** Epoch milliseconds until which pages may be read, so that the call itself is answered within its deadline. */
export function liveBudget(now: number, statistics: boolean): number {
  const deadline = currentContext()?.deadline ?? Infinity;
  return Math.min(now + PAGES_MS, deadline - MARGIN_MS - (statistics ? STATISTICS_MS : 0));
}
