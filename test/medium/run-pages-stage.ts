import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { Precedence } from '../../src/common/precedence';
import type { Env } from '../../src/config/env';
import type { BulkWrite } from '../../src/database/bulk-statement';
import { JoinedTexts, takenApart } from '../../src/database/joined-texts';
import { dataSourceOptions } from '../../src/database/options';
import { Db } from '../../src/database/scope';
import { noting } from '../../src/mirror/noted';
import type { Resource } from '../../src/mirror/resources';
import type { Pass, Syncer } from '../../src/mirror/syncer';
import { PageRecordsRepository } from '../../src/sync/page-records.repository';
import { PageStore } from '../../src/sync/page-store';
import { PassRecordsRepository } from '../../src/sync/pass-records.repository';
import type { ReadPage, Stored, StoredPass } from '../../src/sync/read-page';
import { RunLeasesRepository, type HeldRun } from '../../src/sync/run-leases.repository';
import type { RunPages } from '../../src/sync/run-pages';
import { SyncTransactions } from '../../src/sync/sync-transactions';
import { createDatabase } from '../support/database';
import { until } from '../support/until';

const USER = 4200;
/** A row of that name is refused by the table. */
export const REFUSED = 'refused';
/** Rows of that name are stored once the gate is open. */
export const gated = (gate: number): string => `gate:${gate}`;

const INSERT = (resource: Resource): string => `
  WITH kept AS (
    INSERT INTO kept_row (resource, id)
    SELECT $1, id FROM (SELECT passed(t) AS id FROM ${takenApart('$2')} AS t) AS row
    ON CONFLICT DO NOTHING RETURNING 1
  )
  SELECT changed, ${noting(resource, 'changed')} FROM (SELECT count(*)::int AS changed FROM kept) AS c`;

/** A run whose pages are stored by the service's own parts into a table of the test's. */
export interface RunPagesStage {
  readonly db: Db;
  readonly run: HeldRun;
  readonly pages: RunPages;
  readonly transactions: SyncTransactions;
  /** How often it was told that the run is to end. */
  readonly cancelled: () => number;
  /** Sent at once: profiles, events. Others: step by step. */
  page(resource: Resource, cursor: string, ids: readonly string[]): ReadPage;
  /** What is kept of it, in the order in which it was stored. */
  kept(resource: Resource): Promise<string[]>;
  /** As it stands with the run. */
  standing(resource: Resource): Promise<{ fetched: number; upserted: number; quarantined: number; pages: number }>;
  cursor(resource: Resource): Promise<string | null>;
  /** Rows of each line of the log. */
  log(resource: Resource): Promise<{ rows: number; upserted: number | null; quarantined: number }[]>;
  /** Nobody passes until it is opened; who asks later waits behind those who wait already. */
  shut(gate: number): Promise<Gate>;
  /** Somebody waits at it. */
  waitsAt(gate: number): Promise<void>;
  sql<T>(text: string, params?: readonly unknown[]): Promise<T[]>;
  stop(): Promise<void>;
}

export interface Gate {
  open(): Promise<void>;
}

