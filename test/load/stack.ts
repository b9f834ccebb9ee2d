// PostgreSQL, sandbox and the built service as processes of their own, for load tests and benchmarks.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { startPostgres } from '../../ops/dev/embedded-postgres.ts';

export const project = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const READY_MS = 30_000;

/** PostgreSQL and sandbox, and what a process of the service needs to work with them. */
export interface Backends {
  sandboxUrl: string;
  databaseUrl: string;
  serviceKey: string;
  /** The whole environment of a service process but its port. */
  env: Record<string, string>;
  /** Ends them, and every service that was started on them. */
  stop(): Promise<void>;
}

export interface RunningService {
  url: string;
  child: ChildProcess;
  /** Milliseconds from the start of the process to its first good `/health/ready`. */
  readyAfterMs: number;
  /** Resident memory of the process now, in megabytes (of 2^20 bytes). */
  residentMb(): number;
  /** CPU time of the process so far, in seconds. */
  cpuSeconds(): number;
  stop(): Promise<void>;
}

export interface Stack {
  url: string;
  sandboxUrl: string;
  serviceKey: string;
  backends: Backends;
  stop(): Promise<void>;
}

export interface BackendOptions {
  seed: number;
  /** On top of the environment that the service is given. */
  env?: Record<string, string>;
}

/** Services started on each set of backends: they end before them. */
const servicesOn = new WeakMap<Backends, RunningService[]>();

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

/** What `docker-compose.yml` sets in its PostgreSQL: the service is measured with what it is shipped with. */
function shippedSettings(): Record<string, string> {
  const compose = readFileSync(join(project, 'docker-compose.yml'), 'utf8');
  const settings = [...compose.matchAll(/-c (\w+)=(\w+)/g)].map(([, name = '', value = '']) => [name, value] as const);
  if (settings.length === 0) throw new Error('docker-compose.yml sets nothing in PostgreSQL any more');
  return Object.fromEntries(settings);
}

/**
 * A checkpoint, of which a running server has one every five minutes: what is written after it goes into log files that
 * are used again, where a new server fills each with zeros first.
 */
export async function settle({ databaseUrl }: Backends): Promise<void> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    await client.query('CHECKPOINT');
  } finally {
    await client.end();
  }
}

/** Starts PostgreSQL and the sandbox on free ports, with data in a temporary folder that goes with them. */
export async function startBackends(options: BackendOptions): Promise<Backends> {
  const dir = mkdtempSync(join(tmpdir(), 'klaviyo-load-'));
  const serviceKey = randomBytes(24).toString('base64url');
  const services: RunningService[] = [];
  let sandbox: Awaited<ReturnType<typeof startSandbox>> | undefined;
  const starting = startPostgres({ dataDir: dir, settings: shippedSettings() });
  const end = async (): Promise<void> => {
    for (const service of services.toReversed()) await service.stop();
    if (sandbox) await stopped(sandbox.child);
    // Interrupted while it starts, it would stay behind.
    const postgres = await starting.catch(() => undefined);
    await postgres?.stop();
    for (const path of [postgres?.base, dir]) if (path) rmSync(path, { recursive: true, force: true });
  };
  let ending: Promise<void> | undefined;
  const stop = (): Promise<void> => (ending ??= end());
  const interrupted = (): void => void stop().finally(() => process.exit(130));
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, interrupted);
  try {
    const postgres = await starting;
    sandbox = await startSandbox(options.seed);
    const backends: Backends = {
      sandboxUrl: sandbox.url,
      databaseUrl: postgres.url,
      serviceKey,
      env: {
        PATH: process.env['PATH'] ?? '',
        NODE_ENV: 'test',
        DATABASE_URL: postgres.url,
        SERVICE_API_KEYS: `load:${serviceKey}`,
        ENCRYPTION_KEYS: `load:${randomBytes(32).toString('base64')}`,
        KLAVIYO_API_BASE_URL: sandbox.url,
        LOG_LEVEL: 'warn',
        THROTTLE_LIMIT: '10000000',
        SYNC_INTERVAL_MINUTES: '0',
        ...options.env,
      },
      stop: async () => {
        for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, interrupted);
        await stop();
      },
    };
    servicesOn.set(backends, services);
    return backends;
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Where `npm run build` leaves the service. */
export function builtEntry(): string {
  const entry = join(project, 'dist/src/main.js');
  if (!existsSync(entry)) throw new Error('There is no build yet: npm run build');
  return entry;
}

