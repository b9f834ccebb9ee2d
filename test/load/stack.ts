// PostgreSQL, sandbox and the built service as processes of their own, for load tests and benchmarks.
import { spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { startPostgres, type RunningPostgres } from '../../ops/dev/embedded-postgres.ts';

export const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const READY_MS = 30_000;

export interface Stack {
  url: string;
  sandboxUrl: string;
  serviceKey: string;
  /** Milliseconds from the start of the service's process to its first good `/health/ready`. */
  readyAfterMs: number;
  /** Resident memory of the service's process now, in megabytes (of 2^20 bytes). */
  residentMb(): number;
  stop(): Promise<void>;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const address = server.address();
  await new Promise((done) => server.close(done));
  if (address === null || typeof address === 'string') throw new Error('No free port');
  return address.port;
}

async function startSandbox(seed: number): Promise<{ url: string; child: ChildProcess }> {
  const args = [join(project, 'test/sandbox/main.ts'), '--port', '0', '--seed', String(seed), '--with-parent'];
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const line = await new Promise<string>((done, fail) => {
    createInterface({ input: child.stdout }).once('line', done);
    child.once('exit', (code) => fail(new Error(`The sandbox stopped with ${String(code)}`)));
  });
  return { url: (JSON.parse(line) as { url: string }).url, child };
}

async function stopped(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise((done) => child.once('exit', done));
  child.kill('SIGTERM');
  await gone;
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + READY_MS;
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`The service stopped with ${child.exitCode} before it was ready`);
    const ready = await fetch(`${url}/health/ready`).then(
      (response) => response.ok,
      () => false,
    );
    if (ready) return;
    await wait(20);
  }
  throw new Error('The service was not ready in time');
}

/** Starts everything on free ports, with data in a temporary folder that goes with it. */
export async function startStack(options: { seed: number; env?: Record<string, string> }): Promise<Stack> {
  const entry = join(project, 'dist/src/main.js');
  if (!existsSync(entry)) throw new Error('There is no build yet: npm run build');
  const dir = mkdtempSync(join(tmpdir(), 'klaviyo-load-'));
  const serviceKey = randomBytes(24).toString('base64url');
  const children: ChildProcess[] = [];
  let postgres: RunningPostgres | undefined;
  const stop = async (): Promise<void> => {
    for (const child of children.toReversed()) await stopped(child);
    await postgres?.stop();
    for (const path of [postgres?.base, dir]) if (path) rmSync(path, { recursive: true, force: true });
  };
  try {
    postgres = await startPostgres({ dataDir: dir });
    const sandbox = await startSandbox(options.seed);
    children.push(sandbox.child);
    const port = await freePort();
    const url = `http://127.0.0.1:${port}`;
    const env = {
      PATH: process.env['PATH'] ?? '',
      NODE_ENV: 'test',
      PORT: String(port),
      DATABASE_URL: postgres.url,
      SERVICE_API_KEYS: `load:${serviceKey}`,
      ENCRYPTION_KEYS: `load:${randomBytes(32).toString('base64')}`,
      KLAVIYO_API_BASE_URL: sandbox.url,
      LOG_LEVEL: 'warn',
      THROTTLE_LIMIT: '10000000',
      ...options.env,
    };
    // The first start migrates; the second is what operators see every day.
    for (const run of ['migrate', 'measure']) {
      const begin = performance.now();
      const child = spawn(process.execPath, [entry], { env, stdio: ['ignore', 'ignore', 'inherit'] });
      if (run === 'measure') children.push(child);
      await untilReady(url, child);
      const readyAfterMs = performance.now() - begin;
      if (run === 'migrate') {
        await stopped(child);
        continue;
      }
      return {
        url,
        sandboxUrl: sandbox.url,
        serviceKey,
        readyAfterMs,
        residentMb: () => residentMb(child.pid ?? 0),
        stop,
      };
    }
    throw new Error('unreachable');
  } catch (error) {
    await stop();
    throw error;
  }
}

function residentMb(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'));
  return Number(match?.[1] ?? NaN) / 1024;
}

/** An account at the sandbox, connected for one user. */
export async function connectAccount(stack: Stack, userId: number, account: object): Promise<{ accountId: string }> {
  const made = await call<{ id: string; keys: string[] }>(`${stack.sandboxUrl}/_sandbox/accounts`, account);
  await call(
    `${stack.url}/api/v1/klaviyo/connect`,
    { userId, privateApiKey: made.keys[0] },
    { authorization: `Bearer ${stack.serviceKey}` },
  );
  return { accountId: made.id };
}

async function call<T>(url: string, body: object, headers: Record<string, string> = {}): Promise<T> {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  if (!response.ok) throw new Error(`${new URL(url).pathname} answered ${response.status}: ${await response.text()}`);
  return (await response.json()) as T;
}

/** The seed of this run: `SEED`, else a new one; printed so that the run can be repeated. */
export function seedOfRun(): number {
  const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 1_000_000));
  console.log(`seed ${seed} (repeat with SEED=${seed})`);
  return seed;
}
