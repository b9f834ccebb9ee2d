import { Injectable } from '@nestjs/common';
import { Db } from '../database/scope';
import type { PassKind, Resource } from '../mirror/resources';
import { noted } from '../mirror/noted';
import type { Part } from '../mirror/syncer';
import type { PassTotals } from './pass-tally';
import { PagesUndone } from './sync-faults';
import type { ResourceStatus } from './sync-resource.entity';
import type { StoredWindow } from './window';

/** A resource of a run as the engine goes on with it. */
export interface PassRecord extends PassCounts, PassTotals {
  resource: Resource;
  status: ResourceStatus;
  passKind: PassKind | null;
  passStartedAt: Date | null;
  planned: boolean;
  sweeping: boolean;
  expectedRows: number | null;
  failingSince: Date | null;
  errorCode: string | null;
}

/** Totals since the run began. */
export interface PassCounts {
  fetched: number;
  upserted: number;
  deleted: number;
  quarantined: number;
  pages: number;
}

/** Totals of a resource, as they are now. */
export interface PassState extends PassCounts, PassTotals {
  resource: Resource;
  covered: number | null;
}

/** A pass that begins. */
export interface NewPass {
  resource: Resource;
  kind: PassKind;
  expectedRows: number | null;
}

/** Where a window stands, as it is now. */
export interface WindowState extends Omit<StoredWindow, 'divisible' | 'to'> {
  resource: Resource;
}

const TOTALS = `requests::float8 AS requests, throttled::float8 AS throttled, waited_ms::float8 AS "waitedMs",
  requests_by_operation AS "byOperation"`;
const millis = (column: string): string => `(extract(epoch FROM ${column}) * 1000)::float8`;
export const instant = (column: string): string => `to_timestamp(${column} / 1000)`;

export const UPDATE_PASSES = `UPDATE sync_resource r SET fetched = s.fetched, upserted = coalesce(s.upserted, r.upserted + ${noted('r.resource')}), deleted = s.deleted,
    quarantined = s.quarantined, pages = s.pages, requests = s.requests, throttled = s.throttled,
    waited_ms = round(s."waitedMs"), requests_by_operation = s."byOperation", covered = coalesce(s.covered, r.covered)`;
export const FROM_PASSES = `FROM jsonb_to_recordset($3::jsonb) AS s(resource text, fetched bigint, upserted bigint,
    deleted bigint, quarantined bigint, pages bigint, requests bigint, throttled bigint, "waitedMs" float8,
    "byOperation" jsonb, covered float8, "pagesBefore" bigint)
  WHERE r.user_id = $1 AND r.sync_id = $2 AND r.resource = s.resource`;

/**
 * What became of the resources of a run: passes, windows, pages. Only the worker that holds the run writes here, so
 * totals are written as they are and the same commit may come twice.
 */
@Injectable()
export class PassRecordsRepository {
  constructor(private readonly db: Db) {}

  async all(userId: number, syncId: string): Promise<PassRecord[]> {
    return this.run<PassRecord>(
      userId,
      `SELECT resource, status, pass_kind AS "passKind", pass_started_at AS "passStartedAt", planned, sweeping,
         fetched::float8 AS fetched, upserted::float8 AS upserted, deleted::float8 AS deleted,
         quarantined::float8 AS quarantined, pages::float8 AS pages, ${TOTALS},
         expected_rows::float8 AS "expectedRows", failing_since AS "failingSince", error_code AS "errorCode"
       FROM sync_resource WHERE user_id = $1 AND sync_id = $2`,
      [userId, syncId],
    );
  }

  /** @returns when each pass began, by the database's clock */
  async begin(userId: number, syncId: string, passes: readonly NewPass[]): Promise<Map<Resource, Date>> {
    const rows = await this.run<{ resource: Resource; at: Date }>(
      userId,
      `UPDATE sync_resource r SET status = 'running', pass_kind = b.kind, expected_rows = b."expectedRows",
         pass_started_at = date_trunc('milliseconds', clock_timestamp()), started_at = clock_timestamp()
       FROM jsonb_to_recordset($3::jsonb) AS b(resource text, kind text, "expectedRows" bigint)
       WHERE r.user_id = $1 AND r.sync_id = $2 AND r.resource = b.resource
       RETURNING r.resource, r.pass_started_at AS at`,
      [userId, syncId, JSON.stringify(passes)],
    );
    return new Map(rows.map(({ resource, at }) => [resource, at]));
  }

  /** One window for each part, to be cut later. */
  async plan(userId: number, syncId: string, parts: ReadonlyMap<Resource, readonly Part[]>): Promise<void> {
    const plans = [...parts].map(([resource, its]) => ({
      resource,
      parts: its.map(({ key, divisible, span }) => ({ key, divisible, from: span.from, to: span.to })),
    }));
    await this.run(
      userId,
      `WITH plan AS (
         SELECT * FROM jsonb_to_recordset($3::jsonb) AS p(resource text, parts jsonb)
       ), planned AS (
         UPDATE sync_resource r SET planned = true FROM plan p
         WHERE r.user_id = $1 AND r.sync_id = $2 AND r.resource = p.resource
       )
       INSERT INTO sync_window (user_id, sync_id, resource, part, window_no, divisible, span_from, span_to)
       SELECT $1, $2, plan.resource, p.key, 0, p.divisible, ${instant('p."from"')}, ${instant('p."to"')}
       FROM plan, jsonb_to_recordset(plan.parts) AS p(key text, divisible boolean, "from" float8, "to" float8)
       ON CONFLICT DO NOTHING`,
      [userId, syncId, JSON.stringify(plans)],
    );
  }

