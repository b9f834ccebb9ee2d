import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { PassKind } from '../mirror/resources';
import { fullAfter, minutesOf, nextRun, runAfter, soon } from './sync-slots';

/** When a connection is synchronised by itself. */
export interface Schedule {
  connectionId: string;
  enabled: boolean;
  /** Those in force; null where there are none. */
  intervalMinutes: number | null;
  /** Null where no run begins by itself: turned off, or the key is refused. */
  nextRunAt: Date | null;
}

export interface ScheduleChange {
  enabled?: boolean;
  /** Null: the service's own. */
  intervalMinutes?: number | null;
}

const VIEW = `SELECT c.id AS "connectionId", f.enabled, nullif(f.minutes, 0) AS "intervalMinutes",
    CASE WHEN f.enabled AND f.minutes > 0 AND c.status = 'active' THEN greatest(now(), f.next_run_at) END AS "nextRunAt"
  FROM connection c
  LEFT JOIN sync_schedule s ON s.user_id = c.user_id AND s.connection_id = c.id
  CROSS JOIN LATERAL (SELECT coalesce(s.enabled, $3::integer > 0) AS enabled, ${minutesOf('$3')} AS minutes,
    coalesce(s.next_run_at, ${soon('c.id', 'c.connected_at')}) AS next_run_at) f
  WHERE c.user_id = $1 AND c.id = $2`;

/** Rows of `sync_schedule`, each statement bound to its user. `standard`: minutes of the service's own interval, 0: off. */
@Injectable()
export class SyncSchedulesRepository {
  constructor(private readonly db: Db) {}

  /** A connection that has no row yet gets one within a minute: it is shown as if it had. */
  async of(userId: number, connectionId: string, standard: number): Promise<Schedule | null> {
    const rows = await this.db.prepared<Schedule>(userId, VIEW, [userId, connectionId, standard]);
    return rows[0] ?? null;
  }

  /** What is not named stays. A new interval, or turning it on, sets the next run anew. */
  async change(userId: number, connectionId: string, change: ScheduleChange, standard: number): Promise<void> {
    const { enabled = null, intervalMinutes } = change;
    const minutes = `coalesce(CASE WHEN $4 THEN $5::integer ELSE s.interval_minutes END, $6::integer)`;
    const turnedOn = `(coalesce($3::boolean, false) AND NOT s.enabled)`;
    await this.run(
      userId,
      `INSERT INTO sync_schedule AS s (user_id, connection_id, enabled, interval_minutes, next_run_at)
       SELECT c.user_id, c.id, coalesce($3::boolean, true), $5::integer, ${soon('c.id', 'now()')}
       FROM connection c WHERE c.user_id = $1 AND c.id = $2 FOR KEY SHARE
       ON CONFLICT (user_id, connection_id) DO UPDATE SET
         enabled = coalesce($3::boolean, s.enabled),
         interval_minutes = CASE WHEN $4 THEN $5::integer ELSE s.interval_minutes END,
         since = CASE WHEN ${turnedOn} THEN now() ELSE s.since END,
         next_run_at = CASE
           WHEN NOT ${turnedOn} AND ${minutes} = ${minutesOf('$6')} THEN s.next_run_at
           WHEN s.next_full_at IS NULL THEN least(s.next_run_at, ${soon('s.connection_id', 'now()')})
           ELSE ${nextRun('s.connection_id', `greatest(1, ${minutes})`)} END
       WHERE s.user_id = $1`,
      [userId, connectionId, enabled, intervalMinutes !== undefined, intervalMinutes ?? null, standard],
    );
  }

  /**
   * Takes the run that is due now and sets the next one. Two replicas at once: one gets it.
   * @returns how it is to be read; undefined where none is due, or another has it
   */
  async claim(userId: number, connectionId: string, standard: number): Promise<PassKind | undefined> {
    const rows = await this.run<{ full: boolean }>(
      userId,
      `UPDATE sync_schedule t
       SET next_run_at = ${runAfter('due.connection_id', 'due.minutes')},
         next_full_at = CASE WHEN due.whole THEN ${fullAfter('due.connection_id')} ELSE t.next_full_at END
       FROM (SELECT s.user_id, s.connection_id, ${minutesOf('$3')} AS minutes,
               s.next_full_at IS NULL OR s.next_full_at <= now() AS whole
             FROM sync_schedule s JOIN connection c ON c.user_id = s.user_id AND c.id = s.connection_id
             WHERE s.user_id = $1 AND s.connection_id = $2 AND s.enabled AND s.next_run_at <= now()
               AND ${minutesOf('$3')} > 0 AND c.status = 'active'
             FOR UPDATE OF s SKIP LOCKED) due
       WHERE t.user_id = due.user_id AND t.connection_id = due.connection_id
       RETURNING due.whole AS full`,
      [userId, connectionId, standard],
    );
    const [row] = rows;
    return row && (row.full ? 'full' : 'incremental');
  }

  /** The key is good again: what was missed is not waited for. */
  async hasten(userId: number, connectionId: string): Promise<void> {
    await this.run(
      userId,
      `UPDATE sync_schedule SET next_run_at = least(next_run_at, ${soon('connection_id', 'now()')})
       WHERE user_id = $1 AND connection_id = $2`,
      [userId, connectionId],
    );
  }

  private run<T>(userId: number, sql: string, params: readonly unknown[]): Promise<T[]> {
    return this.db.forUser(userId, (manager) => query<T>(manager, sql, params));
  }
}
