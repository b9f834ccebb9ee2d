import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { Resource } from '../mirror/resources';
import type { RunStatus } from './sync-run.entity';
import { minutesOf, nextRun, soon } from './sync-slots';

export interface Tenant {
  userId: number;
  connectionId: string;
}

/** How a connection's runs went. */
export interface Standing extends Tenant {
  /** Of the last run that ended by itself; null where none has. */
  status: RunStatus | null;
  syncId: string | null;
  /** Codes of that run and of its resources. */
  codes: string[];
  /** Whether it should have been synchronised by now, and was not. */
  overdue: boolean;
}

/** How old the mirror of a resource is, over all connections. */
export interface Lag {
  resource: Resource;
  /** Seconds, of the oldest. */
  worst: number;
  /** Connections whose mirror is older than it should be. */
  late: number;
  rows: number;
}

/** Connections made longer ago than that do not all begin in the minute in which schedules come to be. */
const NEW_FOR = '1 hour';
/** A run that is still at work after that is as good as none. */
const LONGEST_RUN = '1 day';
/** Of the runs of a connection, how many stay whatever their age. */
const KEPT_RUNS = 20;

/** What is looked after for all users: schedules that are due, how runs went, what is old. */
@Injectable()
export class SyncSystemRepository {
  constructor(private readonly db: Db) {}

  /** A schedule for each connection that has none. @param standard minutes of the service's interval, above 0 */
  async scheduleAll(standard: number): Promise<void> {
    await this.run(
      `INSERT INTO sync_schedule (user_id, connection_id, next_run_at)
       SELECT c.user_id, c.id, CASE WHEN c.connected_at > now() - interval '${NEW_FOR}'
         THEN ${soon('c.id', 'c.connected_at')} ELSE ${nextRun('c.id', '$1::integer')} END
       FROM connection c
       WHERE NOT EXISTS (SELECT 1 FROM sync_schedule s WHERE s.user_id = c.user_id AND s.connection_id = c.id)
       FOR KEY SHARE OF c SKIP LOCKED
       ON CONFLICT DO NOTHING`,
      [standard],
    );
  }

  /** Connections whose next run is due, the longest due first. */
  async due(standard: number, limit: number): Promise<Tenant[]> {
    return this.run<Tenant>(
      `SELECT s.user_id::float8 AS "userId", s.connection_id AS "connectionId"
       FROM sync_schedule s JOIN connection c ON c.user_id = s.user_id AND c.id = s.connection_id
       WHERE s.enabled AND s.next_run_at <= now() AND ${minutesOf('$1')} > 0 AND c.status = 'active'
       ORDER BY s.next_run_at LIMIT $2`,
      [standard, limit],
    );
  }

  /** Connections that are gone and whose mirror is still here. */
  async erasures(limit: number): Promise<Tenant[]> {
    return this.run<Tenant>(
      `SELECT user_id::float8 AS "userId", connection_id AS "connectionId" FROM mirror_erasure
       WHERE requested_at < now() - interval '5 minutes' ORDER BY requested_at LIMIT $1`,
      [limit],
    );
  }

