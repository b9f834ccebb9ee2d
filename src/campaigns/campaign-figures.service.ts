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
import { CampaignReportsService } from './campaign-reports.service';
import { campaignStats, type CampaignStats } from './campaign-stats';
import { ReportRunsRepository } from './report-runs.repository';
import { windowNamed, windowsFor } from './report-window';

/** What a call may spend on refreshing. */
const REFRESH_MS = 2_000;

/**
 * Figures of campaigns. Klaviyo gives them in reports, 2 a minute and 225 a day, so the last known ones are kept: a
 * call refreshes what fits two seconds, a job the rest.
 */
@Injectable()
export class CampaignFiguresService {
  private readonly logger = new Logger('CampaignFigures');

  constructor(
    private readonly figures: CampaignFiguresRepository,
    private readonly reports: CampaignReportsService,
    private readonly runs: ReportRunsRepository,
    private readonly jobs: JobsService,
    private readonly clock: Clock,
  ) {}

  /** The campaigns with their figures; null where none are known or it was not sent. Never fails. */
  async added<T extends Campaign>(
    connection: Connection,
    access: KlaviyoAccess,
    campaigns: readonly T[],
  ): Promise<(T & { stats: CampaignStats | null })[]> {
    const now = this.clock.now();
    const sent = campaigns.filter(({ sentAt }) => sentAt !== null && Date.parse(sentAt) <= now);
    const known = sent.length === 0 ? new Map<string, CampaignStats>() : await this.of(connection, access, sent);
    return campaigns.map((campaign) => ({ ...campaign, stats: known.get(campaign.id) ?? null }));
  }

  /** Has the job go on with what is requested for a connection. */
  async resume(userId: number, connectionId: string, startAfter: number): Promise<void> {
    await this.jobs.enqueue(QUEUES.campaignStats, { userId, connectionId }, { singletonKey: connectionId, startAfter });
  }

  private async of(
    connection: Connection,
    access: KlaviyoAccess,
    sent: readonly Campaign[],
  ): Promise<Map<string, CampaignStats>> {
    const { userId, connectionId } = access;
    try {
      await this.freshen(connection, access, sent);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg: 'campaign figures were not refreshed', ...access.toJSON(), reason });
    }
    try {
      const ids = sent.map(({ id }) => id);
      const rows = await this.figures.known(userId, connectionId, ids);
      return new Map(
        rows.map(({ id, messages, at }) => [id, campaignStats(Object.values(messages), connection.currency, at)]),
      );
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg: 'campaign figures cannot be read', ...access.toJSON(), reason });
      return new Map();
    }
  }

  /** Has the reports that fit the time, newest window first; the rest is left to the job. */
  private async freshen(connection: Connection, access: KlaviyoAccess, sent: readonly Campaign[]): Promise<void> {
    const { userId, connectionId } = access;
    const now = this.clock.now();
    const windows = windowsFor(sent.map(momentOf), now, connection.timezone);
    const due = await this.runs.due(
      userId,
      connectionId,
      windows.map(({ name, freshMs }) => ({ name, freshAfter: new Date(now - freshMs) })),
    );
    const deadline = Math.min(now + REFRESH_MS, currentContext()?.deadline ?? Infinity);
    try {
      while (due[0] !== undefined && this.clock.now() < deadline) {
        const outcome = await this.reports.run(access, connection.timezone, windowNamed(due[0]), { deadline });
        due.shift();
        if (outcome === 'impossible') due.length = 0;
      }
    } catch (error) {
      if (isTransient(error)) await this.leave(access, due, new Date(now));
      if (isOutOfTime(error)) return;
      throw error;
    }
    if (due.length > 0) await this.leave(access, due, new Date(now));
  }

  private async leave(access: KlaviyoAccess, windows: readonly string[], at: Date): Promise<void> {
    const { userId, connectionId } = access;
    await this.runs.request(userId, connectionId, windows, at, (manager) =>
      this.jobs.enqueue(QUEUES.campaignStats, { userId, connectionId }, { singletonKey: connectionId, manager }),
    );
  }
}
