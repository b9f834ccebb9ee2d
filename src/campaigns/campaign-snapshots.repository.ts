import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** Rows of `campaign_snapshot`, each statement bound to its user. */
@Injectable()
export class CampaignSnapshotsRepository {
  constructor(private readonly db: Db) {}

  /**
   * Keeps the counts of the campaigns that a report told of, where they are not what was kept last. Of an hour only the
   * last ones stay.
   * @param at when the report was asked for: the time of its figures
   */
  async keep(userId: number, connectionId: string, at: Date): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `WITH changed AS (
           SELECT figure.klaviyo_id, now_known.counts
           FROM campaign_figure figure
           CROSS JOIN LATERAL (
             SELECT jsonb_object_agg(total.name, total.count) AS counts FROM (
               SELECT c.name, sum(c.value::numeric) AS count
               FROM jsonb_each(figure.messages) AS m (message, counts), jsonb_each_text(m.counts) AS c (name, value)
               GROUP BY c.name) AS total) AS now_known
           LEFT JOIN LATERAL (
             SELECT counts FROM campaign_snapshot
             WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = figure.klaviyo_id
             ORDER BY at DESC LIMIT 1) AS last ON true
           WHERE figure.user_id = $1 AND figure.connection_id = $2 AND figure.computed_at = $3
             AND now_known.counts IS NOT NULL AND last.counts IS DISTINCT FROM now_known.counts
         ), replaced AS (
           DELETE FROM campaign_snapshot old USING changed
           WHERE old.user_id = $1 AND old.connection_id = $2 AND old.klaviyo_id = changed.klaviyo_id
             AND old.at >= date_trunc('hour', $3::timestamptz, 'UTC') AND old.at < $3
         )
         INSERT INTO campaign_snapshot (user_id, connection_id, klaviyo_id, at, counts)
         SELECT $1, $2, klaviyo_id, $3, counts FROM changed ORDER BY klaviyo_id
         ON CONFLICT (user_id, connection_id, klaviyo_id, at) DO UPDATE SET counts = EXCLUDED.counts`,
        [userId, connectionId, at],
      ),
    );
  }

  /**
   * Of days that are longer ago than two only the last counts stay, and nothing after 400 days but what is known last.
   * Days that were thinned a month ago are not looked at again.
   */
  async thin(userId: number, connectionId: string, now: Date): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `DELETE FROM campaign_snapshot old
         WHERE old.user_id = $1 AND old.connection_id = $2 AND (
           (old.at < $3::timestamptz - interval '2 days' AND old.at >= $3::timestamptz - interval '32 days'
             AND EXISTS (
               SELECT 1 FROM campaign_snapshot later
               WHERE later.user_id = $1 AND later.connection_id = $2 AND later.klaviyo_id = old.klaviyo_id
                 AND later.at > old.at
                 AND later.at < date_trunc('day', old.at, 'UTC') + interval '1 day'))
           OR (old.at < $3::timestamptz - interval '400 days'
             AND EXISTS (
               SELECT 1 FROM campaign_snapshot later
               WHERE later.user_id = $1 AND later.connection_id = $2 AND later.klaviyo_id = old.klaviyo_id
                 AND later.at > old.at)))`,
        [userId, connectionId, now],
      ),
    );
  }
}
