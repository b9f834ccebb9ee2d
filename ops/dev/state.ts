import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { LauncherError } from './launcher-error.ts';
import { withLock } from './lock.ts';
import { makeWritable, standIn } from './places.ts';
import { identityOf, isAlive } from './processes.ts';

/** What runs: written for `npm run demo` and for a second `npm start`, readable by its owner only. */
export interface Running {
  /** The launcher, as `pid@start time`. */
  launcher: string;
  /** The service's process, as `pid@start time`; it may outlive a killed launcher for a moment. */
  service: string | null;
  /** Whether the service answers. */
  ready: boolean;
  /** `http://127.0.0.1:3000` */
  url: string;
  /** The secret of a service key of this run; null when none can be told from the environment. */
  serviceKey: string | null;
  /** Where the embedded database lies that this launcher runs; null before it does, or with `DATABASE_URL`. */
  database: string | null;
  /** The sandbox's addresses and the demo account's private key; null when another Klaviyo is configured. */
  sandbox: { url: string; control: string; accountId: string; privateKey: string } | null;
}

/** The secrets of a development machine, made once: with other keys, stored connections could not be opened again. */
export interface DevelopmentSecrets {
  serviceKey: string;
  jwtSecret: string;
  encryptionKey: string;
}

/** Where a project keeps what its development needs: `.data`, or what stands in for it in a read-only project. */
export function stateDir(project: string, log: (line: string) => void = () => undefined): string {
  const wished = join(project, '.data');
  if (makeWritable(wished)) return wished;
  const dir = standIn(project, undefined);
  log(`${wished} cannot be written: data and keys are kept in ${dir}.`);
  return dir;
}

/** The secrets of this machine, made at the first start. @throws LauncherError when the file is damaged */
export function developmentSecrets(dir: string): DevelopmentSecrets {
  const path = join(dir, 'dev-secrets.json');
  if (!existsSync(path)) {
    writePrivately(path, {
      serviceKey: randomBytes(32).toString('base64url'),
      jwtSecret: randomBytes(32).toString('base64url'),
      encryptionKey: randomBytes(32).toString('base64'),
    } satisfies DevelopmentSecrets);
  }
  const found = readJson(path) as Partial<DevelopmentSecrets> | undefined;
  if (found?.serviceKey && found.jwtSecret && found.encryptionKey) return found as DevelopmentSecrets;
  throw new LauncherError(
    `${path} is damaged: put it back, or remove it (connections stored before must then be made anew).`,
  );
}

/** The port that the sandbox had at the last start, 0 at the first: cursors that were kept stay valid. */
export function lastSandboxPort(dir: string): number {
  const found = readJson(join(dir, 'sandbox-port.json'));
  return typeof found === 'number' ? found : 0;
}

/** Keeps the sandbox's port for the next start. */
export function keepSandboxPort(dir: string, port: number): void {
  writePrivately(join(dir, 'sandbox-port.json'), port);
}

/** What runs now, or undefined; a record whose launcher died is none. */
export function readRunning(dir: string): Running | undefined {
  const found = lastRunning(dir);
  return found && isAlive(found.launcher) ? found : undefined;
}

/** The last record, whether or not its launcher still lives. */
export function lastRunning(dir: string): Running | undefined {
  const found = readJson(runningFile(dir)) as Partial<Running> | undefined;
  return found && typeof found.launcher === 'string' ? (found as Running) : undefined;
}

/** Who has the folder already, or what a killed launcher left in it. */
export type Claim = { holder: Running } | { own: Running; left: Running | null };

/**
 * Takes this folder for this launcher.
 *
 * @returns the one who has it already, else our record and what a killed launcher left
 */
export function claim(dir: string, url: string): Promise<Claim> {
  return withLock<Claim>(join(dir, 'start.lock'), () => {
    const holder = readRunning(dir);
    if (holder) return Promise.resolve({ holder });
    const left = lastRunning(dir) ?? null;
    const own: Running = {
      launcher: identityOf(process.pid) ?? '',
      service: null,
      ready: false,
      url,
      serviceKey: null,
      // Until ours runs, the one that a killed launcher left is ours to end.
      database: left?.database ?? null,
      sandbox: null,
    };
    writeRunning(dir, own);
    return Promise.resolve({ own, left });
  });
}

/** Writes what runs. */
export function writeRunning(dir: string, running: Running): void {
  writePrivately(runningFile(dir), running);
}

/** Removes the record at the end. */
export function forgetRunning(dir: string): void {
  rmSync(runningFile(dir), { force: true });
}

function runningFile(dir: string): string {
  return join(dir, 'running.json');
}

function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as unknown;
  } catch {
    return undefined;
  }
}

/** Whole or not at all: readers never see half a file. */
function writePrivately(path: string, content: unknown): void {
  const draft = `${path}.${String(process.pid)}`;
  writeFileSync(draft, `${JSON.stringify(content, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, path);
}
