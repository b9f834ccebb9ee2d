// Which statement answers a read: the built service is asked once, in a process of its own, and overheard. Started by
// bench-reads.ts with the paths as JSON; gives back the statement over the mirror's rows and its parameters for each.
import { createRequire } from 'node:module';
import { openServer } from './ours.ts';

export interface Statement {
  sql: string;
  params: readonly unknown[];
}

interface Manager {
  query(sql: string, params?: readonly unknown[]): Promise<unknown>;
}

/** pg's pool: what the service reads most goes straight to it, as a prepared statement. */
interface Pool {
  query(statement: { text: string; values: readonly unknown[] }): Promise<unknown>;
}

/** The rows of an answer come from one of these; connection and state of the mirror from others. */
const ROWS = /\bFROM mirrored_|\bJOIN mirrored_/;

async function main(): Promise<void> {
  const [paths = '[]', key = ''] = process.argv.slice(2);
  const { DataSource } = createRequire(import.meta.url)('typeorm') as {
    DataSource: new () => { manager: Manager; driver: { master: Pool } };
  };
  let port = 0;
  const app = await openServer((server) =>
    server.once('listening', () => (port = (server.address() as { port: number }).port)),
  );
  const { manager, driver } = app.get(DataSource);
  const original = manager.query.bind(manager);
  let heard: Statement[] = [];
  manager.query = (sql, params = []) => {
    heard.push({ sql, params });
    return original(sql, params);
  };
  const pool = driver.master;
  const originalOfPool = pool.query.bind(pool);
  pool.query = (statement) => {
    heard.push({ sql: statement.text, params: statement.values });
    return originalOfPool(statement);
  };
  const statements: Statement[] = [];
  for (const path of JSON.parse(paths) as string[]) {
    heard = [];
    const answer = await fetch(`http://127.0.0.1:${port}${path}`, { headers: { authorization: `Bearer ${key}` } });
    if (!answer.ok) throw new Error(`${path} answered ${answer.status}: ${await answer.text()}`);
    const statement = heard.filter(({ sql }) => ROWS.test(sql)).at(-1);
    if (!statement) throw new Error(`${path} was answered without a look at the mirror`);
    statements.push(statement);
  }
  await app.close();
  process.send?.(statements, () => process.exit(0));
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
