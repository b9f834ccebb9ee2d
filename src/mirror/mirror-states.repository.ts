import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { Resource } from './resources';

/** How far the mirror of a resource has come; see `MirrorState`. */
export interface StateOf {
  resource: Resource;
  completeAt: Date;
  syncedAt: Date;
  highWater: Date | null;
  reconciledAt: Date | null;
  liveRows: number;
  doubtedRows: number | null;
}

/** Rows of `mirror_state`, each statement bound to its user. */
@Injectable()
export class MirrorStatesRepository {
  constructor(private readonly db: Db) {}

  /** Of the resources that have been mirrored completely at least once. */
  async of(userId: number, connectionId: string): Promise<Map<Resource, StateOf>> {
    const rows = await this.db.prepared<StateOf>(
      userId,
      `SELECT resource, complete_at AS "completeAt", synced_at AS "syncedAt", high_water AS "highWater",
           reconciled_at AS "reconciledAt", live_rows::float8 AS "liveRows", doubted_rows::float8 AS "doubtedRows"
         FROM mirror_state WHERE user_id = $1 AND connection_id = $2`,
      [userId, connectionId],
    );
    return new Map(rows.map((row) => [row.resource, row]));
  }

  /** Makes what a pass wrote known to the planner, before anybody is led to read it. */
  async analyse(userId: number): Promise<void> {
    await this.db.forUser(userId, (manager) => query(manager, 'SELECT refresh_mirror_statistics()'));
  }

  /** A pass ended. Times never go back. */
  async save(userId: number, connectionId: string, state: StateOf): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO mirror_state AS s (user_id, connection_id, resource, complete_at, synced_at, high_water,
           reconciled_at, live_rows, doubted_rows)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (user_id, connection_id, resource) DO UPDATE SET
           complete_at = GREATEST(s.complete_at, EXCLUDED.complete_at),
           synced_at = GREATEST(s.synced_at, EXCLUDED.synced_at),
           high_water = GREATEST(s.high_water, EXCLUDED.high_water),
           reconciled_at = GREATEST(s.reconciled_at, EXCLUDED.reconciled_at),
           live_rows = EXCLUDED.live_rows, doubted_rows = EXCLUDED.doubted_rows`,
        [
          userId,
          connectionId,
          state.resource,
          state.completeAt,
          state.syncedAt,
          state.highWater,
          state.reconciledAt,
          state.liveRows,
          state.doubtedRows,
        ],
      ),
    );
  }

  async remove(userId: number, connectionIds: readonly string[]): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'DELETE FROM mirror_state WHERE user_id = $1 AND connection_id = ANY($2)', [
        userId,
        connectionIds,
      ]),
    );
  }
}
