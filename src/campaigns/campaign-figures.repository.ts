import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { MessageCounts } from './campaign-stats';

export interface KnownFigure {
  id: string;
  messages: Record<string, MessageCounts>;
  at: Date;
}

/** Counts of one message, from a report. */
export interface ReportRow {
  campaignId: string;
  /** What tells the message apart within its campaign. */
  message: string;
  counts: MessageCounts;
}

/** Rows of `campaign_figure`, each statement bound to its user. */
@Injectable()
export class CampaignFiguresRepository {
  constructor(private readonly db: Db) {}

  /** What is known of these campaigns; those never reported are left out. */
  async known(userId: number, connectionId: string, ids: readonly string[]): Promise<KnownFigure[]> {
    return this.db.forUser(userId, (manager) =>
      query<KnownFigure>(
        manager,
        `SELECT klaviyo_id AS id, messages, computed_at AS at FROM campaign_figure
         WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = ANY($3)`,
        [userId, connectionId, ids],
      ),
    );
  }

  /**
   * Keeps a page of a report. Pages of one report (the same `at`) add up by message; a newer report replaces, an older
   * one changes nothing.
   */
  async save(userId: number, connectionId: string, rows: readonly ReportRow[], at: Date): Promise<void> {
    const byCampaign = new Map<string, Record<string, MessageCounts>>();
    for (const { campaignId, message, counts } of rows)
      byCampaign.set(campaignId, { ...byCampaign.get(campaignId), [message]: counts });
    const ids = [...byCampaign.keys()].sort();
    const messages = ids.map((id) => JSON.stringify(byCampaign.get(id)));
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO campaign_figure (user_id, connection_id, klaviyo_id, messages, computed_at)
         SELECT $1, $2, row.id, row.messages::jsonb, $5 FROM unnest($3::text[], $4::text[]) AS row (id, messages)
         ON CONFLICT (user_id, connection_id, klaviyo_id) DO UPDATE
           SET computed_at = EXCLUDED.computed_at,
               messages = CASE WHEN campaign_figure.computed_at = EXCLUDED.computed_at
                 THEN campaign_figure.messages || EXCLUDED.messages ELSE EXCLUDED.messages END
           WHERE campaign_figure.computed_at <= EXCLUDED.computed_at`,
        [userId, connectionId, ids, messages, at],
      ),
    );
  }
}
