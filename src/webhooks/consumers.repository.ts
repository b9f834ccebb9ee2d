import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** What events name otherwise than by an id, looked up in the mirror. */
@Injectable()
export class ConsumersRepository {
  constructor(private readonly db: Db) {}

  /** Ids of lists by their names; a name that two lists share names neither. */
  async listsNamed(userId: number, connectionId: string, names: readonly string[]): Promise<Map<string, string>> {
    if (names.length === 0) return new Map();
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ name: string; id: string }>(
        manager,
        `SELECT name, min(klaviyo_id) AS id FROM mirrored_group
         WHERE user_id = $1 AND connection_id = $2 AND kind = 'list' AND deleted_at IS NULL AND name = ANY($3)
         GROUP BY name HAVING count(*) = 1`,
        [userId, connectionId, [...new Set(names)]],
      ),
    );
    return new Map(rows.map(({ name, id }) => [name, id]));
  }
}
