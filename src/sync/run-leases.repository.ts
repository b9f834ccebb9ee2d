import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { DatabaseError } from '../database/errors';
import type { FlownStatement } from '../database/line';
import { Db, query } from '../database/scope';
import type { PassKind, Resource } from '../mirror/resources';
import { LeaseLost, REFUSE_LEASE } from './sync-faults';
import type { RunStatus } from './sync-run.entity';

/** A run that this worker has. */
export interface HeldRun {
  userId: number;
  id: string;
  connectionId: string;
  mode: PassKind;
  resources: Resource[];
  /** Which nobody else knows. */
  lease: string;
}

/** A worker that falls silent for so long has lost the run. */
export const LEASE_SECONDS = 30;
/** A worker that was stopped within a transaction holds rows: PostgreSQL ends it after so long. */
const STOPPED_MS = 15_000;
const UNIQUE_VIOLATION = '23505';

/** For the transaction alone. */
const BOUNDS = `set_config('idle_in_transaction_session_timeout', '${STOPPED_MS}', true)`;
const BOUNDS_AND_SOON = `${BOUNDS}, set_config('synchronous_commit', 'off', true)`;
const HELD = `
  WITH c AS MATERIALIZED (SELECT 1 FROM connection WHERE user_id = $1 AND id = $4 FOR KEY SHARE),
  held AS MATERIALIZED (
    SELECT r.cancel_requested_at IS NOT NULL AS cancelled FROM sync_run r CROSS JOIN c
    WHERE r.user_id = $1 AND r.id = $2 AND r.lease = $3 AND r.status = 'running' FOR SHARE OF r)`;

function holding(userId: number, { id, lease, connectionId }: HeldRun): unknown[] {
  return [userId, id, lease, connectionId];
}

/** Who works on a run: leases by the database's clock, each statement bound to its user. */
@Injectable()
export class RunLeasesRepository {
  constructor(private readonly db: Db) {}

  /**
   * Takes a run that nobody works on. One that waits begins, unless another of its connection is still running.
   * @returns undefined when it is not to be had now
   */
  async claim(userId: number, id: string, lease: string): Promise<HeldRun | undefined> {
    try {
      return await this.db.inTransaction(userId, async (manager) => {
        const rows = await query<Omit<HeldRun, 'userId' | 'lease'>>(
          manager,
          `UPDATE sync_run r SET status = 'running', started_at = coalesce(r.started_at, clock_timestamp()),
             lease = $3, leased_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS})
           FROM (
             SELECT user_id, id FROM sync_run WHERE user_id = $1 AND id = $2 FOR UPDATE SKIP LOCKED
           ) free
           WHERE r.user_id = $1 AND r.id = free.id AND (
             (r.status = 'running' AND (r.lease IS NULL OR r.leased_until < clock_timestamp()))
             OR (r.status = 'queued' AND NOT EXISTS (
               SELECT 1 FROM sync_run o
               WHERE o.user_id = $1 AND o.connection_id = r.connection_id AND o.status = 'running')))
           RETURNING r.id, r.connection_id AS "connectionId", r.mode, r.resources`,
          [userId, id, lease],
        );
        const [run] = rows;
        if (!run) return undefined;
        await query(
          manager,
          `INSERT INTO sync_resource (user_id, sync_id, resource) SELECT $1, $2, unnest($3::text[])
           ON CONFLICT DO NOTHING`,
          [userId, id, run.resources],
        );
        return { ...run, userId, lease };
      });
    } catch (error) {
      // Another run of the connection began at the same moment.
      if (error instanceof DatabaseError && error.sqlState === UNIQUE_VIOLATION) return undefined;
      throw error;
    }
  }

