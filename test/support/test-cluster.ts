import { randomUUID } from 'node:crypto';
import { chmodSync, lstatSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { startPostgres, stopPostgres } from '../../ops/dev/embedded-postgres.ts';
import { identityOf, isAlive, signal } from '../../ops/dev/processes.ts';

/** The folder of this run's cluster; set by the global set-up, inherited by every worker. */
const DIR = 'TEST_CLUSTER_DIR';
/** The superuser's address: given from outside as `TEST_DATABASE_URL`, or that of the run's own cluster. */
const ADMIN_URL = 'TEST_ADMIN_DATABASE_URL';
const PREFIX = 'crealia-klaviyo-test-';
const MINUTE_MS = 60_000;

/** Prepares a folder for this run's cluster, and ends the clusters of runs that were killed. Starts nothing yet. */
export async function prepareCluster(): Promise<void> {
  await sweep();
  process.env['TEST_RUN_ID'] = `${String(process.pid)}_${randomUUID().slice(0, 8)}`;
  if (process.env['TEST_DATABASE_URL']) {
    process.env[ADMIN_URL] = process.env['TEST_DATABASE_URL'];
    return;
  }
  const dir = join(tmpdir(), `${PREFIX}${String(process.pid)}-${randomUUID().slice(0, 8)}`);
  mkdirSync(dir);
  chmodSync(dir, 0o711); // PostgreSQL runs as another user when we are root.
  // Renamed into place: another run must never read an empty name and take this one for abandoned.
  writeFileSync(join(dir, 'owner.draft'), identityOf(process.pid) ?? '');
  renameSync(join(dir, 'owner.draft'), join(dir, 'owner'));
  process.env[DIR] = dir;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(name, () => {
      removeAtOnce(dir);
      process.kill(process.pid, name);
    });
  }
}

/** The superuser's address; the first caller of the run starts the cluster, the workers after it find it running. */
export async function adminUrl(): Promise<string> {
  const known = process.env[ADMIN_URL];
  if (known) return known;
  const dir = process.env[DIR];
  if (!dir) throw new Error('No test cluster: run the tests through jest.config.cjs, or set TEST_DATABASE_URL.');
  const { url, base } = await startPostgres({
    dataDir: join(dir, 'postgres'),
    // Nothing here outlives the run: durability against a power cut would only cost time.
    settings: { fsync: 'off', max_connections: 300 },
  });
  writeFileSync(join(dir, 'base'), base);
  process.env[ADMIN_URL] = url;
  return url;
}

/** Ends the run's cluster, if one was started, and removes its folder. */
export async function removeCluster(): Promise<void> {
  const dir = process.env[DIR];
  if (dir) await remove(dir);
}

async function remove(dir: string): Promise<void> {
  const base = baseOf(dir);
  await stopPostgres(base);
  for (const path of foldersOf(base, dir)) rmSync(path, { recursive: true, force: true, maxRetries: 3 });
}

/** Where the cluster lies: elsewhere than in the run's folder when PostgreSQL's user cannot enter that one. */
function baseOf(dir: string): string {
  try {
    return readFileSync(join(dir, 'base'), 'utf8');
  } catch {
    return join(dir, 'postgres');
  }
}

/** All that a run has on disk: its folder, and the one that stands in for it, in which only this cluster lies. */
function foldersOf(base: string, dir: string): string[] {
  return base.startsWith(dir) ? [dir] : [dirname(base), dir];
}

async function sweep(): Promise<void> {
  for (const name of readdirSync(tmpdir()).filter((entry) => entry.startsWith(PREFIX))) {
    const dir = join(tmpdir(), name);
    const found = lstatSync(dir, { throwIfNoEntry: false });
    if (!found?.isDirectory() || found.uid !== process.getuid?.()) continue;
    if (!isAbandoned(dir, found.mtimeMs)) continue;
    await remove(dir).catch((error: unknown) => {
      console.warn(`What an earlier test run left in ${dir} cannot be removed: ${String(error)}`);
    });
  }
}

function isAbandoned(dir: string, since: number): boolean {
  try {
    return !isAlive(readFileSync(join(dir, 'owner'), 'utf8'));
  } catch {
    return Date.now() - since > MINUTE_MS; // Killed before it said whose it is; or doing so right now.
  }
}

/** On a signal there is no waiting: the server is told to quit without a checkpoint, and what it had is removed. */
function removeAtOnce(dir: string): void {
  const base = baseOf(dir);
  try {
    const pid = Number.parseInt(readFileSync(join(base, 'data', 'postmaster.pid'), 'utf8'), 10);
    signal(pid, 'SIGQUIT');
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 300);
  } catch {
    // It was never started.
  }
  for (const path of foldersOf(base, dir)) {
    try {
      rmSync(path, { recursive: true, force: true, maxRetries: 3 });
    } catch {
      // The next run sweeps it.
    }
  }
}
