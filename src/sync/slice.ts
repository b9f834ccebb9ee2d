import type { Clock } from '../common/clock';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { StateOf } from '../mirror/mirror-states.repository';
import type { Resource } from '../mirror/resources';
import type { Syncer } from '../mirror/syncer';
import { Halt } from './halt';
import { PageWriter } from './page-writer';
import type { PageStore } from './page-store';
import { PassBeginning, type BegunPass } from './pass-beginning';
import type { PassEnding } from './pass-ending';
import type { PassRecord, PassRecordsRepository } from './pass-records.repository';
import { PassRunner } from './pass-runner';
import type { HeldRun, RunLeasesRepository } from './run-leases.repository';
import type { ReadPage } from './read-page';
import type { SliceWork } from './slice-work';
import { LeaseLost } from './sync-faults';
import type { ResourceStatus } from './sync-resource.entity';

/** What a slice works with. */
export interface SliceTools {
  readonly clock: Clock;
  readonly syncers: { of(resource: Resource): Syncer };
  readonly leases: RunLeasesRepository;
  readonly records: PassRecordsRepository;
  readonly store: PageStore;
  readonly ending: PassEnding;
  /** Waits while more urgent work does, within bounds. */
  readonly giveWay: () => Promise<void>;
  /** A transaction of the run's user. */
  readonly transaction: <T>(work: () => Promise<T>) => Promise<T>;
}

/** How far a slice came. */
export interface SliceEnd {
  /** Whether every resource has ended. */
  finished: boolean;
  /** Milliseconds for which nothing is worth trying. */
  pauseMs: number;
  /** What failed that is not one resource's. */
  failure: unknown;
}

const ENDED: ReadonlySet<ResourceStatus> = new Set(['succeeded', 'failed', 'skipped', 'cancelled']);
/** After that time nothing new is asked for; the calls under way have the rest of a minute. */
export const SLICE_MS = 45_000;
const CALLS_MS = 57_000;
/** When everybody waits for longer than this, the slice ends early and its worker is free for another run. */
const WORTH_WAITING_MS = 5000;
/** How long a slice that must end soon waits for calls under way. */
const IMPATIENT_MS = 2500;
const LOOK_MS = 500;

/** Works on a run for less than a minute: its resources side by side, each after those that it builds on. */
export class Slice {
  readonly halt = new Halt();
  private readonly writer: PageWriter<ReadPage>;
  private readonly work: SliceWork;
  private readonly beginning: PassBeginning;
  private readonly runners: PassRunner[] = [];
  private readonly ended = new Set<Resource>();
  private readonly resting = new Set<{ until: number }>();
  private busy = 0;
  private notBefore = Infinity;
  private failure: unknown;

  constructor(
    private readonly tools: SliceTools,
    private readonly run: HeldRun,
    access: KlaviyoAccess,
    states: ReadonlyMap<Resource, StateOf>,
  ) {
    const { clock, store, syncers, ending, records, giveWay } = tools;
    this.beginning = new PassBeginning(run, access, states, syncers, records);
    const stored = store.of(run, () => this.halt.halt('cancel'));
    this.writer = new PageWriter(
      (pages) => stored.store(pages),
      (error) => this.failed(error),
    );
    this.work = {
      run,
      clock,
      ending,
      records,
      halt: this.halt,
      writer: this.writer,
      giveWay,
      deadline: clock.now() + CALLS_MS,
      held: (work) => this.held(work),
      rest: (until) => this.rest(until),
      failed: (error) => this.failed(error),
    };
  }

  /** Never throws. */
  async go(): Promise<SliceEnd> {
    const timer = setTimeout(() => this.halt.halt('time'), SLICE_MS);
    const impatience = this.impatience();
    try {
      const records = await this.tools.records.all(this.run.userId, this.run.id);
      for (const { resource, status } of records) if (ENDED.has(status)) this.ended.add(resource);
      await Promise.race([this.all(records), impatience.over]);
      await this.writer.settled();
      this.writer.close();
    } catch (error) {
      this.failed(error);
    } finally {
      clearTimeout(timer);
      impatience.end();
    }
    const finished = this.run.resources.every((resource) => this.ended.has(resource));
    const pauseMs = this.notBefore === Infinity ? 0 : Math.max(0, this.notBefore - this.tools.clock.now());
    return { finished, pauseMs, failure: this.failure };
  }

