import { Logger } from '@nestjs/common';
import { describeError } from '../observability/log-errors';
import type { StateOf } from '../mirror/mirror-states.repository';
import type { Pass, Syncer } from '../mirror/syncer';
import { Signal, type Halt } from './halt';
import { Lanes } from './lanes';
import { PassLedger } from './pass-ledger';
import type { PassRecord } from './pass-records.repository';
import type { SliceWork } from './slice-work';
import { graver, verdictOf, type Verdict } from './sync-faults';
import type { StoredWindow, Window } from './window';
import { WindowReader } from './window-reader';
import { WindowSet } from './window-set';

/** How a resource stands when its runner stops: it ended, well or not, or goes on later (at the earliest then, if said). */
export type PassOutcome = { kind: 'ended' } | { kind: 'later'; notBefore: number };

/** Nothing but errors for so long: the resource fails. */
const GIVE_UP_MS = 10 * 60_000;
/** Pauses after failures double up to this. */
const LONGEST_PAUSE_MS = 60_000;

/** A call may wait so long for its turn. */
const IN_LINE_MS = 50_000;

const LATER: PassOutcome = { kind: 'later', notBefore: 0 };
type Pause = Extract<Verdict, { kind: 'pause' }>;

/** Reads one resource of a run for the length of a slice: plans, keeps its windows read side by side, ends the pass. */
export class PassRunner {
  readonly ledger: PassLedger;
  private readonly logger = new Logger('Sync');
  /** A page came, or somebody has nothing to read. */
  private readonly changed = new Signal();
  private windows = new WindowSet([]);
  private lanes = new Lanes(1);
  /** Whether it is known what there is to read. */
  private planned = false;
  private reading = 0;
  private failures = 0;

  /** @param stored its windows, where they are planned already */
  constructor(
    private readonly work: SliceWork,
    private readonly syncer: Syncer,
    private readonly pass: Pass,
    before: StateOf | undefined,
    record: PassRecord,
    stored: readonly StoredWindow[] | undefined,
  ) {
    if (stored) this.goOnWith(stored);
    this.ledger = new PassLedger(syncer, pass, before, record, () => this.windows.coverage(work.clock.now()));
  }

  /** @throws LeaseLost and DatabaseError: whatever else goes wrong is the resource's own outcome */
  async run(): Promise<PassOutcome> {
    for (;;) {
      const { planned } = this;
      const met: Verdict | null = planned ? await this.readAll() : await this.plan();
      if (this.work.halt.halted) return LATER;
      if (met?.kind === 'pause') {
        const outcome = await this.rest(met);
        if (outcome) return outcome;
      } else if (met?.kind === 'fail') return this.fail(met.code);
      else if (met) return LATER;
      else if (planned && !this.windows.open) return this.end();
    }
  }

  private async plan(): Promise<Verdict | null> {
    const { work, syncer, pass } = this;
    const { userId, id } = work.run;
    const { resource } = syncer;
    try {
      const parts = await syncer.parts(pass);
      const stored = await work.held(async () => {
        await work.records.plan(userId, id, new Map([[resource, parts]]));
        return work.records.windows(userId, id, [resource]);
      });
      this.goOnWith(stored.get(resource) ?? []);
    } catch (error) {
      return this.judge(error);
    }
    return null;
  }

  private goOnWith(stored: readonly StoredWindow[]): void {
    this.planned = true;
    this.windows = new WindowSet(stored);
    this.lanes = new Lanes(this.windows.begun);
  }

  /** Until every window is read, everybody stops, or somebody met what concerns all. */
  private async readAll(): Promise<Verdict | null> {
    const round = this.work.halt.child();
    let met: Verdict | null = null;
    const meet = (verdict: Verdict): void => {
      met = graver(met, verdict);
      round.halt('failure');
    };
    try {
      for (;;) {
        while (!round.halted && this.reading < this.lanes.wanted) {
          const window = this.windows.free() ?? (await this.cut());
          if (!window) break;
          void this.read(window, round, meet);
        }
        if (this.reading === 0) break;
        await this.changed.wait();
      }
    } finally {
      round.release();
    }
    // Whoever stopped in between left windows that a slice to come goes on with.
    await this.work.writer.settled();
    return met;
  }

  private async read(window: Window, round: Halt, meet: (verdict: Verdict) => void): Promise<void> {
    this.reading += 1;
    window.taken = true;
    try {
      await new WindowReader({ ...this.work, ...this.surroundings(round) }, window).read();
    } catch (error) {
      const verdict = this.judge(error);
      if (verdict.kind === 'gone') await this.gone(window.part).catch((failure: unknown) => meet(this.judge(failure)));
      else if (verdict.kind !== 'restart') meet(verdict);
      else if (!window.restart()) meet({ kind: 'fail', code: 'SYNC_PAGES_REPEAT' });
    } finally {
      this.reading -= 1;
      window.taken = false;
      this.changed.fire();
    }
  }

