import { Injectable } from '@nestjs/common';
import { foldName } from '../common/name-filter';
import { Db, query } from '../database/scope';
import type { GroupKind } from './member-count.entity';

/** A list or segment; instants are RFC 3339 in UTC, what a revision or kind does not know is null. */
export interface GroupRow {
  id: string;
  name: string | null;
  optInProcess: string | null;
  isActive: boolean | null;
  isProcessing: boolean | null;
  isStarred: boolean | null;
  createdAt: string | null;
  updatedAt: string | null;
}

export interface GroupsWanted {
  /** A part of the name; compared as `foldName` has it. */
  name?: string | undefined;
  /** The last row given. */
  after?: { createdAt: string | null; id: string } | undefined;
  limit: number;
}

/** The first page, with what says whether the mirror may give it. */
export interface FirstPage {
  connectionId: string;
  status: 'active' | 'invalid';
  /** Null before the mirror of these groups is complete; there are no rows then. */
  syncedAt: Date | null;
  rows: GroupRow[];
}

type FirstPageRow = Omit<FirstPage, 'rows' | 'syncedAt'> &
  Omit<GroupRow, 'id'> & {
    /** Epoch seconds. */
    syncedAt: number | null;
    id: string | null;
  };

/** Said by PostgreSQL as it is answered: cheaper than a Date made and spelled for each. */
const instant = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const COLUMNS = `klaviyo_id AS id, name, opt_in_process AS "optInProcess", is_active AS "isActive",
  is_processing AS "isProcessing", is_starred AS "isStarred", ${instant('created_at')} AS "createdAt",
  ${instant('updated_at')} AS "updatedAt"`;
const LIVE = 'user_id = $1 AND connection_id = $2 AND kind = $3 AND deleted_at IS NULL';
/** Klaviyo's own order: oldest first. */
const PLACE = `coalesce(created_at, '-infinity'), klaviyo_id COLLATE "C"`;

/** Rows of `mirrored_group` as they are answered, each statement bound to its user. */
@Injectable()
export class GroupPagesRepository {
  constructor(private readonly db: Db) {}

  /** Groups in Klaviyo's order (by creation, then id), those that are gone left out. */
  async page(userId: number, connectionId: string, kind: GroupKind, wanted: GroupsWanted): Promise<GroupRow[]> {
    const { name, after, limit } = wanted;
    return this.db.forUser(userId, (manager) =>
      query<GroupRow>(
        manager,
        `SELECT ${COLUMNS} FROM mirrored_group
         WHERE ${LIVE} AND ($4::text IS NULL OR strpos(folded_name, $4) > 0)
           AND ($6::text IS NULL OR (${PLACE}) > ($5::timestamptz, $6))
         ORDER BY ${PLACE} LIMIT $7`,
        [userId, connectionId, kind, folded(name), after?.createdAt ?? '-infinity', after?.id ?? null, limit],
      ),
    );
  }

  /**
   * The first page of a connection (the user's default when undefined) and how old its mirror is: one statement, since
   * it is what is read most. Null where there is no such connection.
   */
  async first(
    userId: number,
    connectionId: string | undefined,
    kind: GroupKind,
    wanted: Omit<GroupsWanted, 'after'>,
  ): Promise<FirstPage | null> {
    const found = await this.db.prepared<FirstPageRow>(
      userId,
      `SELECT c.id AS "connectionId", c.status, extract(epoch FROM s.synced_at)::float8 AS "syncedAt", ${COLUMNS}
         FROM connection AS c
         LEFT JOIN mirror_state AS s ON s.user_id = c.user_id AND s.connection_id = c.id AND s.resource = $4
         LEFT JOIN mirrored_group AS g ON g.user_id = c.user_id AND g.connection_id = c.id AND g.kind = $3
           AND g.deleted_at IS NULL AND s.synced_at IS NOT NULL AND ($5::text IS NULL OR strpos(g.folded_name, $5) > 0)
         WHERE c.user_id = $1 AND CASE WHEN $2::uuid IS NULL THEN c.is_default ELSE c.id = $2 END
         ORDER BY coalesce(g.created_at, '-infinity'), klaviyo_id COLLATE "C" LIMIT $6`,
      [userId, connectionId ?? null, kind, `${kind}s`, folded(wanted.name), wanted.limit],
    );
    const [head] = found;
    if (!head) return null;
    const { connectionId: id, status, syncedAt } = head;
    return {
      connectionId: id,
      status,
      syncedAt: syncedAt === null ? null : new Date(syncedAt * 1000),
      rows: found.filter(isGroup),
    };
  }

  /** How many there are, counted no further than `most`. */
  async count(
    userId: number,
    connectionId: string,
    kind: GroupKind,
    name: string | undefined,
    most: number,
  ): Promise<number> {
    const [counted] = await this.db.forUser(userId, (manager) =>
      query<{ count: number }>(
        manager,
        `SELECT count(*)::int AS count FROM (
           SELECT 1 FROM mirrored_group WHERE ${LIVE} AND ($4::text IS NULL OR strpos(folded_name, $4) > 0) LIMIT $5) AS n`,
        [userId, connectionId, kind, folded(name), most],
      ),
    );
    return counted?.count ?? 0;
  }

  /** Null when it is unknown or gone. */
  async one(userId: number, connectionId: string, kind: GroupKind, id: string): Promise<GroupRow | null> {
    const [row] = await this.db.forUser(userId, (manager) =>
      query<GroupRow>(manager, `SELECT ${COLUMNS} FROM mirrored_group WHERE ${LIVE} AND klaviyo_id = $4`, [
        userId,
        connectionId,
        kind,
        id,
      ]),
    );
    return row ?? null;
  }

  /** Whether the mirror ever held it, gone or not. */
  async wasSeen(userId: number, connectionId: string, kind: GroupKind, id: string): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        'SELECT 1 FROM mirrored_group WHERE user_id = $1 AND connection_id = $2 AND kind = $3 AND klaviyo_id = $4',
        [userId, connectionId, kind, id],
      ),
    );
    return rows.length > 0;
  }
}

function folded(name: string | undefined): string | null {
  return name === undefined ? null : foldName(name);
}

/** A connection without groups is one row of nulls. */
function isGroup(row: FirstPageRow): row is FirstPageRow & GroupRow {
  return row.id !== null;
}