/** @param runs connections that runs may hold */
export async function openRunPagesStage(runs = 2): Promise<RunPagesStage> {
  const database = await createDatabase();
  const poolSize = Math.ceil(runs / 0.4);
  const source = await new DataSource(dataSourceOptions(database.url, poolSize)).initialize();
  await source.query(`
    CREATE TABLE kept_row (place bigint GENERATED ALWAYS AS IDENTITY, resource text, id text CHECK (id <> '${REFUSED}'),
      PRIMARY KEY (resource, id));
    CREATE FUNCTION passed(id text) RETURNS text VOLATILE LANGUAGE plpgsql AS
    $$ BEGIN
      IF id LIKE 'gate:%' THEN PERFORM pg_advisory_xact_lock_shared(substr(id, 6)::bigint); END IF;
      RETURN id;
    END $$`);
  const db = new Db(source);
  const transactions = new SyncTransactions({ databasePoolSize: poolSize } as Env, db, new Precedence());
  const leases = new RunLeasesRepository(db);
  const passes = new PassRecordsRepository(db);
  const run = await begun(source, leases, passes);
  let cancelled = 0;
  const pages = new PageStore(transactions, leases, new PageRecordsRepository(db)).of(run, () => (cancelled += 1));
  const of = new Map<Resource, StoredPass>(RESOURCES.map((resource) => [resource, passOf(db, run, resource)]));
  const gates: Client[] = [];
  const sql = <T>(text: string, params: readonly unknown[] = []) => source.query<T[]>(text, [...params]);

  return {
    db,
    run,
    pages,
    transactions,
    cancelled: () => cancelled,
    page: (resource, cursor, ids) => {
      const its = of.get(resource);
      if (!its) throw new Error(`not of this run: ${resource}`);
      const stands = { part: 'all', windowNo: 0, from: null, position: null, status: 'open' as const };
      const place = { ...stands, resource, cursor, fetched: 0, pages: 0 };
      return { of: its, rows: ids, place, ms: 1, waitedMs: 0, stored: () => undefined };
    },
    kept: async (resource) => {
      const rows = await sql<{ id: string }>('SELECT id FROM kept_row WHERE resource = $1 ORDER BY place', [resource]);
      return rows.map(({ id }) => id);
    },
    standing: async (resource) => {
      const found = (await passes.all(USER, run.id)).find((one) => one.resource === resource);
      if (!found) throw new Error(`not of this run: ${resource}`);
      const { fetched, upserted, quarantined, pages: read } = found;
      return { fetched, upserted, quarantined, pages: read };
    },
    cursor: async (resource) =>
      (await passes.windows(USER, run.id, [resource])).get(resource)?.map((window) => window.cursor)[0] ?? null,
    log: (resource) =>
      sql('SELECT rows, upserted, quarantined FROM sync_page WHERE sync_id = $1 AND resource = $2 ORDER BY n', [
        run.id,
        resource,
      ]),
    shut: async (gate) => {
      const holder = new Client({ connectionString: database.url });
      gates.push(holder);
      await holder.connect();
      await holder.query('SELECT pg_advisory_lock($1)', [gate]);
      const open = async (): Promise<void> => {
        await holder.query('SELECT pg_advisory_unlock($1)', [gate]);
      };
      return { open };
    },
    waitsAt: (gate) => {
      const waiting = `SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory' AND mode = 'ShareLock' AND objid = $1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;
      return until(`somebody waits at ${gate}`, async () => (await sql(waiting, [gate])).length > 0, 10_000);
    },
    sql,
    stop: async () => {
      for (const holder of gates) await holder.end();
      await source.destroy();
      await database.drop();
    },
  };
}

const RESOURCES = ['profiles', 'events', 'lists'] as const;

/** A run that is under way, of which nothing is stored. */
async function begun(source: DataSource, leases: RunLeasesRepository, passes: PassRecordsRepository): Promise<HeldRun> {
  const connectionId = randomUUID();
  const id = randomUUID();
  await source.query(
    `INSERT INTO connection (user_id, id, account_id, is_default, status, masked_key, sealed_key, capabilities)
     VALUES ($1, $2, 'A', true, 'active', 'pk', 'x', '{}')`,
    [USER, connectionId],
  );
  await source.query(
    `INSERT INTO sync_run (user_id, id, connection_id, mode, trigger, resources) VALUES ($1, $2, $3, 'full', 'api', $4)`,
    [USER, id, connectionId, RESOURCES],
  );
  const run = await leases.claim(USER, id, randomUUID());
  if (!run) throw new Error('the run is not to be had');
  await passes.begin(
    USER,
    id,
    RESOURCES.map((resource) => ({ resource, kind: 'full', expectedRows: null })),
  );
  const part = { key: 'all', divisible: false, span: { from: null, to: null } };
  await passes.plan(USER, id, new Map(RESOURCES.map((resource) => [resource, [part]])));
  return run;
}

/** What the engine keeps of a pass while it runs, with totals alone. */
function passOf(db: Db, run: HeldRun, resource: Resource): StoredPass {
  const statements = (_pass: Pass, rows: readonly unknown[]): BulkWrite[] => [
    { sql: INSERT(resource), columns: [resource, JoinedTexts.of(rows as string[])] },
  ];
  const syncer = {
    resource,
    write: async (pass: Pass, rows: readonly unknown[]) => {
      let changed = 0;
      for (const { sql, columns } of statements(pass, rows))
        for (const row of await db.bulk<{ changed: number }>(USER, sql, columns)) changed += row.changed;
      return changed;
    },
    ...(resource !== 'lists' && { statements }),
  };
  let now: Stored = { rows: 0, pages: 0, upserted: 0, quarantined: 0 };
  const after = (more: Stored): Stored => ({
    rows: now.rows + more.rows,
    pages: now.pages + more.pages,
    upserted: now.upserted + more.upserted,
    quarantined: now.quarantined + more.quarantined,
  });
  return {
    syncer: syncer as unknown as Syncer,
    pass: { userId: run.userId, connectionId: run.connectionId } as Pass,
    after: (more) => {
      const { rows, ...counts } = after(more);
      const totals = { requests: 0, throttled: 0, waitedMs: 0, byOperation: {} };
      return { resource, fetched: rows, ...counts, deleted: 0, ...totals, covered: null };
    },
    grew: (more) => {
      now = after(more);
    },
  };
}
