import type { KlaviyoAccess } from './klaviyo-access';
import { limitsOf, type Operation } from './operation';

/** One of Klaviyo's counters for an account: at most so many calls in a second, a minute, a day. */
export interface QuotaBucket {
  /** The endpoint's operation, or the name of an extra budget that several endpoints share. */
  readonly name: string;
  readonly limits: QuotaLimits;
}

export interface QuotaLimits {
  readonly burst: number;
  readonly steady: number;
  readonly daily?: number | undefined;
}

/** A call that wants to start. */
export interface QuotaRequest {
  /** Whose call it is, and on which of Klaviyo's accounts. */
  readonly access: KlaviyoAccess;
  readonly operation: Operation;
  /** All that the call counts on, the endpoint's own first. */
  readonly buckets: readonly QuotaBucket[];
  readonly priority: 'interactive' | 'background';
  /** Epoch milliseconds by which it must have started. */
  readonly deadline: number;
}

/** Klaviyo's quota: one budget per account and endpoint, for all keys of the account. Every attempt takes a slot. */
export abstract class KlaviyoQuota {
  /**
   * Resolves when the call may start, its slots taken.
   * @throws AppError KLAVIYO_RATE_LIMITED, at once when the wait is known to be longer than the deadline allows;
   * KLAVIYO_UNAVAILABLE while the account's circuit is open; SERVICE_UNAVAILABLE when nothing can be counted, or the
   * process stops
   */
  abstract acquire(request: QuotaRequest): Promise<void>;

  /** The headers of an answer: what the account may really do, and what is left of this second. */
  abstract learn(request: QuotaRequest, rateLimit: string, remaining: string | undefined): void;

  /** A 429: nothing of these buckets starts before that time has passed, on any replica. */
  abstract refused(request: QuotaRequest, retryAfterMs: number): void;
}

/** What one call counts on, from its operation and query, under the revision that answers. */
export function bucketsOf(operation: Operation, query: URLSearchParams, served: string): QuotaBucket[] {
  const { burst, steady, daily } = limitsOf(operation, served);
  const buckets: QuotaBucket[] = [{ name: operation.name, limits: { burst, steady, daily } }];
  for (const extra of operation.extraBudgets ?? []) {
    const asked = query.get(extra.query)?.split(',') ?? [];
    if (served >= extra.from && extra.values.some((value) => asked.includes(value)))
      buckets.push({ name: extra.name, limits: { burst: extra.burst, steady: extra.steady } });
  }
  return buckets;
}

export function sameLimits(a: QuotaLimits, b: QuotaLimits): boolean {
  return a.burst === b.burst && a.steady === b.steady && a.daily === b.daily;
}

/** `75, 75;w=1, 750;w=60, 225;w=86400` as limits; undefined where it does not name a second and a minute. */
export function parseRateLimit(header: string): QuotaLimits | undefined {
  const byWindow = new Map<number, number>();
  for (const [, limit, window] of header.slice(0, 200).matchAll(/(\d{1,9})\s*;\s*w=(\d{1,6})/g))
    byWindow.set(Number(window), Number(limit));
  const burst = byWindow.get(1);
  const steady = byWindow.get(60);
  if (!burst || !steady) return undefined;
  return { burst, steady, daily: byWindow.get(86_400) };
}
