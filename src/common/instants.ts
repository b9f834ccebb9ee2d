/** As nearly every instant comes: in UTC, on a day that every month has, with no fraction or at least milliseconds. */
const PLAIN =
  /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1\d|2[0-8])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d{3,})?(?:Z|\+00:00)$/;
const TO_SECONDS = 19;
const TO_MILLISECONDS = 23;

/** An instant as Klaviyo spells it (any offset, microseconds, a space for the T), in UTC; null for anything else. */
export function toInstant(value: unknown): string | null {
  if (typeof value !== 'string') return null;
  // Without a Date, of which a synchronisation would make two a row.
  if (PLAIN.test(value))
    return value[TO_SECONDS] === '.' ? `${value.slice(0, TO_MILLISECONDS)}Z` : `${value.slice(0, TO_SECONDS)}.000Z`;
  const time = Date.parse(value);
  return Number.isNaN(time) ? null : new Date(time).toISOString();
}
