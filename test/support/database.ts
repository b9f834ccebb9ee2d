import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import { adminUrl } from './test-cluster.ts';

/** A database of a spec's own. */
export interface TestDatabase {
  /** `postgresql://…` of a superuser. */
  url: string;
  /** Removes it, cutting the lines that are still open. */
  drop(): Promise<void>;
}

/** Any number that no other program on a shared server is likely to lock. */
const TEMPLATE_LOCK = 7_412_026;
/** PostgreSQL refuses to copy a database that somebody is connected to: closed lines take a moment to be gone. */
const OBJECT_IN_USE = '55006';

let made = 0;

/**
 * Makes a database with all migrations run: a copy of a template that the first caller of the whole run builds.
 *
 * @param options.empty without any migration
 */
export async function createDatabase(options: { empty?: boolean } = {}): Promise<TestDatabase> {
  const name = `klaviyo_test_${String(process.pid)}_${String(++made)}_${randomBytes(3).toString('hex')}`;
  const admin = await adminUrl();
  await withClient(admin, async (client) => {
    if (options.empty) await client.query(`CREATE DATABASE "${name}"`);
    else {
      await ensureTemplate(client, admin);
      await whileInUse(() => client.query(`CREATE DATABASE "${name}" TEMPLATE "${templateName()}"`));
    }
  });
  return {
    url: urlOf(admin, name),
    drop: () => withClient(admin, (client) => dropDatabase(client, name)),
  };
}

/** Removes the run's template from a server that outlives the run. */
export async function dropTemplate(): Promise<void> {
  await withClient(await adminUrl(), async (client) => {
    for (const name of [templateName(), draftName()]) await dropDatabase(client, name);
  });
}

/** One template for each run: the workers inherit what tells it apart. */
function templateName(): string {
  return `klaviyo_template_${process.env['TEST_RUN_ID'] ?? 'run'}`;
}

function draftName(): string {
  return `${templateName()}_draft`;
}

async function ensureTemplate(client: Client, admin: string): Promise<void> {
  await client.query('SELECT pg_advisory_lock($1)', [TEMPLATE_LOCK]);
  try {
    const found = await client.query('SELECT 1 FROM pg_database WHERE datname = $1', [templateName()]);
    if (found.rowCount !== 0) return;
    // Migrated under another name, so that one whose making was interrupted is never copied.
    await dropDatabase(client, draftName());
    await client.query(`CREATE DATABASE "${draftName()}"`);
    const { migrate } = await import('../../src/database/migrate.ts');
    await migrate(urlOf(admin, draftName()));
    await whileInUse(() => client.query(`ALTER DATABASE "${draftName()}" RENAME TO "${templateName()}"`));
  } finally {
    await client.query('SELECT pg_advisory_unlock($1)', [TEMPLATE_LOCK]);
  }
}

async function whileInUse(statement: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 5_000;
  for (;;) {
    try {
      await statement();
      return;
    } catch (error) {
      if ((error as { code?: string }).code !== OBJECT_IN_USE || Date.now() > deadline) throw error;
      await delay(25);
    }
  }
}

async function dropDatabase(client: Client, name: string): Promise<void> {
  await client.query(`DROP DATABASE IF EXISTS "${name}" WITH (FORCE)`);
}

function urlOf(admin: string, database: string): string {
  const url = new URL(admin);
  url.pathname = `/${database}`;
  return url.toString();
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