  private surroundings(halt: Halt) {
    return {
      halt,
      of: this.ledger,
      tally: this.ledger.tally,
      lanes: this.lanes,
      onPage: (rows: number): void => {
        this.failures = 0;
        this.windows.saw(rows);
        this.changed.fire();
      },
    };
  }

  /** The far part of the window of which most is left, for somebody who has nothing to read. */
  private async cut(): Promise<Window | undefined> {
    const { work, syncer } = this;
    const { userId, id } = work.run;
    const part = this.windows.unknownEnd();
    if (part !== undefined) this.windows.endsAt(part, await this.newest(part));
    const cut = this.windows.cut();
    if (!cut) return undefined;
    try {
      await work.held(() => work.records.cut(userId, id, syncer.resource, cut.near, cut.far));
    } catch (error) {
      work.failed(error);
      return undefined;
    }
    this.windows.apply(cut);
    return this.windows.free();
  }

  /** Only for knowing where to cut: when it cannot be had, the present does. */
  private async newest(key: string): Promise<number> {
    const { work, syncer, pass, ledger } = this;
    const now = work.clock.now();
    if (!syncer.newest || pass.kind !== 'full') return now;
    const part = { key, divisible: true, span: { from: null, to: null } };
    try {
      const { value } = await ledger.tally.call(
        async (tally) => (await syncer.newest?.(pass, part, { deadline: work.deadline, tally })) ?? null,
      );
      return value === null ? now : Math.min(value + 1000, now);
    } catch {
      return now;
    }
  }

  private async gone(part: string): Promise<void> {
    const { work, syncer } = this;
    this.windows.drop(part);
    await work.held(() => work.records.gone(work.run.userId, work.run.id, syncer.resource, part));
  }

  /** @returns undefined to go on; else how the resource stands */
  private async rest(pause: Pause): Promise<PassOutcome | undefined> {
    const { work, syncer } = this;
    const { userId, id } = work.run;
    let ms = pause.seconds * 1000;
    if (pause.counts) {
      this.failures += 1;
      ms = Math.min(LONGEST_PAUSE_MS, ms * 2 ** (this.failures - 1));
      const failingMs = await work.held(() => work.records.failing(userId, id, syncer.resource));
      if (failingMs > GIVE_UP_MS) return this.fail(pause.code);
    }
    const until = work.clock.now() + ms;
    if (await work.rest(until)) return undefined;
    // Where it is quota that lacks, the next slice waits in its line, so as to lose nothing of it.
    return { kind: 'later', notBefore: pause.counts ? until : until - IN_LINE_MS };
  }

  private async end(): Promise<PassOutcome> {
    const { work } = this;
    await work.writer.settled();
    if (work.halt.halted) return LATER;
    try {
      return (await work.ending.end(work.run, this.ledger, work.halt)) === 'later' ? LATER : { kind: 'ended' };
    } catch (error) {
      const verdict = this.judge(error);
      if (verdict.kind !== 'fail') throw error;
      return this.fail(verdict.code);
    }
  }

  private async fail(code: string): Promise<PassOutcome> {
    const { work, syncer } = this;
    const { userId, id, connectionId } = work.run;
    await work.held(async () => {
      await work.records.tally(userId, id, [this.ledger.now]);
      await work.records.failed(userId, id, syncer.resource, code);
    });
    this.logger.warn({
      msg: 'a resource was not synchronised',
      syncId: id,
      connectionId,
      resource: syncer.resource,
      code,
    });
    return { kind: 'ended' };
  }

  private judge(error: unknown): Verdict {
    const verdict = verdictOf(error);
    if (verdict.kind === 'key') this.work.halt.halt('key');
    if (verdict.kind === 'stop') this.work.failed(error);
    if (verdict.kind === 'fail' && verdict.code === 'INTERNAL') this.tellFault(error);
    return verdict;
  }

  /** A fault of ours: what it says of itself may quote a row, where it happened does not. */
  private tellFault(error: unknown): void {
    const told = error instanceof Error ? describeError(error) : undefined;
    this.logger.error({
      msg: 'synchronising met an error that is not Klaviyo’s',
      resource: this.syncer.resource,
      connectionId: this.pass.connectionId,
      syncId: this.work.run.id,
      name: told?.name,
      sqlState: told?.sqlState,
      at: told?.stack?.split('\n').slice(1, 4).join(' ').trim(),
    });
  }
}
