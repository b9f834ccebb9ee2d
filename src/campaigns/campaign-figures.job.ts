import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { pauseAfter } from '../common/transient';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { JobsService, type JobData } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { CampaignFiguresService } from './campaign-figures.service';
import { CampaignReportPlans } from './campaign-report-plans';
import { CampaignReportsService } from './campaign-reports.service';
import { ReportRunsRepository } from './report-runs.repository';
import { windowNamed } from './report-window';

/** Two reports a minute: a slice has one or two, and gives way to other connections. */
const SLICE_MS = 20_000;
/** Connections served at once: one whose Klaviyo hangs must not hold up the others. */
const WORKERS = 4;
/** Who waited that long has gone. */
const GIVE_UP_MS = 24 * 3_600_000;

/** Has, slice by slice, the reports that somebody waits for: one job a connection. */
@Injectable()
export class CampaignFiguresJob implements OnModuleInit {
  private readonly logger = new Logger('CampaignFigures');

  constructor(
    private readonly jobs: JobsService,
    private readonly connections: ConnectionService,
    private readonly figures: CampaignFiguresService,
    private readonly reports: CampaignReportsService,
    private readonly runs: ReportRunsRepository,
    private readonly plans: CampaignReportPlans,
    private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.campaignStats, (data) => this.run(data), WORKERS);
  }

  /** @param data `userId`, `connectionId`; `plan` where what is due of the mirror's campaigns is to be found first */
  async run(data: JobData): Promise<void> {
    const userId = Number(data['userId']);
    const connectionId = String(data['connectionId']);
    await this.runs.withdraw(userId, connectionId, { before: new Date(this.clock.now() - GIVE_UP_MS) });
    const open = await this.open(userId, connectionId);
    if (!open) return;
    if (data['plan'] === 1) await this.plans.request(open.connection);
    const pause = await this.slice(open.connection, open.access);
    if (pause !== null) await this.figures.resume(userId, connectionId, pause);
  }

  /** No access: no report can be had, and whoever reads once it is there again asks anew. */
  private async open(
    userId: number,
    connectionId: string,
  ): Promise<{ connection: Connection; access: KlaviyoAccess } | undefined> {
    try {
      const connection = await this.connections.resolve({ userId }, connectionId);
      return { connection, access: await this.connections.accessOf(connection) };
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      await this.runs.withdraw(userId, connectionId);
      return undefined;
    }
  }

  /** @returns the seconds after which to go on; null when nothing is left to do */
  private async slice({ timezone }: Connection, access: KlaviyoAccess): Promise<number | null> {
    const { userId, connectionId } = access;
    const until = this.clock.now() + SLICE_MS;
    for (const window of await this.runs.requested(userId, connectionId)) {
      if (this.clock.now() >= until) return 0;
      try {
        const call = { deadline: until, priority: 'background' } as const;
        const outcome = await this.reports.run(access, timezone, windowNamed(window), call);
        await this.runs.withdraw(userId, connectionId, outcome === 'impossible' ? {} : { window });
        if (outcome === 'impossible') return null;
      } catch (error) {
        if (!(error instanceof AppError)) throw error;
        const pause = pauseAfter(error);
        if (pause !== null) return pause;
        this.logger.warn({ msg: 'a campaign report cannot be had', code: error.code, window, ...access.toJSON() });
        await this.runs.withdraw(userId, connectionId);
        return null;
      }
    }
    return null;
  }
}
