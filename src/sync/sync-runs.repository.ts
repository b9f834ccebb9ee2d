import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { Resource } from '../mirror/resources';
import type { LogRow, SyncRow } from './sync-row';

/** The columns of a run as `SyncRow` has them; `r` is the run. */
const RUN = `r.id, r.connection_id AS "connectionId", r.mode, r.status, r.trigger, r.resources AS wanted,
  r.created_at AS "createdAt", r.started_at AS "startedAt", r.finished_at AS "finishedAt",
  r.floor_seconds AS "floorSeconds", r.error_code AS "errorCode", r.estimate,
  coalesce((
    SELECT jsonb_agg(jsonb_build_object('resource', s.resource, 'status', s.status, 'fetched', s.fetched,
      'upserted', s.upserted, 'deleted', s.deleted, 'pages', s.pages, 'requests', s.requests,
      'throttled', s.throttled, 'waitedMs', s.waited_ms, 'covered', s.covered, 'errorCode', s.error_code,
      'expectedRows', coalesce(s.expected_rows, CASE WHEN r.mode = 'full' AND s.status = 'pending' THEN m.live_rows END)))
    FROM sync_resource s
    LEFT JOIN mirror_state m ON m.user_id = r.user_id AND m.connection_id = r.connection_id AND m.resource = s.resource
    WHERE s.user_id = r.user_id AND s.sync_id = r.id), '[]'::jsonb) AS resources`;

export interface LogFilter {
  resource?: Resource;
  /** Only rows beyond this one, in the order asked for. */
  beyond?: string;
  order: 'newest' | 'oldest';
  limit: number;
}

const COUNT_LIMIT = 10_000;

/** How runs are looked at and cancelled; each statement bound to its user. */
@Injectable()
export class SyncRunsRepository {
  constructor(private readonly db: Db) {}

  /** @param connectionId null: of whichever connection of the user */
  async one(userId: number, connectionId: string | null, id: string): Promise<SyncRow | null> {
    const rows = await this.db.prepared<SyncRow>(
      userId,
      `SELECT ${RUN} FROM sync_run r
       WHERE r.user_id = $1 AND r.id = $3 AND ($2::uuid IS NULL OR r.connection_id = $2)`,
      [userId, connectionId, id],
    );
    return rows[0] ?? null;
  }

  /** Newest first. */
  async newest(userId: number, connectionId: string, limit: number): Promise<SyncRow[]> {
    return this.db.prepared<SyncRow>(
      userId,
      `SELECT ${RUN} FROM sync_run r WHERE r.user_id = $1 AND r.connection_id = $2
       ORDER BY r.created_at DESC, r.id DESC LIMIT $3`,
      [userId, connectionId, limit],
    );
  }

  /** When a run last ended with everything that it was to read; null where none has. */
  async lastSuccessAt(userId: number, connectionId: string): Promise<Date | null> {
    const rows = await this.db.prepared<{ at: Date | null }>(
      userId,
      `SELECT max(finished_at) AS at FROM sync_run
       WHERE user_id = $1 AND connection_id = $2 AND status = 'succeeded'`,
      [userId, connectionId],
    );
    return rows[0]?.at ?? null;
  }

  /**
   * A run that waits is over at once; one that runs is asked to end, which whoever works on it sees within a page.
   * @returns whether it had not ended yet
   */
  async cancel(userId: number, connectionId: string, id: string): Promise<boolean> {
    const rows = await this.run(
      userId,
      `UPDATE sync_run SET cancel_requested_at = coalesce(cancel_requested_at, now()),
         finished_at = CASE WHEN status = 'queued' THEN now() END,
         status = CASE WHEN status = 'queued' THEN 'cancelled' ELSE status END
       WHERE user_id = $1 AND connection_id = $2 AND id = $3 AND status IN ('queued', 'running')
       RETURNING id`,
      [userId, connectionId, id],
    );
    return rows.length > 0;
  }

  /** The pages that a run wrote, in the order in which they were written or the other way round. */
  async logs(userId: number, id: string, filter: LogFilter): Promise<LogRow[]> {
    const [order, beyond] = filter.order === 'newest' ? ['DESC', '<'] : ['ASC', '>'];
    return this.run<LogRow>(
      userId,
      `SELECT n::text AS n, at, resource, part, window_no AS "window", rows, upserted, quarantined, ms, waited_ms AS "waitedMs"
       FROM sync_page
       WHERE user_id = $1 AND sync_id = $2 AND ($3::text IS NULL OR resource = $3)
         AND ($4::bigint IS NULL OR n ${beyond} $4)
       ORDER BY n ${order} LIMIT $5`,
      [userId, id, filter.resource ?? null, filter.beyond ?? null, filter.limit],
    );
  }

  /** @returns all of them; undefined above 10,000 */
  async countLogs(userId: number, id: string, resource: Resource | undefined): Promise<number | undefined> {
    const rows = await this.run<{ total: number }>(
      userId,
      `SELECT count(*)::int AS total FROM (
         SELECT 1 FROM sync_page WHERE user_id = $1 AND sync_id = $2 AND ($3::text IS NULL OR resource = $3)
         LIMIT $4) AS counted`,
      [userId, id, resource ?? null, COUNT_LIMIT + 1],
    );
    const total = rows[0]?.total ?? 0;
    return total > COUNT_LIMIT ? undefined : total;
  }

  private run<T>(userId: number, sql: string, params: readonly unknown[]): Promise<T[]> {
    return this.db.forUser(userId, (manager) => query<T>(manager, sql, params));
  }
}
