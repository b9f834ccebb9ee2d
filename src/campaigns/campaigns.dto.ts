import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { PageQuery } from '../common/page';
import { ReadOneQuery, ReadPageResponse, ReadQuery, SOURCES, type ReadPage, type Source } from '../common/read.dto';
import { CommaList, Instant, OneOf, Optional, QueryBool } from '../common/rules';
import type { CampaignStats } from './campaign-stats';
import { CAMPAIGN_STATUSES, type CampaignStatus } from './campaign-status';
import type { CampaignWithStats } from './campaigns-input';
import { CHANNELS, type Channel } from './channels';

const CHANNEL_CHOICE = [...CHANNELS, 'all'];

export class CampaignsQuery extends ReadQuery {
  /** Comma-separated. */
  @Optional()
  @CommaList(CAMPAIGN_STATUSES)
  status?: CampaignStatus[];

  @ApiPropertyOptional({ enum: CHANNEL_CHOICE, default: 'email' })
  @Optional()
  @OneOf(CHANNEL_CHOICE)
  channel?: Channel | 'all';

  /** Only archived ones, or only the others; both when unsaid. */
  @Optional()
  @QueryBool()
  archived?: boolean;

  /** Sent (else scheduled, else created) then or later. */
  @Optional()
  @Instant()
  from?: string;

  /** Sent (else scheduled, else created) before. */
  @Optional()
  @Instant()
  to?: string;
}

export class OneCampaignQuery extends ReadOneQuery {
  @ApiPropertyOptional({
    enum: SOURCES,
    default: 'auto',
    description: 'Our mirror while it is fresh and knows the campaign, else Klaviyo (`auto`); `live`; `mirror`',
  })
  @Optional()
  @OneOf(SOURCES)
  source?: Source;
}

export class CampaignHistoryQuery extends PageQuery {}

class AudiencesResponse {
  /** Ids of lists and segments. */
  included: string[];
  excluded: string[];
}

export class CampaignStatsResponse implements CampaignStats {
  recipients: number | null;
  delivered: number | null;
  opens: number | null;
  uniqueOpens: number | null;
  /** Unique opens over delivered; a fraction, as all rates. Null over zero. */
  openRate: number | null;
  clicks: number | null;
  uniqueClicks: number | null;
  /** Unique clicks over delivered. */
  clickRate: number | null;
  bounces: number | null;
  /** Bounces over recipients. */
  bounceRate: number | null;
  unsubscribes: number | null;
  /** People who unsubscribed over delivered. */
  unsubscribeRate: number | null;
  spamComplaints: number | null;
  /** Null, as `revenue`, where the account has no metric of purchases. */
  conversions: number | null;
  revenue: number | null;
  /** ISO 4217, the account's. */
  currency: string | null;
  /** When Klaviyo was asked for these figures. */
  computedAt: string;

  static from(stats: CampaignStats): CampaignStatsResponse {
    return {
      recipients: stats.recipients,
      delivered: stats.delivered,
      opens: stats.opens,
      uniqueOpens: stats.uniqueOpens,
      openRate: stats.openRate,
      clicks: stats.clicks,
      uniqueClicks: stats.uniqueClicks,
      clickRate: stats.clickRate,
      bounces: stats.bounces,
      bounceRate: stats.bounceRate,
      unsubscribes: stats.unsubscribes,
      unsubscribeRate: stats.unsubscribeRate,
      spamComplaints: stats.spamComplaints,
      conversions: stats.conversions,
      revenue: stats.revenue,
      currency: stats.currency,
      computedAt: stats.computedAt,
    };
  }
}

export class CampaignResponse {
  /** Klaviyo's id. */
  id: string;
  name: string | null;
  /** `unknown` for a word of Klaviyo's that this service does not know. */
  @ApiProperty({ enum: CAMPAIGN_STATUSES })
  status: CampaignStatus;
  /** Klaviyo's own word. */
  klaviyoStatus: string | null;
  /** `email`, `sms`, `push`, or Klaviyo's word for another. */
  channel: string | null;
  archived: boolean;
  audiences: AudiencesResponse;
  /** RFC 3339, UTC. */
  createdAt: string | null;
  updatedAt: string | null;
  scheduledAt: string | null;
  sentAt: string | null;
  /** With `includeStats`: the last known figures; null when never known or not sent. */
  stats?: CampaignStatsResponse | null;

  static from(campaign: CampaignWithStats): CampaignResponse {
    const { stats } = campaign;
    return {
      id: campaign.id,
      name: campaign.name,
      status: campaign.status,
      klaviyoStatus: campaign.klaviyoStatus,
      channel: campaign.channel,
      archived: campaign.archived,
      audiences: { included: campaign.audiences.included, excluded: campaign.audiences.excluded },
      createdAt: campaign.createdAt,
      updatedAt: campaign.updatedAt,
      scheduledAt: campaign.scheduledAt,
      sentAt: campaign.sentAt,
      ...(stats === undefined ? {} : { stats: stats && CampaignStatsResponse.from(stats) }),
    };
  }
}

export class CampaignsResponse extends ReadPageResponse {
  campaigns: CampaignResponse[];

  static from({ rows, pagination, source, syncedAt, stale }: ReadPage<CampaignWithStats>): CampaignsResponse {
    return { campaigns: rows.map((row) => CampaignResponse.from(row)), pagination, source, syncedAt, stale };
  }
}
