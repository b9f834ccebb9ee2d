import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { Cursors, DEFAULT_LIMIT, type Pagination } from '../common/page';
import { ConnectionService } from '../connection/connection.service';
import { mustBeId } from './campaign';
import { CampaignHistoryRepository, type HistoryRow } from './campaign-history.repository';
import { campaignStats, type CampaignStats } from './campaign-stats';
import type { CampaignStatus } from './campaign-status';
import { CampaignsKlaviyo } from './campaigns.klaviyo';

/** How a campaign stood from a time on, until the next entry. */
export interface CampaignHistoryEntry {
  at: string;
  status: CampaignStatus | null;
  klaviyoStatus: string | null;
  scheduledAt: string | null;
  sentAt: string | null;
  stats: CampaignStats | null;
}

export interface CampaignHistoryInput {
  connectionId?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

/** What became of a campaign over time: status and schedule as passes saw them, figures as reports gave them. */
@Injectable()
export class CampaignHistoryService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly history: CampaignHistoryRepository,
    private readonly atKlaviyo: CampaignsKlaviyo,
    private readonly cursors: Cursors,
  ) {}

  /**
   * Newest first. Of a campaign that is gone at Klaviyo, too; of one that was never seen here, Klaviyo is asked whether
   * there is any.
   * @throws AppError CONNECTION_NOT_FOUND, CAMPAIGN_NOT_FOUND, VALIDATION_FAILED `cursor`, KLAVIYO_…
   */
  async page(
    scope: UserScope,
    id: string,
    input: CampaignHistoryInput,
  ): Promise<{ history: CampaignHistoryEntry[]; pagination: Pagination }> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = { userId, scope: JSON.stringify(['campaign-history', connection.id, id]) };
    const before = this.cursors.decode(binding, input.cursor) as number | undefined;
    mustBeId(id);
    const limit = input.limit ?? DEFAULT_LIMIT;
    const rows = await this.history.page(
      userId,
      connection.id,
      id,
      before === undefined ? null : new Date(before),
      limit + 1,
    );
    if (rows.length === 0 && before === undefined && !(await this.history.knows(userId, connection.id, id)))
      await this.atKlaviyo.one(await this.connections.accessOf(connection), id);
    const shown = rows.slice(0, limit);
    const last = rows.length > limit ? shown.at(-1) : undefined;
    return {
      history: shown.map((row) => entryOf(row, connection.currency)),
      pagination: { limit, nextCursor: last ? this.cursors.encode(binding, last.at.getTime()) : null },
    };
  }
}

function entryOf(row: HistoryRow, currency: string | null): CampaignHistoryEntry {
  const { at, status, klaviyoStatus, scheduledAt, sentAt, counts, computedAt } = row;
  return {
    at: at.toISOString(),
    status,
    klaviyoStatus,
    scheduledAt: scheduledAt?.toISOString() ?? null,
    sentAt: sentAt?.toISOString() ?? null,
    stats: counts && computedAt ? campaignStats([counts], currency, computedAt.toISOString()) : null,
  };
}
