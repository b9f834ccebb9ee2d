import { Injectable } from '@nestjs/common';
import { PageRecordsRepository } from './page-records.repository';
import { RefusedRows } from './refused-rows';
import { RunLeasesRepository, type HeldRun } from './run-leases.repository';
import { RunPages } from './run-pages';
import { SyncTransactions } from './sync-transactions';

/** Puts pages into the database: rows, places of their windows, totals and log in one commit, or nothing of it. */
@Injectable()
export class PageStore {
  private readonly refused: RefusedRows;

  constructor(
    private readonly transactions: SyncTransactions,
    private readonly leases: RunLeasesRepository,
    private readonly records: PageRecordsRepository,
  ) {
    this.refused = new RefusedRows(transactions, leases, records);
  }

  /** @param cancelled told when somebody asked the run to end */
  of(run: HeldRun, cancelled: () => void): RunPages {
    const { transactions, leases, records, refused } = this;
    return new RunPages({ transactions, leases, records, refused }, run, cancelled);
  }
}