  /**
   * How the runs of every connection stand. Overdue: it is to be synchronised by itself, and for two intervals and an
   * hour no run brought anything (nor is one at work on it, unless for a day).
   */
  async standings(standard: number): Promise<Standing[]> {
    return this.run<Standing>(
      `SELECT c.user_id::float8 AS "userId", c.id AS "connectionId", last.status, last.id AS "syncId",
         coalesce(last.codes, '{}') AS codes,
         coalesce(s.enabled AND c.status = 'active' AND ${minutesOf('$1')} > 0
           AND greatest(s.since, good.at) < now() - make_interval(mins => 2 * ${minutesOf('$1')} + 60)
           AND NOT EXISTS (SELECT 1 FROM sync_run r WHERE r.user_id = c.user_id AND r.connection_id = c.id
             AND r.status = 'running' AND r.leased_until > now()
             AND r.started_at > now() - interval '${LONGEST_RUN}'), false) AS overdue
       FROM connection c
       LEFT JOIN sync_schedule s ON s.user_id = c.user_id AND s.connection_id = c.id
       LEFT JOIN LATERAL (
         SELECT r.id, r.status, ARRAY(
           SELECT DISTINCT code FROM (SELECT r.error_code AS code UNION ALL SELECT f.error_code FROM sync_resource f
             WHERE f.user_id = r.user_id AND f.sync_id = r.id) AS every WHERE code IS NOT NULL ORDER BY code) AS codes
         FROM sync_run r
         WHERE r.user_id = c.user_id AND r.connection_id = c.id AND r.status IN ('succeeded', 'partial', 'failed')
         ORDER BY r.created_at DESC LIMIT 1) last ON true
       LEFT JOIN LATERAL (
         SELECT r.finished_at AS at FROM sync_run r
         WHERE r.user_id = c.user_id AND r.connection_id = c.id AND r.status IN ('succeeded', 'partial')
         ORDER BY r.created_at DESC LIMIT 1) good ON true`,
      [standard],
    );
  }

  /** @param lateAfter seconds */
  async lags(lateAfter: number): Promise<Lag[]> {
    return this.run<Lag>(
      `SELECT m.resource, max(extract(epoch FROM now() - m.synced_at))::float8 AS worst,
         count(*) FILTER (WHERE m.synced_at < now() - make_interval(secs => $1))::int AS late,
         sum(m.live_rows)::float8 AS rows
       FROM mirror_state m JOIN connection c ON c.user_id = m.user_id AND c.id = m.connection_id
       GROUP BY m.resource`,
      [lateAfter],
    );
  }

  /** Runs that wait and that run. */
  async open(): Promise<{ status: RunStatus; runs: number }[]> {
    return this.run(
      `SELECT status, count(*)::int AS runs FROM sync_run WHERE status IN ('queued', 'running') GROUP BY status`,
      [],
    );
  }

  /**
   * The log, or the windows, of runs that ended longer ago than that (and not much longer: what was missed then goes with
   * its run), at most `limit` rows. @returns how many were removed
   */
  async removeOf(what: 'sync_page' | 'sync_window', olderThanDays: number, limit: number): Promise<number> {
    const rows = await this.run(
      `DELETE FROM ${what} WHERE ctid = ANY (ARRAY(
         SELECT q.ctid FROM sync_run r JOIN ${what} q ON q.user_id = r.user_id AND q.sync_id = r.id
         WHERE r.finished_at < now() - make_interval(days => $1)
           AND r.finished_at > now() - make_interval(days => $1 + 7)
         LIMIT $2)) RETURNING 1`,
      [olderThanDays, limit],
    );
    return rows.length;
  }

  /** Runs that ended longer ago than that, but for the newest of each connection. @returns how many were removed */
  async removeRuns(olderThanDays: number, limit: number): Promise<number> {
    const rows = await this.run(
      `DELETE FROM sync_run r USING (
         SELECT user_id, id FROM (
           SELECT user_id, id, finished_at,
             row_number() OVER (PARTITION BY user_id, connection_id ORDER BY created_at DESC) AS place
           FROM sync_run) ranked
         WHERE place > ${String(KEPT_RUNS)} AND finished_at < now() - make_interval(days => $1) LIMIT $2) old
       WHERE r.user_id = old.user_id AND r.id = old.id RETURNING 1`,
      [olderThanDays, limit],
    );
    return rows.length;
  }

  /** Streams of processes that died. */
  async removeSlots(): Promise<void> {
    await this.run(`DELETE FROM sync_stream_slot WHERE leased_until < now()`, []);
  }

  private run<T>(sql: string, params: readonly unknown[]): Promise<T[]> {
    return this.db.system((manager) => query<T>(manager, sql, params));
  }
}
