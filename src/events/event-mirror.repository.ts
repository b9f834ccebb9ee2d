import { Injectable } from '@nestjs/common';
import type { BulkParameter, BulkWrite } from '../database/bulk-statement';
import { JoinedTexts, takenApart } from '../database/joined-texts';
import { Db, query, queryBulk } from '../database/scope';
import { MirroredRows } from '../mirror/mirrored-rows.repository';
import { noting } from '../mirror/noted';

/** An event as it is kept. */
export interface EventRow {
  id: string;
  metricId: string | null;
  profileId: string | null;
  /** Epoch seconds. */
  occurredAt: number;
  value: number | null;
  /** `{ attributes }` as Klaviyo gave them, as JSON. */
  document: string;
}

const INSERT = `
  INSERT INTO mirrored_event AS m (user_id, connection_id, klaviyo_id, metric_id, profile_id, occurred_at, value,
    document, synced_at, changed_at)
  SELECT $1, $2, id, metric, profile, to_timestamp(occurred::float8), value::float8, document::jsonb, now(), now()
  FROM ROWS FROM (${[3, 4, 5, 6, 7, 8].map((place) => takenApart(`$${place}`)).join(', ')})
    AS row (id, metric, profile, occurred, value, document)
  ON CONFLICT (user_id, connection_id, klaviyo_id) DO UPDATE SET`;

const UPSERT = `
  WITH kept AS (${INSERT}
    metric_id = EXCLUDED.metric_id, profile_id = EXCLUDED.profile_id, occurred_at = EXCLUDED.occurred_at,
    value = EXCLUDED.value, synced_at = EXCLUDED.synced_at, deleted_at = NULL,
    document = CASE WHEN m.document = EXCLUDED.document THEN m.document ELSE EXCLUDED.document END,
    changed_at = CASE WHEN m.document = EXCLUDED.document AND m.deleted_at IS NULL
      AND m.occurred_at = EXCLUDED.occurred_at AND m.metric_id IS NOT DISTINCT FROM EXCLUDED.metric_id
      AND m.profile_id IS NOT DISTINCT FROM EXCLUDED.profile_id THEN m.changed_at ELSE EXCLUDED.changed_at END
    RETURNING changed_at)
  SELECT count(*)::int AS changed, ${noting('events', 'count(*)')} FROM kept WHERE changed_at = now()`;

/** Rows of `mirrored_event` as they are written, each statement bound to its user. */
@Injectable()
export class EventMirrorRepository extends MirroredRows {
  constructor(db: Db) {
    super(db, { table: 'mirrored_event', hasChangedAt: true });
  }

  /**
   * What Klaviyo's own list of events says. A document that did not change is not written again, which spares what
   * lies out of line. @returns how many are new or changed
   */
  async upsert(userId: number, connectionId: string, rows: readonly EventRow[]): Promise<number> {
    const { sql, columns } = this.upserting(userId, connectionId, rows);
    const [counted] = await this.db.bulk<{ changed: number }>(userId, sql, columns);
    return counted?.changed ?? 0;
  }

  /** What does that. */
  upserting(userId: number, connectionId: string, rows: readonly EventRow[]): BulkWrite {
    return { sql: UPSERT, columns: columnsOf(userId, connectionId, rows) };
  }

  /**
   * What came otherwise than by a pass. It may say less than Klaviyo's list of events: what is kept already stays,
   * but for the person that an event belongs to. Nothing where the connection is gone.
   * @returns how many are new
   */
  async keep(userId: number, connectionId: string, rows: readonly EventRow[]): Promise<number> {
    return this.db.inTransaction(userId, async (manager) => {
      const connection = await query(manager, 'SELECT 1 FROM connection WHERE user_id = $1 AND id = $2 FOR KEY SHARE', [
        userId,
        connectionId,
      ]);
      if (connection.length === 0) return 0;
      const [counted] = await queryBulk<{ added: number }>(
        manager,
        `WITH kept AS (${INSERT}
           metric_id = coalesce(m.metric_id, EXCLUDED.metric_id),
           profile_id = coalesce(EXCLUDED.profile_id, m.profile_id),
           synced_at = EXCLUDED.synced_at, deleted_at = NULL
           RETURNING (xmax = 0) AS added)
         SELECT count(*) FILTER (WHERE added)::int AS added FROM kept`,
        columnsOf(userId, connectionId, rows),
      );
      return counted?.added ?? 0;
    });
  }
}

/** Each id once (the last version of it), sorted, so that two writers never wait for each other crosswise. */
function columnsOf(userId: number, connectionId: string, rows: readonly EventRow[]): BulkParameter[] {
  const all = [...new Map(rows.map((row) => [row.id, row])).values()].sort((a, b) => (a.id < b.id ? -1 : 1));
  return [
    userId,
    connectionId,
    JoinedTexts.of(all.map(({ id }) => id)),
    JoinedTexts.of(all.map(({ metricId }) => metricId)),
    JoinedTexts.of(all.map(({ profileId }) => profileId)),
    JoinedTexts.of(all.map(({ occurredAt }) => String(occurredAt))),
    JoinedTexts.of(all.map(({ value }) => (value === null ? null : String(value)))),
    JoinedTexts.ofJson(all.map(({ document }) => document)),
  ];
}
