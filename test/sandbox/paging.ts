import type { Context } from './context.ts';
import { decodeCursor, encodeCursor } from './cursor.ts';
import { invalidParameter } from './errors.ts';
import type { Condition } from './filter.ts';
import { boundsOf, satisfies } from './filter.ts';
import type { Row, Table } from './store/table.ts';

interface Listing {
  /** Order when the query names none. */
  order: string;
  descending?: boolean;
  /** Maps a sort name to an order of the table, where they differ. */
  orderOf?: (field: string) => string;
  size?: number;
  conditions?: readonly Condition[];
  /** A further test on a field, e.g. hiding events of deleted profiles. */
  also?: (get: (field: string) => unknown) => boolean;
}

/** One page of a table as the query asks for it, and the cursor of the next one (null on the last). */
export function listPage<R extends Row>(
  context: Context,
  table: Table<R>,
  listing: Listing,
): { rows: R[]; next: string | null } {
  const { query } = context;
  const conditions = listing.conditions ?? query.conditions;
  for (const condition of conditions)
    if (condition.values.length > context.account.switches.anyLimit)
      throw invalidParameter(`A filter may list at most ${context.account.switches.anyLimit} values.`, 'filter');
  const order = query.sort === null ? listing.order : (listing.orderOf?.(query.sort.field) ?? query.sort.field);
  const descending = query.sort === null ? listing.descending === true : query.sort.descending;
  const { low, high } = boundsOf(conditions, order);
  const also = listing.also;
  const test =
    conditions.length === 0 && also === undefined
      ? undefined
      : (get: (field: string) => unknown) =>
          conditions.every((condition) => satisfies(condition, get(condition.field))) &&
          (also === undefined || also(get));
  const page = table.page({
    order,
    descending,
    after: query.cursor === null ? null : decodeCursor(query.cursor),
    limit: listing.size ?? query.size,
    low,
    high,
    ...(test === undefined ? {} : { test }),
  });
  return { rows: page.rows, next: page.end === null ? null : encodeCursor(page.end) };
}

/** Pages rows that are at hand already, e.g. the rows that a look-up by identifier found. */
export function sliceRows<R extends Row>(
  context: Context,
  rows: readonly R[],
  size = context.query.size,
): { rows: R[]; next: string | null } {
  const after = context.query.cursor === null ? null : decodeCursor(context.query.cursor);
  const from = after === null ? 0 : rows.findIndex((row) => row.id === after.id) + 1;
  const page = rows.slice(from, from + size);
  const last = page.at(-1);
  const more = from + size < rows.length && last !== undefined;
  return { rows: page, next: more ? encodeCursor({ key: 0, id: last.id, generated: false }) : null };
}
