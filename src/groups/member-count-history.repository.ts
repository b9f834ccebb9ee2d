import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { CountSource } from './member-count-history.entity';
import type { GroupKind } from './member-count.entity';

/** A count that is worth remembering. */
export interface CountAt {
  kind: GroupKind;
  id: string;
  count: number;
  at: Date;
}

/** How many members there were at a time. */
export interface CountEntry {
  at: Date;
  memberCount: number;
  source: CountSource;
}

export interface EntriesWanted {
  from?: Date | undefined;
  to?: Date | undefined;
  /** Only older ones. */
  before?: Date | undefined;
  limit: number;
}

/** Rows of `member_count_history`, each statement bound to its user. */
@Injectable()
export class MemberCountHistoryRepository {
  constructor(private readonly db: Db) {}

  /** Remembers counts: at most one an hour where they changed, else one a day. */
  async append(userId: number, connectionId: string, source: CountSource, counts: readonly CountAt[]): Promise<void> {
    if (counts.length === 0) return;
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO member_count_history AS h
           (user_id, connection_id, kind, klaviyo_id, hour, at, member_count, source)
         SELECT $1, $2, c.kind, c.id, date_trunc('hour', c.at, 'UTC'), c.at, c.count, $3
         FROM unnest($4::text[], $5::text[], $6::integer[], $7::timestamptz[]) AS c (kind, id, count, at)
         LEFT JOIN LATERAL (
           SELECT at, member_count FROM member_count_history
           WHERE user_id = $1 AND connection_id = $2 AND kind = c.kind AND klaviyo_id = c.id
           ORDER BY hour DESC LIMIT 1) AS last ON true
         WHERE last.at IS NULL OR (last.at < c.at
           AND (last.member_count <> c.count OR last.at <= c.at - interval '1 day'))
         ORDER BY c.kind, c.id COLLATE "C"
         ON CONFLICT (user_id, connection_id, kind, klaviyo_id, hour) DO UPDATE SET
           at = EXCLUDED.at, member_count = EXCLUDED.member_count, source = EXCLUDED.source
         WHERE h.at < EXCLUDED.at`,
        [
          userId,
          connectionId,
          source,
          counts.map(({ kind }) => kind),
          counts.map(({ id }) => id),
          counts.map(({ count }) => count),
          counts.map(({ at }) => at.toISOString()),
        ],
      ),
    );
  }

  /** Newest first. */
  async entries(
    userId: number,
    connectionId: string,
    kind: GroupKind,
    id: string,
    wanted: EntriesWanted,
  ): Promise<CountEntry[]> {
    return this.db.forUser(userId, (manager) =>
      query<CountEntry>(
        manager,
        `SELECT at, member_count AS "memberCount", source FROM member_count_history
         WHERE user_id = $1 AND connection_id = $2 AND kind = $3 AND klaviyo_id = $4
           AND ($5::timestamptz IS NULL OR at >= $5) AND ($6::timestamptz IS NULL OR at < $6)
           AND ($7::timestamptz IS NULL OR at < $7)
         ORDER BY hour DESC LIMIT $8`,
        [userId, connectionId, kind, id, wanted.from ?? null, wanted.to ?? null, wanted.before ?? null, wanted.limit],
      ),
    );
  }

  /** Forgets what is older than 400 days, and of what is older than a week all but the last of each day. */
  async thin(userId: number, connectionId: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `DELETE FROM member_count_history AS h WHERE user_id = $1 AND connection_id = $2 AND
           (at < now() - interval '400 days' OR (at < now() - interval '7 days' AND EXISTS (
             SELECT 1 FROM member_count_history AS later
             WHERE later.user_id = $1 AND later.connection_id = $2 AND later.kind = h.kind
               AND later.klaviyo_id = h.klaviyo_id AND later.hour > h.hour
               AND later.hour < date_trunc('day', h.hour, 'UTC') + interval '1 day')))`,
        [userId, connectionId],
      ),
    );
  }
}
