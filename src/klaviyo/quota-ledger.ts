import type { QuotaBucket, QuotaLimits } from './quota';

/** How many calls of each kind want to start now. */
export interface Wanted {
  readonly interactive: number;
  readonly background: number;
}

/** One counter after calls were taken from it. Waits are seconds from now, negative where there is room. */
export interface BucketState {
  readonly name: string;
  readonly limits: QuotaLimits;
  /** Did Klaviyo itself name these limits? */
  readonly learned: boolean;
  /** The share of the limits that the figures were made for. */
  readonly share: number;
  /** Calls that started in this second of the database's clock and in the one before. */
  readonly recent: number;
  /** Until one more call fits the minute; each further one a gap later. Background calls keep so many behind. */
  readonly steadyWait: number;
  readonly steadyGap: number;
  readonly steadyKept: number;
  /** The same for the second. */
  readonly burstWait: number;
  readonly burstGap: number;
  readonly burstKept: number;
  /** Until a 429 has passed; a day that is used up frees its first hour. */
  readonly held: number;
  readonly heldBackground: number;
  /** Nothing is left of the day. */
  readonly dayOver: boolean;
}

export interface Taken extends Wanted {
  /** `open`: nothing starts for `openFor` seconds; `probe`: the one call that was given tries whether Klaviyo answers. */
  readonly circuit: 'closed' | 'open' | 'probe';
  readonly openFor: number;
  readonly buckets: readonly BucketState[];
}

/** One counter as `GET /connections/:id/usage` shows it. */
export interface BucketUse {
  readonly name: string;
  readonly limits: QuotaLimits;
  /** Calls that this service started in the last day, all replicas and users together; 0 where no day is counted. */
  readonly day: number;
  /** The part of the limits that may be used now: the share, less what 429s took. */
  readonly share: number;
  readonly pace: number;
  /** Calls a second that others were seen to make. */
  readonly others: number;
  /** Seconds until a 429 has passed. */
  readonly held: number;
}

/**
 * Where the state of Klaviyo's counters is kept, and taken from. All instants are by one clock, that of the ledger.
 * Every method throws DatabaseError and nothing else.
 */
export abstract class QuotaLedger {
  /**
   * Takes up to so many calls from all named counters at once, as many as all of them allow, interactive ones first.
   * Undefined, and nothing taken, where a counter is not there yet.
   */
  abstract take(accountId: string, buckets: readonly string[], wanted: Wanted): Promise<Taken | undefined>;

  /** Makes counters that are not there yet. */
  abstract open(accountId: string, buckets: readonly QuotaBucket[], share: number): Promise<void>;

  /** Another limit, or another share of it; what was used still counts. A limit that Klaviyo named is `learned`. */
  abstract adopt(accountId: string, bucket: QuotaBucket, share: number, learned: boolean): Promise<void>;

  /**
   * A 429: nothing starts on these counters for so many seconds, on any replica. The first of a pause also lowers the
   * pace: the minute was used up although we kept to it, so others use it too.
   */
  abstract block(accountId: string, buckets: readonly string[], seconds: number): Promise<void>;

  /** Others were seen to use so many calls of a burst. */
  abstract seeOthers(accountId: string, bucket: string, calls: number): Promise<void>;

  abstract use(accountId: string): Promise<BucketUse[]>;
}
