import { Client } from 'pg';
import { migrate } from '../../src/database/migrate';
import { createDatabase, type TestDatabase } from '../support/database';
import { until } from '../support/until';

const ROLE = 'klaviyo_statistics';

describe('what the planner knows of the mirror', () => {
  let database: TestDatabase;
  let plain: Client;

  beforeAll(async () => {
    database = await createDatabase();
    const owner = new Client({ connectionString: database.url });
    await owner.connect();
    await owner.query(
      `DO $$ BEGIN CREATE ROLE ${ROLE} LOGIN PASSWORD 'plain'; EXCEPTION WHEN duplicate_object THEN NULL; END $$`,
    );
    const url = new URL(database.url);
    url.username = ROLE;
    url.password = 'plain';
    await migrate(database.url, url.toString());
    await owner.query('ALTER TABLE mirrored_event SET (autovacuum_enabled = false)');
    await owner.end();
    plain = new Client({ connectionString: url.toString() });
    await plain.connect();
  });

  afterAll(async () => {
    await plain.end();
    const owner = new Client({ connectionString: database.url });
    await owner.connect();
    await owner.query(`DROP OWNED BY ${ROLE}`);
    await owner.end();
    await database.drop();
  });

  const known = async () => {
    const { rows } = await plain.query<{ rows: number }>(
      `SELECT reltuples::float8 AS rows FROM pg_class WHERE relname = 'mirrored_event'`,
    );
    return rows[0]?.rows;
  };
  const add = async (count: number, from: number) => {
    await plain.query(
      `INSERT INTO mirrored_event (user_id, connection_id, klaviyo_id, occurred_at, document, synced_at, changed_at)
       SELECT 1, '0190c7a0-0000-7000-8000-000000000000', 'e' || n, now(), '{}', now(), now()
       FROM generate_series($1::int, $2::int) AS n`,
      [from, from + count - 1],
    );
    // Else a backend tells of its changes only about once a second.
    await plain.query('SELECT pg_stat_force_next_flush()');
    await plain.query('SELECT refresh_mirror_statistics()');
  };

  it('is brought up to date by a plain role after a table was filled, and left alone after a few changes', async () => {
    await add(5000, 1);
    expect(await known()).toBe(5000);
    await add(100, 10_000);
    expect(await known()).toBe(5000);
    // More than a tenth, but it was done a moment ago; then more than half.
    await add(2000, 20_000);
    expect(await known()).toBe(5000);
    await add(20_000, 30_000);
    expect(await known()).toBe(27_100);
  });

  it('is not left to somebody who holds the table as an autovacuum does, for it gives way', async () => {
    const held = new Client({ connectionString: database.url });
    await held.connect();
    try {
      await held.query('BEGIN');
      await held.query('LOCK TABLE mirrored_event IN SHARE UPDATE EXCLUSIVE MODE');
      const adding = add(100_000, 100_000);
      const waits = async () => (await held.query('SELECT 1 FROM pg_locks WHERE NOT granted')).rows.length > 0;
      await until('somebody waits for the table', waits, 10_000);
      await held.query('ROLLBACK');
      await adding;
    } finally {
      await held.end();
    }
    expect(await known()).toBe(127_100);
  });
});
