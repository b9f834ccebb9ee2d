import { Injectable } from '@nestjs/common';
import type { Connection } from '../connection/connection.entity';
import { placeOf, type Campaign } from './campaign';
import { campaignStats, type CampaignStats } from './campaign-stats';
import {
  MOST_TOTAL,
  type CampaignsInput,
  type CampaignsPage,
  type CampaignWithStats,
  type MirrorPosition,
} from './campaigns-input';
import { MirroredCampaignsRepository, type CampaignFilter, type MirroredRow } from './mirrored-campaigns.repository';

/** Campaigns as our mirror has them, with their last known figures. */
@Injectable()
export class MirroredCampaigns {
  constructor(private readonly campaigns: MirroredCampaignsRepository) {}

  async page(
    connection: Connection,
    input: CampaignsInput,
    limit: number,
    from: MirrorPosition | undefined,
  ): Promise<CampaignsPage<MirrorPosition>> {
    const whole = input.limit === undefined && from === undefined;
    const found = await this.campaigns.page(Number(connection.userId), connection.id, filterOf(input), {
      after: from?.place ?? null,
      limit: limit + 1,
      counts: input.includeStats === true,
      // Where all are asked for, what came is counted most often; further pages say what the first one said.
      most: whole || from ? null : MOST_TOTAL,
    });
    const rows = found.rows.slice(0, limit).map((row) => toCampaign(row, connection.currency));
    const last = found.rows.length > limit ? rows.at(-1) : undefined;
    const total = from ? from.total : last ? await this.total(connection, input, found.total) : rows.length;
    return { rows, next: last ? { place: placeOf(last), total } : null, total, readAt: null };
  }

  /** @returns null for one that is gone at Klaviyo, undefined for one that was never seen */
  async one(connection: Connection, id: string, includeStats: boolean): Promise<CampaignWithStats | null | undefined> {
    const found = await this.campaigns.one(Number(connection.userId), connection.id, id);
    if (!found) return undefined;
    if (found.gone) return null;
    const { stats, ...campaign } = toCampaign(found, connection.currency);
    return includeStats ? { ...campaign, stats: stats ?? null } : campaign;
  }

  private async total(connection: Connection, input: CampaignsInput, counted: number | null): Promise<number | null> {
    const total =
      counted ?? (await this.campaigns.count(Number(connection.userId), connection.id, filterOf(input), MOST_TOTAL));
    return total <= MOST_TOTAL ? total : null;
  }
}

function filterOf({ status, channel = 'email', archived, from, to }: CampaignsInput): CampaignFilter {
  return {
    channel: channel === 'all' ? undefined : channel,
    statuses: status,
    archived,
    from: from === undefined ? undefined : new Date(from),
    to: to === undefined ? undefined : new Date(to),
  };
}

function toCampaign(row: MirroredRow, currency: string | null): CampaignWithStats {
  const campaign: Campaign = {
    id: row.id,
    name: row.name,
    status: row.status,
    klaviyoStatus: row.klaviyoStatus,
    channel: row.channel,
    archived: row.archived,
    audiences: row.audiences,
    createdAt: row.createdAt && row.createdAt.toISOString(),
    updatedAt: row.updatedAt && row.updatedAt.toISOString(),
    scheduledAt: row.scheduledAt && row.scheduledAt.toISOString(),
    sentAt: row.sentAt && row.sentAt.toISOString(),
  };
  return row.messages === undefined ? campaign : { ...campaign, stats: statsOf(row, currency) };
}

/** Figures are of what was sent. */
function statsOf({ messages, computedAt, sentAt }: MirroredRow, currency: string | null): CampaignStats | null {
  if (!messages || !computedAt || !sentAt) return null;
  return campaignStats(Object.values(messages), currency, computedAt);
}
