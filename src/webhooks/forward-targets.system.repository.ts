import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** How the address does that events are passed on to. */
export interface TargetState {
  failures: number;
  failingSince: Date | null;
  stopped: 'gone' | 'failing' | null;
  /** Whether it has been failing for longer than passes by itself. */
  lasting: boolean;
}

/** After so many failures in a row, nothing but one event at a time is tried. */
const MANY_FAILURES = 5;
/** A condition of a row: nothing but one event at a time is tried. */
export const HELD_BACK = `(failures >= ${MANY_FAILURES} OR stopped IS NOT NULL)`;
/** Failing for that long, it is switched off: tried once an hour. */
const SWITCH_OFF = '3 days';
const LASTING = '10 minutes';
const STATE = `failures, failing_since AS "failingSince", stopped, coalesce(failing_since < now() - interval '${LASTING}', false) AS lasting`;

/** What all replicas know of the address: one row, of no user's. */
@Injectable()
export class ForwardTargetsSystemRepository {
  constructor(private readonly db: Db) {}

  /** A start: what was switched off is tried at once. */
  async begin(id: string): Promise<void> {
    await this.run(
      `INSERT INTO forward_target AS t (id) VALUES ($1)
       ON CONFLICT (id) DO UPDATE SET probe_at = now() WHERE t.probe_at > now()`,
      [id],
    );
  }

  /** @returns whether events go, or one may be tried now (by us: nobody else gets the same answer), or none */
  async admission(id: string, probeSeconds: number): Promise<'open' | 'probe' | 'closed'> {
    const rows = await this.run<{ admission: 'open' | 'probe' }>(
      `WITH target AS (SELECT id, failures, stopped FROM forward_target WHERE id = $1),
       probe AS (
         UPDATE forward_target t SET probe_at = now() + make_interval(secs => $2)
         WHERE t.id = $1 AND t.probe_at <= now() AND ${HELD_BACK} RETURNING t.id)
       SELECT CASE WHEN EXISTS (SELECT 1 FROM probe) THEN 'probe'
         WHEN NOT EXISTS (SELECT 1 FROM target WHERE ${HELD_BACK}) THEN 'open'
         ELSE 'closed' END AS admission`,
      [id, probeSeconds],
    );
    return rows[0]?.admission ?? 'closed';
  }

  /** Where its last attempt failed: whether it is held back, and switched off. */
  async failing(id: string): Promise<{ heldBack: boolean; stopped: boolean } | undefined> {
    const rows = await this.run<{ heldBack: boolean; stopped: boolean }>(
      `SELECT ${HELD_BACK} AS "heldBack", stopped IS NOT NULL AS stopped FROM forward_target
       WHERE id = $1 AND (failures > 0 OR stopped IS NOT NULL)`,
      [id],
    );
    return rows[0];
  }

  /** It answered. @param evenStopped whether that was when it was switched off already; else it stays switched off */
  async succeeded(id: string, evenStopped: boolean): Promise<boolean> {
    const rows = await this.run(
      `UPDATE forward_target SET failures = 0, failing_since = NULL, stopped = NULL, probe_at = NULL
       WHERE id = $1 AND (failures > 0 OR stopped IS NOT NULL) AND (stopped IS NULL OR $2) RETURNING id`,
      [id, evenStopped],
    );
    return rows.length > 0;
  }

  /** It did not answer, or refused whoever asks. @param gone whether it said that it wants no more of this */
  async failed(id: string, count: number, gone: boolean): Promise<TargetState | undefined> {
    const rows = await this.run<TargetState>(
      `INSERT INTO forward_target AS t (id, failures, failing_since, stopped, probe_at)
       VALUES ($1, $2, now(), CASE WHEN $3 THEN 'gone' END, now())
       ON CONFLICT (id) DO UPDATE SET
         failures = t.failures + $2, failing_since = coalesce(t.failing_since, now()),
         stopped = CASE WHEN $3 THEN 'gone'
           WHEN t.failing_since < now() - interval '${SWITCH_OFF}' THEN coalesce(t.stopped, 'failing') ELSE t.stopped END,
         probe_at = now() + CASE
           WHEN $3 OR t.stopped = 'gone' THEN interval '1 day'
           WHEN t.failing_since < now() - interval '${SWITCH_OFF}' THEN interval '1 hour'
           ELSE make_interval(secs => least(300, greatest(5, extract(epoch FROM now() - t.failing_since) / 4))) END
       RETURNING ${STATE}`,
      [id, count, gone],
    );
    return rows[0];
  }

  private run<T>(sql: string, params: readonly unknown[]): Promise<T[]> {
    return this.db.system((manager) => query<T>(manager, sql, params));
  }
}
