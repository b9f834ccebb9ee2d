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

/** Rows of `profile_tag`, each statement bound to its user. */
@Injectable()
export class ProfileTagsRepository {
  constructor(private readonly db: Db) {}

  /** Counts the tags of all mirrored people anew. Rows whose count stands are not written. */
  async recount(userId: number, connectionId: string): Promise<void> {
    const counted = await this.db.forUser(userId, (manager) =>
      queryWhole<TagCount>(
        manager,
        `SELECT tag AS name, count(*)::int AS count
         FROM mirrored_profile AS p, jsonb_array_elements_text(p.searchable->'t') AS tag
         WHERE p.user_id = $1 AND p.connection_id = $2 AND p.deleted_at IS NULL
         GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT $3`,
        [userId, connectionId, MOST_TAGS],
      ),
    );
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
