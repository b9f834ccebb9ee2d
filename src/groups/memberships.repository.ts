import { Injectable } from '@nestjs/common';
import { eraseRows } from '../database/erase';
import { Db, query } from '../database/scope';
import type { GroupKind } from './member-count.entity';

/** A person in a list or segment. */
export interface MemberRow {
  kind: GroupKind;
  groupId: string;
  profileId: string;
  /** RFC 3339; null where Klaviyo does not say. */
  joinedAt: string | null;
}

/** Somebody joined or left, as we know it otherwise than by a pass: our own write, or an event of Klaviyo's. */
export interface MemberChange {
  kind: GroupKind;
  groupId: string;
  profileId: string;
  joined: boolean;
  /** When it happened. */
  at: Date;
}

export interface CountedGroup {
  kind: GroupKind;
  id: string;
  count: number;
}

/** Members of groups that are not gone. */
const OF_LIVE_GROUPS = `FROM membership AS m JOIN mirrored_group AS g
  ON g.user_id = m.user_id AND g.connection_id = m.connection_id AND g.kind = m.kind AND g.klaviyo_id = m.group_id
  WHERE m.user_id = $1 AND m.connection_id = $2 AND m.left_at IS NULL AND g.deleted_at IS NULL`;

/** Rows of `membership`, each statement bound to its user. */
@Injectable()
export class MembershipsRepository {
  constructor(private readonly db: Db) {}

  /**
   * Keeps members that a pass saw. Who left while the pass was under way stays away, unless they joined again: the
   * page that shows them may be older than their leaving. Each row is looked up by its key: in a first pass the planner
   * knows nothing of the table yet, and a join would read ever more of it.
   * @returns how many are new, back, or joined at another time than we knew
   */
  async upsert(userId: number, connectionId: string, startedAt: Date, members: readonly MemberRow[]): Promise<number> {
    const rows = [...new Map(members.map((row) => [keyOf(row), row])).values()];
    if (rows.length === 0) return 0;
    const [counted] = await this.db.forUser(userId, (manager) =>
      query<{ changed: number }>(
        manager,
        `WITH incoming AS MATERIALIZED (
           SELECT i.kind, i.group_id, i.profile_id, coalesce(i.joined_at, known.joined_at, now()) AS joined_at,
             known.left_at IS NULL AND known.joined_at = coalesce(i.joined_at, known.joined_at) IS TRUE AS same
           FROM unnest($3::text[], $4::text[], $5::text[], $6::timestamptz[])
             AS i (kind, group_id, profile_id, joined_at)
           LEFT JOIN LATERAL (
             SELECT joined_at, left_at FROM membership
             WHERE user_id = $1 AND connection_id = $2 AND kind = i.kind AND group_id = i.group_id
               AND profile_id = i.profile_id LIMIT 1) AS known ON true),
         kept AS (
           INSERT INTO membership AS m (user_id, connection_id, kind, group_id, profile_id, joined_at, synced_at)
           SELECT $1, $2, kind, group_id, profile_id, joined_at, now() FROM incoming ORDER BY ${ORDER}
           ON CONFLICT (user_id, connection_id, kind, group_id, profile_id) DO UPDATE SET
             joined_at = EXCLUDED.joined_at, synced_at = EXCLUDED.synced_at,
             left_at = CASE WHEN m.left_at >= $7 AND EXCLUDED.joined_at <= m.left_at THEN m.left_at END)
         SELECT count(*) FILTER (WHERE NOT same)::int AS changed FROM incoming`,
        [
          userId,
          connectionId,
          rows.map(({ kind }) => kind),
          rows.map(({ groupId }) => groupId),
          rows.map(({ profileId }) => profileId),
          rows.map(({ joinedAt }) => joinedAt),
          startedAt,
        ],
      ),
    );
    return counted?.changed ?? 0;
  }

  /**
   * Notes who joined and left, each at its own time: what is older than what we know changes nothing. Nothing where
   * the connection is gone.
   * @returns how many changed what we know
   */
  async note(userId: number, connectionId: string, changes: readonly MemberChange[]): Promise<number> {
    const latest = new Map<string, MemberChange>();
    for (const change of changes) {
      const known = latest.get(keyOf(change));
      if (!known || known.at <= change.at) latest.set(keyOf(change), change);
    }
    const rows = [...latest.values()];
    if (rows.length === 0) return 0;
    return this.db.inTransaction(userId, async (manager) => {
      const connection = await query(manager, 'SELECT 1 FROM connection WHERE user_id = $1 AND id = $2 FOR KEY SHARE', [
        userId,
        connectionId,
      ]);
      if (connection.length === 0) return 0;
      const kept = await query(
        manager,
        `INSERT INTO membership AS m (user_id, connection_id, kind, group_id, profile_id, joined_at, synced_at, left_at)
         SELECT $1, $2, kind, group_id, profile_id, at, LEAST(at, now()), CASE WHEN NOT joined THEN at END
         FROM unnest($3::text[], $4::text[], $5::text[], $6::boolean[], $7::timestamptz[])
           AS i (kind, group_id, profile_id, joined, at)
         ORDER BY ${ORDER}
         ON CONFLICT (user_id, connection_id, kind, group_id, profile_id) DO UPDATE SET
           joined_at = CASE WHEN EXCLUDED.left_at IS NULL AND m.left_at IS NOT NULL
             THEN EXCLUDED.joined_at ELSE m.joined_at END,
           left_at = EXCLUDED.left_at, synced_at = GREATEST(m.synced_at, EXCLUDED.synced_at)
         WHERE CASE WHEN EXCLUDED.left_at IS NULL THEN m.left_at IS NULL OR EXCLUDED.joined_at >= m.left_at
           ELSE m.left_at IS NULL AND EXCLUDED.left_at >= m.joined_at END
         RETURNING 1`,
        [
          userId,
          connectionId,
          rows.map(({ kind }) => kind),
          rows.map(({ groupId }) => groupId),
          rows.map(({ profileId }) => profileId),
          rows.map(({ joined }) => joined),
          rows.map(({ at }) => at.toISOString()),
        ],
      );
      return kept.length;
    });
  }

