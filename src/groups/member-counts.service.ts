import { Inject, Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { currentContext } from '../common/request-context';
import { isTransient } from '../common/transient';
import { isOutOfTime } from '../common/walk';
import { ENV, type Env } from '../config/env';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { KlaviyoCall } from '../klaviyo/klaviyo.client';
import { MemberCountHistoryRepository } from './member-count-history.repository';
import type { GroupKind } from './member-count.entity';
import { MemberCountsKlaviyo } from './member-counts.klaviyo';
import { MemberCountsRepository, type KnownCount, type StandingCount } from './member-counts.repository';

/** The last known count of a group; both null when it was never known. */
export interface MemberCountOf {
  memberCount: number | null;
  memberCountAt: string | null;
}

/** Whose groups are counted. */
interface Counted {
  userId: number;
  connectionId: string;
}

/** What may be done about counts that are not new. */
export interface Refreshing {
  /** Whether Klaviyo may be asked: within the call as far as it fits, by the job later, or not at all. */
  asking: 'now' | 'later' | 'never';
  /** Whether what a complete pass over the members counted is good enough while the mirror of them is fresh. */
  trustPasses: boolean;
  access: () => Promise<KlaviyoAccess>;
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
    @Inject(ENV) private readonly env: Env,
    private readonly counts: MemberCountsRepository,
    private readonly history: MemberCountHistoryRepository,
    private readonly atKlaviyo: MemberCountsKlaviyo,
    private readonly jobs: JobsService,
    private readonly clock: Clock,
  ) {}

  /** The last known counts of these groups, by id. Never fails: what cannot be had is null. */
  async of(
    whose: Counted,
    kind: GroupKind,
    ids: readonly string[],
    refreshing: Refreshing,
  ): Promise<Map<string, MemberCountOf>> {
    const { userId, connectionId } = whose;
    const known = new Map<string, KnownCount>();
    try {
      const rows = await this.counts.known(userId, connectionId, kind, ids, this.freshSince());
      for (const row of rows) known.set(row.id, row);
      if (refreshing.asking !== 'never') {
        const due = this.due(ids, rows, refreshing.trustPasses);
        if (refreshing.asking === 'later') await this.leave(whose, kind, due);
        else if (due.length > 0) await this.freshen(await refreshing.access(), kind, due, known);
      }
    } catch (error) {
      const reason = reasonOf(error);
      this.logger.warn({ msg: 'member counts were not refreshed', kind, userId, connectionId, reason });
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
      await this.counts.save(userId, connectionId, [{ ...known, kind }]);
      if (count !== null) await this.history.append(userId, connectionId, 'count', [{ ...known, kind, count }]);
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

  /** What is worth a new count: never known first, then the oldest. */
  private due(ids: readonly string[], known: readonly StandingCount[], trustPasses: boolean): string[] {
    const byId = new Map(known.map((row) => [row.id, row]));
    const age = (id: string) => byId.get(id)?.at?.getTime() ?? 0;
    const stands = (id: string) => trustPasses && byId.get(id)?.standing === true;
    const limit = this.clock.now() - FRESH_MS;
    return ids.filter((id) => age(id) <= limit && !stands(id)).sort((a, b) => age(a) - age(b));
  }

  private freshSince(): Date {
    return new Date(this.clock.now() - this.env.mirrorMaxAgeSeconds * 1000);
  }

  /** Refreshes what fits the time, in the given order; the rest is left to the job. */
  private async freshen(
    access: KlaviyoAccess,
    kind: GroupKind,
    wanted: readonly string[],
    known: Map<string, KnownCount>,
  ): Promise<void> {
    const due = [...wanted];
    const deadline = Math.min(this.clock.now() + REFRESH_MS, currentContext()?.deadline ?? Infinity);
    try {
      while (due[0] !== undefined && this.clock.now() < deadline) {
        const counted = await this.refresh(access, kind, due[0], { deadline });
        const id = due.shift();
        if (counted && id !== undefined) known.set(id, counted);
      }
    } catch (error) {
      if (isTransient(error)) await this.leave(access, kind, due);
      if (isOutOfTime(error)) return;
      throw error;
    }
    await this.leave(access, kind, due);
  }

  private async leave({ userId, connectionId }: Counted, kind: GroupKind, ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const at = new Date(this.clock.now());
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
