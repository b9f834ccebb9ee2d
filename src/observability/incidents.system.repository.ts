import { Injectable } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { Db, query } from '../database/scope';

export type Severity = 'warning' | 'error' | 'critical';

/** Something that operators should know of, until it is over. */
export interface Incident {
  /** What programs go by, e.g. `connection.key_refused`. */
  type: string;
  /** One incident at a time for each. */
  key: string;
  severity: Severity;
  userId?: number;
  connectionId?: string;
  /** A sentence for people. Never personal data, never a secret. */
  summary: string;
}

/** An incident of which something is to be told, leased to this process. */
export interface DueIncident {
  id: string;
  type: string;
  severity: Severity;
  userId: number | null;
  connectionId: string | null;
  summary: string;
  since: Date;
  resolvedAt: Date | null;
  attempts: number;
}

const KEEP_DAYS = 90;

/** Incidents, remembered in the database so that two replicas tell of each once, and a restart forgets none. */
@Injectable()
export class IncidentsSystemRepository {
  constructor(private readonly db: Db) {}

  /**
   * An incident whose end nobody was told of yet goes on as if it had not ended.
   * @returns false where it is known already
   */
  async open(incident: Incident): Promise<boolean> {
    const { key, type, severity, userId = null, connectionId = null, summary } = incident;
    const goesOn = await this.run(
      `UPDATE alert_incident SET resolved_at = NULL, next_attempt_at = CASE WHEN told_at IS NULL THEN now() END
       WHERE key = $1 AND resolved_at IS NOT NULL AND next_attempt_at > now() AND lease IS NULL AND attempts = 0
       RETURNING id`,
      [key],
    );
    if (goesOn.length > 0) return false;
    const rows = await this.run<{ id: string }>(
      `INSERT INTO alert_incident (id, key, type, severity, user_id, connection_id, summary, since, next_attempt_at)
       VALUES ($1, $2, $3, $4, $5, $6, $7, now(), now()) ON CONFLICT (key) WHERE resolved_at IS NULL DO NOTHING
       RETURNING id`,
      [uuidv7(), key, type, severity, userId, connectionId, summary],
    );
    return rows.length > 0;
  }

  /** @param seconds until its end is told @returns false where none was open */
  async resolve(key: string, seconds: number): Promise<boolean> {
    const rows = await this.run<{ id: string }>(
      `UPDATE alert_incident SET resolved_at = now(), next_attempt_at = now() + make_interval(secs => $2),
         lease = NULL, attempts = 0
       WHERE key = $1 AND resolved_at IS NULL RETURNING id`,
      [key, seconds],
    );
    return rows.length > 0;
  }

  async openKeys(limit: number): Promise<string[]> {
    const rows = await this.run<{ key: string }>(
      `SELECT key FROM alert_incident WHERE resolved_at IS NULL ORDER BY since DESC LIMIT $1`,
      [limit],
    );
    return rows.map(({ key }) => key);
  }

  /** Takes the lease of what is to be told now, oldest first. */
  async claim(lease: string, seconds: number, limit: number): Promise<DueIncident[]> {
    return this.run<DueIncident>(
      `UPDATE alert_incident a SET lease = $1, next_attempt_at = now() + make_interval(secs => $2)
       FROM (SELECT id FROM alert_incident WHERE next_attempt_at <= now()
             ORDER BY next_attempt_at LIMIT $3 FOR UPDATE SKIP LOCKED) due
       WHERE a.id = due.id
       RETURNING a.id, a.type, a.severity, a.user_id::float8 AS "userId", a.connection_id AS "connectionId", a.summary,
         a.since, a.resolved_at AS "resolvedAt", a.attempts`,
      [lease, seconds, limit],
    );
  }

  /** Told that it began, or that it is over. An incident that ended meanwhile is due again. */
  async told(id: string, lease: string, resolved: boolean): Promise<void> {
    await this.run(
      `UPDATE alert_incident SET lease = NULL, attempts = 0, told_at = coalesce(told_at, now()),
         told_resolved_at = CASE WHEN $3 THEN now() END, next_attempt_at = NULL
       WHERE id = $1 AND lease = $2`,
      [id, lease, resolved],
    );
  }

  /** @param seconds until the next attempt; null: there is none */
  async failed(id: string, lease: string, seconds: number | null): Promise<void> {
    await this.run(
      `UPDATE alert_incident SET lease = NULL, attempts = attempts + 1,
         next_attempt_at = now() + make_interval(secs => $3::float8) WHERE id = $1 AND lease = $2`,
      [id, lease, seconds],
    );
  }

  async removeOld(): Promise<void> {
    await this.run(`DELETE FROM alert_incident WHERE resolved_at < now() - make_interval(days => $1)`, [KEEP_DAYS]);
  }

  private run<T>(sql: string, params: readonly unknown[]): Promise<T[]> {
    return this.db.system((manager) => query<T>(manager, sql, params));
  }
}
