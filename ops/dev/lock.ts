import { randomUUID } from 'node:crypto';
import { linkSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { codeOf, LauncherError } from './launcher-error.ts';
import { identityOf, isAlive } from './processes.ts';

const POLL_MS = 40;
/** Breaking a dead holder's lock takes microseconds: an older mark was left by a process that died doing it. */
const STALE_BREAK_MS = 10_000;

/**
 * Runs `work` while holding a lock file that names its holder. A holder that died (kill -9 included) is noticed by its
 * process id and start time, and its lock taken over.
 *
 * @throws LauncherError when a living process keeps the lock longer than `timeoutMs`
 */
export async function withLock<T>(path: string, work: () => Promise<T>, timeoutMs = 120_000): Promise<T> {
  const token = await acquire(path, timeoutMs);
  try {
    return await work();
  } finally {
    if (content(path) === token) rmSync(path, { force: true });
  }
}

async function acquire(path: string, timeoutMs: number): Promise<string> {
  const token = `${identityOf(process.pid) ?? `${String(process.pid)}@?`} ${randomUUID()}`;
  const deadline = Date.now() + timeoutMs;
  while (!tryCreate(path, token)) {
    const holder = content(path);
    const identity = holder.split(' ').slice(0, -1).join(' ');
    if (holder !== '' && !isAlive(identity)) breakLock(path, holder);
    else if (Date.now() > deadline) {
      throw new LauncherError(
        `Process ${identity.split('@')[0] ?? '?'} has been holding ${path} for too long: end it, or remove that file if it is not a start of this service.`,
      );
    } else await delay(POLL_MS);
  }
  return token;
}

/** Creates the file with its content in one step (a hard link), so that nobody ever reads a lock half written. */
function tryCreate(path: string, token: string): boolean {
  const draft = `${path}.${randomUUID()}`;
  writeFileSync(draft, token, { mode: 0o600 });
  try {
    linkSync(draft, path);
    return true;
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error;
    return false;
  } finally {
    rmSync(draft, { force: true });
  }
}

/** Removes a dead holder's lock; a second file sees to it that two waiters never remove one after the other. */
function breakLock(path: string, deadToken: string): void {
  const mark = `${path}.break`;
  if (!tryCreate(mark, deadToken)) {
    const age = Date.now() - (statSync(mark, { throwIfNoEntry: false })?.mtimeMs ?? Date.now());
    if (age > STALE_BREAK_MS) rmSync(mark, { force: true });
    return;
  }
  if (content(path) === deadToken) rmSync(path, { force: true });
  rmSync(mark, { force: true });
}

function content(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
