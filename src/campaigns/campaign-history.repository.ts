import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { MessageCounts } from './campaign-stats';
import type { CampaignStatus } from './campaign-status';

/** How a campaign stood from a time on. Without a change seen until then, its status is not known. */
export interface HistoryRow {
  at: Date;
  status: CampaignStatus | null;
  klaviyoStatus: string | null;
  scheduledAt: Date | null;
  sentAt: Date | null;
  /** When the report was asked for that the counts are of; null, as the counts, before the first. */
  computedAt: Date | null;
  counts: MessageCounts | null;
}

/** What `campaign_change` and `campaign_snapshot` together say, each statement bound to its user. */
@Injectable()
export class CampaignHistoryRepository {
  constructor(private readonly db: Db) {}

  /** Newest first: each time at which status, schedule or figures changed. @param before exclusive */
  async page(
    userId: number,
    connectionId: string,
    id: string,
    before: Date | null,
    limit: number,
  ): Promise<HistoryRow[]> {
    return this.db.forUser(userId, (manager) =>
      query<HistoryRow>(
        manager,
        `SELECT point.at, c.status, c.klaviyo_status AS "klaviyoStatus", c.scheduled_at AS "scheduledAt",
           c.sent_at AS "sentAt", s.at AS "computedAt", s.counts
         FROM (
           SELECT date_trunc('milliseconds', at) AS at FROM campaign_change
           WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = $3
           UNION
           SELECT date_trunc('milliseconds', at) AS at FROM campaign_snapshot
           WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = $3) AS point
         LEFT JOIN LATERAL (
           SELECT * FROM campaign_change
           WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = $3 AND at < point.at + interval '1 millisecond'
           ORDER BY at DESC LIMIT 1) AS c ON true
         LEFT JOIN LATERAL (
           SELECT at, counts FROM campaign_snapshot
           WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = $3 AND at < point.at + interval '1 millisecond'
           ORDER BY at DESC LIMIT 1) AS s ON true
         WHERE $4::timestamptz IS NULL OR point.at < $4
         ORDER BY point.at DESC LIMIT $5`,
        [userId, connectionId, id, before, limit],
      ),
    );
  }

  /** Whether the campaign was ever seen here, gone or not. */
  async knows(userId: number, connectionId: string, id: string): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ known: boolean }>(
        manager,
        `SELECT EXISTS (SELECT 1 FROM mirrored_campaign
             WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = $3)
           OR EXISTS (SELECT 1 FROM campaign_snapshot
             WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = $3) AS known`,
        [userId, connectionId, id],
      ),
    );
    return rows[0]?.known === true;
  }
}
