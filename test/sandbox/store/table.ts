import type { CursorPoint } from '../cursor.ts';

export interface Row {
  id: string;
}

/** One way of going through the generated rows: position -> index and back, with a key that never falls. */
export interface Order {
  at(position: number): number;
  positionOf(index: number): number;
  key(index: number): number | string;
}

/** Generated rows: a function of the index, never held. */
export interface Base<R extends Row> {
  count: number;
  row(index: number): R;
  id(index: number): string;
  /** -1 when the id is not a generated one. */
  indexOf(id: string): number;
  orders: Record<string, Order>;
  /** A field of a row without building the row, for scans. */
  peek(index: number, field: string): unknown;
}

export interface PageRequest {
  order: string;
  descending: boolean;
  after: CursorPoint | null;
  limit: number;
  /** Loose bounds on the order's key. */
  low?: number;
  high?: number;
  /** Tests a row through an accessor of its fields. */
  test?: (get: (field: string) => unknown) => boolean;
}

export interface Page<R> {
  rows: R[];
  /** Where the page ended, null on the last one. */
  end: CursorPoint | null;
}

const NO_ORDER: Order = { at: (p) => p, positionOf: (i) => i, key: (i) => i };

/** A base without rows. */
export function emptyBase<R extends Row>(orders: readonly string[]): Base<R> {
  return {
    count: 0,
    row: () => {
      throw new Error('an empty base has no rows');
    },
    id: () => '',
    indexOf: () => -1,
    orders: Object.fromEntries(orders.map((name) => [name, NO_ORDER])),
    peek: () => undefined,
  };
}

function below(a: number | string, b: number | string): boolean {
  return typeof a === typeof b ? a < b : typeof a === 'number';
}

/** Rows of one resource: what was generated, overlaid by what was written, changed and removed since. */
export class Table<R extends Row> {
  readonly base: Base<R>;
  /** Grows with every change, so that derived figures know when they are stale. */
  version = 0;
  private readonly overlay = new Map<string, R>();
  private readonly hidden = new Set<number>();
  private readonly keys: Record<string, (row: R) => number | string>;
  private readonly field: (row: R, name: string) => unknown;
  private readonly sorted = new Map<string, { version: number; rows: R[] }>();

  constructor(
    base: Base<R>,
    keys: Record<string, (row: R) => number | string>,
    field: (row: R, name: string) => unknown,
  ) {
    this.base = base;
    this.keys = keys;
    this.field = field;
  }

  get size(): number {
    return this.base.count - this.hidden.size + this.overlay.size;
  }

  has(id: string): boolean {
    return this.overlay.has(id) || this.visibleIndex(id) >= 0;
  }

  get(id: string): R | undefined {
    const written = this.overlay.get(id);
    if (written !== undefined) return written;
    const index = this.visibleIndex(id);
    return index < 0 ? undefined : this.base.row(index);
  }

  /** The generated index of an id that nothing has overlaid, else -1. */
  visibleIndex(id: string): number {
    const index = this.base.indexOf(id);
    return index >= 0 && !this.hidden.has(index) ? index : -1;
  }

  isHidden(index: number): boolean {
    return this.hidden.has(index);
  }

  put(row: R): void {
    const index = this.base.indexOf(row.id);
    if (index >= 0) this.hidden.add(index);
    this.overlay.set(row.id, row);
    this.version += 1;
  }

  remove(id: string): boolean {
    const index = this.visibleIndex(id);
    if (index >= 0) this.hidden.add(index);
    const known = this.overlay.delete(id) || index >= 0;
    if (known) this.version += 1;
    return known;
  }

  written(): IterableIterator<R> {
    return this.overlay.values();
  }

  /** Every row, generated ones built on the way. */
  *all(): Generator<R> {
    for (let index = 0; index < this.base.count; index += 1) if (!this.hidden.has(index)) yield this.base.row(index);
    yield* this.overlay.values();
  }