  async windows(
    userId: number,
    syncId: string,
    resources: readonly Resource[],
  ): Promise<Map<Resource, StoredWindow[]>> {
    const rows = await this.run<StoredWindow & { resource: Resource }>(
      userId,
      `SELECT resource, part, window_no AS "windowNo", divisible, ${millis('span_from')} AS "from",
         ${millis('span_to')} AS "to", ${millis('position')} AS position, cursor, status, fetched::float8 AS fetched,
         pages::float8 AS pages
       FROM sync_window WHERE user_id = $1 AND sync_id = $2 AND resource = ANY($3) ORDER BY resource, part, window_no`,
      [userId, syncId, resources],
    );
    const windows = new Map<Resource, StoredWindow[]>(resources.map((resource) => [resource, []]));
    for (const { resource, ...window } of rows) windows.get(resource)?.push(window);
    return windows;
  }

  /** The far part of a window becomes one of its own. */
  async cut(userId: number, syncId: string, resource: Resource, near: StoredWindow, far: StoredWindow): Promise<void> {
    await this.run(
      userId,
      `WITH near AS (
         UPDATE sync_window SET span_to = ${instant('$6::float8')}
         WHERE user_id = $1 AND sync_id = $2 AND resource = $3 AND part = $4 AND window_no = $5
       )
       INSERT INTO sync_window (user_id, sync_id, resource, part, window_no, divisible, span_from, span_to)
       VALUES ($1, $2, $3, $4, $7, true, ${instant('$6::float8')}, ${instant('$8::float8')})`,
      [userId, syncId, resource, near.part, near.windowNo, far.from, far.windowNo, far.to],
    );
  }

  /** What the part belongs to is gone: none of its windows is read any more. */
  async gone(userId: number, syncId: string, resource: Resource, part: string): Promise<void> {
    await this.run(
      userId,
      `UPDATE sync_window SET status = 'gone', cursor = NULL
       WHERE user_id = $1 AND sync_id = $2 AND resource = $3 AND part = $4 AND status = 'open'`,
      [userId, syncId, resource, part],
    );
  }

  /** Totals of resources that nobody stores pages of just now. */
  async tally(userId: number, syncId: string, passes: readonly PassState[]): Promise<void> {
    await this.run(userId, `${UPDATE_PASSES} ${FROM_PASSES}`, [userId, syncId, JSON.stringify(passes)]);
  }

  /** Since when nothing but errors comes. @returns how many milliseconds ago that was, by the database's clock */
  async failing(userId: number, syncId: string, resource: Resource): Promise<number> {
    const rows = await this.run<{ ms: number }>(
      userId,
      `UPDATE sync_resource SET failing_since = coalesce(failing_since, clock_timestamp())
       WHERE user_id = $1 AND sync_id = $2 AND resource = $3
       RETURNING (extract(epoch FROM clock_timestamp() - failing_since) * 1000)::float8 AS ms`,
      [userId, syncId, resource],
    );
    return rows[0]?.ms ?? 0;
  }

  /** It is decided that what the pass did not see is gone. @throws PagesUndone when it saw more than is stored */
  async sweeps(userId: number, syncId: string, { resource, pages }: PassState): Promise<void> {
    const decided = await this.run(
      userId,
      `UPDATE sync_resource SET sweeping = true
       WHERE user_id = $1 AND sync_id = $2 AND resource = $3 AND pages = $4 RETURNING 1`,
      [userId, syncId, resource, pages],
    );
    if (decided.length === 0) throw new PagesUndone();
  }

  /** @throws PagesUndone when it read more than is stored */
  async succeeded(userId: number, syncId: string, { resource, pages }: PassState): Promise<void> {
    const ended = await this.run(
      userId,
      `UPDATE sync_resource SET status = 'succeeded', error_code = NULL, finished_at = clock_timestamp(), covered = 1
       WHERE user_id = $1 AND sync_id = $2 AND resource = $3 AND pages = $4 RETURNING 1`,
      [userId, syncId, resource, pages],
    );
    if (ended.length === 0) throw new PagesUndone();
  }

  async failed(userId: number, syncId: string, resource: Resource, errorCode: string): Promise<void> {
    await this.run(
      userId,
      `UPDATE sync_resource SET status = 'failed', error_code = $4, finished_at = clock_timestamp()
       WHERE user_id = $1 AND sync_id = $2 AND resource = $3`,
      [userId, syncId, resource, errorCode],
    );
  }

  /** What had not ended ends with the run. */
  async endOpen(
    userId: number,
    syncId: string,
    status: 'failed' | 'cancelled',
    errorCode: string | null,
  ): Promise<void> {
    await this.run(
      userId,
      `UPDATE sync_resource SET status = $3, error_code = $4, finished_at = clock_timestamp()
       WHERE user_id = $1 AND sync_id = $2 AND status IN ('pending', 'running')`,
      [userId, syncId, status, errorCode],
    );
  }

  private run<T>(userId: number, sql: string, params: readonly unknown[]): Promise<T[]> {
    return this.db.prepared<T>(userId, sql, params);
  }
}
