import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import { tenantsIn } from '../database/tenants';

/** Connections with such rows, found by walking from one to the next by an index: what they have does not count. */
export const tenantsOf = (which: string): string => tenantsIn('event_forward', which);

/** Statements that remove what was passed on, of all users. */
@Injectable()
export class ForwardRetentionSystemRepository {
  constructor(private readonly db: Db) {}

  /**
   * Removes what was planned longer ago than that, at most `limit`.
   * @param waiting whether also what still waits: nobody will pass it on
   * @returns how many
   */
  async removeOld(olderThanDays: number, limit: number, waiting: boolean): Promise<number> {
    const where = `planned_at < now() - make_interval(days => $1) AND (status <> 'waiting' OR $3) LIMIT $2`;
    return this.removed(where, [olderThanDays, limit, waiting]);
  }

  /** Removes, at most `limit`, what belongs to connections that are gone. @returns these connections */
  async removeOrphans(limit: number): Promise<string[]> {
    const gone = await this.db.system((manager) =>
      query<{ userId: string; connectionId: string }>(
        manager,
        `WITH RECURSIVE ${tenantsOf('true')}
         SELECT user_id AS "userId", connection_id AS "connectionId" FROM tenant t
         WHERE NOT EXISTS (SELECT 1 FROM connection c WHERE c.user_id = t.user_id AND c.id = t.connection_id)`,
      ),
    );
    let removed = 0;
    for (const { userId, connectionId } of gone) {
      const where = 'user_id = $1 AND connection_id = $2 LIMIT $3';
      if (removed < limit) removed += await this.removed(where, [userId, connectionId, limit - removed]);
    }
    return gone.map(({ connectionId }) => connectionId);
  }

  private async removed(where: string, params: readonly unknown[]): Promise<number> {
    const rows = await this.db.system((manager) =>
      query(
        manager,
        `DELETE FROM event_forward WHERE ctid = ANY(ARRAY(SELECT ctid FROM event_forward WHERE ${where})) RETURNING 1`,
        params,
      ),
    );
    return rows.length;
  }
}
