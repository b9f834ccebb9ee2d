/** Longest text of Klaviyo's that is passed on. */
const LONGEST = 300;
const HIDDEN = '…';
/** Values that say what something is, not whose: their echo helps and tells nothing. */
const STRUCTURAL = new Set(['type', 'consent', 'channel', 'interval', 'method', 'operator', 'timezone']);
/** Bodies with more values than this are searched for in quotes only. */
const MANY = 5000;

/**
 * Klaviyo's words without what they may repeat of a person or a key: e-mail addresses, phone numbers, private keys
 * and every value that our own request carried. Bounded in length.
 */
export function scrub(words: string, sent: ReadonlySet<string>): string {
  let clean = words.replace(/\p{Cc}+/gu, ' ');
  if (sent.size <= MANY)
    for (const value of sent)
      if (value.length >= 3 && clean.includes(value)) clean = clean.replace(word(value), HIDDEN);
  clean = clean
    .replace(/'([^']*)'|"([^"]*)"/g, (quoted, single: string | undefined, double: string | undefined) =>
      sent.has(single ?? double ?? '') ? `${quoted[0] ?? ''}${HIDDEN}${quoted[0] ?? ''}` : quoted,
    )
    .replace(/pk_\w+/gi, HIDDEN)
    .replace(/[^\s@'"<>()[\],;:]+@[^\s@'"<>()[\],;:]+/g, HIDDEN)
    .replace(/(?<![\w-])\+?(?!\d{4}-\d{2}-\d{2})\d(?:[\s().-]{0,2}\d){6,}(?!\w)/g, HIDDEN);
  return clean.length > LONGEST ? `${clean.slice(0, LONGEST - 1)}…` : clean;
}

function word(value: string): RegExp {
  return new RegExp(`(?<![\\p{L}\\p{N}_])${value.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&')}(?![\\p{L}\\p{N}_])`, 'gu');
}

/** Every value in a request's body, and in its filter, that Klaviyo could repeat. */
export function sentValues(body: unknown, filter: string | undefined): Set<string> {
  const values = new Set<string>();
  const walk = (value: unknown, depth: number): void => {
    if (typeof value === 'string') values.add(value);
    else if (typeof value === 'number') values.add(String(value));
    else if (typeof value === 'object' && value !== null && depth < 20)
      for (const [key, child] of Object.entries(value)) if (!STRUCTURAL.has(key)) walk(child, depth + 1);
  };
  walk(body, 0);
  for (const [, quoted = ''] of filter?.matchAll(/"((?:[^"\\]|\\.)*)"/g) ?? [])
    values.add(quoted.replace(/\\(.)/g, '$1'));
  values.delete('');
  return values;
}
