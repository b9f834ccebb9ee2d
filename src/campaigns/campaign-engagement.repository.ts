import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { EngagementKind } from './engagement';

/** Something heard of a campaign. */
export interface EngagementRow {
  /** The id of a campaign or of one of its messages: events name either. */
  message: string;
  kind: EngagementKind;
  at: Date;
  count: number;
}

/** What was heard of a campaign, by kind. */
export type Heard = Partial<Record<EngagementKind, number>>;

/** Rows of `campaign_engagement`, each statement bound to its user. */
@Injectable()
export class CampaignEngagementRepository {
  constructor(private readonly db: Db) {}

  /**
   * Adds to what was heard of mirrored campaigns; what names none of them is left out, and so is what a report already
   * counts. Nothing is kept for a connection that is gone.
   * @param also runs in the same transaction where something was kept, e.g. to enqueue the work
   * @returns whether something was kept
   */
  async add(
    userId: number,
    connectionId: string,
    rows: readonly EngagementRow[],
    also: () => Promise<void>,
  ): Promise<boolean> {
    return this.db.inTransaction(userId, async (manager) => {
      const there = await query(manager, 'SELECT 1 FROM connection WHERE user_id = $1 AND id = $2 FOR KEY SHARE', [
        userId,
        connectionId,
      ]);
      if (there.length === 0) return false;
      const kept = await query(
        manager,
        `WITH heard AS MATERIALIZED (
           SELECT message, kind, date_trunc('minute', at, 'UTC') AS minute, sum(count) AS count
           FROM unnest($3::text[], $4::text[], $5::timestamptz[], $6::bigint[]) AS row (message, kind, at, count)
           GROUP BY 1, 2, 3
         ), named AS MATERIALIZED (
           SELECT c.klaviyo_id, c.klaviyo_id AS message FROM mirrored_campaign c
           WHERE c.user_id = $1 AND c.connection_id = $2 AND c.klaviyo_id = ANY($3)
           UNION
           SELECT c.klaviyo_id, message FROM mirrored_campaign c, unnest(c.message_ids) AS message
           WHERE c.user_id = $1 AND c.connection_id = $2 AND c.message_ids && $3::text[] AND message = ANY($3)
         )
         INSERT INTO campaign_engagement AS kept (user_id, connection_id, klaviyo_id, kind, minute, count)
         SELECT $1, $2, named.klaviyo_id, heard.kind, heard.minute, sum(heard.count)
         FROM heard JOIN named ON named.message = heard.message
         LEFT JOIN campaign_figure figure
           ON figure.user_id = $1 AND figure.connection_id = $2 AND figure.klaviyo_id = named.klaviyo_id
         WHERE figure.computed_at IS NULL OR heard.minute >= date_trunc('minute', figure.computed_at, 'UTC')
         GROUP BY 3, 4, 5 ORDER BY 3, 4, 5
         ON CONFLICT (user_id, connection_id, klaviyo_id, kind, minute) DO UPDATE SET count = kept.count + EXCLUDED.count
         RETURNING 1`,
        [
          userId,
          connectionId,
          rows.map(({ message }) => message),
          rows.map(({ kind }) => kind),
          rows.map(({ at }) => at),
          rows.map(({ count }) => count),
        ],
      );
      if (kept.length > 0) await also();
      return kept.length > 0;
    });
  }

  /** What was heard of a campaign since a time; since ever without one. Undefined: nothing. */
  async since(userId: number, connectionId: string, id: string, since: Date | null): Promise<Heard | undefined> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ kind: EngagementKind; count: number }>(
        manager,
        `SELECT kind, sum(count)::float8 AS count FROM campaign_engagement
         WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = $3
           AND ($4::timestamptz IS NULL OR minute >= date_trunc('minute', $4::timestamptz, 'UTC'))
         GROUP BY kind`,
        [userId, connectionId, id, since],
      ),
    );
    return rows.length === 0 ? undefined : Object.fromEntries(rows.map(({ kind, count }) => [kind, count]));
  }

  /** Forgets what a report counts itself by now, and what no report came for in a month. */
  async settle(userId: number, connectionId: string, at: Date): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `DELETE FROM campaign_engagement heard
         WHERE heard.user_id = $1 AND heard.connection_id = $2 AND (
           heard.minute < $3::timestamptz - interval '30 days'
           OR heard.minute < (
             SELECT date_trunc('minute', figure.computed_at, 'UTC') FROM campaign_figure figure
             WHERE figure.user_id = $1 AND figure.connection_id = $2 AND figure.klaviyo_id = heard.klaviyo_id))`,
        [userId, connectionId, at],
      ),
    );
  }
}
