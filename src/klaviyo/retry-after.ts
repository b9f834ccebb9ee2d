/** More than a day is nothing that Klaviyo's windows can mean. */
const LONGEST_MS = 24 * 3600 * 1000;

/**
 * `Retry-After` in milliseconds from `now`: whole seconds, as Klaviyo sends, or an HTTP date.
 * Undefined where it is absent or neither.
 */
export function parseRetryAfter(header: string | undefined, now: number): number | undefined {
  const value = header?.trim();
  if (value === undefined || value === '') return undefined;
  if (/^\d{1,9}$/.test(value)) return Math.min(Number(value) * 1000, LONGEST_MS);
  if (!/^[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT$/.test(value)) return undefined;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.min(Math.max(0, at - now), LONGEST_MS);
}
