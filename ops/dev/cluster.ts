import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { LauncherError } from './launcher-error.ts';
import { NATIVE_ENV, type NativePostgres } from './native.ts';
import { isRoot, type SystemUser } from './places.ts';
import { commandOf, listProcesses, signal, until } from './processes.ts';

/** PostgreSQL's server settings, by name. */
export type Settings = Record<string, string | number | boolean>;

/** What is remembered beside the data: the port, kept from start to start, and the superuser's generated password. */
export interface Memory {
  port: number;
  password: string;
}

/** The files of one cluster. */
export interface ClusterFiles {
  base: string;
  /** PostgreSQL's own data directory, complete as soon as it has this name. */
  data: string;
  memory: string;
  log: string;
  lock: string;
}

/** Where everything of a cluster lies below its base folder. */
export function clusterFiles(base: string): ClusterFiles {
  return {
    base,
    data: join(base, 'data'),
    memory: join(base, 'launcher.json'),
    log: join(base, 'postgres.log'),
    lock: join(base, 'launcher.lock'),
  };
}

/** Shown by every process of a cluster in its title, so that those left over by a dead postmaster can be told. */
function clusterName(data: string): string {
  return `crealia_${createHash('sha256').update(data).digest('hex').slice(0, 24)}`;
}

/** The processes that work on a data directory: its postmaster, and the children that outlived one. */
export function processesOf(data: string): number[] {
  const title = `postgres: ${clusterName(data)}`;
  return listProcesses()
    .filter(({ command }) => `${command} `.includes(` -D ${data} `) || command.startsWith(title))
    .map(({ pid }) => pid);
}

/** The living postmaster of a data directory and the port it listens on; undefined when it has none. */
export function findPostmaster(data: string): { pid: number; port: number } | undefined {
  let lines: string[];
  try {
    lines = readFileSync(join(data, 'postmaster.pid'), 'utf8').split('\n');
  } catch {
    return undefined;
  }
  const pid = Number(lines[0]);
  const ours = `${commandOf(pid)} `.includes(` -D ${data} `);
  return ours ? { pid, port: Number(lines[3]) } : undefined;
}

/** What is remembered, or undefined at the first start (or when the file is not readable as such). */
export function recall(files: ClusterFiles): Memory | undefined {
  try {
    const found = JSON.parse(readFileSync(files.memory, 'utf8')) as Partial<Memory>;
    return typeof found.password === 'string' && typeof found.port === 'number'
      ? { password: found.password, port: found.port }
      : undefined;
  } catch {
    return undefined;
  }
}

/** Writes what is remembered, readable by the folder's owner only. */
export function remember(files: ClusterFiles, memory: Memory): void {
  const draft = `${files.memory}.draft`;
  writeFileSync(draft, `${JSON.stringify(memory)}\n`, { mode: 0o600 });
  const { uid, gid } = statSync(files.base);
  if (isRoot()) chownSync(draft, uid, gid);
  renameSync(draft, files.memory);
}

/**
 * Makes the data directory unless it stands already. A directory gets its final name only when it is whole, so that
 * one whose making was interrupted is simply made anew.
 *
 * @throws LauncherError when the data is of another PostgreSQL, or cannot be made
 */
export async function ensureData(
  files: ClusterFiles,
  native: NativePostgres,
  user: SystemUser | undefined,
  durable: boolean,
  log: (line: string) => void,
): Promise<void> {
  await discardDrafts(files);
  if (existsSync(files.data)) {
    const version = join(files.data, 'PG_VERSION');
    if (existsSync(version) && existsSync(join(files.data, 'global', 'pg_control'))) {
      const found = Number.parseInt(readFileSync(version, 'utf8'), 10);
      if (found === native.major) return;
      throw new LauncherError(
        `The data in ${files.data} was made by PostgreSQL ${found}, and this is ${native.major}: move that folder away to start with an empty database, or set DATABASE_URL.`,
      );
    }
    const aside = `${files.data}.broken-${String(Date.now())}`;
    renameSync(files.data, aside);
    log(`${files.data} is not a whole database: it was moved to ${aside}, and an empty one is made.`);
  }
  initialise(files, native, user, durable);
}

/** Ends an `initdb` that outlived its launcher, and removes what it made. */
async function discardDrafts(files: ClusterFiles): Promise<void> {
  const drafts = readdirSync(files.base).filter((name) => name.startsWith('draft-'));
  for (const { pid, command } of listProcesses()) {
    if (command.includes(` -D ${join(files.base, 'draft-')}`)) signal(pid, 'SIGKILL');
  }
  for (const name of drafts) {
    await until(() => {
      rmSync(join(files.base, name), { recursive: true, force: true, maxRetries: 3 });
      return !existsSync(join(files.base, name));
    }, 5_000);
  }
}

