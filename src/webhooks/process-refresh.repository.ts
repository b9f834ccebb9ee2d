import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** Events of a person come in bursts: one reading does for all of them. */
const GATHER_SECONDS = 2;

/** Rows of `profile_refresh`, each statement bound to its user. */
@Injectable()
export class ProcessRefreshRepository {
  constructor(private readonly db: Db) {}

  /** Asks for profiles to be read again; each once, however often it is asked for. */
  async want(userId: number, connectionId: string, profileIds: readonly string[]): Promise<void> {
    if (profileIds.length === 0) return;
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO profile_refresh AS r (user_id, connection_id, profile_id, next_at)
         SELECT $1, $2, id, now() + make_interval(secs => $4)
         FROM unnest($3::text[]) AS p (id) ORDER BY id COLLATE "C"
         ON CONFLICT (user_id, connection_id, profile_id) DO UPDATE SET wanted_at = now()
         WHERE r.user_id = $1`,
        [userId, connectionId, [...new Set(profileIds)], GATHER_SECONDS],
      ),
    );
  }

  /** Takes profiles that are due, for so long. What is asked for meanwhile is asked for again. */
  async take(
    userId: number,
    connectionId: string,
    limit: number,
    seconds: number,
  ): Promise<{ ids: string[]; at: Date }> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ id: string; at: Date }>(
        manager,
        `UPDATE profile_refresh SET next_at = now() + make_interval(secs => $4), attempts = attempts + 1
         WHERE user_id = $1 AND connection_id = $2 AND profile_id = ANY(ARRAY(
           SELECT profile_id FROM profile_refresh WHERE user_id = $1 AND connection_id = $2 AND next_at <= now()
           ORDER BY next_at LIMIT $3 FOR UPDATE SKIP LOCKED))
         RETURNING profile_id AS id, now() AS at`,
        [userId, connectionId, limit, seconds],
      ),
    );
    return { ids: rows.map(({ id }) => id).sort(), at: rows[0]?.at ?? new Date(0) };
  }

  /** These were read at that time; whoever was asked for since then is read once more, soon. */
  async done(userId: number, connectionId: string, ids: readonly string[], at: Date): Promise<void> {
    await this.db.forUser(userId, async (manager) => {
      const params = [userId, connectionId, ids, at];
      await query(
        manager,
        `DELETE FROM profile_refresh
         WHERE user_id = $1 AND connection_id = $2 AND profile_id = ANY($3) AND wanted_at <= $4`,
        params,
      );
      await query(
        manager,
        `UPDATE profile_refresh SET next_at = now()
         WHERE user_id = $1 AND connection_id = $2 AND profile_id = ANY($3) AND wanted_at > $4`,
        params,
      );
    });
  }

  /** Nobody of the connection is read before that. */
  async postpone(userId: number, connectionId: string, seconds: number): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE profile_refresh SET next_at = now() + make_interval(secs => $3)
         WHERE user_id = $1 AND connection_id = $2 AND next_at < now() + make_interval(secs => $3)`,
        [userId, connectionId, seconds],
      ),
    );
  }

  /** Everybody of the connection is due. */
  async wake(userId: number, connectionId: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        'UPDATE profile_refresh SET next_at = now() WHERE user_id = $1 AND connection_id = $2 AND next_at > now()',
        [userId, connectionId],
      ),
    );
  }

  /** Nobody of these connections is to be read any more. */
  async forget(userId: number, connectionIds: readonly string[]): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'DELETE FROM profile_refresh WHERE user_id = $1 AND connection_id = ANY($2)', [
        userId,
        connectionIds,
      ]),
    );
  }
}
