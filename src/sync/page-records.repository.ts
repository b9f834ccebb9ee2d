import { Injectable } from '@nestjs/common';
import { Db } from '../database/scope';
import { noted } from '../mirror/noted';
import type { Resource } from '../mirror/resources';
import { FROM_PASSES, instant, UPDATE_PASSES, type PassState, type WindowState } from './pass-records.repository';
import { faultOf, REFUSE_PAGES } from './sync-faults';

/** Totals that follow pages which are stored with them. */
export interface GrownState extends Omit<PassState, 'upserted'> {
  /** null: so many more as the statements before noted (see `noting`). */
  upserted: number | null;
  /** Pages that must be there already. */
  pagesBefore: number;
}

/** A page for the log. */
export interface PageLine {
  resource: Resource;
  part: string;
  windowNo: number;
  rows: number;
  /** Of all pages of the resource that are stored with it; null for the others of them. */
  upserted: number | null;
  /** Instead: what the statements before noted. */
  noted: boolean;
  quarantined: number;
  ms: number;
  waitedMs: number;
}

/** Pages that go into one commit, as they are written down. */
export interface StoredPages {
  passes: readonly GrownState[];
  windows: readonly WindowState[];
  pages: readonly PageLine[];
}

const RECORD = `
  WITH pass AS (
    ${UPDATE_PASSES}, failing_since = NULL ${FROM_PASSES} AND r.pages = s."pagesBefore" RETURNING 1
  ), place AS (
    UPDATE sync_window w SET position = ${instant('s.position')}, cursor = s.cursor, fetched = s.fetched,
      pages = s.pages, span_from = ${instant('s."from"')},
      status = CASE WHEN w.status = 'open' THEN s.status ELSE w.status END
    FROM jsonb_to_recordset($4::jsonb) AS s(resource text, part text, "windowNo" integer, "from" float8,
      position float8, cursor text, status text, fetched bigint, pages bigint)
    WHERE w.user_id = $1 AND w.sync_id = $2 AND w.resource = s.resource AND w.part = s.part
      AND w.window_no = s."windowNo"
  ), line AS (
    INSERT INTO sync_page (user_id, sync_id, resource, part, window_no, rows, upserted, quarantined, ms, waited_ms)
    SELECT $1, $2, p.resource, p.part, p."windowNo", p.rows, CASE WHEN p.noted THEN ${noted('p.resource')} ELSE p.upserted END,
      p.quarantined, p.ms, p."waitedMs"
    FROM ROWS FROM (jsonb_to_recordset($5::jsonb) AS (resource text, part text, "windowNo" integer, rows integer,
      upserted integer, noted boolean, quarantined integer, ms integer, "waitedMs" integer)) WITH ORDINALITY
      AS p(resource, part, "windowNo", rows, upserted, noted, quarantined, ms, "waitedMs", place)
    ORDER BY p.place
  )
  SELECT CASE WHEN (SELECT count(*) FROM pass) = jsonb_array_length($3::jsonb) THEN true ELSE ${REFUSE_PAGES} END`;

/** What is written down of pages, in the commit that stores them. Only the worker that holds the run writes here. */
@Injectable()
export class PageRecordsRepository {
  constructor(private readonly db: Db) {}

  /**
   * Pages that are stored in the same transaction: where their windows stand now, what they come to, and the log.
   * @throws PagesUndone when those before them are gone
   */
  async record(userId: number, syncId: string, stored: StoredPages): Promise<void> {
    const { sql, params } = this.recording(userId, syncId, stored);
    try {
      await this.db.prepared(userId, sql, params);
    } catch (error) {
      throw faultOf(error);
    }
  }

  /** What does that, as a statement that can be sent behind those that store the pages. It fails; see `faultOf`. */
  recording(
    userId: number,
    syncId: string,
    { passes, windows, pages }: StoredPages,
  ): { sql: string; params: unknown[] } {
    return {
      sql: RECORD,
      params: [userId, syncId, JSON.stringify(passes), JSON.stringify(windows), JSON.stringify(pages)],
    };
  }
}
