import { Injectable } from '@nestjs/common';
import type { Document, Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient, type KlaviyoCall } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';
import type { ReportRow } from './campaign-figures.repository';
import type { MessageCounts } from './campaign-stats';

/** Klaviyo's statistic behind each count. */
const STATISTICS: Record<keyof MessageCounts, string> = {
  recipients: 'recipients',
  delivered: 'delivered',
  opens: 'opens',
  uniqueOpens: 'opens_unique',
  clicks: 'clicks',
  uniqueClicks: 'clicks_unique',
  bounces: 'bounced',
  unsubscribes: 'unsubscribes',
  unsubscribedPeople: 'unsubscribe_uniques',
  spamComplaints: 'spam_complaints',
  conversions: 'conversions',
  revenue: 'conversion_value',
};

/** Metrics that count purchases, the best first. */
const PURCHASES = [
  'placed order',
  'order placed',
  'completed order',
  'checkout completed',
  'purchase',
  'ordered product',
];

/** The metric that a report counts conversions by; Klaviyo demands one even where none is wanted. */
export interface ConversionMetric {
  id: string;
  /** False where the account has no metric of purchases: what is counted then is no conversion. */
  usable: boolean;
}

export interface MetricAttributes {
  name?: string | null;
  integration?: { key?: string | null; category?: string | null } | null;
}

export interface ReportPage {
  rows: ReportRow[];
  /** Null on the last page. */
  next: string | null;
}

interface ReportAttributes {
  results?: readonly {
    groupings?: Partial<Record<'campaign_id' | 'campaign_message_id' | 'send_channel', string | null>>;
    statistics?: Readonly<Record<string, number | null | undefined>>;
  }[];
}

type CallOptions = Pick<KlaviyoCall, 'deadline' | 'priority'>;

/** Klaviyo's reports of campaigns, and the metric that they need. */
@Injectable()
export class CampaignReportsKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** @returns null where the account has no metric at all */
  async conversionMetric(access: KlaviyoAccess, call: CallOptions): Promise<ConversionMetric | null> {
    const metrics: Resource<MetricAttributes>[] = [];
    for await (const page of this.klaviyo.pages<MetricAttributes>(access, operations.getMetrics, call))
      metrics.push(...page.items);
    return chooseMetric(metrics);
  }

  /** One page of the report that covers all campaigns sent in the timeframe, of every channel. */
  async page(
    access: KlaviyoAccess,
    timeframe: { start: string; end: string },
    metric: ConversionMetric,
    cursor: string | null,
    call: CallOptions,
  ): Promise<ReportPage> {
    const { body } = await this.klaviyo.call<Document<ReportAttributes>>(access, operations.campaignValuesReport, {
      ...call,
      ...(cursor === null ? {} : { query: { page_cursor: cursor } }),
      body: {
        data: {
          type: 'campaign-values-report',
          attributes: { statistics: Object.values(STATISTICS), timeframe, conversion_metric_id: metric.id },
        },
      },
    });
    const results = body.data.attributes.results ?? [];
    return { rows: results.flatMap((result) => toRow(result, metric)), next: cursorOf(body.links?.['next']) };
  }
}

/** Placed Order where there is one, from the shop's own integration where there are several; else the next best. */
export function chooseMetric(
  metrics: readonly Pick<Resource<MetricAttributes>, 'id' | 'attributes'>[],
): ConversionMetric | null {
  const ranked = metrics
    .map(({ id, attributes }) => ({
      id,
      rank: PURCHASES.indexOf((attributes.name ?? '').trim().toLowerCase()),
      shop: /commerce/i.test(attributes.integration?.category ?? '') ? 0 : 1,
    }))
    .filter(({ rank }) => rank !== -1)
    .sort((a, b) => a.rank - b.rank || a.shop - b.shop);
  const [best] = ranked;
  if (best) return { id: best.id, usable: true };
  // Not one of those that the report counts itself, where another is to be had.
  const other = metrics.find(({ attributes }) => attributes.integration?.key !== 'klaviyo') ?? metrics[0];
  return other ? { id: other.id, usable: false } : null;
}

function toRow(result: NonNullable<ReportAttributes['results']>[number], metric: ConversionMetric): ReportRow[] {
  const { campaign_id: campaignId, campaign_message_id: message, send_channel: channel } = result.groupings ?? {};
  if (campaignId === undefined || campaignId === null) return [];
  const read = ([name, statistic]: [string, string]) => [name, result.statistics?.[statistic] ?? null] as const;
  const counts = Object.fromEntries(Object.entries(STATISTICS).map(read)) as unknown as MessageCounts;
  const conversions = metric.usable ? {} : { conversions: null, revenue: null };
  return [{ campaignId, message: `${channel ?? ''}:${message ?? ''}`, counts: { ...counts, ...conversions } }];
}

/** Only the cursor is taken out of the address of the next page: the call goes to where all calls go. */
function cursorOf(next: string | null | undefined): string | null {
  if (next === null || next === undefined || !URL.canParse(next)) return null;
  return new URL(next).searchParams.get('page_cursor');
}
