import type { BucketState, Taken } from './quota-ledger';
import type { QuotaRequest } from './quota';

/** A call that waits for its slots. */
export interface Waiter {
  readonly request: QuotaRequest;
  readonly start: () => void;
  readonly fail: (error: Error) => void;
}

/** Why somebody leaves whose turn comes in so many seconds; null: they stay. */
type Verdict = (waiter: Waiter, seconds: number) => Error | null;

/** The calls of this process that wait for the same counters: interactive ones first, then in order of arrival. */
export class QuotaLine {
  private interactive: Waiter[] = [];
  private background: Waiter[] = [];
  /** Of each kind, how many at the end have not been judged yet. */
  private fresh = { interactive: 0, background: 0 };
  /** Not later than that of anybody who waits. */
  firstDeadline = Infinity;

  get length(): number {
    return this.interactive.length + this.background.length;
  }

  get wanted(): { interactive: number; background: number } {
    return { interactive: this.interactive.length, background: this.background.length };
  }

  get first(): QuotaRequest | undefined {
    return (this.interactive[0] ?? this.background[0])?.request;
  }

  add(waiter: Waiter): void {
    const { priority, deadline } = waiter.request;
    this[priority].push(waiter);
    this.fresh[priority] += 1;
    this.firstDeadline = Math.min(this.firstDeadline, deadline);
  }

  /** Starts the first so many of each kind. */
  start(counts: { interactive: number; background: number }): void {
    for (const kind of ['interactive', 'background'] as const)
      for (const waiter of this[kind].splice(0, counts[kind])) waiter.start();
  }

  fail(error: Error): void {
    const all = [...this.interactive, ...this.background];
    this.interactive = [];
    this.background = [];
    this.forgetFresh();
    this.firstDeadline = Infinity;
    for (const waiter of all) waiter.fail(error);
  }

  /** Judges everybody by the time of their turn; whom `verdict` finds at fault leaves, and the others move up. */
  judgeAll(taken: Taken, verdict: Verdict): void {
    this.interactive = this.staying(this.interactive, 0, taken, false, verdict);
    this.background = this.staying(this.background, this.interactive.length, taken, true, verdict);
    this.forgetFresh();
    this.firstDeadline = [...this.interactive, ...this.background].reduce(
      (first, { request }) => Math.min(first, request.deadline),
      Infinity,
    );
  }

  /** Judges only those who came since: a long line costs nothing while it moves as expected. */
  judgeFresh(taken: Taken, verdict: Verdict): void {
    for (const kind of ['interactive', 'background'] as const) {
      const line = this[kind];
      const newcomers = line.splice(Math.max(0, line.length - this.fresh[kind]));
      const before = line.length + (kind === 'background' ? this.interactive.length : 0);
      line.push(...this.staying(newcomers, before, taken, kind === 'background', verdict));
    }
    this.forgetFresh();
  }

  /** Seconds until the next of those who wait may start, as was known when `taken` was answered. */
  nextStart(taken: Taken): number {
    if (this.interactive.length > 0) return secondsUntil(taken, 0, false);
    return this.background.length > 0 ? secondsUntil(taken, 0, true) : Infinity;
  }

  private staying(line: readonly Waiter[], before: number, taken: Taken, background: boolean, verdict: Verdict) {
    const staying: Waiter[] = [];
    for (const waiter of line) {
      const error = verdict(waiter, secondsUntil(taken, before + staying.length, background));
      if (error) waiter.fail(error);
      else staying.push(waiter);
    }
    return staying;
  }

  private forgetFresh(): void {
    this.fresh = { interactive: 0, background: 0 };
  }
}

/** Until the call that has so many ahead of it may start, if nobody else takes anything. */
function secondsUntil({ buckets }: Taken, ahead: number, background: boolean): number {
  let seconds = 0;
  for (const bucket of buckets) seconds = Math.max(seconds, untilFree(bucket, ahead, background));
  return seconds;
}

function untilFree(bucket: BucketState, ahead: number, background: boolean): number {
  const steady = bucket.steadyWait + (ahead + (background ? bucket.steadyKept : 0)) * bucket.steadyGap;
  const burst = bucket.burstWait + (ahead + (background ? bucket.burstKept : 0)) * bucket.burstGap;
  return Math.max(steady, burst, background ? bucket.heldBackground : bucket.held);
}
