import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Db, query } from '../database/scope';

/** A report that is this caller's to ask for. */
export interface Claim {
  /** When it was begun: now, or earlier when pages of it are there already. */
  begunAt: Date;
  pageCursor: string | null;
  metricId: string | null;
}

/** Who has a report, and since when. */
interface ClaimTimes {
  now: Date;
  /** A report younger than that is not asked for again. */
  freshAfter: Date;
  leasedUntil: Date;
  /** Pages of a report begun before that are not gone on with. */
  resumeAfter: Date;
}

/** Rows of `report_run`, each statement bound to its user. */
@Injectable()
export class ReportRunsRepository {
  constructor(private readonly db: Db) {}

  /** Which of these windows were never reported, or too long ago. */
  async due(
    userId: number,
    connectionId: string,
    windows: readonly { name: string; freshAfter: Date }[],
  ): Promise<string[]> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ name: string }>(
        manager,
        `SELECT wanted.name FROM unnest($3::text[], $4::timestamptz[]) WITH ORDINALITY AS wanted (name, fresh_after, place)
         LEFT JOIN report_run run ON run.user_id = $1 AND run.connection_id = $2 AND run.report_window = wanted.name
         WHERE run.computed_at IS NULL OR run.computed_at <= wanted.fresh_after
         ORDER BY wanted.place`,
        [userId, connectionId, windows.map(({ name }) => name), windows.map(({ freshAfter }) => freshAfter)],
      ),
    );
    return rows.map(({ name }) => name);
  }

  /** Takes the right to ask for a report. Null when it is fresh, or another has it. */
  async claim(userId: number, connectionId: string, window: string, times: ClaimTimes): Promise<Claim | null> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<Claim>(
        manager,
        `INSERT INTO report_run AS run (user_id, connection_id, report_window, begun_at, leased_until)
         VALUES ($1, $2, $3, $4, $6)
         ON CONFLICT (user_id, connection_id, report_window) DO UPDATE
           SET leased_until = EXCLUDED.leased_until,
               begun_at = CASE WHEN run.page_cursor IS NOT NULL AND run.begun_at > $7 THEN run.begun_at ELSE $4 END,
               page_cursor = CASE WHEN run.begun_at > $7 THEN run.page_cursor END
           WHERE (run.leased_until IS NULL OR run.leased_until <= $4)
             AND (run.computed_at IS NULL OR run.computed_at <= $5)
         RETURNING begun_at AS "begunAt", page_cursor AS "pageCursor", metric_id AS "metricId"`,
        [userId, connectionId, window, times.now, times.freshAfter, times.leasedUntil, times.resumeAfter],
      ),
    );
    return rows[0] ?? null;
  }

  /** A page is kept; the next one is there, or the report is whole and no one waits for it any more. */
  async proceed(
    userId: number,
    connectionId: string,
    window: string,
    page: { begunAt: Date; metricId: string; pageCursor: string | null },
  ): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE report_run
         SET metric_id = $5, page_cursor = $6::text,
             computed_at = CASE WHEN $6::text IS NULL THEN begun_at ELSE computed_at END,
             requested_at = CASE WHEN $6::text IS NULL THEN NULL ELSE requested_at END
         WHERE user_id = $1 AND connection_id = $2 AND report_window = $3 AND begun_at = $4`,
        [userId, connectionId, window, page.begunAt, page.metricId, page.pageCursor],
      ),
    );
  }

  /**
   * Gives the report back to whoever wants it next.
   * @param notBefore the time until when nobody should, because Klaviyo refused it; then it begins anew
   */
  async release(userId: number, connectionId: string, window: string, notBefore: Date | null): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE report_run
         SET leased_until = $4::timestamptz, page_cursor = CASE WHEN $4::timestamptz IS NULL THEN page_cursor END
         WHERE user_id = $1 AND connection_id = $2 AND report_window = $3`,
        [userId, connectionId, window, notBefore],
      ),
    );
  }

  /** Notes that newer figures are waited for. */
  async request(userId: number, connectionId: string, windows: readonly string[], at: Date): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO report_run (user_id, connection_id, report_window, requested_at)
         SELECT $1, $2, name, $4 FROM unnest($3::text[]) AS name ORDER BY name
         ON CONFLICT (user_id, connection_id, report_window) DO UPDATE SET requested_at = EXCLUDED.requested_at`,
        [userId, connectionId, windows, at],
      ),
    );
  }

  /** When the last whole report of a window was begun. */
  async computedAt(userId: number, connectionId: string, window: string): Promise<Date | null> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ at: Date | null }>(
        manager,
        `SELECT computed_at AS at FROM report_run WHERE user_id = $1 AND connection_id = $2 AND report_window = $3`,
        [userId, connectionId, window],
      ),
    );
    return rows[0]?.at ?? null;
  }

  /** One transaction around what is written and the work that is enqueued for it. */
  async together(userId: number, work: (manager: EntityManager) => Promise<void>): Promise<void> {
    await this.db.inTransaction(userId, work);
  }

  /** The windows that are waited for, newest first. */
  async requested(userId: number, connectionId: string): Promise<string[]> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ name: string }>(
        manager,
        `SELECT report_window AS name FROM report_run
         WHERE user_id = $1 AND connection_id = $2 AND requested_at IS NOT NULL ORDER BY report_window DESC`,
        [userId, connectionId],
      ),
    );
    return rows.map(({ name }) => name);
  }

  /** Gives up waiting: for everything, for one window, or for what was asked for before a time. */
  async withdraw(userId: number, connectionId: string, which: { window?: string; before?: Date } = {}): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE report_run SET requested_at = NULL
         WHERE user_id = $1 AND connection_id = $2 AND requested_at IS NOT NULL
           AND ($3::text IS NULL OR report_window = $3) AND ($4::timestamptz IS NULL OR requested_at < $4)`,
        [userId, connectionId, which.window ?? null, which.before ?? null],
      ),
    );
  }
}
