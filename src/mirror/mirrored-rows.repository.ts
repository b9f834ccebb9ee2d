import { eraseRows } from '../database/erase';
import { query, type Db } from '../database/scope';
import { queryWhole } from '../database/whole';

/** How many rows are not marked as gone, and how many of those a pass did not see. */
export interface Unseen {
  live: number;
  unseen: number;
}

/** What one chunk marked. */
export interface Swept {
  swept: number;
  /** The last id of the chunk; null where nothing was marked. */
  last: string | null;
}

/** What tells one mirrored table from another; written in our own code, never by a caller. */
export interface MirroredTable {
  table: string;
  /** A further condition that tells which rows are meant. */
  only?: string;
  /** Whether its rows say when they last changed. */
  hasChangedAt?: boolean;
}

/**
 * What the end of a pass and the end of a connection do with a mirrored table, each statement bound to its user. For
 * tables whose rows have a `klaviyo_id`, the `synced_at` of the pass that saw them, and `deleted_at` once they are gone.
 */
export class MirroredRows {
  private readonly only: string;
  private readonly counting: string;
  private readonly sweeping: string;

  constructor(
    protected readonly db: Db,
    private readonly of: MirroredTable,
  ) {
    const { table, only = 'true', hasChangedAt = false } = of;
    const unseen = 'deleted_at IS NULL AND synced_at < $3';
    this.only = only;
    this.counting = `
      SELECT count(*)::float8 AS live, count(*) FILTER (WHERE synced_at < $3)::float8 AS unseen
      FROM ${table} WHERE user_id = $1 AND connection_id = $2 AND ${only} AND deleted_at IS NULL`;
    // Asked again of each row as it is marked: somebody may have seen it since it was chosen.
    this.sweeping = `
      WITH gone AS (
        UPDATE ${table} SET deleted_at = now()${hasChangedAt ? ', changed_at = now()' : ''}
        WHERE user_id = $1 AND connection_id = $2 AND ${only} AND klaviyo_id = ANY(ARRAY(
          SELECT klaviyo_id FROM ${table}
          WHERE user_id = $1 AND connection_id = $2 AND ${only} AND klaviyo_id > $4 AND ${unseen}
          ORDER BY klaviyo_id LIMIT $5))
          AND ${unseen}
        RETURNING klaviyo_id)
      SELECT count(*)::int AS swept, max(klaviyo_id) AS last FROM gone`;
  }

  async unseen(userId: number, connectionId: string, since: Date): Promise<Unseen> {
    const [counted] = await this.db.inTransaction(userId, (manager) =>
      queryWhole<Unseen>(manager, this.counting, [userId, connectionId, since]),
    );
    return counted ?? { live: 0, unseen: 0 };
  }

  /**
   * Marks rows that were not seen since a time as gone, in the order of their ids.
   * @param after an id: where the chunk before ended; empty for the first
   */
  async sweep(userId: number, connectionId: string, since: Date, after: string, limit: number): Promise<Swept> {
    const [swept] = await this.db.forUser(userId, (manager) =>
      query<Swept>(manager, this.sweeping, [userId, connectionId, since, after, limit]),
    );
    return swept ?? { swept: 0, last: null };
  }

  /** Removes rows of connections that are gone. @returns how many */
  async erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.db.forUser(userId, (manager) =>
      eraseRows(manager, userId, this.of.table, connectionIds, limit, this.only),
    );
  }
}
