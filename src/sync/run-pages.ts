import type { FlownStatement, Line } from '../database/line';
import type { PageRecordsRepository } from './page-records.repository';
import { growthOf, rowsOf, sum, writtenDown, type ReadPage, type Stored, type StoredPass } from './read-page';
import type { RefusedRows } from './refused-rows';
import type { HeldRun, RunLeasesRepository } from './run-leases.repository';
import { faultOf, isRefusedData, PagesUndone } from './sync-faults';
import type { SyncTransactions } from './sync-transactions';

interface Tools {
  readonly transactions: SyncTransactions;
  readonly leases: RunLeasesRepository;
  readonly records: PageRecordsRepository;
  readonly refused: RefusedRows;
}

type Growth = ReadonlyMap<StoredPass, Stored>;

/** A connection while commits are on their way on it. */
interface Trip {
  readonly line: Line;
  /** What they come to, in the order of sending. */
  readonly sent: Growth[];
  /** Once all of them have ended. */
  readonly over: PromiseWithResolvers<void>;
}

/** A statement that stores rows, and what they are of. */
interface Write {
  readonly of: StoredPass;
  readonly statement: FlownStatement;
}

/** @returns undefined where some of the rows can only be stored step by step */
function writesOf(rows: ReadonlyMap<StoredPass, readonly unknown[]>): Write[] | undefined {
  const writes: Write[] = [];
  for (const [of, its] of rows) {
    if (!of.syncer.statements) return undefined;
    const statements = its.length > 0 ? of.syncer.statements(of.pass, its) : [];
    for (const statement of statements) writes.push({ of, statement });
  }
  return writes;
}

/** What is on its way, all together. */
function ahead({ sent }: Trip): Map<StoredPass, Stored> {
  const all = new Map<StoredPass, Stored>();
  for (const growth of sent)
    for (const [of, more] of growth) {
      const known = all.get(of);
      all.set(of, known ? sum(known, more) : more);
    }
  return all;
}

/**
 * Stores the pages of one run, a commit for each call. The next may be called before the last one has ended: it then travels
 * behind it on the same connection, and PostgreSQL goes on with it without waiting for us.
 */
export class RunPages {
  /** On which more may be sent. */
  private trip: Trip | undefined;
  /** The last one. */
  private over: Promise<void> = Promise.resolve();
  /** Calls that have not ended. */
  private open = 0;
  /** Resolves when all of them have, well or not. */
  private before: Promise<unknown> = Promise.resolve();

  constructor(
    private readonly tools: Tools,
    private readonly run: HeldRun,
    private readonly cancelled: () => void,
  ) {}

  /** @throws LeaseLost; PagesUndone; DatabaseError when the database is out of reach */
  async store(pages: readonly ReadPage[]): Promise<void> {
    const behind = this.open > 0;
    this.open += 1;
    const stored = this.inOrder(pages, this.before, behind).finally(() => (this.open -= 1));
    this.before = Promise.allSettled([this.before, stored]);
    return stored;
  }

  private async inOrder(pages: readonly ReadPage[], before: Promise<unknown>, behind: boolean): Promise<void> {
    try {
      await this.together(pages, before);
    } catch (error) {
      // What went before may not have been stored as it was sent: by now it is stored otherwise, or never will be. And what
      // was sent behind this ends first, for it must not come between.
      await before;
      await this.over;
      if (behind && error instanceof PagesUndone) await this.inOrder(pages, before, false);
      else if (isRefusedData(error)) await this.apart(pages);
      else throw error;
    }
  }

  private async apart(pages: readonly ReadPage[]): Promise<void> {
    for (const page of pages) await this.tools.refused.store(this.run, page, this.cancelled);
  }

  private async together(pages: readonly ReadPage[], before: Promise<unknown>): Promise<void> {
    const rows = rowsOf(pages);
    const writes = writesOf(rows);
    if (writes && this.trip && !this.tools.transactions.crowded) return this.fly(this.trip, pages, writes);
    // Nor does anything that comes behind this go before it.
    this.trip = undefined;
    await before;
    if (!writes) return this.stepByStep(pages, rows);
    const trip = await this.setOut();
    // Only now: whoever comes sees it with these pages on it, and goes behind them.
    this.trip = trip;
    return this.fly(trip, pages, writes);
  }

  private async setOut(): Promise<Trip> {
    const line = await this.tools.transactions.line(this.run.userId);
    const over: Trip['over'] = Promise.withResolvers();
    this.over = over.promise;
    return { line, sent: [], over };
  }

  /** Sent at once, statements and COMMIT. */
  private async fly(trip: Trip, pages: readonly ReadPage[], writes: readonly Write[]): Promise<void> {
    const { leases, records } = this.tools;
    const { userId, id } = this.run;
    const growth = growthOf(pages);
    const written = writtenDown(pages, growth, { ahead: ahead(trip), noted: true });
    const around = leases.around(
      userId,
      this.run,
      writes.map(({ statement }) => statement),
    );
    trip.sent.push(growth);
    try {
      const answers = await trip.line.fly([...around, records.recording(userId, id, written)]);
      const changed = answers.slice(1, 1 + writes.length).map(([row]) => (row as { changed: number }).changed);
      writes.forEach(({ of }, place) => {
        const its = growth.get(of);
        if (its) its.upserted += changed[place] ?? 0;
      });
      const [held] = answers.at(-2) ?? [];
      if ((held as { cancelled: boolean }).cancelled) this.cancelled();
      for (const [of, more] of growth) of.grew(more);
    } catch (error) {
      // Nothing more is sent behind it: that would be stored before what is left of this.
      this.trip = undefined;
      throw faultOf(error);
    } finally {
      trip.sent.splice(trip.sent.indexOf(growth), 1);
      if (trip.sent.length === 0) await this.end(trip);
    }
  }

  private async end({ line, over }: Trip): Promise<void> {
    this.trip = undefined;
    try {
      await this.tools.transactions.release(line);
    } finally {
      over.resolve();
    }
  }

  private async stepByStep(pages: readonly ReadPage[], rows: ReadonlyMap<StoredPass, unknown[]>): Promise<void> {
    const { transactions, leases, records } = this.tools;
    const { userId, id } = this.run;
    const grown = await transactions.run(userId, async () => {
      if (await leases.hold(userId, this.run, 'soon')) this.cancelled();
      const growth = growthOf(pages);
      for (const [of, its] of growth) {
        const given = rows.get(of) ?? [];
        if (given.length > 0) its.upserted = await of.syncer.write(of.pass, given);
      }
      await records.record(userId, id, writtenDown(pages, growth));
      return growth;
    });
    for (const [of, more] of grown) of.grew(more);
  }
}
