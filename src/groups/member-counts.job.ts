import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { pauseAfter } from '../common/transient';
import { ConnectionService } from '../connection/connection.service';
import { JobsService, type JobData } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { MemberCountsRepository, type WantedCount } from './member-counts.repository';
import { MemberCountsService } from './member-counts.service';

/** A slice is short, so that many connections take turns; what is left goes to the end of the queue. */
const SLICE_MS = 20_000;
/** Connections served at once: one whose Klaviyo hangs must not hold up the others. */
const WORKERS = 4;
/** Before those that failed are tried again. */
const PAUSE_SECONDS = 60;
const FAILURES = 3;
/** Who waited that long has gone. */
const GIVE_UP_MS = 24 * 3_600_000;

/** Counts, slice by slice, the members of the groups that somebody waits for: one job a connection. */
@Injectable()
export class MemberCountsJob implements OnModuleInit {
  private readonly logger = new Logger('MemberCounts');

  constructor(
    private readonly jobs: JobsService,
    private readonly connections: ConnectionService,
    private readonly service: MemberCountsService,
    private readonly counts: MemberCountsRepository,
    private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.memberCounts, (data) => this.run(data), WORKERS);
  }

  /** @param data `userId`, `connectionId` */
  async run(data: JobData): Promise<void> {
    const userId = Number(data['userId']);
    const connectionId = String(data['connectionId']);
    await this.counts.withdraw(userId, connectionId, { before: new Date(this.clock.now() - GIVE_UP_MS) });
    const access = await this.accessFor(userId, connectionId);
    if (!access) return;
    const pause = await this.slice(access);
    if (pause !== null) await this.service.resume(userId, connectionId, pause);
  }

  /** No access: nothing can be counted, and whoever reads once it is there again asks anew. */
  private async accessFor(userId: number, connectionId: string): Promise<KlaviyoAccess | undefined> {
    try {
      return await this.connections.accessFor({ userId }, connectionId);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      await this.counts.withdraw(userId, connectionId);
      return undefined;
    }
  }

  /** @returns the seconds after which to go on; null when nothing is left to do */
  private async slice(access: KlaviyoAccess): Promise<number | null> {
    const until = this.clock.now() + SLICE_MS;
    const failed: string[] = [];
    while (this.clock.now() < until) {
      const wanted = await this.counts.nextWanted(access.userId, access.connectionId, failed);
      if (!wanted) return failed.length > 0 ? PAUSE_SECONDS : null;
      try {
        await this.service.refresh(access, wanted.kind, wanted.id, { deadline: until, priority: 'background' });
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        const pause = await this.judge(access, wanted, error, failed);
        if (pause !== undefined) return pause;
      }
    }
    return 0;
  }

  /** @returns undefined to go on with the next count, else how the slice ends */
  private async judge(
    access: KlaviyoAccess,
    wanted: WantedCount,
    error: AppError,
    failed: string[],
  ): Promise<number | null | undefined> {
    const { userId, connectionId } = access;
    const pause = pauseAfter(error);
    if (error.code === 'KLAVIYO_RATE_LIMITED') return pause;
    if (pause !== null) {
      failed.push(`${wanted.kind}:${wanted.id}`);
      return failed.length >= FAILURES ? pause : undefined;
    }
    // A missing scope or the like: it will not get better by itself.
    this.logger.warn({ msg: 'members cannot be counted', kind: wanted.kind, code: error.code, ...access.toJSON() });
    const keyRefused = error.code === 'KLAVIYO_KEY_INVALID';
    await this.counts.withdraw(userId, connectionId, keyRefused ? {} : { kind: wanted.kind });
    return keyRefused ? null : undefined;
  }
}
