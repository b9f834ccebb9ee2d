import { existsSync, realpathSync } from 'node:fs';
import { createServer } from 'node:net';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client } from 'pg';
import {
  type ClusterFiles,
  clusterFiles,
  endCluster,
  ensureData,
  findPostmaster,
  type Memory,
  processesOf,
  recall,
  remember,
  type Settings,
  spawnPostmaster,
} from './cluster.ts';
import { codeOf, LauncherError, messageOf } from './launcher-error.ts';
import { withLock } from './lock.ts';
import { findNative, type NativePostgres, prepareNative } from './native.ts';
import { canHandOver, canReach, makeWritable, postgresUser, standIn, type SystemUser } from './places.ts';

/** What to start. */
export interface PostgresOptions {
  /** Holds everything of the cluster: data, log, port and password; another folder stands in where it is unusable. */
  dataDir: string;
  /** Exactly this port; unset: the one of the last start, or a free one. */
  port?: number;
  /** PostgreSQL's programs; unset: those of the installed package, looked for upwards from the working directory. */
  nativeDir?: string;
  /** Server settings on top of the defaults; they do not reach a server that runs already. */
  settings?: Settings;
  /** A database made when it is missing, to which `url` leads; `postgres` when unset. */
  database?: string;
  /** Told what the person at the terminal should know. */
  log?: (line: string) => void;
}

/** A running PostgreSQL. */
export interface RunningPostgres {
  /** `postgresql://…` of the superuser, with its password. */
  url: string;
  port: number;
  /** The postmaster's process id. */
  pid: number;
  /** Where the cluster lies: `dataDir`, or what stands in for it. */
  base: string;
  /** Whether it was running already, left by a launcher that was killed or shared with one that runs. */
  reused: boolean;
  /** Ends the server, whoever started it, and waits until no process of it is left. */
  stop(): Promise<void>;
}

const USER = 'postgres';
/** A server that answers "starting up" is replaying its log after a crash, and is given time. */
const RECOVERY_MS = 300_000;
const START_MS = 30_000;
const PORT_TRIES = 5;

/**
 * Starts the embedded PostgreSQL of `dataDir`, or takes over the one that runs there. Survives what happens to
 * development machines: a launcher or a server that was killed, two launchers at once, a folder made half, root.
 *
 * @throws LauncherError with one sentence that says what to do
 */
export async function startPostgres(options: PostgresOptions): Promise<RunningPostgres> {
  const log = options.log ?? ((): void => undefined);
  const base = usableBase(resolve(options.dataDir), log);
  const files = clusterFiles(base);
  return withLock(files.lock, async () => {
    const running = await takeOver(files);
    const { pid, memory } = running ?? (await start(files, options, log));
    const database = options.database ?? 'postgres';
    if (database !== 'postgres') await ensureDatabase(memory, database);
    return {
      url: urlOf(memory, database),
      port: memory.port,
      pid,
      base,
      reused: running !== undefined,
      stop: () => stopPostgres(base),
    };
  });
}

/** Ends the PostgreSQL that lies in `base`, if one runs. @throws LauncherError when it cannot be ended */
export async function stopPostgres(base: string): Promise<void> {
  if (!existsSync(base)) return;
  const files = clusterFiles(realpathSync(base));
  await withLock(files.lock, async () => {
    if (await endCluster(files.data)) return;
    throw new LauncherError(
      `PostgreSQL (process ${processesOf(files.data).join(', ')}) does not stop: end it by hand with kill -9.`,
    );
  });
}

/** The folder itself, or the one that stands in for it where PostgreSQL cannot work there. */
function usableBase(dataDir: string, log: (line: string) => void): string {
  const user = postgresUser(join(dataDir, 'data'));
  if (makeWritable(dataDir) && canReach(dataDir, user) && canHandOver(dataDir, user)) return realpathSync(dataDir);
  const base = join(standIn(dataDir, user), 'postgres');
  makeWritable(base);
  log(`PostgreSQL cannot keep its data in ${dirname(dataDir)}: it is kept in ${base}.`);
  return realpathSync(base);
}

/** The server that runs there already; one that runs but does not answer is ended. */
async function takeOver(files: ClusterFiles): Promise<{ pid: number; memory: Memory } | undefined> {
  const found = findPostmaster(files.data);
  const memory = recall(files);
  if (found && memory) {
    const current = { ...memory, port: found.port };
    const state = await waitUntilReady(current, () => findPostmaster(files.data)?.pid === found.pid, 10_000);
    if (state === 'ready') {
      if (memory.port !== found.port) remember(files, current);
      return { pid: found.pid, memory: current };
    }
  }
  if (!(await endCluster(files.data))) {
    throw new LauncherError(
      `Processes ${processesOf(files.data).join(', ')} of an earlier PostgreSQL still work on ${files.data} and do not end: end them with kill -9, then start again.`,
    );
  }
  return undefined;
}

