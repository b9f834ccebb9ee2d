import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** Rows of `profile_tag`, each statement bound to its user. */
@Injectable()
export class ProfileTagsRepository {
  constructor(private readonly db: Db) {}

  /** Counts the tags of all mirrored people anew. Rows whose count stands are not written. */
  async recount(userId: number, connectionId: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `WITH counted AS MATERIALIZED (
           SELECT tag COLLATE "C" AS tag, count(*)::int AS profiles
           FROM mirrored_profile AS p, jsonb_array_elements_text(p.searchable->'t') AS tag
           WHERE p.user_id = $1 AND p.connection_id = $2 AND p.deleted_at IS NULL
           GROUP BY 1
         ), gone AS (
           DELETE FROM profile_tag WHERE user_id = $1 AND connection_id = $2
             AND NOT EXISTS (SELECT 1 FROM counted WHERE counted.tag = profile_tag.tag)
         )
         INSERT INTO profile_tag AS t (user_id, connection_id, tag, profiles)
         SELECT $1, $2, tag, profiles FROM counted ORDER BY tag
         ON CONFLICT (user_id, connection_id, tag) DO UPDATE SET profiles = EXCLUDED.profiles
           WHERE t.profiles <> EXCLUDED.profiles`,
        [userId, connectionId],
      ),
    );
  }
}
