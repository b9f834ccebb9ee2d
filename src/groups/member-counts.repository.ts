import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Db, query } from '../database/scope';
import type { GroupKind } from './member-count.entity';

export interface KnownCount {
  id: string;
  /** Null while it was only asked for. */
  count: number | null;
  at: Date | null;
}

/** As `known`, told whether a complete pass over the members says it well enough. */
export interface StandingCount extends KnownCount {
  /** It is no older than the last complete pass over all members, and the mirror of them is fresh. */
  standing: boolean;
}

export interface SavedCount {
  kind: GroupKind;
  id: string;
  /** Null when Klaviyo names none. */
  count: number | null;
  at: Date;
}

export interface WantedCount {
  kind: GroupKind;
  id: string;
}

/** Rows of `member_count`, each statement bound to its user. */
@Injectable()
export class MemberCountsRepository {
  constructor(private readonly db: Db) {}

  /**
   * What is known of these groups; those never seen are left out.
   * @param freshSince a mirror synchronised since then is fresh
   */
  async known(
    userId: number,
    connectionId: string,
    kind: GroupKind,
    ids: readonly string[],
    freshSince: Date,
  ): Promise<StandingCount[]> {
    return this.db.forUser(userId, (manager) =>
      query<StandingCount>(
        manager,
        `SELECT c.klaviyo_id AS id, c.member_count AS count, c.computed_at AS at,
           coalesce(c.computed_at >= s.complete_at AND s.synced_at >= $5, false) AS standing
         FROM member_count AS c LEFT JOIN mirror_state AS s
           ON s.user_id = c.user_id AND s.connection_id = c.connection_id AND s.resource = 'memberships'
         WHERE c.user_id = $1 AND c.connection_id = $2 AND c.kind = $3 AND c.klaviyo_id = ANY($4)`,
        [userId, connectionId, kind, ids, freshSince],
      ),
    );
  }

  /** A fresh count also fulfils the request for it. */
  async save(userId: number, connectionId: string, counts: readonly SavedCount[]): Promise<void> {
    if (counts.length === 0) return;
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO member_count (user_id, connection_id, kind, klaviyo_id, member_count, computed_at)
         SELECT $1, $2, kind, id, count, at
         FROM unnest($3::text[], $4::text[], $5::integer[], $6::timestamptz[]) AS c (kind, id, count, at)
         ORDER BY kind, id COLLATE "C"
         ON CONFLICT (user_id, connection_id, kind, klaviyo_id) DO UPDATE
           SET member_count = EXCLUDED.member_count, computed_at = EXCLUDED.computed_at, requested_at = NULL
           WHERE member_count.computed_at IS NULL OR member_count.computed_at <= EXCLUDED.computed_at`,
        [
          userId,
          connectionId,
          counts.map(({ kind }) => kind),
          counts.map(({ id }) => id),
          counts.map(({ count }) => count),
          counts.map(({ at }) => at.toISOString()),
        ],
      ),
    );
  }

  /** The group is gone at Klaviyo. */
  async forget(userId: number, connectionId: string, kind: GroupKind, id: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        'DELETE FROM member_count WHERE user_id = $1 AND connection_id = $2 AND kind = $3 AND klaviyo_id = $4',
        [userId, connectionId, kind, id],
      ),
    );
  }

  /**
   * Notes that newer counts are waited for.
   * @param also runs in the same transaction, e.g. to enqueue the work
   */
  async request(
    userId: number,
    connectionId: string,
    kind: GroupKind,
    ids: readonly string[],
    at: Date,
    also: (manager: EntityManager) => Promise<void>,
  ): Promise<void> {
    await this.db.inTransaction(userId, async (manager) => {
      await query(
        manager,
        `INSERT INTO member_count (user_id, connection_id, kind, klaviyo_id, requested_at)
         SELECT $1, $2, $3, id, $5 FROM unnest($4::text[]) AS id ORDER BY id
         ON CONFLICT (user_id, connection_id, kind, klaviyo_id) DO UPDATE SET requested_at = EXCLUDED.requested_at`,
        [userId, connectionId, kind, [...new Set(ids)], at],
      );
      await also(manager);
    });
  }

  /** The next count to ask for: never known first, then the oldest. Null when nothing waits. */
  async nextWanted(userId: number, connectionId: string, except: readonly string[]): Promise<WantedCount | null> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<WantedCount>(
        manager,
        `SELECT kind, klaviyo_id AS id FROM member_count
         WHERE user_id = $1 AND connection_id = $2 AND requested_at IS NOT NULL
           AND NOT (kind || ':' || klaviyo_id = ANY($3))
         ORDER BY computed_at NULLS FIRST, kind, klaviyo_id LIMIT 1`,
        [userId, connectionId, except],
      ),
    );
    return rows[0] ?? null;
  }

  /** Gives up waiting: for everything, for one kind, or for what was asked for before a time. */
  async withdraw(userId: number, connectionId: string, which: { kind?: GroupKind; before?: Date } = {}): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE member_count SET requested_at = NULL
         WHERE user_id = $1 AND connection_id = $2 AND requested_at IS NOT NULL
           AND ($3::text IS NULL OR kind = $3) AND ($4::timestamptz IS NULL OR requested_at < $4)`,
        [userId, connectionId, which.kind ?? null, which.before ?? null],
      ),
    );
  }
}
