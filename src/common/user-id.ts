/** The user of a token, query or header: digits of an integer from 1 to 2^53 - 1; undefined when it is not one. */
export function parseUserId(text: unknown): number | undefined {
  return typeof text === 'string' && /^[1-9]\d{0,15}$/.test(text) ? userIdOrNone(Number(text)) : undefined;
}

/** The user of a JSON body: a number, and not its digits in a text. */
export function userIdOrNone(value: unknown): number | undefined {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 1 ? value : undefined;
}