async function start(
  files: ClusterFiles,
  options: PostgresOptions,
  log: (line: string) => void,
): Promise<{ pid: number; memory: Memory }> {
  const user = postgresUser(files.data);
  const native = prepareNative(resolve(options.nativeDir ?? findNative(process.cwd())), user, log);
  const settings = options.settings ?? {};
  await ensureData(files, native, user, settings['fsync'] !== 'off', log);
  const memory = recall(files);
  if (!memory) {
    throw new LauncherError(
      `${files.memory}, which holds the password of the database in ${files.data}, is missing or damaged: put it back, or remove ${files.base} to start with an empty database.`,
    );
  }
  if (options.port !== undefined && (await choosePort(options.port)) !== options.port) throw portTaken(options.port);
  let failure = '';
  for (let attempt = 1; attempt <= PORT_TRIES; attempt++) {
    const port = options.port ?? (await choosePort(attempt === 1 ? memory.port : 0));
    const current = { ...memory, port };
    if (current.port !== memory.port) remember(files, current);
    const outcome = await startOnce(files, native, user, current, settings);
    if (typeof outcome === 'number') return { pid: outcome, memory: current };
    failure = outcome;
    if (/could not bind|Address already in use/.test(failure)) {
      if (options.port === undefined) continue;
      throw portTaken(port);
    }
    if (!/pre-existing shared memory block|lock file/.test(failure)) break;
    // Processes that we cannot see (another container on the same folder), or that are just ending.
    await delay(1_000);
    await endCluster(files.data);
  }
  throw new LauncherError(
    `PostgreSQL does not start in ${files.data} (${failure}): see ${files.log}, or set DATABASE_URL to a PostgreSQL of your own.`,
  );
}

function portTaken(port: number): LauncherError {
  return new LauncherError(`Port ${port} is taken by another program: free it, or let another be chosen.`);
}

/** One try: the process id of a server that answers, or the reason that it gave. */
async function startOnce(
  files: ClusterFiles,
  native: NativePostgres,
  user: SystemUser | undefined,
  memory: Memory,
  settings: Settings,
): Promise<number | string> {
  const { pid, said } = spawnPostmaster(files, native, user, memory.port, settings);
  if (pid === undefined) return 'its program cannot be started';
  const state = await waitUntilReady(memory, () => processesOf(files.data).includes(pid), START_MS);
  if (state === 'ready') return pid;
  const reason = said()
    .split('\n')
    .filter((line) => /FATAL|PANIC|could not bind/.test(line))
    .map((line) => line.replace(/^.*?(FATAL|PANIC|LOG|WARNING): +/, ''))
    .join('; ');
  if (state === 'silent') await endCluster(files.data);
  return reason || (state === 'gone' ? 'it ended without a word' : 'it does not answer');
}

/**
 * Waits until a server answers with our password.
 *
 * @returns `gone` when its process ended, `silent` when the time passed
 */
async function waitUntilReady(
  memory: Memory,
  isRunning: () => boolean,
  patienceMs: number,
): Promise<'ready' | 'gone' | 'silent'> {
  const started = Date.now();
  let patience = patienceMs;
  for (let pause = 10; ; pause = Math.min(pause * 1.5, 250)) {
    try {
      await query(memory, 'postgres', 'SELECT 1');
      return 'ready';
    } catch (error) {
      if (codeOf(error) === '57P03') patience = RECOVERY_MS;
      else if (codeOf(error) === '28P01') {
        throw new LauncherError(
          `The PostgreSQL on port ${memory.port} does not take the password that is kept beside its data: remove that folder to start with an empty database, or set DATABASE_URL.`,
        );
      }
    }
    if (!isRunning()) return 'gone';
    if (Date.now() - started > patience) return 'silent';
    await delay(pause);
  }
}

async function ensureDatabase(memory: Memory, name: string): Promise<void> {
  try {
    await query(memory, 'postgres', `CREATE DATABASE "${name}"`);
  } catch (error) {
    if (codeOf(error) === '42P04') return; // It exists already.
    throw new LauncherError(`The database "${name}" cannot be made (${messageOf(error)}).`);
  }
}

/** One statement on a connection of its own. Explicit settings keep `PGHOST`, `PGSSLMODE` and the like out. */
async function query(memory: Memory, database: string, statement: string): Promise<void> {
  const client = new Client({
    host: '127.0.0.1',
    port: memory.port,
    user: USER,
    password: memory.password,
    database,
    ssl: false,
    connectionTimeoutMillis: 5_000,
  });
  client.on('error', () => undefined); // A line cut later is no news: the statement itself has answered or failed.
  try {
    await client.connect();
    await client.query(statement);
  } finally {
    await client.end().catch(() => undefined);
  }
}

function urlOf(memory: Memory, database: string): string {
  return `postgresql://${USER}:${memory.password}@127.0.0.1:${String(memory.port)}/${database}`;
}

/** The wished port where it is free, else one that the system gives. */
export function choosePort(wished: number): Promise<number> {
  return new Promise((done, fail) => {
    const server = createServer();
    server.once('error', (error) => (wished === 0 ? fail(error) : done(choosePort(0))));
    server.listen({ port: wished, host: '127.0.0.1', exclusive: true }, () => {
      const address = server.address();
      server.close(() => done(typeof address === 'object' && address ? address.port : wished));
    });
  });
}