/** Starts one process of the built service, or of another program that serves the same, and waits until it is ready. */
export async function startService(
  backends: Backends,
  options: { entry?: string; env?: Record<string, string> } = {},
): Promise<RunningService> {
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = { ...backends.env, PORT: String(port), ...options.env };
  const begin = performance.now();
  const child = spawn(process.execPath, [options.entry ?? builtEntry()], {
    env,
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const service: RunningService = {
    url,
    child,
    readyAfterMs: NaN,
    residentMb: () => residentMb(child.pid ?? 0),
    cpuSeconds: () => cpuSeconds(child.pid ?? 0),
    stop: () => stopped(child),
  };
  servicesOn.get(backends)?.push(service);
  await untilReady(url, child);
  service.readyAfterMs = performance.now() - begin;
  return service;
}

/** Starts everything: PostgreSQL, the sandbox and one process of the service. */
export async function startStack(options: BackendOptions): Promise<Stack> {
  const backends = await startBackends(options);
  try {
    const { url } = await startService(backends);
    const { sandboxUrl, serviceKey, stop } = backends;
    return { url, sandboxUrl, serviceKey, backends, stop };
  } catch (error) {
    await backends.stop();
    throw error;
  }
}

function residentMb(pid: number): number {
  const status = `/proc/${pid}/status`;
  const kilobytes = existsSync(status)
    ? /^VmRSS:\s+(\d+) kB/m.exec(readFileSync(status, 'utf8'))?.[1]
    : execFileSync('ps', ['-o', 'rss=', '-p', String(pid)], { encoding: 'utf8' }).trim();
  return Number(kilobytes ?? NaN) / 1024;
}

/** By Linux's own count, in hundredths of a second; not a number elsewhere. */
function cpuSeconds(pid: number): number {
  const path = `/proc/${pid}/stat`;
  if (!existsSync(path)) return NaN;
  const fields = readFileSync(path, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ');
  return (Number(fields[11]) + Number(fields[12])) / 100;
}

/** An account at the sandbox; options as its manual has them. */
export async function createAccount(sandboxUrl: string, account: object): Promise<{ accountId: string; key: string }> {
  const made = await call<{ id: string; keys: string[] }>('POST', `${sandboxUrl}/_sandbox/accounts`, account);
  return { accountId: made.id, key: made.keys[0] ?? '' };
}

/** An account at the sandbox, connected for one user. */
export async function connectAccount(
  stack: Pick<Stack, 'url' | 'sandboxUrl' | 'serviceKey'>,
  userId: number,
  account: object,
): Promise<{ accountId: string; key: string }> {
  const made = await createAccount(stack.sandboxUrl, account);
  await call(
    'POST',
    `${stack.url}/api/v1/klaviyo/connect`,
    { userId, privateApiKey: made.key },
    { authorization: `Bearer ${stack.serviceKey}` },
  );
  return made;
}

/** One call with JSON in and out. @throws Error with path, status and answer when it is refused */
export async function call<T>(
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE',
  url: string,
  body?: object,
  headers: Record<string, string> = {},
): Promise<T> {
  const response = await fetch(url, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
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

/** Runs a benchmark's main part: a failure is one line and exit status 1. */
export function runMain(main: () => Promise<void>): void {
  main().catch((error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exitCode = 1;
  });
}
