import { Injectable } from '@nestjs/common';
import { foldName } from '../common/name-filter';
import { Db, query } from '../database/scope';
import { queryWhole } from '../database/whole';

export interface TagCount {
  name: string;
  /** People who have it. */
  count: number;
}

/** Who has more has something else than tags: those that most people have are kept. */
const MOST_TAGS = 10_000;

/** What one look at all mirrored people of a connection finds. */
export interface PeopleTally {
  /** Not marked as gone. */
  live: number;
  /** Of those, not seen since a time. */
  unseen: number;
  /** Of all who are live. */
  tags: TagCount[];
}

/** Most people have the tags of many others: they are put together before the tags are taken apart. */
const TALLY = `
  WITH alike AS MATERIALIZED (
    SELECT searchable->'t' AS tags, count(*) AS live, count(*) FILTER (WHERE synced_at < $3) AS unseen
    FROM mirrored_profile WHERE user_id = $1 AND connection_id = $2 AND deleted_at IS NULL
    GROUP BY 1
  ), counted AS (
    SELECT tag, sum(live) AS people FROM alike, jsonb_array_elements_text(tags) AS tag
    GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $4
  )
  SELECT coalesce(sum(live), 0)::float8 AS live, coalesce(sum(unseen), 0)::float8 AS unseen,
    (SELECT coalesce(jsonb_agg(jsonb_build_object('name', tag, 'count', people)), '[]') FROM counted) AS tags
  FROM alike`;

/** Rows of `profile_tag`, each statement bound to its user. */
@Injectable()
export class ProfileTagsRepository {
  constructor(private readonly db: Db) {}

  /** Counts mirrored people, and those who have each tag, in one go through them all. */
  async tally(userId: number, connectionId: string, since: Date): Promise<PeopleTally> {
    const [tally] = await this.db.inTransaction(userId, (manager) =>
      queryWhole<PeopleTally>(manager, TALLY, [userId, connectionId, since, MOST_TAGS]),
    );
    return tally ?? { live: 0, unseen: 0, tags: [] };
  }

  /** Rows whose count stands are not written. @param counted all there are */
  async save(userId: number, connectionId: string, counted: readonly TagCount[]): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `WITH counted AS MATERIALIZED (
           SELECT * FROM unnest($3::text[], $4::text[], $5::int[]) AS c (tag, folded, profiles)
         ), gone AS (
           DELETE FROM profile_tag AS t WHERE user_id = $1 AND connection_id = $2
             AND NOT EXISTS (SELECT 1 FROM counted AS c WHERE c.tag = t.tag)
         )
         INSERT INTO profile_tag AS t (user_id, connection_id, tag, folded, profiles)
         SELECT $1, $2, tag, folded, profiles FROM counted ORDER BY tag COLLATE "C"
         ON CONFLICT (user_id, connection_id, tag) DO UPDATE SET profiles = EXCLUDED.profiles
           WHERE t.profiles <> EXCLUDED.profiles`,
        [
          userId,
          connectionId,
          counted.map(({ name }) => name),
          counted.map(({ name }) => foldName(name)),
          counted.map(({ count }) => count),
        ],
      ),
    );
  }

  /** In the order of the tags. @param part of the folded tag */
  async page(
    userId: number,
    connectionId: string,
    { after, limit, part }: { after: string | undefined; limit: number; part: string | undefined },
  ): Promise<TagCount[]> {
    return this.db.forUser(userId, (manager) =>
      query<TagCount>(
        manager,
        `SELECT tag AS name, profiles AS count FROM profile_tag
         WHERE user_id = $1 AND connection_id = $2 AND tag > $3 AND strpos(folded, $4) > 0
         ORDER BY tag LIMIT $5`,
        [userId, connectionId, after ?? '', part ?? '', limit],
      ),
    );
  }
}
