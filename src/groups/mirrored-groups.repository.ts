import { Injectable } from '@nestjs/common';
import { foldName } from '../common/name-filter';
import { Db, query } from '../database/scope';
import { MirroredRows, type Unseen } from '../mirror/mirrored-rows.repository';
import type { GroupKind } from './member-count.entity';
import type { GroupRow } from './group-pages.repository';

/** As it comes from Klaviyo. */
export interface GroupDocument extends GroupRow {
  /** Klaviyo's attributes, as JSON that jsonb takes. */
  document: string;
}

/** A group whose members a pass reads. */
export interface LiveGroup {
  kind: GroupKind;
  id: string;
  /** See `MirroredGroup.membersSeenAt`. */
  membersSeenAt: Date | null;
}

/** Rows of `mirrored_group` as they are written, each statement bound to its user. */
@Injectable()
export class MirroredGroupsRepository {
  private readonly rows: Readonly<Record<GroupKind, MirroredRows>>;

  constructor(private readonly db: Db) {
    const of = (kind: GroupKind) => new MirroredRows(db, { table: 'mirrored_group', only: `kind = '${kind}'` });
    this.rows = { list: of('list'), segment: of('segment') };
  }

  /** All that are not gone, of both kinds. */
  async live(userId: number, connectionId: string): Promise<LiveGroup[]> {
    return this.db.forUser(userId, (manager) =>
      query<LiveGroup>(
        manager,
        `SELECT kind, klaviyo_id AS id, members_seen_at AS "membersSeenAt" FROM mirrored_group
         WHERE user_id = $1 AND connection_id = $2 AND deleted_at IS NULL ORDER BY kind, klaviyo_id`,
        [userId, connectionId],
      ),
    );
  }

  /**
   * Keeps what Klaviyo said. A version older than the one kept does not replace it, but shows that the group is there.
   * @returns how many are new or changed
   */
  async upsert(
    userId: number,
    connectionId: string,
    kind: GroupKind,
    documents: readonly GroupDocument[],
  ): Promise<number> {
    const rows = [...new Map(documents.map((row) => [row.id, row])).values()];
    if (rows.length === 0) return 0;
    return this.db.inTransaction(userId, async (manager) => {
      const [counted] = await query<{ changed: number }>(
        manager,
        `WITH incoming AS MATERIALIZED (
           SELECT * FROM unnest($4::text[], $5::text[], $6::text[], $7::text[], $8::boolean[], $9::boolean[],
             $10::boolean[], $11::timestamptz[], $12::timestamptz[], $13::jsonb[])
             AS row (id, name, folded, opt_in, active, processing, starred, created_at, updated_at, document)),
         kept AS (
           INSERT INTO mirrored_group AS m (user_id, connection_id, kind, klaviyo_id, name, folded_name,
             opt_in_process, is_active, is_processing, is_starred, created_at, updated_at, document, synced_at)
           SELECT $1, $2, $3, id, name, folded, opt_in, active, processing, starred, created_at, updated_at, document,
             now() FROM incoming ORDER BY id COLLATE "C"
           ON CONFLICT (user_id, connection_id, kind, klaviyo_id) DO UPDATE SET
             name = EXCLUDED.name, folded_name = EXCLUDED.folded_name, opt_in_process = EXCLUDED.opt_in_process,
             is_active = EXCLUDED.is_active, is_processing = EXCLUDED.is_processing, is_starred = EXCLUDED.is_starred,
             created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at, document = EXCLUDED.document,
             ${SEEN_AGAIN}
           WHERE m.updated_at IS NULL OR EXCLUDED.updated_at IS NULL OR EXCLUDED.updated_at >= m.updated_at)
         SELECT count(*)::int AS changed FROM incoming LEFT JOIN mirrored_group AS before
           ON before.user_id = $1 AND before.connection_id = $2 AND before.kind = $3
             AND before.klaviyo_id = incoming.id
         WHERE before.klaviyo_id IS NULL OR before.deleted_at IS NOT NULL OR (before.document <> incoming.document
           AND coalesce(incoming.updated_at >= before.updated_at, true))`,
        [userId, connectionId, kind, ...columnsOf(rows)],
      );
      await query(
        manager,
        `UPDATE mirrored_group AS m SET ${SEEN_AGAIN}
         WHERE user_id = $1 AND connection_id = $2 AND kind = $3 AND klaviyo_id = ANY($4) AND synced_at < now()`,
        [userId, connectionId, kind, rows.map(({ id }) => id)],
      );
      return counted?.changed ?? 0;
    });
  }

  /** Keeps one group outside a pass; nothing where the connection is gone. */
  async note(userId: number, connectionId: string, kind: GroupKind, group: GroupDocument): Promise<void> {
    await this.db.inTransaction(userId, async (manager) => {
      const connection = await query(manager, 'SELECT 1 FROM connection WHERE user_id = $1 AND id = $2 FOR KEY SHARE', [
        userId,
        connectionId,
      ]);
      if (connection.length > 0) await this.upsert(userId, connectionId, kind, [group]);
    });
  }

  /** Groups that are not marked as gone, and those of them that were not seen since a time. */
  unseen(userId: number, connectionId: string, kind: GroupKind, since: Date): Promise<Unseen> {
    return this.rows[kind].unseen(userId, connectionId, since);
  }

  /** Marks groups that were not seen since a time as gone, in the order of their ids. @returns how many */
  async sweep(userId: number, connectionId: string, kind: GroupKind, since: Date, limit: number): Promise<number> {
    const { swept } = await this.rows[kind].sweep(userId, connectionId, since, '', limit);
    return swept;
  }

  /** The members of the groups that were there when a pass began are known up to its beginning. */
  async membersSeen(userId: number, connectionId: string, startedAt: Date): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE mirrored_group SET members_seen_at = $3
         WHERE user_id = $1 AND connection_id = $2 AND deleted_at IS NULL AND first_seen_at < $3`,
        [userId, connectionId, startedAt],
      ),
    );
  }

  /** Removes rows of connections that are gone. @returns how many */
  erase(userId: number, connectionIds: readonly string[], kind: GroupKind, limit: number): Promise<number> {
    return this.rows[kind].erase(userId, connectionIds, limit);
  }
}

/** What was gone and is back begins anew: its members are read whole. */
const SEEN_AGAIN = `synced_at = now(), deleted_at = NULL,
  first_seen_at = CASE WHEN m.deleted_at IS NULL THEN m.first_seen_at ELSE now() END,
  members_seen_at = CASE WHEN m.deleted_at IS NULL THEN m.members_seen_at END`;

function columnsOf(rows: readonly GroupDocument[]): unknown[] {
  return [
    rows.map(({ id }) => id),
    rows.map(({ name }) => name),
    rows.map(({ name }) => foldName(name ?? '')),
    rows.map(({ optInProcess }) => optInProcess),
    rows.map(({ isActive }) => isActive),
    rows.map(({ isProcessing }) => isProcessing),
    rows.map(({ isStarred }) => isStarred),
    rows.map(({ createdAt }) => createdAt),
    rows.map(({ updatedAt }) => updatedAt),
    rows.map(({ document }) => document),
  ];
}
