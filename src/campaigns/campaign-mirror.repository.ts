import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import { MirroredRows, type Unseen } from '../mirror/mirrored-rows.repository';
import { storedJson } from '../mirror/stored-json';
import { momentOf } from './campaign';
import type { WholeCampaign } from './campaign-mirror.klaviyo';

/** What the synchronisation writes of `mirrored_campaign` and `campaign_change`, each statement bound to its user. */
@Injectable()
export class CampaignMirrorRepository {
  private readonly rows: MirroredRows;

  constructor(private readonly db: Db) {
    this.rows = new MirroredRows(db, { table: 'mirrored_campaign' });
  }

  /**
   * Keeps campaigns, of unlike ids, and notes where status or schedule turned. An older version than the one that is
   * kept only shows that the campaign is still there.
   * @returns how many are new, changed or back
   */
  async upsert(userId: number, connectionId: string, rows: readonly WholeCampaign[]): Promise<number> {
    const ids = rows.map(({ campaign }) => campaign.id);
    return this.db.forUser(userId, async (manager) => {
      const changed = await query(
        manager,
        `WITH fresh AS (
           SELECT row.*, old.klaviyo_id IS NULL OR (old.status, old.klaviyo_status, old.scheduled_at, old.sent_at)
             IS DISTINCT FROM (row.status, row.klaviyo_status, row.scheduled_at, row.sent_at) AS turned
           FROM jsonb_to_recordset($3::jsonb) AS row (id text, name text, status text, klaviyo_status text,
             channel text, archived boolean, audiences jsonb, created_at timestamptz, updated_at timestamptz,
             scheduled_at timestamptz, sent_at timestamptz, moment timestamptz, message_ids text[], messages jsonb,
             document jsonb)
           LEFT JOIN mirrored_campaign old
             ON old.user_id = $1 AND old.connection_id = $2 AND old.klaviyo_id = row.id
           WHERE old.klaviyo_id IS NULL OR (
             (old.updated_at > row.updated_at) IS NOT TRUE AND (
               old.deleted_at IS NOT NULL
               OR (old.status, old.channel, old.archived, old.messages, old.document)
                 IS DISTINCT FROM (row.status, row.channel, row.archived, row.messages, row.document)))
         ), turns AS (
           INSERT INTO campaign_change (user_id, connection_id, klaviyo_id, at, status, klaviyo_status, scheduled_at, sent_at)
           SELECT $1, $2, id, now(), status, klaviyo_status, scheduled_at, sent_at FROM fresh WHERE turned ORDER BY id
           ON CONFLICT (user_id, connection_id, klaviyo_id, at) DO UPDATE SET status = EXCLUDED.status,
             klaviyo_status = EXCLUDED.klaviyo_status, scheduled_at = EXCLUDED.scheduled_at, sent_at = EXCLUDED.sent_at
         )
         INSERT INTO mirrored_campaign AS kept (user_id, connection_id, klaviyo_id, name, status, klaviyo_status, channel,
           archived, audiences, created_at, updated_at, scheduled_at, sent_at, moment, message_ids, messages, document,
           synced_at)
         SELECT $1, $2, id, name, status, klaviyo_status, channel, archived, audiences, created_at, updated_at,
           scheduled_at, sent_at, moment, message_ids, messages, document, now() FROM fresh ORDER BY id
         ON CONFLICT (user_id, connection_id, klaviyo_id) DO UPDATE SET (name, status, klaviyo_status, channel, archived,
           audiences, created_at, updated_at, scheduled_at, sent_at, moment, message_ids, messages, document, synced_at,
           deleted_at) = ROW (EXCLUDED.name, EXCLUDED.status, EXCLUDED.klaviyo_status, EXCLUDED.channel,
           EXCLUDED.archived, EXCLUDED.audiences, EXCLUDED.created_at, EXCLUDED.updated_at, EXCLUDED.scheduled_at,
           EXCLUDED.sent_at, EXCLUDED.moment, EXCLUDED.message_ids, EXCLUDED.messages, EXCLUDED.document, now(), NULL)
         RETURNING kept.klaviyo_id`,
        [userId, connectionId, storedJson(rows.map(rowOf))],
      );
      await query(
        manager,
        `UPDATE mirrored_campaign SET synced_at = now(), deleted_at = NULL
         WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = ANY($3)
           AND (synced_at < now() OR deleted_at IS NOT NULL)`,
        [userId, connectionId, ids],
      );
      return changed.length;
    });
  }

  /** Rows that are not marked as gone, and those of them that were not seen since a time. */
  unseen(userId: number, connectionId: string, since: Date): Promise<Unseen> {
    return this.rows.unseen(userId, connectionId, since);
  }

  /** Marks rows that were not seen since a time as gone, in the order of their ids. @returns how many */
  async sweep(userId: number, connectionId: string, since: Date, limit: number): Promise<number> {
    const { swept } = await this.rows.sweep(userId, connectionId, since, '', limit);
    return swept;
  }
}

/** A row of the statement above, as JSON. */
function rowOf({ campaign, messages, document }: WholeCampaign): object {
  return {
    id: campaign.id,
    name: campaign.name,
    status: campaign.status,
    klaviyo_status: campaign.klaviyoStatus,
    channel: campaign.channel,
    archived: campaign.archived,
    audiences: campaign.audiences,
    created_at: campaign.createdAt,
    updated_at: campaign.updatedAt,
    scheduled_at: campaign.scheduledAt,
    sent_at: campaign.sentAt,
    moment: new Date(momentOf(campaign)).toISOString(),
    message_ids: messages.map(({ id }) => id),
    messages,
    document,
  };
}
