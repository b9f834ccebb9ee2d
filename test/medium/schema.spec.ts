import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { Client } from 'pg';
import { getConstructionPlans } from 'pg-boss';
import { DataSource } from 'typeorm';
import { migrations } from '../../migrations';
import { migrate, revert } from '../../src/database/migrate';
import { dataSourceOptions } from '../../src/database/options';
import { createDatabase, type TestDatabase } from '../support/database';

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const tablesOf = (url: string) =>
  withClient(url, async (client) => {
    const { rows } = await client.query<{ name: string }>(
      `SELECT table_schema || '.' || table_name AS name FROM information_schema.tables
       WHERE table_schema IN ('public', 'pgboss') AND table_name <> 'schema_migration' ORDER BY 1`,
    );
    return rows.map((row) => row.name);
  });

function entityClasses(): (new () => object)[] {
  const src = join(process.cwd(), 'src');
  return readdirSync(src, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.entity.ts'))
    .flatMap((name) => Object.values(jest.requireActual<Record<string, new () => object>>(join(src, name))))
    .filter((item) => typeof item === 'function');
}

describe('the schema', () => {
  let database: TestDatabase;

  beforeEach(async () => {
    database = await createDatabase({ empty: true });
  });

  afterEach(async () => {
    await database.drop();
  });

  it('goes up, all the way down, and up again', async () => {
    await migrate(database.url);
    const all = await tablesOf(database.url);
    expect(all).toEqual(expect.arrayContaining(['public.connection', 'pgboss.job']));
    for (let left = migrations.length; left > 0; left--) await revert(database.url);
    expect(await tablesOf(database.url)).toEqual([]);
    await migrate(database.url);
    expect(await tablesOf(database.url)).toEqual(all);
  });

  it('is made once when replicas start together', async () => {
    await Promise.all([migrate(database.url), migrate(database.url), migrate(database.url)]);
    const names = await withClient(database.url, async (client) => {
      const { rows } = await client.query<{ name: string }>('SELECT name FROM schema_migration ORDER BY id');
      return rows.map((row) => row.name);
    });
    expect(names).toEqual(migrations.map((migration) => migration.name));
  });

  it('is what the entities say', async () => {
    await migrate(database.url);
    const source = new DataSource({ ...dataSourceOptions(database.url, 2), entities: entityClasses() });
    await source.initialize();
    try {
      const { upQueries } = await source.driver.createSchemaBuilder().log();
      expect(upQueries.map(({ query }) => query)).toEqual([]);
    } finally {
      await source.destroy();
    }
  });

  it('begins the key of every table of tenants with the tenant', async () => {
    await migrate(database.url);
    const firsts = await withClient(database.url, async (client) => {
      const { rows } = await client.query<{ table: string; column: string }>(
        `SELECT c.relname AS table, a.attname AS column
         FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_namespace n ON n.oid = c.relnamespace
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
         WHERE i.indisprimary AND n.nspname = 'public' AND c.relname <> 'schema_migration' ORDER BY 1`,
      );
      return rows;
    });
    expect(firsts.length).toBeGreaterThan(0);
    const ofNobody = firsts.filter(({ column }) => !['user_id', 'connection_id'].includes(column));
    // A Klaviyo account and its quota belong to all users who are connected to it; incidents, to operators;
    // when somebody was there to receive, to the service.
    expect(ofNobody.map(({ table }) => table)).toEqual([
      'alert_incident',
      'forward_target',
      'klaviyo_circuit',
      'klaviyo_quota',
      'webhook_watch',
    ]);
  });

  it('serves a plain role that may create nothing', async () => {
    await withClient(database.url, (client) =>
      client.query(
        `DO $$ BEGIN CREATE ROLE klaviyo_plain LOGIN PASSWORD 'plain'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
      ),
    );
    const plain = new URL(database.url);
    plain.username = 'klaviyo_plain';
    plain.password = 'plain';
    await migrate(database.url, plain.toString());
    await withClient(plain.toString(), async (client) => {
      await expect(client.query('SELECT count(*) FROM connection')).resolves.toBeDefined();
      await expect(client.query(`SELECT count(*) FROM pgboss.job WHERE name = 'housekeeping'`)).resolves.toBeDefined();
      await expect(client.query('CREATE TABLE intruder (id int)')).rejects.toThrow(/permission denied/);
    });
    await withClient(database.url, (client) => client.query('DROP OWNED BY klaviyo_plain'));
  });

  it('holds the queue engine’s tables in the version that is installed', async () => {
    await migrate(database.url);
    const installed = /INSERT INTO pgboss\.version\(version\) VALUES \('(\d+)'\)/.exec(
      getConstructionPlans('pgboss'),
    )?.[1];
    const ours = await withClient(database.url, (client) =>
      client.query<{ version: number }>('SELECT version FROM pgboss.version'),
    );
    expect(String(ours.rows[0]?.version)).toBe(installed);
  });
});
