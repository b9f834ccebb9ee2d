import { AppError } from './errors';

/** What a remote collection gives at once. */
export interface RemotePage<T> {
  items: readonly T[];
  /** Opaque: where the next page begins; null after the last. */
  next: string | null;
}

/** Reads one page. `next` is null for the first; `deadline` (epoch ms) is absent where the call's own holds. */
export type ReadRemote<T> = (next: string | null, deadline: number | undefined) => Promise<RemotePage<T>>;

/** A place in the collection. */
export interface Position {
  /** The remote page; null: the first. */
  next: string | null;
  /** Rows of that page that were given already. */
  skip: number;
  /** The id of the last row given: it is found again when rows before it came or went meanwhile. */
  last: string | null;
}

export const START: Position = { next: null, skip: 0, last: null };

export interface Walk<T> {
  from: Position;
  /** Rows wanted at most. */
  limit: number;
  keep: (row: T) => boolean;
  /** Epoch milliseconds at which what was read so far is answered. The first page is always waited for. */
  until: number;
  now: () => number;
}

export interface Walked<T> {
  rows: T[];
  /** Where the rest begins; null when there is none. */
  rest: Position | null;
}

/**
 * Takes rows from a collection that is paged in its own sizes, until there are enough, none is left, or time is up.
 * @throws AppError of the first page whatever it is; of a later one only if it is not about time: rows at hand are
 * worth more than a refusal, and the rest can be asked for again
 */
export async function takeRows<T extends { id: string }>(read: ReadRemote<T>, walk: Walk<T>): Promise<Walked<T>> {
  const rows: T[] = [];
  const seen = new Set<string>();
  let at = walk.from;
  for (let first = true; ; first = false) {
    if (!first && walk.now() >= walk.until) return { rows, rest: at };
    const page = await read(at.next, first ? undefined : walk.until).catch((error: unknown) => {
      if (first || !isOutOfTime(error)) throw error;
      return undefined;
    });
    if (page === undefined) return { rows, rest: at };
    for (let index = indexOf(at, page.items); index < page.items.length; index++) {
      const row = page.items[index];
      if (row === undefined || !walk.keep(row)) continue;
      if (rows.length === walk.limit)
        return { rows, rest: { next: at.next, skip: index, last: idBefore(page, index) } };
      rows.push(row);
    }
    if (page.next === null) return { rows, rest: null };
    if (seen.has(page.next)) throw new AppError('KLAVIYO_UNAVAILABLE', { reason: 'the pages run in a circle' });
    seen.add(page.next);
    at = { next: page.next, skip: 0, last: null };
    if (rows.length === walk.limit) return { rows, rest: at };
  }
}

/** The first page of many; undefined where there is none. */
export async function firstOf<T>(pages: AsyncIterable<T>): Promise<T | undefined> {
  for await (const page of pages) return page;
  return undefined;
}

/** Whether a call failed only because it would not have been done in time. */
export function isOutOfTime(error: unknown): boolean {
  return error instanceof AppError && (error.code === 'KLAVIYO_TIMEOUT' || error.code === 'KLAVIYO_RATE_LIMITED');
}

function indexOf(at: Position, items: readonly { id: string }[]): number {
  if (at.last === null) return at.skip;
  const found = items.findIndex((item) => item.id === at.last);
  return found === -1 ? at.skip : found + 1;
}

function idBefore(page: RemotePage<{ id: string }>, index: number): string | null {
  return page.items[index - 1]?.id ?? null;
}
