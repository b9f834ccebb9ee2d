import type { EntityManager } from 'typeorm';
import { query } from './scope';

/**
 * Removes at most `limit` rows of a user's connections, in whichever order they lie.
 * @param table one with `user_id` and `connection_id`, as written in our own code
 * @param only a further condition on its rows
 * @returns how many
 */
export async function eraseRows(
  manager: EntityManager,
  userId: number,
  table: string,
  connectionIds: readonly string[],
  limit: number,
  only = 'true',
): Promise<number> {
  const [erased] = await query<{ erased: number }>(
    manager,
    `WITH gone AS (
       DELETE FROM ${table} WHERE user_id = $1 AND ctid = ANY(ARRAY(
         SELECT ctid FROM ${table} WHERE user_id = $1 AND connection_id = ANY($2) AND ${only} LIMIT $3))
       RETURNING 1)
     SELECT count(*)::int AS erased FROM gone`,
    [userId, connectionIds, limit],
  );
  return erased?.erased ?? 0;
}
