import { setTimeout as wait } from 'node:timers/promises';
import { Injectable } from '@nestjs/common';
import { MirrorStatesRepository, type StateOf } from '../mirror/mirror-states.repository';
import type { Resource } from '../mirror/resources';
import type { Pass, Syncer } from '../mirror/syncer';
import type { Halt } from './halt';
import { PassRecordsRepository, type PassState } from './pass-records.repository';
import { RunLeasesRepository, type HeldRun } from './run-leases.repository';
import type { SyncFault } from './sync-faults';
import { SyncTransactions } from './sync-transactions';

/** Fewer rows than this may all be gone. */
const FEW_ROWS = 20;
/** Unseen rows beyond that part of all are not believed the first time. */
const BELIEVED = 0.5;
/** A second pass that finds as many, but for that part, is. */
const SAME = 0.1;
/** Rows marked as gone in one short transaction. */
const SWEPT_AT_ONCE = 2000;

/** Resources whose rows are many: what is known of their distribution decides how reads are planned. */
const LARGE: ReadonlySet<Resource> = new Set(['profiles', 'memberships', 'events']);

/** Their statistics are waited for so long: an autovacuum that is at work on the table may hold them up for a second. */
const ANALYSE_MS = 500;

/** Rows of the mirror at the end of a pass; null where they were counted before, and marked in part since. */
interface Counted {
  live: number | null;
  unseen: number | null;
}
const UNCOUNTED: Counted = { live: null, unseen: null };

/** A pass whose windows are all read. */
export interface ReadPass {
  readonly syncer: Syncer;
  readonly pass: Pass;
  /** What was known of the mirror before it. */
  readonly before: StateOf | undefined;
  /** Whether the sweep had been decided already. */
  readonly sweeping: boolean;
  /** Rows that the database refused. */
  readonly quarantined: number;
  /** Totals as they are. */
  readonly now: PassState;
  /** Totals as they will be with so many more rows marked as gone. */
  withGone(rows: number): PassState;
  /** They are. */
  swept(rows: number): void;
}

/** Ends the pass over a resource: judges what it did not see, marks it as gone, and says how far the mirror has come. */
@Injectable()
export class PassEnding {
  constructor(
    private readonly transactions: SyncTransactions,
    private readonly leases: RunLeasesRepository,
    private readonly records: PassRecordsRepository,
    private readonly states: MirrorStatesRepository,
  ) {}

  /**
   * @returns null when it is done, what it fails of, or `later` when the slice ended before
   * @throws LeaseLost; PagesUndone; DatabaseError
   */
  async end(run: HeldRun, read: ReadPass, halt: Halt): Promise<SyncFault | 'later' | null> {
    // A row that could not be stored would be taken for one that is gone.
    if (read.quarantined > 0) return this.fail(run, read, 'SYNC_ROWS_REFUSED');
    const analysed = this.analysed(run, read);
    let live: number | null = null;
    if (read.pass.kind === 'full') {
      const judged = read.sweeping ? UNCOUNTED : await this.judged(run, read, analysed === undefined);
      if (judged === 'complete') return null;
      if (judged === 'doubted') return this.fail(run, read, 'SYNC_TOO_FEW_ROWS');
      const swept = judged.unseen === 0 ? 0 : await this.sweep(run, read, halt);
      if (swept === null) return 'later';
      if (judged.live !== null) live = judged.live - swept;
    }
    if (analysed) await Promise.race([analysed, wait(ANALYSE_MS, undefined, { ref: false })]);
    await this.held(run, () => this.complete(run, read, live));
    return null;
  }

  /**
   * Beside the rest, and outside the run's transactions: it takes a while, for which nobody should wait for the run's row.
   * @returns undefined where there is nothing to be known
   */
  private analysed(run: HeldRun, { syncer, now }: ReadPass): Promise<void> | undefined {
    if (!LARGE.has(syncer.resource) || now.fetched === 0) return undefined;
    const analysed = this.transactions.inTurn(() => this.states.analyse(run.userId));
    // Where the rest fails first, nobody waits for it any more.
    analysed.catch(() => undefined);
    return analysed;
  }

  /**
   * Fewer than half of the rows seen is more likely Klaviyo's fault than true: the first time, nothing is marked.
   * @param atOnce whether a pass that saw everything is complete with that
   * @returns rows that are not marked yet, and those of them that were not seen
   */
  private async judged(run: HeldRun, read: ReadPass, atOnce: boolean): Promise<Counted | 'complete' | 'doubted'> {
    const { syncer, pass, before, now } = read;
    return this.held(run, async () => {
      const { live, unseen } = await syncer.unseen(pass);
      if (unseen === 0 && atOnce) {
        await this.complete(run, read, live);
        return 'complete';
      }
      const doubted = before?.doubtedRows ?? null;
      const again = doubted !== null && Math.abs(unseen - doubted) <= doubted * SAME;
      if (before && live >= FEW_ROWS && unseen > live * BELIEVED && !again) {
        await this.states.save(run.userId, run.connectionId, { ...before, doubtedRows: unseen });
        return 'doubted';
      }
      await this.records.sweeps(run.userId, run.id, now);
      return { live, unseen };
    });
  }

  /** @returns rows marked; null when the slice ended before all were */
  private async sweep(run: HeldRun, read: ReadPass, halt: Halt): Promise<number | null> {
    for (let sum = 0; ;) {
      await this.transactions.giveWay();
      if (halt.halted) return null;
      const swept = await this.held(run, async () => {
        const rows = await read.syncer.sweep(read.pass, SWEPT_AT_ONCE);
        if (rows > 0) await this.records.tally(run.userId, run.id, [read.withGone(rows)]);
        return rows;
      });
      if (swept === 0) return sum;
      read.swept(swept);
      sum += swept;
    }
  }

  /** Inside a transaction that holds the run. @param live rows that are left; null where they are still to be counted */
  private async complete(run: HeldRun, { syncer, pass, before, now }: ReadPass, live: number | null): Promise<void> {
    const full = pass.kind === 'full';
    // Counted before what follows from the pass, which may need the same count.
    const liveRows = full ? (live ?? (await syncer.unseen(pass)).live) : (before?.liveRows ?? 0);
    await syncer.finished?.(pass);
    const reconciles = syncer.reconciles?.(pass) === true;
    await this.states.save(run.userId, run.connectionId, {
      resource: syncer.resource,
      completeAt: full ? pass.startedAt : (before?.completeAt ?? pass.startedAt),
      syncedAt: pass.startedAt,
      // Where the pass began, never where a row claims to be: one dated in the future would hide what comes before it.
      highWater: pass.startedAt,
      reconciledAt: reconciles ? pass.startedAt : (before?.reconciledAt ?? null),
      liveRows,
      doubtedRows: null,
    });
    await this.records.succeeded(run.userId, run.id, now);
  }

  private async fail(run: HeldRun, { syncer }: ReadPass, fault: SyncFault): Promise<SyncFault> {
    await this.held(run, () => this.records.failed(run.userId, run.id, syncer.resource, fault));
    return fault;
  }

  private async held<T>(run: HeldRun, work: () => Promise<T>): Promise<T> {
    return this.transactions.run(run.userId, async () => {
      await this.leases.hold(run.userId, run);
      return work();
    });
  }
}
