import { Logger } from '@nestjs/common';
import type { PageRecordsRepository } from './page-records.repository';
import { writtenDown, type ReadPage } from './read-page';
import type { HeldRun, RunLeasesRepository } from './run-leases.repository';
import { isRefusedData } from './sync-faults';
import type { SyncTransactions } from './sync-transactions';

/** Rows that a transaction of their own takes, and those that none takes. */
interface Taken {
  upserted: number;
  quarantined: number;
}

/** Stores pages with rows that the database refuses: all but those. */
export class RefusedRows {
  private readonly logger = new Logger('Sync');

  constructor(
    private readonly transactions: SyncTransactions,
    private readonly leases: RunLeasesRepository,
    private readonly records: PageRecordsRepository,
  ) {}

  /**
   * What the database takes of the page's rows is stored, its place moves on, the rest is counted.
   * @param cancelled told when somebody asked the run to end
   * @throws LeaseLost; PagesUndone; DatabaseError when the database is out of reach
   */
  async store(run: HeldRun, page: ReadPage, cancelled: () => void): Promise<void> {
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
      await this.records.record(run.userId, run.id, writtenDown([page], new Map([[page.of, more]])));
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
}
