/** An instant as Klaviyo spells it (any offset, microseconds, a space for the T), in UTC; null for anything else. */
export function toInstant(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  const time = Date.parse(value);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}
