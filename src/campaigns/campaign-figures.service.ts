import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { currentContext } from '../common/request-context';
import { isTransient } from '../common/transient';
import { isOutOfTime } from '../common/walk';
import type { Connection } from '../connection/connection.entity';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { momentOf, type Campaign } from './campaign';
import { CampaignFiguresRepository } from './campaign-figures.repository';
import { CampaignReportPlans } from './campaign-report-plans';
import { CampaignReportsService } from './campaign-reports.service';
import { campaignStats, type CampaignStats } from './campaign-stats';
import { ReportRunsRepository } from './report-runs.repository';
import { windowNamed, windowsFor } from './report-window';

/** What a call may spend on refreshing. */
const REFRESH_MS = 2_000;
/** How often reads that may not ask Klaviyo look, in this process, whether a connection's figures are due. */
const LOOK_MS = 30_000;
const MOST_LOOKED_AT = 10_000;

/** A connection, as far as it matters here. */
type Whose = Pick<Connection, 'userId' | 'id' | 'timezone'>;
type Counted<T> = T & { stats: CampaignStats | null };

/**
 * Figures of campaigns. Klaviyo gives them in reports, 2 a minute and 225 a day, so the last known ones are kept: a
 * call refreshes what fits two seconds, a job the rest.
 */
@Injectable()
export class CampaignFiguresService {
  private readonly logger = new Logger('CampaignFigures');
  /** When a connection was last looked at, oldest first. */
  private readonly lookedAt = new Map<string, number>();

  constructor(
    private readonly figures: CampaignFiguresRepository,
    private readonly reports: CampaignReportsService,
    private readonly plans: CampaignReportPlans,
    private readonly runs: ReportRunsRepository,
    private readonly jobs: JobsService,
    private readonly clock: Clock,
  ) {}

  /** The campaigns with their figures; null where none are known or it was not sent. Never fails. */
  async added<T extends Campaign>(
    connection: Connection,
    access: KlaviyoAccess,
    campaigns: readonly T[],
  ): Promise<Counted<T>[]> {
    const sent = this.sent(campaigns);
    if (sent.length > 0) await this.freshened(connection, access, sent);
    return this.known(connection, campaigns, sent);
  }

  /** Campaigns that have their known figures, with those that could be refreshed. Never fails. */
  async renewed<T extends Counted<Campaign>>(
    connection: Connection,
    access: KlaviyoAccess,
    campaigns: readonly T[],
  ): Promise<readonly Counted<T>[]> {
    const sent = this.sent(campaigns);
    if (sent.length === 0 || !(await this.freshened(connection, access, sent))) return campaigns;
    return this.known(connection, campaigns, sent);
  }

  /** Leaves what is due of the campaigns' figures to the job, for a read that may not ask Klaviyo. Never fails. */
  async wanted(connection: Whose, campaigns: readonly Campaign[]): Promise<void> {
    const now = this.clock.now();
    if ((this.lookedAt.get(connection.id) ?? -Infinity) > now - LOOK_MS) return;
    this.look(connection.id, now);
    await this.quietly(connection, 'campaign figures were not asked for', async () => {
      const due = await this.due(connection, this.sent(campaigns));
      if (due.length > 0) await this.leave(connection, due);
    });
  }

  /** Has the job go on with what is requested for a connection. */
  async resume(userId: number, connectionId: string, startAfter: number): Promise<void> {
    await this.jobs.enqueue(QUEUES.campaignStats, { userId, connectionId }, { singletonKey: connectionId, startAfter });
  }

  private sent<T extends Campaign>(campaigns: readonly T[]): T[] {
    const now = this.clock.now();
    return campaigns.filter(({ sentAt }) => sentAt !== null && Date.parse(sentAt) <= now);
  }

  private async known<T extends Campaign>(
    connection: Connection,
    campaigns: readonly T[],
    sent: readonly T[],
  ): Promise<Counted<T>[]> {
    const stats = new Map<string, CampaignStats>();
    await this.quietly(connection, 'campaign figures cannot be read', async () => {
      const ids = sent.map(({ id }) => id);
      if (ids.length === 0) return;
      for (const { id, messages, at } of await this.figures.known(Number(connection.userId), connection.id, ids))
        stats.set(id, campaignStats(Object.values(messages), connection.currency, at.toISOString()));
    });
    return campaigns.map((campaign) => ({ ...campaign, stats: stats.get(campaign.id) ?? null }));
  }

  /** @returns whether a report came */
  private async freshened(connection: Connection, access: KlaviyoAccess, sent: readonly Campaign[]): Promise<boolean> {
    let came = false;
    await this.quietly(connection, 'campaign figures were not refreshed', () =>
      this.freshen(connection, access, sent, () => {
        came = true;
      }),
    );
    return came;
  }

  /** Has the reports that fit the time, newest window first; the rest is left to the job. */
  private async freshen(
    connection: Connection,
    access: KlaviyoAccess,
    sent: readonly Campaign[],
    onReport: () => void,
  ): Promise<void> {
    const deadline = Math.min(this.clock.now() + REFRESH_MS, currentContext()?.deadline ?? Infinity);
    const due = await this.due(connection, sent);
    try {
      while (due[0] !== undefined && this.clock.now() < deadline) {
        const outcome = await this.reports.run(access, connection.timezone, windowNamed(due[0]), { deadline });
        onReport();
        due.shift();
        if (outcome === 'impossible') due.length = 0;
      }
    } catch (error) {
      if (isTransient(error)) await this.leave(connection, due);
      if (isOutOfTime(error)) return;
      throw error;
    }
    if (due.length > 0) await this.leave(connection, due);
  }

  private due(connection: Whose, sent: readonly Campaign[]): Promise<string[]> {
    const windows = windowsFor(sent.map(momentOf), this.clock.now(), connection.timezone);
    return this.plans.due(Number(connection.userId), connection.id, windows);
  }

  private async leave(connection: Whose, windows: readonly string[]): Promise<void> {
    const userId = Number(connection.userId);
    const connectionId = connection.id;
    await this.runs.together(userId, async (manager) => {
      await this.runs.request(userId, connectionId, windows, new Date(this.clock.now()));
      await this.jobs.enqueue(QUEUES.campaignStats, { userId, connectionId }, { singletonKey: connectionId, manager });
    });
  }

  private look(connectionId: string, now: number): void {
    this.lookedAt.delete(connectionId);
    this.lookedAt.set(connectionId, now);
    const oldest = this.lookedAt.size > MOST_LOOKED_AT ? this.lookedAt.keys().next().value : undefined;
    if (oldest !== undefined) this.lookedAt.delete(oldest);
  }

  private async quietly(connection: Whose, msg: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg, userId: Number(connection.userId), connectionId: connection.id, reason });
    }
  }
}