  /** One page by key and id. Generated and written rows are merged; of equal keys the generated come first. */
  page(request: PageRequest): Page<R> {
    const rows: R[] = [];
    let last: CursorPoint | null = null;
    const walk = this.merge(request);
    for (const step of walk) {
      if (rows.length === request.limit) return { rows, end: last };
      rows.push(step.row());
      last = { key: step.key, id: step.id, generated: step.generated };
    }
    return { rows, end: null };
  }

  private *merge(request: PageRequest) {
    const generated = this.walkBase(request);
    const written = this.walkOverlay(request);
    let a = generated.next();
    let b = written.next();
    while (a.done !== true || b.done !== true) {
      const fromBase =
        b.done === true ||
        (a.done !== true &&
          (request.descending
            ? !below(a.value.key, b.value.key) && a.value.key !== b.value.key
            : !below(b.value.key, a.value.key)));
      if (fromBase && a.done !== true) {
        yield a.value;
        a = generated.next();
      } else if (b.done !== true) {
        yield b.value;
        b = written.next();
      }
    }
  }

  private *walkBase({ order: name, descending, after, low, high, test }: PageRequest) {
    const { base } = this;
    const order = base.orders[name] ?? NO_ORDER;
    const keyAt = (position: number) => order.key(order.at(position));
    let start = 0;
    let stop = base.count;
    if (low !== undefined && low > -Infinity) start = this.search(keyAt, low, false);
    if (high !== undefined && high < Infinity) stop = this.search(keyAt, high, true);
    if (after !== null) {
      const index = after.generated ? base.indexOf(after.id) : -1;
      if (descending) stop = Math.min(stop, index >= 0 ? order.positionOf(index) : this.search(keyAt, after.key, true));
      else start = Math.max(start, index >= 0 ? order.positionOf(index) + 1 : this.search(keyAt, after.key, true));
    }
    let index = 0;
    const get = (field: string) => base.peek(index, field);
    for (let n = 0; n < stop - start; n += 1) {
      index = order.at(descending ? stop - 1 - n : start + n);
      if (this.hidden.has(index) || (test !== undefined && !test(get))) continue;
      const found = index;
      yield { key: order.key(found), id: base.id(found), generated: true, row: () => base.row(found) };
    }
  }

  /** First position whose key is not below (or, with `past`, is above) the wanted one. */
  private search(keyAt: (position: number) => number | string, key: number | string, past: boolean): number {
    let [from, to] = [0, this.base.count];
    while (from < to) {
      const middle = (from + to) >>> 1;
      const found = keyAt(middle);
      if (below(found, key) || (past && found === key)) from = middle + 1;
      else to = middle;
    }
    return from;
  }

  private *walkOverlay({ order, descending, after, test }: PageRequest) {
    const key = this.keys[order] ?? ((row: R) => row.id);
    const rows = this.sortedOverlay(order, key);
    const passed = (row: R): boolean => {
      if (after === null) return false;
      const k = key(row);
      if (k !== after.key) return descending ? below(after.key, k) : below(k, after.key);
      // At an equal key generated rows come first ascending, last descending.
      if (after.generated) return descending;
      return descending ? row.id >= after.id : row.id <= after.id;
    };
    for (let n = 0; n < rows.length; n += 1) {
      const row = rows[descending ? rows.length - 1 - n : n] as R;
      if (passed(row) || (test !== undefined && !test((field) => this.field(row, field)))) continue;
      yield { key: key(row), id: row.id, generated: false, row: () => row };
    }
  }

  private sortedOverlay(order: string, key: (row: R) => number | string): R[] {
    const known = this.sorted.get(order);
    if (known?.version === this.version) return known.rows;
    const rows = [...this.overlay.values()].sort((a, b) => {
      const [x, y] = [key(a), key(b)];
      if (x !== y) return below(x, y) ? -1 : 1;
      return a.id < b.id ? -1 : 1;
    });
    this.sorted.set(order, { version: this.version, rows });
    return rows;
  }
}
