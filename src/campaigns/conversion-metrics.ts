import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { KlaviyoCall } from '../klaviyo/klaviyo.client';
import { CampaignReportsKlaviyo, type ConversionMetric } from './campaign-reports.klaviyo';
import { ConversionMetricsRepository } from './conversion-metrics.repository';

const KEEP_MS = 3_600_000;
/** An account without purchases may get its first one any time. */
const KEEP_UNUSABLE_MS = 600_000;

/** Which metric counts conversions in an account, chosen once an hour. */
@Injectable()
export class ConversionMetrics {
  constructor(
    private readonly reports: CampaignReportsKlaviyo,
    private readonly choices: ConversionMetricsRepository,
    private readonly clock: Clock,
  ) {}

  /** @returns null where the account has no metric at all: then Klaviyo gives no report */
  async of(access: KlaviyoAccess, call: Pick<KlaviyoCall, 'deadline' | 'priority'>): Promise<ConversionMetric | null> {
    const { userId, connectionId } = access;
    const known = await this.choices.of(userId, connectionId);
    const now = this.clock.now();
    if (known && known.chosenAt.getTime() + (known.usable ? KEEP_MS : KEEP_UNUSABLE_MS) > now)
      return { id: known.id, usable: known.usable };
    const metric = await this.reports.conversionMetric(access, call);
    if (metric) await this.choices.keep(userId, connectionId, metric, new Date(now));
    return metric;
  }

  /** Klaviyo refused a report: perhaps the metric is gone. */
  async forget({ userId, connectionId }: KlaviyoAccess): Promise<void> {
    await this.choices.remove(userId, connectionId);
  }
}