  /** The lists that somebody is on, oldest first. */
  async listsOf(
    userId: number,
    connectionId: string,
    profileId: string,
  ): Promise<{ id: string; name: string | null }[]> {
    return this.db.forUser(userId, (manager) =>
      query<{ id: string; name: string | null }>(
        manager,
        `SELECT g.klaviyo_id AS id, g.name ${OF_LIVE_GROUPS} AND m.kind = 'list' AND m.profile_id = $3
         ORDER BY coalesce(g.created_at, '-infinity'), g.klaviyo_id COLLATE "C"`,
        [userId, connectionId, profileId],
      ),
    );
  }

  /**
   * Members of the groups that a pass saw, by group.
   * @param startedAt when the pass began: groups that came later were not read
   * @param everyGroup or only those that were read for the first time
   */
  async counts(userId: number, connectionId: string, startedAt: Date, everyGroup: boolean): Promise<CountedGroup[]> {
    return this.db.forUser(userId, (manager) =>
      query<CountedGroup>(
        manager,
        `SELECT g.kind, g.klaviyo_id AS id, count(m.profile_id)::int AS count FROM mirrored_group AS g
         LEFT JOIN membership AS m ON m.user_id = g.user_id AND m.connection_id = g.connection_id AND m.kind = g.kind
           AND m.group_id = g.klaviyo_id AND m.left_at IS NULL
         WHERE g.user_id = $1 AND g.connection_id = $2 AND g.deleted_at IS NULL AND g.first_seen_at < $3
           AND ($4 OR g.members_seen_at IS NULL)
         GROUP BY g.kind, g.klaviyo_id`,
        [userId, connectionId, startedAt, everyGroup],
      ),
    );
  }

  /** Only of groups that are not gone: that the members of a deleted list were not seen says nothing. */
  async unseen(userId: number, connectionId: string, since: Date): Promise<{ live: number; unseen: number }> {
    const [counted] = await this.db.forUser(userId, (manager) =>
      query<{ live: number; unseen: number }>(
        manager,
        `SELECT count(*)::float8 AS live, count(*) FILTER (WHERE m.synced_at < $3)::float8 AS unseen ${OF_LIVE_GROUPS}`,
        [userId, connectionId, since],
      ),
    );
    return counted ?? { live: 0, unseen: 0 };
  }

  /** @returns how many were marked as having left */
  async sweep(userId: number, connectionId: string, since: Date, limit: number): Promise<number> {
    return this.leave(
      userId,
      `SELECT ctid FROM membership
       WHERE user_id = $1 AND connection_id = $2 AND left_at IS NULL AND synced_at < $3 LIMIT $4`,
      [userId, connectionId, since, limit],
    );
  }

  /** Has the members of groups that are gone leave them. @returns how many */
  async leaveGone(userId: number, connectionId: string, kind: GroupKind, limit: number): Promise<number> {
    return this.leave(
      userId,
      `SELECT m.ctid FROM mirrored_group AS g JOIN membership AS m ON m.user_id = g.user_id
         AND m.connection_id = g.connection_id AND m.kind = g.kind AND m.group_id = g.klaviyo_id
       WHERE g.user_id = $1 AND g.connection_id = $2 AND g.kind = $3 AND g.deleted_at IS NOT NULL
         AND m.left_at IS NULL LIMIT $4`,
      [userId, connectionId, kind, limit],
    );
  }

  /** Removes rows of connections that are gone. @returns how many */
  async erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.db.forUser(userId, (manager) => eraseRows(manager, userId, 'membership', connectionIds, limit));
  }

  /** @param rows a statement that names rows by their place; one that moved meanwhile is left for another time */
  private async leave(userId: number, rows: string, params: readonly unknown[]): Promise<number> {
    const [counted] = await this.db.forUser(userId, (manager) =>
      query<{ count: number }>(
        manager,
        `WITH gone AS (
           UPDATE membership SET left_at = now()
           WHERE user_id = $1 AND ctid = ANY(ARRAY(${rows})) AND left_at IS NULL RETURNING 1)
         SELECT count(*)::int AS count FROM gone`,
        params,
      ),
    );
    return counted?.count ?? 0;
  }
}

/** The same for every writer, so that two never wait for each other crosswise. */
const ORDER = 'kind, group_id COLLATE "C", profile_id COLLATE "C"';

function keyOf({ kind, groupId, profileId }: { kind: GroupKind; groupId: string; profileId: string }): string {
  return `${kind}:${groupId}:${profileId}`;
}
