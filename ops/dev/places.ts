import { createHash, randomUUID } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { codeOf, LauncherError } from './launcher-error.ts';

/** The system user that a program is started as; undefined: as we are. */
export interface SystemUser {
  uid: number;
  gid: number;
}

const PREFIX = 'crealia-klaviyo-';
/** Names, inside a stand-in, the path that it stands in for; written at every use. */
const OWNER = 'stands-in-for';
const FORGOTTEN_MS = 14 * 24 * 3_600_000;

/** `nobody` on Linux: it exists wherever glibc does, and starting a program as it changes nothing on the system. */
const NOBODY: SystemUser = { uid: 65534, gid: 65534 };

/** Whether this process is the superuser, as whom PostgreSQL refuses to run. */
export function isRoot(): boolean {
  return process.getuid?.() === 0;
}

/**
 * As whom PostgreSQL must be started: ourselves, but as root the owner of the existing data directory, or `nobody`.
 *
 * @throws LauncherError as root on a system whose `nobody` we do not know
 */
export function postgresUser(dataDirectory: string): SystemUser | undefined {
  if (!isRoot()) return undefined;
  const owner = statSync(dataDirectory, { throwIfNoEntry: false });
  if (owner && owner.uid !== 0) return { uid: owner.uid, gid: owner.gid };
  if (process.platform !== 'linux') {
    throw new LauncherError(
      'PostgreSQL does not run as root: start as an ordinary user, or set DATABASE_URL to a PostgreSQL of your own.',
    );
  }
  return NOBODY;
}

/** Whether a user may pass through every folder down to `path`; what does not exist yet is as open as what holds it. */
export function canReach(path: string, user: SystemUser | undefined): boolean {
  if (!user) return true;
  let at = path;
  while (!statSync(at, { throwIfNoEntry: false })) at = dirname(at);
  for (at = realpathSync(at); ; at = dirname(at)) {
    const { uid, gid, mode } = statSync(at);
    const bit = uid === user.uid ? 0o100 : gid === user.gid ? 0o010 : 0o001;
    if (statSync(at).isDirectory() && !(mode & bit)) return false;
    if (at === dirname(at)) return true;
  }
}

/**
 * Makes a folder of ours (0711 as root, so that PostgreSQL's user may pass through it; else 0700) and proves that
 * files can be written there.
 *
 * @returns false when the file system or its rights do not allow it
 */
export function makeWritable(dir: string): boolean {
  try {
    const first = mkdirSync(dir, { recursive: true });
    for (let at = dir; first !== undefined && at.length >= first.length; at = dirname(at)) {
      chmodSync(at, isRoot() ? 0o711 : 0o700);
    }
    const probe = join(dir, `.probe-${randomUUID()}`);
    writeFileSync(probe, '');
    rmSync(probe);
    return true;
  } catch (error) {
    if (['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'ENOENT'].includes(codeOf(error))) return false;
    throw error;
  }
}

/** Whether files of `dir` can be given to a user: not so on some mounted file systems, even for root. */
export function canHandOver(dir: string, user: SystemUser | undefined): boolean {
  if (!user) return true;
  const probe = join(dir, `.probe-${randomUUID()}`);
  try {
    writeFileSync(probe, '');
    chownSync(probe, user.uid, user.gid);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(probe, { force: true });
  }
}

/**
 * The folder that stands in for one that cannot be used: always the same for the same path and user, so that a second
 * start finds what the first one left. `/var/tmp` rather than `/tmp`, since it outlives a restart of the machine.
 *
 * @throws LauncherError when another user holds that name, or no temporary folder can be used
 */
export function standIn(path: string, user: SystemUser | undefined): string {
  const uid = process.getuid?.() ?? 0;
  const name = `${PREFIX}${createHash('sha256').update(resolve(path)).digest('hex').slice(0, 12)}-${String(uid)}`;
  for (const base of process.platform === 'linux' ? ['/var/tmp', tmpdir()] : [tmpdir()]) {
    const dir = join(base, name);
    if (!canReach(base, user) || !makeWritable(dir)) continue;
    const found = lstatSync(dir);
    if (found.isDirectory() && found.uid === uid && !(found.mode & 0o022)) {
      sweep(base, name.slice(name.lastIndexOf('-')));
      writeFileSync(join(dir, OWNER), resolve(path), { mode: 0o600 });
      return dir;
    }
    throw new LauncherError(
      `${dir} belongs to somebody else or may be changed by others: remove it, or set DATABASE_URL to a PostgreSQL of your own.`,
    );
  }
  throw new LauncherError(
    `Neither ${path} nor ${tmpdir()} can be written: free one of them, or set DATABASE_URL to a PostgreSQL of your own.`,
  );
}

/**
 * Removes our stand-ins whose project is gone: at once those that hold only copied programs, those with data when they
 * have not been used for two weeks (the project may lie on a disk that is not there today).
 */
function sweep(base: string, suffix: string): void {
  for (const name of readdirSync(base)) {
    if (!name.startsWith(PREFIX) || !name.endsWith(suffix)) continue;
    const dir = join(base, name);
    try {
      const stood = statSync(join(dir, OWNER), { throwIfNoEntry: false });
      if (!stood || existsSync(readFileSync(join(dir, OWNER), 'utf8'))) continue;
      const holdsData = readdirSync(dir).some((entry) => entry !== OWNER && !entry.startsWith('native'));
      if (holdsData && Date.now() - stood.mtimeMs < FORGOTTEN_MS) continue;
      if (existsSync(join(dir, 'postgres', 'data', 'postmaster.pid'))) continue;
      rmSync(dir, { recursive: true, force: true });
    } catch {
      // Somebody else is at it, or it is not ours: nothing is lost by leaving it.
    }
  }
}
