import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { KlaviyoCall } from '../klaviyo/klaviyo.client';
import { CampaignReportsKlaviyo, type ConversionMetric } from './campaign-reports.klaviyo';

const KEEP_MS = 3_600_000;
/** An account without purchases may get its first one any time. */
const KEEP_UNUSABLE_MS = 600_000;
const MOST = 1_000;

/** Which metric counts conversions in an account, chosen once an hour. */
@Injectable()
export class ConversionMetrics {
  private readonly kept = new Map<string, { metric: ConversionMetric; until: number }>();

  constructor(
    private readonly reports: CampaignReportsKlaviyo,
    private readonly clock: Clock,
  ) {}

  /** @returns null where the account has no metric at all: then Klaviyo gives no report */
  async of(access: KlaviyoAccess, call: Pick<KlaviyoCall, 'deadline' | 'priority'>): Promise<ConversionMetric | null> {
    const known = this.kept.get(access.accountId);
    if (known && known.until > this.clock.now()) return known.metric;
    const metric = await this.reports.conversionMetric(access, call);
    this.forget(access);
    if (metric) this.keep(access.accountId, metric);
    return metric;
  }

  /** Klaviyo refused a report: perhaps the metric is gone. */
  forget(access: KlaviyoAccess): void {
    this.kept.delete(access.accountId);
  }

  private keep(accountId: string, metric: ConversionMetric): void {
    const oldest = this.kept.size >= MOST ? this.kept.keys().next().value : undefined;
    if (oldest !== undefined) this.kept.delete(oldest);
    this.kept.set(accountId, { metric, until: this.clock.now() + (metric.usable ? KEEP_MS : KEEP_UNUSABLE_MS) });
  }
}
