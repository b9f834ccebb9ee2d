import { Client } from 'pg';
import type { TestDatabase } from './database';

/**
 * The clock of one database, in the hand of a test: its statements stay as they are, but `clock_timestamp()` is found in
 * a schema that comes before PostgreSQL's own. Taken before the service connects.
 */
export class DatabaseClock {
  private frozen: number | null = null;

  private constructor(private readonly client: Client) {}

  static async take(database: TestDatabase): Promise<DatabaseClock> {
    const client = new Client({ connectionString: database.url });
    await client.connect();
    const name = new URL(database.url).pathname.slice(1);
    await client.query(`
      CREATE SCHEMA test_clock;
      GRANT USAGE ON SCHEMA test_clock TO PUBLIC;
      CREATE TABLE test_clock.at (frozen_ms float8, ahead_ms float8 NOT NULL);
      GRANT SELECT ON test_clock.at TO PUBLIC;
      INSERT INTO test_clock.at VALUES (NULL, 0);
      CREATE FUNCTION test_clock.clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS $$
        SELECT coalesce(pg_catalog.to_timestamp(frozen_ms / 1000),
          pg_catalog.clock_timestamp() + ahead_ms * interval '1 millisecond') FROM test_clock.at $$;
      ALTER DATABASE "${name}" SET search_path = test_clock, pg_catalog, public;`);
    return new DatabaseClock(client);
  }

  /** Where it stands still, once it was set. */
  get now(): number {
    if (this.frozen === null) throw new Error('the clock goes');
    return this.frozen;
  }

  /** Stands still at that instant. */
  async set(ms: number): Promise<void> {
    this.frozen = ms;
    await this.client.query('UPDATE test_clock.at SET frozen_ms = $1', [ms]);
  }

  /** Goes on, so much later. */
  async advance(ms: number): Promise<void> {
    await this.client.query('UPDATE test_clock.at SET ahead_ms = ahead_ms + $1', [ms]);
  }

  async end(): Promise<void> {
    await this.client.end();
  }
}
