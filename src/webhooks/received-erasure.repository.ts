import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** Removes what connections that are gone received, each statement bound to its user. */
@Injectable()
export class ReceivedErasureRepository {
  constructor(private readonly db: Db) {}

  /** At most `limit` rows of each kind. @returns how many of the kind that had most */
  async erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.db.forUser(userId, async (manager) => {
      let most = 0;
      for (const table of ['received_event', 'webhook_delivery', 'profile_refresh']) {
        const [erased] = await query<{ erased: number }>(
          manager,
          `WITH gone AS (
             DELETE FROM ${table} WHERE user_id = $1 AND ctid = ANY(ARRAY(
               SELECT ctid FROM ${table} WHERE user_id = $1 AND connection_id = ANY($2) LIMIT $3))
             RETURNING 1)
           SELECT count(*)::int AS erased FROM gone`,
          [userId, connectionIds, limit],
        );
        most = Math.max(most, erased?.erased ?? 0);
      }
      return most;
    });
  }
}