  /** Whether nobody works on a run that is under way. */
  async isStranded(userId: number, id: string): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `SELECT 1 FROM sync_run WHERE user_id = $1 AND id = $2 AND status = 'running'
           AND (lease IS NULL OR leased_until < clock_timestamp())`,
        [userId, id],
      ),
    );
    return rows.length > 0;
  }

  /** @returns whether somebody asked the run to end. @throws LeaseLost */
  async renew(userId: number, { id, lease }: HeldRun): Promise<boolean> {
    return this.only(
      await this.db.forUser(userId, (manager) =>
        query<{ cancelled: boolean }>(
          manager,
          `UPDATE sync_run SET leased_until = clock_timestamp() + make_interval(secs => ${LEASE_SECONDS})
           WHERE user_id = $1 AND id = $2 AND lease = $3 AND status = 'running'
           RETURNING cancel_requested_at IS NOT NULL AS cancelled`,
          [userId, id, lease],
        ),
      ),
    ).cancelled;
  }

  /**
   * Makes sure, inside a transaction, that the run is ours until its end: nobody takes it and no disconnection removes it
   * meanwhile. The connection is held first, as a disconnection holds it.
   * @param commit `soon`: nobody waits until the disk has the commit. PostgreSQL dying within the next second may then
   * undo it, whole and together with all that came after it: fit for pages, which are asked for again from where they stand
   * @returns whether somebody asked the run to end. @throws LeaseLost
   */
  async hold(userId: number, run: HeldRun, commit: 'durable' | 'soon' = 'durable'): Promise<boolean> {
    const sql = `${HELD} SELECT cancelled, ${commit === 'soon' ? BOUNDS_AND_SOON : BOUNDS} FROM held`;
    return this.only(await this.db.prepared<{ cancelled: boolean }>(userId, sql, holding(userId, run))).cancelled;
  }

  /**
   * The same for a transaction that is sent at once, whose commit comes `soon`: statements before and behind its pages. The
   * run is held behind them, for one that is held by one transaction after the other could not be renewed. The last one
   * answers with one row, `cancelled`, or fails; see `faultOf`.
   */
  around(userId: number, run: HeldRun, pages: readonly FlownStatement[]): FlownStatement[] {
    return [
      { sql: `SELECT ${BOUNDS_AND_SOON}`, params: [] },
      ...pages,
      {
        sql: `${HELD} SELECT CASE WHEN EXISTS (SELECT FROM held) THEN (SELECT cancelled FROM held) ELSE ${REFUSE_LEASE} END
          AS cancelled`,
        params: holding(userId, run),
      },
    ];
  }

  /** Gives the run back, to be gone on with by whoever comes. @param also runs in the same transaction. @throws LeaseLost */
  async handBack(userId: number, run: HeldRun, also: (manager: EntityManager) => Promise<void>): Promise<void> {
    await this.db.inTransaction(userId, async (manager) => {
      await this.hold(userId, run);
      await also(manager);
      await query(
        manager,
        'UPDATE sync_run SET lease = NULL, leased_until = NULL WHERE user_id = $1 AND id = $2 AND lease = $3',
        [userId, run.id, run.lease],
      );
    });
  }

  /**
   * Ends the run for good.
   * @param how runs in the same transaction, and says how it ends
   * @param also runs in the same transaction, with the run of the connection that waits for this end, if any
   * @throws LeaseLost
   */
  async end(
    userId: number,
    run: HeldRun,
    how: () => Promise<{ status: RunStatus; errorCode: string | null; floorSeconds: number }>,
    also: (waiting: string | undefined, manager: EntityManager) => Promise<void>,
  ): Promise<void> {
    await this.db.inTransaction(userId, async (manager) => {
      await this.hold(userId, run);
      const end = await how();
      await query(
        manager,
        `UPDATE sync_run SET status = $4, error_code = $5, floor_seconds = $6, finished_at = clock_timestamp(),
           lease = NULL, leased_until = NULL
         WHERE user_id = $1 AND id = $2 AND lease = $3`,
        [userId, run.id, run.lease, end.status, end.errorCode, end.floorSeconds],
      );
      const [waiting] = await query<{ id: string }>(
        manager,
        `SELECT id FROM sync_run WHERE user_id = $1 AND connection_id = $2 AND status = 'queued'`,
        [userId, run.connectionId],
      );
      await also(waiting?.id, manager);
    });
  }

  private only<T>(rows: readonly T[]): T {
    const [row] = rows;
    if (!row) throw new LeaseLost();
    return row;
  }
}
