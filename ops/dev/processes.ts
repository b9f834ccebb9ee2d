import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';

/** One running process: its id and its command line, arguments joined by a space. */
export interface ProcessInfo {
  pid: number;
  command: string;
}

/** `/proc` where it exists (`ps` is missing in slim images), else `ps`. */
const linux = process.platform === 'linux';

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return ''; // The process ended meanwhile, or is not ours to look at.
  }
}

function ps(...args: string[]): string {
  return spawnSync('ps', args, { encoding: 'utf8', env: { PATH: process.env['PATH'], LC_ALL: 'C' } }).stdout;
}

/** Every process that we may see and that still has a command line; zombies have none. */
export function listProcesses(): ProcessInfo[] {
  if (linux) {
    return readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((name) => ({ pid: Number(name), command: commandOf(Number(name)) }))
      .filter(({ command }) => command !== '');
  }
  return ps('-axo', 'pid=,command=')
    .split('\n')
    .map((line) => /^\s*(\d+)\s+(.*)$/.exec(line))
    .flatMap((match) => (match?.[1] ? [{ pid: Number(match[1]), command: match[2] ?? '' }] : []));
}

/** The command line of one process; empty when it is gone or a zombie. */
export function commandOf(pid: number): string {
  if (linux)
    return read(`/proc/${String(pid)}/cmdline`)
      .replaceAll('\0', ' ')
      .trim();
  return ps('-o', 'command=', '-p', String(pid)).trim();
}

/** The parent of a process; 0 when it is gone. */
export function parentOf(pid: number): number {
  if (linux) return Number(statFields(pid)[1] ?? 0);
  return Number(ps('-o', 'ppid=', '-p', String(pid)).trim());
}

/** The fields of `/proc/<pid>/stat` from the third on: the second, the name, may itself hold spaces. */
function statFields(pid: number): string[] {
  const stat = read(`/proc/${String(pid)}/stat`);
  return stat === '' ? [] : stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}

/**
 * A process as `pid@start time`, so that a number used again by the system is not taken for the one that wrote it.
 * Undefined when no such process lives.
 */
export function identityOf(pid: number): string | undefined {
  if (!Number.isInteger(pid) || pid <= 0 || commandOf(pid) === '') return undefined;
  const started = linux ? statFields(pid)[19] : ps('-o', 'lstart=', '-p', String(pid)).trim();
  return started ? `${String(pid)}@${started}` : undefined;
}

/** Whether the process that an identity names still runs. */
export function isAlive(identity: string): boolean {
  return identityOf(Number(identity.split('@')[0])) === identity;
}

/** Sends a signal; false when the process is gone or not ours. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, name);
  } catch {
    return false;
  }
}

/** Polls until the condition holds; false when it does not within the time. */
export async function until(condition: () => boolean, timeoutMs: number, everyMs = 25): Promise<boolean> {
  const deadline = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() >= deadline) return false;
    await delay(everyMs);
  }
  return true;
}
