import { ApiProperty } from '@nestjs/swagger';
import { Pagination } from '../common/page';
import type { Engagement } from './campaign-engagement.service';
import type { CampaignHistoryEntry } from './campaign-history.service';
import { CAMPAIGN_STATUSES, type CampaignStatus } from './campaign-status';
import { CampaignResponse, CampaignStatsResponse } from './campaigns.dto';
import type { OneCampaign } from './campaigns.service';

export class EngagementResponse implements Engagement {
  /** When the figures were computed; null where there are none yet, then all that was heard counts. */
  since: string | null;
  delivered: number;
  opens: number;
  clicks: number;
  bounces: number;
  unsubscribes: number;
  spamComplaints: number;
}

export class OneCampaignResponse {
  campaign: CampaignResponse;
  /**
   * With `includeStats`: what received events told since `stats` was computed. Events, not people, so no rates; `stats`
   * alone is Klaviyo's count. Null when nothing was heard.
   */
  engagement?: EngagementResponse | null;

  @ApiProperty({ enum: ['live', 'mirror'], description: 'Where the campaign comes from' })
  source: 'live' | 'mirror';

  @ApiProperty({ format: 'date-time', description: 'When it was read from Klaviyo' })
  syncedAt: string;

  @ApiProperty({ description: 'Whether it is older than it should be' })
  stale: boolean;

  static from({ campaign, engagement, source, syncedAt, stale }: OneCampaign): OneCampaignResponse {
    return {
      campaign: CampaignResponse.from(campaign),
      ...(engagement === undefined ? {} : { engagement: engagement && engagementOf(engagement) }),
      source,
      syncedAt,
      stale,
    };
  }
}

export class CampaignHistoryEntryResponse {
  /** From when on it stood so: when a synchronisation saw the change, or when Klaviyo was asked for the figures. */
  at: string;

  @ApiProperty({ enum: CAMPAIGN_STATUSES, nullable: true, description: 'Null before the first synchronisation' })
  status: CampaignStatus | null;

  /** Klaviyo's own word. */
  klaviyoStatus: string | null;
  scheduledAt: string | null;
  sentAt: string | null;
  /** The figures known then; null before the first. */
  stats: CampaignStatsResponse | null;
}

export class CampaignHistoryResponse {
  /** Newest first: an entry for each time at which status, schedule or figures changed. */
  history: CampaignHistoryEntryResponse[];
  pagination: Pagination;

  static from({
    history,
    pagination,
  }: {
    history: readonly CampaignHistoryEntry[];
    pagination: Pagination;
  }): CampaignHistoryResponse {
    return { history: history.map(entryOf), pagination };
  }
}

function engagementOf(engagement: Engagement): EngagementResponse {
  return {
    since: engagement.since,
    delivered: engagement.delivered,
    opens: engagement.opens,
    clicks: engagement.clicks,
    bounces: engagement.bounces,
    unsubscribes: engagement.unsubscribes,
    spamComplaints: engagement.spamComplaints,
  };
}

function entryOf(entry: CampaignHistoryEntry): CampaignHistoryEntryResponse {
  return {
    at: entry.at,
    status: entry.status,
    klaviyoStatus: entry.klaviyoStatus,
    scheduledAt: entry.scheduledAt,
    sentAt: entry.sentAt,
    stats: entry.stats && CampaignStatsResponse.from(entry.stats),
  };
}