function initialise(files: ClusterFiles, native: NativePostgres, user: SystemUser | undefined, durable: boolean): void {
  const memory: Memory = recall(files) ?? { port: 0, password: randomBytes(24).toString('base64url') };
  remember(files, memory);
  const token = randomBytes(6).toString('hex');
  const draft = join(files.base, `draft-${token}`);
  const passwordFile = join(files.base, `draft-${token}.password`);
  mkdirSync(draft, { mode: 0o700 });
  chmodSync(draft, 0o700);
  writeFileSync(passwordFile, memory.password, { mode: 0o600 });
  if (user) for (const path of [draft, passwordFile]) chownSync(path, user.uid, user.gid);
  // The locale of PostgreSQL's own making knows upper and lower case of every language and is the same on any system.
  const locale =
    native.major >= 17
      ? ['--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
      : ['--locale=C.UTF-8', '--lc-messages=C'];
  const run = spawnSync(
    join(native.dir, 'bin', 'initdb'),
    [
      ...['-D', draft, '--username=postgres', `--pwfile=${passwordFile}`, '--auth=scram-sha-256', '--encoding=UTF8'],
      ...locale,
      ...(durable ? [] : ['--no-sync']),
    ],
    { ...user, cwd: '/', encoding: 'utf8', env: NATIVE_ENV },
  );
  rmSync(passwordFile, { force: true });
  if (run.status !== 0) {
    rmSync(draft, { recursive: true, force: true });
    const reason = run.error?.message ?? run.stderr.split('\n').find((line) => /error|fatal|could not/i.test(line));
    throw new LauncherError(
      `PostgreSQL could not make its data directory below ${files.base} (${reason ?? 'it was interrupted'}): put that right, or set DATABASE_URL to a PostgreSQL of your own.`,
    );
  }
  renameSync(draft, files.data);
}

/**
 * Starts the postmaster in a session of its own, so that Ctrl-C in the terminal reaches the launcher only, which stops
 * it last. It listens on 127.0.0.1, without a socket file, and asks everybody for the password.
 *
 * @returns its process id, and `said`: what it has written to its log since
 */
export function spawnPostmaster(
  files: ClusterFiles,
  native: NativePostgres,
  user: SystemUser | undefined,
  port: number,
  settings: Settings,
): { pid: number | undefined; said: () => string } {
  rmSync(join(files.data, 'postmaster.pid'), { force: true }); // Stale: the caller saw that no process is at work.
  rotateLog(files.log);
  const from = statSync(files.log, { throwIfNoEntry: false })?.size ?? 0;
  const output = openSync(files.log, 'a', 0o600);
  const all: Settings = {
    listen_addresses: '127.0.0.1',
    unix_socket_directories: '',
    cluster_name: clusterName(files.data),
    update_process_title: true,
    ...settings,
  };
  const child = spawn(
    join(native.dir, 'bin', 'postgres'),
    [
      ...['-D', files.data, '-p', String(port)],
      ...Object.entries(all).flatMap(([name, value]) => ['-c', `${name}=${String(value)}`]),
    ],
    { ...user, cwd: '/', detached: true, env: NATIVE_ENV, stdio: ['ignore', output, output] },
  );
  child.on('error', () => undefined); // No pid then, which the caller tells.
  child.unref();
  closeSync(output);
  return { pid: child.pid, said: () => readFileSync(files.log).subarray(from).toString('utf8') };
}

function rotateLog(path: string): void {
  const size = statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size > 5_000_000) renameSync(path, join(dirname(path), `${basename(path)}.1`));
}

/**
 * Ends everything that works on a data directory: the postmaster in fast mode (open calls are rolled back), what does
 * not follow harder. Children whose postmaster was killed get a moment to notice it by themselves.
 *
 * @returns whether nothing is left
 */
export async function endCluster(data: string): Promise<boolean> {
  const none = (): boolean => processesOf(data).length === 0;
  const postmaster = findPostmaster(data);
  if (postmaster) {
    signal(postmaster.pid, 'SIGINT');
    if (await until(none, 20_000)) return true;
  } else if (await until(none, 1_500)) return true;
  for (const pid of processesOf(data)) signal(pid, 'SIGQUIT');
  if (await until(none, 2_000)) return true;
  for (const pid of processesOf(data)) signal(pid, 'SIGKILL');
  return until(none, 5_000);
}
