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
import {
  MirroredCampaignsRepository,
  type CampaignFilter,
  type FirstPage,
  type MirroredRow,
} from './mirrored-campaigns.repository';

type MirrorPage = CampaignsPage<MirrorPosition>;

/** Campaigns as our mirror has them, with their last known figures. */
@Injectable()
export class MirroredCampaigns {
  constructor(private readonly campaigns: MirroredCampaignsRepository) {}

  async page(
    connection: Connection,
    input: CampaignsInput,
    limit: number,
    from: MirrorPosition | undefined,
  ): Promise<MirrorPage> {
    const userId = Number(connection.userId);
    const filter = filterOf(input);
    const rows = await this.campaigns.page(userId, connection.id, filter, {
      after: from?.place ?? null,
      limit: limit + 1,
      counts: input.includeStats === true,
    });
    // Further pages say what the first one said; what is all there needs no counting.
    if (from) return pageOf(rows, limit, connection.currency, from.total);
    if (rows.length <= limit) return pageOf(rows, limit, connection.currency, rows.length);
    const total = await this.campaigns.count(userId, connection.id, filter, MOST_TOTAL);
    return pageOf(rows, limit, connection.currency, total);
  }

  /**
   * The first page, and whose it is, at once.
   * @returns undefined where there is no such connection, or nothing of it is mirrored yet
   */
  async first(
    userId: number,
    input: CampaignsInput,
    limit: number,
  ): Promise<{ connection: FirstPage; syncedAt: Date; page: MirrorPage } | undefined> {
    const filter = filterOf(input);
    const whole = input.limit === undefined;
    const found = await this.campaigns.first(userId, input.connectionId, filter, {
      limit: limit + 1,
      counts: input.includeStats === true,
      // Where all are asked for, what came is counted most often.
      most: whole ? null : MOST_TOTAL,
    });
    if (!found?.rows || !found.syncedAt) return undefined;
    const { rows, syncedAt, currency } = found;
    const total =
      rows.length <= limit
        ? rows.length
        : (found.total ?? (await this.campaigns.count(userId, found.id, filter, MOST_TOTAL)));
    return { connection: found, syncedAt, page: pageOf(rows, limit, currency, total) };
  }

  /** @returns null for one that is gone at Klaviyo, undefined for one that was never seen */
  async one(connection: Connection, id: string, includeStats: boolean): Promise<CampaignWithStats | null | undefined> {
    const found = await this.campaigns.one(Number(connection.userId), connection.id, id);
    if (!found) return undefined;
    if (found.gone) return null;
    const { stats, ...campaign } = toCampaign(found, connection.currency);
    return includeStats ? { ...campaign, stats: stats ?? null } : campaign;
  }
}

/** @param rows those of the page, and one more where there are any */
function pageOf(
  rows: readonly MirroredRow[],
  limit: number,
  currency: string | null,
  counted: number | null,
): MirrorPage {
  const shown = (rows.length > limit ? rows.slice(0, limit) : rows).map((row) => toCampaign(row, currency));
  const last = rows.length > limit ? shown.at(-1) : undefined;
  const total = counted !== null && counted <= MOST_TOTAL ? counted : null;
  return { rows: shown, next: last ? { place: placeOf(last), total } : null, total, readAt: null };
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
    createdAt: row.createdAt,
    updatedAt: row.updatedAt,
    scheduledAt: row.scheduledAt,
    sentAt: row.sentAt,
  };
  return row.messages === undefined ? campaign : { ...campaign, stats: statsOf(row, currency) };
}

/** Figures are of what was sent. */
function statsOf({ messages, computedAt, sentAt }: MirroredRow, currency: string | null): CampaignStats | null {
  if (!messages || !computedAt || !sentAt) return null;
  return campaignStats(Object.values(messages), currency, computedAt);
}
