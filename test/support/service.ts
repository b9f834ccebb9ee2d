import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, type AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { build } from './build';
import type { SandboxAccount } from './sandbox';
import { API } from './walk';

const START_MS = 60_000;
const STOP_MS = 15_000;
const MOST_SAID = 5_000_000;
const AS_SERVICE = { authorization: `Bearer ${'c'.repeat(40)}`, 'content-type': 'application/json' };

/** The service as a process that can be killed and started again under the same address. */
export class ServiceProcess {
  private child: ChildProcess | undefined;
  private said = '';
  private complained = '';

  constructor(
    private readonly main: string,
    private readonly env: Readonly<Record<string, string>>,
    readonly url: string,
  ) {}

  get pid(): number | undefined {
    return this.child?.pid;
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }

  /** What it and those before it wrote to stdout. */
  get stdout(): string {
    return this.said;
  }

  /** Resolves when it is ready to work. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [this.main], {
      env: { PATH: process.env['PATH'], ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    child.stdout.on('data', (chunk: Buffer) => (this.said = (this.said + chunk.toString()).slice(-MOST_SAID)));
    child.stderr.on('data', (chunk: Buffer) => (this.complained = (this.complained + chunk.toString()).slice(-20_000)));
    const deadline = Date.now() + START_MS;
    for (;;) {
      const answer = await fetch(`${this.url}/health/ready`).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.ok === true) return;
      if (!this.isRunning || Date.now() > deadline) {
        await this.kill();
        throw new Error(`The service does not start:\n${this.said.slice(-20_000)}${this.complained}`);
      }
      await wait(50);
    }
  }

  /** As `kill -9`: no hook runs, nothing is finished. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** Asks it to stop; long after its time is over, it is killed. @returns the exit code, and the milliseconds until it was gone */
  async terminate(): Promise<{ code: number | null; ms: number }> {
    const began = performance.now();
    const late = setTimeout(() => void this.kill(), STOP_MS);
    const code = await this.end('SIGTERM');
    clearTimeout(late);
    return { code, ms: performance.now() - began };
  }

  /** A call of the API's, as a caller of the service makes it. */
  async post(path: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<Response> {
    const init = { method: 'POST', headers: { ...AS_SERVICE, ...headers }, body: JSON.stringify(body) };
    return fetch(`${this.url}${API}${path}`, init);
  }

  async get(path: string): Promise<Response> {
    return fetch(`${this.url}${API}${path}`, { headers: AS_SERVICE });
  }

  /** Connects a user with an account of the sandbox. */
  async connect(userId: number, account: SandboxAccount): Promise<void> {
    const answer = await this.post('/connect', { userId, privateApiKey: account.key });
    if (answer.status !== 201) throw new Error(`connect: ${answer.status} ${await answer.text()}`);
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const { child } = this;
    if (!child || !this.isRunning) return child?.exitCode ?? null;
    const gone = once(child, 'exit') as Promise<[number | null]>;
    child.kill(signal);
    const [code] = await gone;
    return code;
  }
}

/** The built service, started as often as a spec wants to, and ended with the spec. */
export class BuiltService {
  private readonly started: ServiceProcess[] = [];
  private main: Promise<string> | undefined;

  /**
   * @param name of the spec, so that specs that build at the same time do not meet
   * @param env of every process, beside what the service cannot do without
   */
  constructor(
    private readonly name: string,
    private readonly env: Readonly<Record<string, string>> = {},
  ) {}

  /** Builds it as `npm run build` does, once. @returns the program */
  build(): Promise<string> {
    this.main ??= build(this.name);
    return this.main;
  }

  /** A process of its own at a port of its own; resolves when it is ready. */
  async launch(databaseUrl: string, env: Readonly<Record<string, string>> = {}): Promise<ServiceProcess> {
    const main = await this.build();
    const port = await freePort();
    const all = {
      NODE_ENV: 'test',
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      MIGRATE_ON_START: 'false',
      SERVICE_API_KEYS: `spec:${'c'.repeat(40)}`,
      ENCRYPTION_KEYS: `t1:${Buffer.alloc(32, 1).toString('base64')}`,
      KLAVIYO_API_BASE_URL: 'http://127.0.0.1:9',
      LOG_LEVEL: 'warn',
      THROTTLE_LIMIT: '1000000',
      SYNC_INTERVAL_MINUTES: '0',
      ...this.env,
      ...env,
    };
    const service = new ServiceProcess(main, all, `http://127.0.0.1:${port}`);
    this.started.push(service);
    await service.start();
    return service;
  }

  /** Kills every process that still runs. */
  async stop(): Promise<void> {
    await Promise.all(this.started.map((service) => service.kill()));
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
