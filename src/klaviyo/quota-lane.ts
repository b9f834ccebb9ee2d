import type { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { DatabaseError } from '../database/errors';
import { circuitOpen, rateLimited } from './klaviyo-error';
import type { QuotaBucket, QuotaRequest } from './quota';
import type { BucketState, QuotaLedger, Taken } from './quota-ledger';
import { QuotaLine, type Waiter } from './quota-line';
import { stopping, type Waits } from './waits';

/** What the ledger said is believed for so long before a new arrival asks again. */
const FRESH_MS = 200;
/** It is asked again after that at the latest: another replica may have learnt of more, or given something up. */
const LONGEST_SLEEP_MS = 5000;
/** A line that moves as expected is judged as a whole that often. */
const JUDGE_MS = 250;
const DATABASE_RETRY_SECONDS = 5;

/** What a lane needs of its surroundings. */
export interface LaneContext {
  readonly ledger: QuotaLedger;
  readonly clock: Clock;
  readonly waits: Waits;
  readonly share: number;
  /** Resolves when what this process learnt of the account is written down. */
  readonly learnt: () => Promise<unknown>;
  /** Told of every answer of the ledger, before anything starts. */
  readonly onTaken: (taken: Taken, request: QuotaRequest) => void;
}

/**
 * The calls of this process that count on the same counters of an account. One question to the ledger is on its way at a
 * time, for all who wait; between questions there is one timer and no connection is held.
 */
export class QuotaLane {
  private readonly line = new QuotaLine();
  private readonly names: readonly string[];
  private known: { taken: Taken; at: number } | undefined;
  private asking = false;
  /** Something changed while the ledger was asked: it is asked once more. */
  private changed = false;
  /** Until when a new arrival takes what is known for granted. */
  private freshUntil = 0;
  /** When everybody in line was judged last. */
  private judgedAt = 0;
  /** Calls that the last question was answered with. */
  private gave = 0;
  private timer: NodeJS.Timeout | undefined;
  usedAt = 0;

  constructor(
    private readonly accountId: string,
    readonly buckets: readonly QuotaBucket[],
    private readonly context: LaneContext,
  ) {
    this.names = buckets.map(({ name }) => name);
  }

  get idle(): boolean {
    return this.line.length === 0 && !this.asking;
  }

  /** What is known of one of the counters. */
  stateOf(bucket: string): BucketState | undefined {
    return this.known?.taken.buckets.find(({ name }) => name === bucket);
  }

  /** @throws AppError as KlaviyoQuota.acquire */
  acquire(request: QuotaRequest): Promise<void> {
    this.usedAt = this.now();
    return new Promise((start, fail) => {
      this.line.add({ request, start, fail });
      if (this.asking) return;
      if (this.now() <= this.freshUntil && this.nextStart() > this.now()) this.settle();
      else void this.ask();
    });
  }

  /** Something changed for the worse, or for the better: those who wait are judged anew. */
  reconsider(): void {
    this.judgedAt = 0;
    this.freshUntil = 0;
    if (this.asking) this.changed = true;
    else if (this.line.length > 0) void this.ask();
  }

  /** The process stops: who would wait longer than it lives is let go. */
  release(): void {
    this.judgedAt = 0;
    if (!this.asking) this.settle();
  }

  private async ask(): Promise<void> {
    this.asking = true;
    clearTimeout(this.timer);
    do {
      this.changed = false;
      await this.askOnce();
    } while (this.line.length > 0 && this.shouldAskAgain());
    this.asking = false;
    this.settle();
  }

  private async askOnce(): Promise<void> {
    const { first } = this.line;
    try {
      const taken = await this.take();
      this.known = { taken, at: this.now() };
      this.freshUntil = this.changed ? 0 : this.known.at + FRESH_MS;
      this.gave = taken.interactive + taken.background;
      if (first) this.context.onTaken(taken, first);
      this.line.start(taken);
      // While one call tries whether Klaviyo answers, and until then, the others fail rather than wait for an outcome.
      if (taken.circuit !== 'closed') this.line.fail(circuitOpen(taken.openFor));
    } catch (error) {
      this.known = undefined;
      this.freshUntil = 0;
      this.line.fail(asAppError(error));
    }
  }

  private async take(): Promise<Taken> {
    const { ledger, share, learnt } = this.context;
    await learnt();
    const taken = await ledger.take(this.accountId, this.names, this.line.wanted);
    if (taken) return taken;
    await ledger.open(this.accountId, this.buckets, share);
    const again = await ledger.take(this.accountId, this.names, this.line.wanted);
    if (again) return again;
    throw new Error('the counters vanish as soon as they are made');
  }

  /** Lets go of those who cannot start in time, and sets the timer for the others. */
  private settle(): void {
    clearTimeout(this.timer);
    if (!this.known || this.line.length === 0) return;
    const { taken, at } = this.known;
    const now = this.now();
    const verdict = ({ request }: Waiter, seconds: number): AppError | null => {
      const turn = Math.max(at + seconds * 1000, now);
      if (turn >= request.deadline) return tooLong(request, turn - now);
      return this.context.waits.allow(turn) ? null : stopping();
    };
    if (now - this.judgedAt < JUDGE_MS && now < this.line.firstDeadline) this.line.judgeFresh(taken, verdict);
    else {
      this.line.judgeAll(taken, verdict);
      this.judgedAt = now;
    }
    if (this.line.length === 0) return;
    const wake = Math.min(this.nextStart(), this.line.firstDeadline) - now;
    // A timer may fire a millisecond early by the clock.
    this.timer = setTimeout(() => void this.ask(), Math.min(Math.max(Math.ceil(wake), 0) + 1, LONGEST_SLEEP_MS));
  }

  /** Who came while the ledger answered goes with the next question at once, as long as it gives any. */
  private shouldAskAgain(): boolean {
    return this.changed || (this.known !== undefined && this.gave > 0 && this.nextStart() <= this.now());
  }

  private nextStart(): number {
    return this.known ? this.known.at + this.line.nextStart(this.known.taken) * 1000 : 0;
  }

  private now(): number {
    return this.context.clock.now();
  }
}

function tooLong(request: QuotaRequest, waitMs: number): AppError {
  return rateLimited(waitMs / 1000, `no quota for ${request.operation.name} within the deadline`);
}

/**
 * Without the database nothing is counted, so nothing is sent: keys and connections cannot be read then either, and a
 * guess of what other replicas do could cost the account its quota.
 */
function asAppError(error: unknown): AppError {
  if (error instanceof AppError) return error;
  const reason = error instanceof DatabaseError ? error.message : 'the quota cannot be counted';
  return new AppError('SERVICE_UNAVAILABLE', {
    reason,
    retryAfter: DATABASE_RETRY_SECONDS,
    params: { retryAfter: DATABASE_RETRY_SECONDS },
  });
}