  /** What was spent at Klaviyo on pages that were not stored is counted too. Inside the transaction that gives the run back. */
  async tally(): Promise<void> {
    const states = this.runners.map(({ ledger }) => ledger.now);
    if (states.length > 0) await this.tools.records.tally(this.run.userId, this.run.id, states);
  }

  /** Begins what can begin, and whatever becomes possible when something ends. */
  private async all(records: readonly PassRecord[]): Promise<void> {
    const waiting = new Map(records.map((record) => [record.resource, record]));
    for (const resource of this.ended) waiting.delete(resource);
    const under: Promise<void>[] = [];
    const begin = (): void => {
      const ready = [...waiting.values()].filter(({ resource }) => this.mayBegin(resource));
      for (const { resource } of ready) waiting.delete(resource);
      if (ready.length > 0 && !this.halt.halted) under.push(this.together(ready, begin));
    };
    begin();
    // The list grows while it is gone through.
    for (const each of under) await each;
  }

  private mayBegin(resource: Resource): boolean {
    const before = this.tools.syncers.of(resource).after.filter((one) => this.run.resources.includes(one));
    return before.every((one) => this.ended.has(one));
  }

  private async together(records: readonly PassRecord[], ended: () => void): Promise<void> {
    try {
      const begun = await this.held(() => this.beginning.begin(records));
      await Promise.all(begun.map((pass) => this.one(pass).then(ended)));
    } catch (error) {
      this.failed(error);
    }
  }

  private async one({ syncer, pass, before, record, windows }: BegunPass): Promise<void> {
    if (this.halt.halted) return;
    this.busy += 1;
    try {
      const runner = new PassRunner(this.work, syncer, pass, before, record, windows);
      this.runners.push(runner);
      const outcome = await runner.run();
      if (outcome.kind === 'ended') this.ended.add(syncer.resource);
      else this.notBefore = Math.min(this.notBefore, outcome.notBefore);
    } catch (error) {
      this.failed(error);
    } finally {
      this.busy -= 1;
    }
  }

  private held<T>(work: () => Promise<T>): Promise<T> {
    return this.tools.transaction(async () => {
      if (await this.tools.leases.hold(this.run.userId, this.run)) this.halt.halt('cancel');
      return work();
    });
  }

  private async rest(until: number): Promise<boolean> {
    const { clock } = this.tools;
    const mine = { until };
    this.resting.add(mine);
    try {
      for (;;) {
        const left = until - clock.now();
        if (this.halt.halted) return false;
        if (left <= 0) return true;
        const earliest = Math.min(...[...this.resting].map((one) => one.until));
        if (this.resting.size === this.busy && earliest - clock.now() > WORTH_WAITING_MS) {
          // Nobody has anything to do: the others see it too when they look.
          this.halt.halt('time');
          return false;
        }
        await this.halt.sleep(Math.min(left, LOOK_MS));
      }
    } finally {
      this.resting.delete(mine);
    }
  }

  /** A slice that is not to go on does not wait for the slowest of Klaviyo's answers. */
  private impatience(): { over: Promise<unknown>; end: () => void } {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    let timer: NodeJS.Timeout | undefined;
    const forget = this.halt.onHalt(() => {
      if (this.halt.reason !== 'time') timer ??= setTimeout(() => resolve(undefined), IMPATIENT_MS);
    });
    const end = (): void => {
      forget();
      clearTimeout(timer);
    };
    return { over: promise, end };
  }

  private failed(error: unknown): void {
    if (error instanceof LeaseLost) this.halt.halt('lost');
    else {
      this.failure ??= error;
      this.halt.halt('failure');
    }
  }
}
