import type { CallTally } from '../klaviyo/call-tally';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { FlownStatement } from '../database/line';
import type { PassKind, Resource } from './resources';

/** A stretch of the time axis of a resource, in epoch milliseconds; null is open. */
export interface Span {
  /** Inclusive. */
  from: number | null;
  /** Exclusive. */
  to: number | null;
}

/** One pass over one resource of one connection. */
export interface Pass {
  readonly access: KlaviyoAccess;
  readonly userId: number;
  readonly connectionId: string;
  readonly kind: PassKind;
  /** By the database's clock: rows written since then were seen by this pass. */
  readonly startedAt: Date;
  /** Up to where earlier passes read everything; null before the first complete one. */
  readonly highWater: Date | null;
  /** When what comes late was last looked for; null before the first complete pass. */
  readonly reconciledAt: Date | null;
}

/** One chain of pages at Klaviyo. */
export interface Part {
  /** Names it within the resource, e.g. `email` or `list:Y6nRLr`; at most 100 characters. Stable from run to run. */
  key: string;
  /** Whether it may be cut by time into windows that are read side by side; its rows then come in the order of the axis. */
  divisible: boolean;
  /** What of the axis is read; both null for all, and for a part without an axis. */
  span: Span;
}

export interface PageRequest {
  part: string;
  /** A window of the part. Klaviyo's filters are strict and count seconds: ask for a second more on either side. */
  span: Span;
  /** A `next` seen earlier; null for the first page of the window. */
  cursor: string | null;
}

export interface PageCall {
  /** Epoch milliseconds. */
  deadline: number;
  tally: CallTally;
}

export interface FetchedPage<Row> {
  rows: readonly Row[];
  next: string | null;
  /** Where the last row stands on the axis, in epoch milliseconds; null without rows or without an axis. */
  last: number | null;
}

/**
 * What the synchronisation knows of one resource. The engine decides when what is fetched, by whom and how often; a
 * syncer knows how Klaviyo is asked, what a row is and where it is kept.
 */
export interface Syncer<Row = unknown, Fetched = Row> {
  readonly resource: Resource;
  /** Resources of the same run that must have ended before this one begins. */
  readonly after: readonly Resource[];

  /** What a pass has to read. */
  parts(pass: Pass): Promise<Part[]>;

  /**
   * One page, the largest that Klaviyo gives.
   * @throws AppError as `KlaviyoClient.pages`; a …_NOT_FOUND ends the part (what it belongs to is gone), no other part
   */
  fetch(pass: Pass, request: PageRequest, call: PageCall): Promise<FetchedPage<Fetched>>;

  /** Rows of a page as `write` takes them, where that is work: it is done while the next page travels. */
  mapped?(rows: readonly Fetched[]): readonly Row[];

  /**
   * Where the newest row of a divisible part stands, in epoch milliseconds; null where there is none. One call of one
   * row: without it the engine cuts the time up to now.
   */
  newest?(pass: Pass, part: Part, call: PageCall): Promise<number | null>;

  /**
   * Upserts rows, perhaps of several pages, inside the engine's transaction. The same rows may come again, or in an older
   * version than what is kept, which they then do not replace. Stamps what it saw with the database's clock.
   * @returns rows that are new or changed
   */
  write(pass: Pass, rows: readonly Row[]): Promise<number>;

  /**
   * The same as statements that can be sent together with others, for resources of many rows. Each answers with one row,
   * `changed`, and notes that number (see `noting`) for the statement behind it.
   */
  statements?(pass: Pass, rows: readonly Row[]): FlownStatement[];

  /**
   * Whether this pass looks for what comes late, so that its start is remembered as `reconciledAt` once it is complete.
   * Without it no pass does. A matter of the pass alone: asked again, it says the same.
   */
  reconciles?(pass: Pass): boolean;

  /** How many rows are kept and not marked as gone, and how many of them a pass did not see. */
  unseen(pass: Pass): Promise<{ live: number; unseen: number }>;

  /** Marks at most `limit` rows that a complete full pass did not see as gone, with the time. @returns how many */
  sweep(pass: Pass, limit: number): Promise<number>;

  /** What follows from a complete pass (sweep included), e.g. member counts. Inside the transaction that ends the pass. */
  finished?(pass: Pass): Promise<void>;

  /** Removes at most `limit` rows of connections that are gone, whatever their user kept. @returns how many */
  erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number>;
}
