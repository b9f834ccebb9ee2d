import type { Logger } from '@nestjs/common';
import type { Drain } from './drain';

/** What other processes wrote, and what becomes due, is found by looking. */
const TICK_MS = 1000;
/** What is announced is looked for this much later: transactions under way end, and more comes together. */
const SOON_MS = 50;
const GAUGE_MS = 15_000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;
/** When the modules close, what is still on its way gets this long. */
const END_MS = 1000;
const STEP_MS = 25;

/** Work whose rows are the queue: whatever is not done stays due in the database. */
export interface DueWork {
  /** As logs name it: `passing events on`. */
  readonly name: string;
  /** Begins what is due, as much as there is room for. Never called again before it is over. */
  look(): Promise<void>;
  /** Measures how much waits, now and then. */
  gauge?(): Promise<void>;
  /** Whether anything that was begun is not finished. */
  isBusy(): boolean;
  /** Whether a look without a fault shows that all is well; without this it does. */
  isProven?(): boolean;
}

/** Looks for due work when told to and once a second, one look at a time, with growing pauses while it fails. */
export class WorkLoop {
  private timer: NodeJS.Timeout | undefined;
  private soon: NodeJS.Timeout | undefined;
  private sooner = false;
  private looking = false;
  private again = false;
  private stopped = false;
  private failures = 0;
  private notBefore = 0;
  private gaugedAt = 0;

  /** @param drain from the stop signal on nothing is looked for */
  constructor(
    private readonly work: DueWork,
    private readonly logger: Logger,
    drain: Drain,
  ) {
    drain.onBegin(() => this.stop());
  }

  /** Until this is called, nothing is ever looked for. */
  start(): void {
    this.timer ??= setInterval(() => this.wake(), TICK_MS).unref();
  }

  /** Looks for what is due now; while it looks already, once more afterwards. */
  wake(): void {
    if (this.timer === undefined || this.stopped) return;
    this.again = true;
    if (!this.looking) void this.turn();
  }

  /** Looks in a moment, once for all who ask meanwhile, and never so soon that one of them asked just before. */
  wakeSoon(): void {
    if (this.timer === undefined || this.stopped) return;
    if (this.soon) {
      this.sooner = true;
      return;
    }
    this.soon = setTimeout(() => {
      this.soon = undefined;
      this.wake();
      if (this.sooner) this.wakeSoon();
      this.sooner = false;
    }, SOON_MS).unref();
  }

  /** What was begun failed for a reason that will meet the rest as well: PostgreSQL out of reach, most likely. */
  failed(error: unknown): void {
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.failures, LONGEST_PAUSE_MS);
    this.failures += 1;
    this.notBefore = Date.now() + pause;
    if (this.failures === 1) this.logger.warn({ msg: `${this.work.name} is held up`, err: error });
  }

  /** What was begun went well, so what held it up is over. */
  succeeded(): void {
    if (this.failures === 0) return;
    this.logger.log({ msg: `${this.work.name} goes on`, failures: this.failures });
    this.failures = 0;
  }

  /** Nothing is begun any more. */
  get isStopped(): boolean {
    return this.stopped;
  }

  /** Stops, and waits for what was begun: a second at the most. */
  async end(): Promise<void> {
    this.stop();
    const until = Date.now() + END_MS;
    while ((this.looking || this.work.isBusy()) && Date.now() < until)
      await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }

  private async turn(): Promise<void> {
    this.looking = true;
    while (this.again && !this.stopped) {
      this.again = false;
      if (Date.now() < this.notBefore) break;
      try {
        await this.work.look();
        await this.gauge();
        if (this.work.isProven?.() !== false) this.succeeded();
      } catch (error) {
        this.failed(error);
      }
    }
    this.looking = false;
  }

  private async gauge(): Promise<void> {
    if (Date.now() - this.gaugedAt < GAUGE_MS) return;
    this.gaugedAt = Date.now();
    await this.work.gauge?.();
  }

  private stop(): void {
    this.stopped = true;
    clearInterval(this.timer);
    clearTimeout(this.soon);
  }
}
