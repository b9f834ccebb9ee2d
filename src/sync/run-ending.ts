import { Injectable, Logger } from '@nestjs/common';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { Metrics } from '../observability/metrics';
import { PassRecordsRepository, type PassRecord } from './pass-records.repository';
import { floorSeconds } from './pass-tally';
import { RunLeasesRepository, type HeldRun } from './run-leases.repository';
import type { RunStatus } from './sync-run.entity';

/** Writes the last totals, in the same transaction. */
type Tally = () => Promise<void>;

const NOTHING: Tally = () => Promise.resolve();

/** What becomes of a run after a slice: it goes on, or ends one way or another and makes room for the one that waits. */
@Injectable()
export class RunEnding {
  private readonly logger = new Logger('Sync');

  constructor(
    private readonly jobs: JobsService,
    private readonly leases: RunLeasesRepository,
    private readonly records: PassRecordsRepository,
    private readonly metrics: Metrics,
  ) {}

  /** The next slice begins at once, or after the pause. @throws LeaseLost */
  async goOn(run: HeldRun, pauseMs: number, tally: Tally): Promise<void> {
    const startAfter = Math.ceil(pauseMs / 1000);
    await this.leases.handBack(run.userId, run, async (manager) => {
      await tally();
      await this.jobs.enqueue(
        QUEUES.sync,
        { userId: run.userId, syncId: run.id },
        { singletonKey: run.id, manager, ...(startAfter > 0 ? { startAfter } : {}) },
      );
    });
  }

  /** Somebody looks after the run again after the pause. */
  async again(userId: number, syncId: string, pauseMs: number): Promise<void> {
    const startAfter = Math.ceil(pauseMs / 1000);
    await this.jobs.enqueue(QUEUES.sync, { userId, syncId }, { singletonKey: syncId, startAfter });
  }

  /** Every resource has ended. @throws LeaseLost */
  async finish(run: HeldRun, tally: Tally): Promise<void> {
    const records = await this.records.all(run.userId, run.id);
    const failed = records.filter(({ status }) => status === 'failed');
    const succeeded = records.filter(({ status }) => status === 'succeeded');
    const status = failed.length === 0 ? 'succeeded' : succeeded.length > 0 ? 'partial' : 'failed';
    const errorCode = status === 'failed' ? (failed[0]?.errorCode ?? null) : null;
    await this.end(run, { status, errorCode }, tally);
  }

  /** What is stored stays; nothing is marked as gone. @throws LeaseLost */
  async cancelled(run: HeldRun, tally: Tally): Promise<void> {
    await this.end(run, { status: 'cancelled', errorCode: null }, async () => {
      await tally();
      await this.records.endOpen(run.userId, run.id, 'cancelled', null);
    });
  }

  /** The run as a whole cannot go on. @throws LeaseLost */
  async failed(run: HeldRun, errorCode: string, tally: Tally = NOTHING): Promise<void> {
    await this.end(run, { status: 'failed', errorCode }, async () => {
      await tally();
      await this.records.endOpen(run.userId, run.id, 'failed', errorCode);
    });
  }

  private async end(run: HeldRun, end: { status: RunStatus; errorCode: string | null }, tally: Tally): Promise<void> {
    const { userId, id, connectionId } = run;
    const requests = async (): Promise<PassRecord['byOperation'][]> =>
      (await this.records.all(userId, id)).map(({ byOperation }) => byOperation);
    await this.leases.end(
      userId,
      run,
      async () => {
        await tally();
        return { ...end, floorSeconds: floorSeconds(await requests()) };
      },
      async (waiting, manager) => {
        if (waiting === undefined) return;
        await this.jobs.enqueue(QUEUES.sync, { userId, syncId: waiting }, { singletonKey: waiting, manager });
      },
    );
    this.metrics.syncRuns.inc({ status: end.status });
    this.logger.log({ msg: 'a synchronisation ended', syncId: id, connectionId, userId, ...end });
  }
}
