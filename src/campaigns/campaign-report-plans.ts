import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import type { Connection } from '../connection/connection.entity';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { MirroredCampaignsRepository } from './mirrored-campaigns.repository';
import { ReportRunsRepository } from './report-runs.repository';
import { RECENT, windowsFor, type ReportWindow } from './report-window';

/** Klaviyo keeps what its reports are made of for so long. */
const OLDEST_MS = 5 * 365 * 86_400_000;

/** Decides which reports the mirror's campaigns want: after a pass over them, and when something was heard of one. */
@Injectable()
export class CampaignReportPlans {
  constructor(
    private readonly campaigns: MirroredCampaignsRepository,
    private readonly runs: ReportRunsRepository,
    private readonly jobs: JobsService,
    private readonly clock: Clock,
  ) {}

  /** Has the reports that are due asked for in the background, once the newest one may be; in the transaction under way. */
  async soon(userId: number, connectionId: string): Promise<void> {
    const begun = await this.runs.computedAt(userId, connectionId, RECENT.name);
    const wait = begun === null ? 0 : begun.getTime() + RECENT.freshMs - this.clock.now();
    await this.runs.together(userId, (manager) =>
      this.jobs.enqueue(
        QUEUES.campaignStats,
        { userId, connectionId, plan: 1 },
        { singletonKey: `${connectionId}:plan`, manager, startAfter: Math.max(0, Math.ceil(wait / 1000)) },
      ),
    );
  }

  /** Requests the reports that are due, of all windows in which something was sent. */
  async request(connection: Connection): Promise<void> {
    const userId = Number(connection.userId);
    const now = this.clock.now();
    const moments = await this.campaigns.sentMoments(userId, connection.id, new Date(now - OLDEST_MS), new Date(now));
    const due = await this.due(userId, connection.id, windowsFor(moments, now, connection.timezone));
    if (due.length > 0) await this.runs.request(userId, connection.id, due, new Date(now));
  }

  /** Which of these windows were never reported, or too long ago; in their order. */
  due(userId: number, connectionId: string, windows: readonly ReportWindow[]): Promise<string[]> {
    const now = this.clock.now();
    return this.runs.due(
      userId,
      connectionId,
      windows.map(({ name, freshMs }) => ({ name, freshAfter: new Date(now - freshMs) })),
    );
  }
}
