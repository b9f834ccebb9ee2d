import { invalidParameter } from './errors.ts';

/** Where a page ended: the sort key, the row's id, and whether the row was a generated one. */
export interface CursorPoint {
  key: number | string;
  id: string;
  generated: boolean;
}

/** Opaque to the client: base64 of `[key, id, generated]`, as recorded from Klaviyo. */
export function encodeCursor(point: CursorPoint): string {
  return Buffer.from(JSON.stringify([point.key, point.id, point.generated])).toString('base64');
}

/** Anything that we did not write is a 400 naming the parameter. */
export function decodeCursor(text: string): CursorPoint {
  try {
    const parsed: unknown = JSON.parse(Buffer.from(text, 'base64').toString('utf8'));
    if (Array.isArray(parsed) && parsed.length === 3) {
      const [key, id, generated] = parsed as unknown[];
      if (
        (typeof key === 'number' || typeof key === 'string') &&
        typeof id === 'string' &&
        typeof generated === 'boolean'
      )
        return { key, id, generated };
    }
  } catch {
    // Falls through to the one refusal below.
  }
  throw invalidCursor();
}

export function invalidCursor() {
  return invalidParameter('The page cursor is invalid or has expired.', 'page[cursor]');
}
