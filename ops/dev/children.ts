import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { LauncherError } from './launcher-error.ts';
import { signal as send, until } from './processes.ts';

/** How a child ended: its exit code, or 128 and more for a signal, as a shell tells it. */
export type ExitCode = number;

/** A program that the launcher runs. */
export interface RunningChild {
  pid: number;
  isAlive(): boolean;
  /** Settles when it has ended, however it came to that. */
  ended: Promise<ExitCode>;
  /** Asks it to end, insists after `patienceMs`, and waits until it is gone. */
  stop(patienceMs: number): Promise<void>;
}

/** What the sandbox says when it listens. */
export interface SandboxAnnouncement {
  url: string;
  control: string;
  demo: { accountId: string; privateKey: string };
}

const SANDBOX_START_MS = 60_000;
const READY_POLL_MS = 50;
const READY_HINT_MS = 20_000;

/**
 * Runs the built service. It gets a session of its own, so that Ctrl-C reaches the launcher only, which stops things
 * in order; its line to us (file descriptor 3) breaks when we are killed.
 */
export function startService(project: string, entry: string, env: NodeJS.ProcessEnv): RunningChild {
  const preload = new URL('./with-parent.ts', import.meta.url).href;
  const child = spawn(process.execPath, ['--import', preload, '--enable-source-maps', entry], {
    cwd: project,
    env,
    detached: true,
    stdio: ['ignore', 'inherit', 'inherit', 'pipe'],
  });
  return supervise(child, 'the service');
}

/**
 * Waits for the service's `GET /health/ready`.
 *
 * @returns false when it ended before
 */
export async function waitUntilReady(
  url: string,
  service: RunningChild,
  signal: AbortSignal,
  log: (line: string) => void,
): Promise<boolean> {
  const started = Date.now();
  let hinted = false;
  for (;;) {
    signal.throwIfAborted();
    if (!service.isAlive()) return false;
    try {
      const answer = await fetch(`${url}/health/ready`, { signal: AbortSignal.timeout(5_000) });
      await answer.body?.cancel();
      if (answer.ok) return true;
    } catch {
      // It does not listen yet.
    }
    if (!hinted && Date.now() - started > READY_HINT_MS) {
      hinted = true;
      log(`The service is not ready yet: ${url}/health/ready says what it waits for.`);
    }
    await delay(READY_POLL_MS);
  }
}

/** Whether the project has a sandbox to start. */
export function hasSandbox(project: string): boolean {
  return existsSync(sandboxEntry(project));
}

/**
 * Starts the Klaviyo sandbox with its demo account.
 *
 * @param port 0: any
 * @throws LauncherError when it does not come up
 */
export async function startSandbox(
  project: string,
  port: number,
  signal: AbortSignal,
): Promise<{ child: RunningChild; announcement: SandboxAnnouncement }> {
  const process_ = spawn(
    process.execPath,
    [sandboxEntry(project), '--demo', '--port', String(port), '--host', '127.0.0.1', '--with-parent'],
    { cwd: project, detached: true, stdio: ['pipe', 'pipe', 'inherit'] },
  );
  const child = supervise(process_, 'the Klaviyo sandbox');
  const { stdout } = process_;
  const first = new Promise<string | undefined>((done) => {
    createInterface({ input: stdout })
      .once('line', done)
      .once('close', () => done(undefined));
    setTimeout(() => done(undefined), SANDBOX_START_MS).unref();
    signal.addEventListener('abort', () => done(undefined), { once: true });
  });
  const line = await first;
  stdout.resume();
  const announcement = line === undefined ? undefined : parseAnnouncement(line);
  if (announcement) return { child, announcement };
  await child.stop(2_000);
  signal.throwIfAborted();
  throw new LauncherError(
    'The Klaviyo sandbox did not start: run npm run sandbox to see why, or set KLAVIYO_API_BASE_URL to do without it.',
  );
}

function sandboxEntry(project: string): string {
  return join(project, 'test', 'sandbox', 'main.ts');
}

function parseAnnouncement(line: string): SandboxAnnouncement | undefined {
  try {
    const found = JSON.parse(line) as Partial<SandboxAnnouncement>;
    return found.url && found.control && found.demo ? (found as SandboxAnnouncement) : undefined;
  } catch {
    return undefined;
  }
}

function supervise(child: ChildProcess, name: string): RunningChild {
  const pid = child.pid;
  if (pid === undefined) throw new LauncherError(`Node cannot start ${name}: is there enough memory and disk?`);
  let gone = false;
  const ended = once(child, 'exit').then(([code, signal]: unknown[]): ExitCode => {
    gone = true;
    if (typeof code === 'number') return code;
    return signal === 'SIGKILL' ? 137 : 143;
  });
  return {
    pid,
    isAlive: () => !gone,
    ended,
    async stop(patienceMs) {
      send(pid, 'SIGTERM');
      if (await until(() => gone, patienceMs)) return;
      send(pid, 'SIGKILL');
      await ended;
    },
  };
}
