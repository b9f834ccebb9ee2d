import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError, type ErrorCode } from '../common/errors';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { KlaviyoCall } from '../klaviyo/klaviyo.client';
import { CampaignEngagementRepository } from './campaign-engagement.repository';
import { CampaignFiguresRepository } from './campaign-figures.repository';
import { CampaignReportsKlaviyo } from './campaign-reports.klaviyo';
import { CampaignSnapshotsRepository } from './campaign-snapshots.repository';
import { ConversionMetrics } from './conversion-metrics';
import { timeframeOf, type ReportWindow } from './report-window';
import { ReportRunsRepository, type Claim } from './report-runs.repository';

/** Longer than any call or slice of a job that asks for a report. */
const LEASE_MS = 70_000;
/** Klaviyo's cursors of pages are not kept for long. */
const RESUME_MS = 15 * 60_000;
/** Klaviyo's no is not asked for again while a yes would be fresh: refused reports count against the 225 of the day. */
const REFUSALS: ReadonlySet<ErrorCode> = new Set(['KLAVIYO_REJECTED', 'KLAVIYO_SCOPE_MISSING']);

/** Asks Klaviyo for the report of a window, once for everybody, and keeps what it says of each campaign. */
@Injectable()
export class CampaignReportsService {
  private readonly logger = new Logger('CampaignReports');

  constructor(
    private readonly atKlaviyo: CampaignReportsKlaviyo,
    private readonly metrics: ConversionMetrics,
    private readonly figures: CampaignFiguresRepository,
    private readonly runs: ReportRunsRepository,
    private readonly snapshots: CampaignSnapshotsRepository,
    private readonly engagement: CampaignEngagementRepository,
    private readonly clock: Clock,
  ) {}

  /**
   * Has the report of a window, unless it is fresh.
   * @returns `done`; `fresh` when nothing was to be done or another is at it; `impossible` where the account has no metric
   * @throws AppError of the calls; pages that came before are kept and the next caller goes on from there
   */
  async run(
    access: KlaviyoAccess,
    timezone: string | null,
    window: ReportWindow,
    call: Pick<KlaviyoCall, 'deadline' | 'priority'>,
  ): Promise<'done' | 'fresh' | 'impossible'> {
    const { userId, connectionId } = access;
    const now = this.clock.now();
    const claim = await this.runs.claim(userId, connectionId, window.name, {
      now: new Date(now),
      freshAfter: new Date(now - window.freshMs),
      leasedUntil: new Date(now + LEASE_MS),
      resumeAfter: new Date(now - RESUME_MS),
    });
    if (!claim) return 'fresh';
    let notBefore: Date | null = null;
    try {
      return (await this.ask(access, timezone, window, claim, call)) ? 'done' : 'impossible';
    } catch (error) {
      if (error instanceof AppError && REFUSALS.has(error.code)) {
        notBefore = new Date(this.clock.now() + window.freshMs);
        await this.metrics.forget(access);
      }
      throw error;
    } finally {
      await this.runs.release(userId, connectionId, window.name, notBefore);
    }
  }

  private async ask(
    access: KlaviyoAccess,
    timezone: string | null,
    window: ReportWindow,
    claim: Claim,
    call: Pick<KlaviyoCall, 'deadline' | 'priority'>,
  ): Promise<boolean> {
    const { userId, connectionId } = access;
    const metric = await this.metrics.of(access, call);
    if (!metric) {
      this.logger.warn({ msg: 'no campaign figures: the account has no metric', ...access.toJSON() });
      return false;
    }
    // A page belongs to the report that it was begun with: another metric means another report.
    let cursor = claim.metricId === metric.id ? claim.pageCursor : null;
    const timeframe = timeframeOf(window, claim.begunAt.getTime(), timezone);
    do {
      const page = await this.atKlaviyo.page(access, timeframe, metric, cursor, call);
      await this.figures.save(userId, connectionId, page.rows, claim.begunAt);
      cursor = page.next;
      if (cursor === null) await this.record(access, claim.begunAt);
      await this.runs.proceed(userId, connectionId, window.name, {
        begunAt: claim.begunAt,
        metricId: metric.id,
        pageCursor: cursor,
      });
    } while (cursor !== null);
    return true;
  }

  /** What the whole report changed goes into the history, before it counts as done; what it counts is heard no more. */
  private async record({ userId, connectionId }: KlaviyoAccess, at: Date): Promise<void> {
    await this.snapshots.keep(userId, connectionId, at);
    await this.snapshots.thin(userId, connectionId, at);
    await this.engagement.settle(userId, connectionId, at);
  }
}
