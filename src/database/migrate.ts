import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { dataSourceOptions } from './options';

/** Any fixed number, the same in every replica: whoever holds it runs the migrations, the others wait. */
const MIGRATION_LOCK = 7_302_146_883;

/**
 * Brings the schema up to date. Replicas that start together queue at a session lock, so `directUrl` must reach
 * PostgreSQL itself and not a transaction-mode pooler. When the service itself connects as another, plain role,
 * that role is granted what it needs, and nothing of DDL.
 */
export async function migrate(directUrl: string, serviceUrl: string = directUrl): Promise<void> {
  await underLock(directUrl, async (dataSource, client) => {
    await dataSource.runMigrations();
    const role = roleOf(serviceUrl);
    if (role !== undefined && role !== roleOf(directUrl)) await grantService(client, role);
  });
}

/** Takes back the latest migration. */
export async function revert(directUrl: string): Promise<void> {
  await underLock(directUrl, (dataSource) => dataSource.undoLastMigration());
}

async function underLock(url: string, work: (dataSource: DataSource, client: Client) => Promise<void>): Promise<void> {
  const client = new Client({ connectionString: url, application_name: 'klaviyo-service-migrate' });
  const dataSource = new DataSource(dataSourceOptions(url, 2));
  await client.connect();
  try {
    await client.query('SELECT pg_advisory_lock($1)', [MIGRATION_LOCK]);
    await dataSource.initialize();
    await work(dataSource, client);
  } finally {
    if (dataSource.isInitialized) await dataSource.destroy();
    await client.end();
  }
}

function roleOf(url: string): string | undefined {
  const name = decodeURIComponent(new URL(url).username);
  return name === '' ? undefined : name;
}

async function grantService(client: Client, role: string): Promise<void> {
  const name = client.escapeIdentifier(role);
  for (const schema of ['public', 'pgboss'])
    await client.query(`
      GRANT USAGE ON SCHEMA ${schema} TO ${name};
      GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA ${schema} TO ${name};
      GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA ${schema} TO ${name};
      GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA ${schema} TO ${name};`);
}
