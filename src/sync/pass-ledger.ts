import type { StateOf } from '../mirror/mirror-states.repository';
import type { Pass, Syncer } from '../mirror/syncer';
import type { Stored, StoredPass } from './read-page';
import type { ReadPass } from './pass-ending';
import type { PassCounts, PassRecord, PassState } from './pass-records.repository';
import { PassTally } from './pass-tally';

/** The totals of one resource of a run, as they are stored with its pages. */
export class PassLedger implements StoredPass, ReadPass {
  readonly tally: PassTally;
  private readonly counts: PassCounts;

  /** @param covered the part of the resource that is read */
  constructor(
    readonly syncer: Syncer,
    readonly pass: Pass,
    readonly before: StateOf | undefined,
    private readonly record: PassRecord,
    private readonly covered: () => number | null,
  ) {
    const { fetched, upserted, deleted, quarantined, pages } = record;
    const { requests, throttled, waitedMs, byOperation } = record;
    this.counts = { fetched, upserted, deleted, quarantined, pages };
    this.tally = new PassTally({ requests, throttled, waitedMs, byOperation });
  }

  get sweeping(): boolean {
    return this.record.sweeping;
  }

  get quarantined(): number {
    return this.counts.quarantined;
  }

  /** As they are now. */
  get now(): PassState {
    return this.state(this.counts);
  }

  after(more: Stored): PassState {
    return this.state(sum(this.counts, more));
  }

  grew(more: Stored): void {
    Object.assign(this.counts, sum(this.counts, more));
  }

  withGone(rows: number): PassState {
    return this.state({ ...this.counts, deleted: this.counts.deleted + rows });
  }

  swept(rows: number): void {
    this.counts.deleted += rows;
  }

  private state(counts: PassCounts): PassState {
    return { resource: this.syncer.resource, ...counts, ...this.tally.sum, covered: this.covered() };
  }
}

function sum(counts: PassCounts, more: Stored): PassCounts {
  return {
    ...counts,
    fetched: counts.fetched + more.rows,
    upserted: counts.upserted + more.upserted,
    quarantined: counts.quarantined + more.quarantined,
    pages: counts.pages + more.pages,
  };
}
