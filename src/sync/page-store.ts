import { Injectable, Logger } from '@nestjs/common';
import type { Pass, Syncer } from '../mirror/syncer';
import { PassRecordsRepository, type PageLine, type PassState, type WindowState } from './pass-records.repository';
import { RunLeasesRepository, type HeldRun } from './run-leases.repository';
import { isRefusedData } from './sync-faults';
import { SyncTransactions } from './sync-transactions';

/** What is stored of a pass: its totals, which follow its pages. */
export interface StoredPass {
  readonly syncer: Syncer;
  readonly pass: Pass;
  /** As they will be once so much more is stored. */
  after(more: Stored): PassState;
  /** It is. */
  grew(more: Stored): void;
}

export interface Stored {
  rows: number;
  pages: number;
  upserted: number;
  quarantined: number;
}

/** A page that was read and is to be stored. */
export interface ReadPage {
  readonly of: StoredPass;
  readonly rows: readonly unknown[];
  /** Where its window stands once it is stored. */
  readonly place: WindowState;
  readonly ms: number;
  readonly waitedMs: number;
  /** Told once it is. */
  readonly stored: () => void;
}

/** Rows that a transaction of their own takes, and those that none takes. */
interface Taken {
  upserted: number;
  quarantined: number;
}

/** Puts pages into the database: rows, places of their windows, totals and log in one commit, or nothing of it. */
@Injectable()
export class PageStore {
  private readonly logger = new Logger('Sync');

  constructor(
    private readonly transactions: SyncTransactions,
    private readonly leases: RunLeasesRepository,
    private readonly records: PassRecordsRepository,
  ) {}

  /**
   * @param cancelled told when somebody asked the run to end
   * @throws LeaseLost; PagesUndone; DatabaseError when the database is out of reach
   */
  async store(run: HeldRun, pages: readonly ReadPage[], cancelled: () => void): Promise<void> {
    try {
      await this.together(run, pages, cancelled);
    } catch (error) {
      if (!isRefusedData(error)) throw error;
      for (const page of pages) await this.alone(run, page, cancelled);
    }
  }

  private async together(run: HeldRun, pages: readonly ReadPage[], cancelled: () => void): Promise<void> {
    const groups = grouped(pages);
    const grown = await this.transactions.run(run.userId, async () => {
      if (await this.leases.hold(run.userId, run, 'soon')) cancelled();
      const more = new Map<StoredPass, Stored>();
      for (const [of, its] of groups) {
        const rows = its.flatMap((page) => page.rows);
        const upserted = rows.length > 0 ? await of.syncer.write(of.pass, rows) : 0;
        more.set(of, { rows: rows.length, pages: its.length, upserted, quarantined: 0 });
      }
      await this.record(run, pages, more);
      return more;
    });
    for (const [of, more] of grown) of.grew(more);
  }

  /** A page that the database may refuse: what it takes of the rows is stored, the place moves on, the rest is counted. */
  private async alone(run: HeldRun, page: ReadPage, cancelled: () => void): Promise<void> {
    const taken = await this.bisect(run, page, page.rows);
    const more = { ...taken, rows: page.rows.length, pages: 1 };
    if (taken.quarantined > 0)
      this.logger.error({
        msg: 'rows were refused by the database',
        syncId: run.id,
        connectionId: run.connectionId,
        resource: page.place.resource,
        rows: taken.quarantined,
      });
    await this.transactions.run(run.userId, async () => {
      if (await this.leases.hold(run.userId, run)) cancelled();
      await this.record(run, [page], new Map([[page.of, more]]));
    });
    page.of.grew(more);
  }

  private async bisect(run: HeldRun, page: ReadPage, rows: readonly unknown[]): Promise<Taken> {
    if (rows.length === 0) return { upserted: 0, quarantined: 0 };
    try {
      const upserted = await this.transactions.run(run.userId, async () => {
        await this.leases.hold(run.userId, run);
        return page.of.syncer.write(page.of.pass, rows);
      });
      return { upserted, quarantined: 0 };
    } catch (error) {
      if (!isRefusedData(error)) throw error;
      if (rows.length === 1) return { upserted: 0, quarantined: 1 };
    }
    const half = Math.ceil(rows.length / 2);
    const near = await this.bisect(run, page, rows.slice(0, half));
    const far = await this.bisect(run, page, rows.slice(half));
    return { upserted: near.upserted + far.upserted, quarantined: near.quarantined + far.quarantined };
  }

  private async record(run: HeldRun, pages: readonly ReadPage[], more: ReadonlyMap<StoredPass, Stored>): Promise<void> {
    const places = new Map(pages.map(({ place }) => [`${place.resource} ${place.windowNo} ${place.part}`, place]));
    const last = new Map(pages.map((page) => [page.of, page]));
    const lines = pages.map((page): PageLine => {
      const counted = last.get(page.of) === page ? more.get(page.of) : undefined;
      const { resource, part, windowNo } = page.place;
      return {
        resource,
        part,
        windowNo,
        rows: page.rows.length,
        upserted: counted?.upserted ?? null,
        quarantined: counted?.quarantined ?? 0,
        ms: Math.round(page.ms),
        waitedMs: Math.round(page.waitedMs),
      };
    });
    const states = [...more].map(([of, stored]) => {
      const state = of.after(stored);
      return { ...state, pagesBefore: state.pages - stored.pages };
    });
    await this.records.record(run.userId, run.id, states, [...places.values()], lines);
  }
}

function grouped(pages: readonly ReadPage[]): Map<StoredPass, ReadPage[]> {
  const groups = new Map<StoredPass, ReadPage[]>();
  for (const page of pages) {
    const group = groups.get(page.of);
    if (group) group.push(page);
    else groups.set(page.of, [page]);
  }
  return groups;
}
