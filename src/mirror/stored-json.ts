/** What PostgreSQL's jsonb takes in no text: U+0000, and halves of surrogate pairs (which JSON.stringify escapes only when they stand alone). */
const UNSTORABLE = /(?<!\\)((?:\\\\)*)\\u(?:0000|d[89a-f][0-9a-f]{2})/g;

/** A document of Klaviyo's as JSON that jsonb takes: what no text may hold there becomes U+FFFD. */
export function storedJson(document: unknown): string {
  const json = JSON.stringify(document);
  return json.includes('\\u') ? json.replace(UNSTORABLE, '$1\ufffd') : json;
}

/** A text of Klaviyo's that a text column takes. */
export function storedText(text: string): string {
  return text.includes('\0') ? text.replaceAll('\0', '\ufffd') : text;
}
