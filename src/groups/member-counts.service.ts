import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { currentContext } from '../common/request-context';
import { isTransient } from '../common/transient';
import { isOutOfTime } from '../common/walk';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { KlaviyoCall } from '../klaviyo/klaviyo.client';
import type { GroupKind } from './member-count.entity';
import { MemberCountsKlaviyo } from './member-counts.klaviyo';
import { MemberCountsRepository, type KnownCount } from './member-counts.repository';

/** The last known count of a group; both null when it was never known. */
export interface MemberCountOf {
  memberCount: number | null;
  memberCountAt: string | null;
}

/** A count younger than that is not asked for again. */
const FRESH_MS = 10 * 60_000;
/** What a call may spend on refreshing. */
const REFRESH_MS = 2_000;

/**
 * Member counts of lists and segments. Klaviyo gives them one by one, 15 a minute and account, so the last known
 * ones are kept: a call refreshes what fits two seconds, the rest trickles in through a job.
 */
@Injectable()
export class MemberCountsService {
  private readonly logger = new Logger('MemberCounts');

  constructor(
    private readonly counts: MemberCountsRepository,
    private readonly atKlaviyo: MemberCountsKlaviyo,
    private readonly jobs: JobsService,
    private readonly clock: Clock,
  ) {}

  /** The last known counts of these groups, by id. Never fails: what cannot be had is null. */
  async of(access: KlaviyoAccess, kind: GroupKind, ids: readonly string[]): Promise<Map<string, MemberCountOf>> {
    const known = new Map<string, KnownCount>();
    try {
      for (const row of await this.counts.known(access.userId, access.connectionId, kind, ids)) known.set(row.id, row);
      await this.freshen(access, kind, ids, known);
    } catch (error) {
      this.logger.warn({ msg: 'member counts were not refreshed', kind, ...access.toJSON(), reason: reasonOf(error) });
    }
    return new Map(ids.map((id) => [id, countOf(known.get(id))]));
  }

  /**
   * Asks Klaviyo for one count and keeps it.
   * @returns null when the group is gone
   * @throws AppError of the call
   */
  async refresh(
    access: KlaviyoAccess,
    kind: GroupKind,
    id: string,
    call: Pick<KlaviyoCall, 'deadline' | 'priority'>,
  ): Promise<KnownCount | null> {
    const { userId, connectionId } = access;
    try {
      const count = await this.atKlaviyo.count(access, kind, id, call);
      const known = { id, count, at: new Date(this.clock.now()) };
      await this.counts.save(userId, connectionId, kind, known);
      return known;
    } catch (error) {
      if (!(error instanceof AppError) || !error.code.endsWith('_NOT_FOUND')) throw error;
      await this.counts.forget(userId, connectionId, kind, id);
      return null;
    }
  }

  /** Has the job go on with what is requested for a connection. */
  async resume(userId: number, connectionId: string, startAfter: number): Promise<void> {
    await this.jobs.enqueue(QUEUES.memberCounts, { userId, connectionId }, { singletonKey: connectionId, startAfter });
  }

  /** Refreshes what fits the time, never known first and then the oldest; the rest is left to the job. */
  private async freshen(
    access: KlaviyoAccess,
    kind: GroupKind,
    ids: readonly string[],
    known: Map<string, KnownCount>,
  ): Promise<void> {
    const now = this.clock.now();
    const age = (id: string) => known.get(id)?.at?.getTime() ?? 0;
    const due = ids.filter((id) => age(id) <= now - FRESH_MS).sort((a, b) => age(a) - age(b));
    const deadline = Math.min(now + REFRESH_MS, currentContext()?.deadline ?? Infinity);
    try {
      while (due[0] !== undefined && this.clock.now() < deadline) {
        const counted = await this.refresh(access, kind, due[0], { deadline });
        const id = due.shift();
        if (counted && id !== undefined) known.set(id, counted);
      }
    } catch (error) {
      if (isTransient(error)) await this.leave(access, kind, due, new Date(now));
      if (isOutOfTime(error)) return;
      throw error;
    }
    if (due.length > 0) await this.leave(access, kind, due, new Date(now));
  }

  private async leave(access: KlaviyoAccess, kind: GroupKind, ids: readonly string[], at: Date): Promise<void> {
    const { userId, connectionId } = access;
    await this.counts.request(userId, connectionId, kind, ids, at, (manager) =>
      this.jobs.enqueue(QUEUES.memberCounts, { userId, connectionId }, { singletonKey: connectionId, manager }),
    );
  }
}

function countOf(known: KnownCount | undefined): MemberCountOf {
  return { memberCount: known?.count ?? null, memberCountAt: known?.at?.toISOString() ?? null };
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : 'unknown';
}
