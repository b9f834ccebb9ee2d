import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { resolve } from 'node:path';

/** One of the limits of an endpoint or tier, as the sandbox enforces and advertises them. */
export interface SandboxLimits {
  burst: number;
  steady: number;
  daily?: number;
}

export interface SandboxKey {
  key?: string;
  scopes?: 'all' | string[];
  invalid?: boolean;
}

/** How a sandbox account begins and behaves; every part has a default. */
export interface SandboxAccountOptions {
  id?: string;
  keys?: SandboxKey[];
  seed?: number;
  profiles?: number;
  lists?: number | { name: string; optIn?: 'single_opt_in' | 'double_opt_in'; members?: number }[];
  segments?: number | { name: string; members?: number }[];
  campaigns?: number;
  events?: number;
  eventDays?: number;
  sameSecond?: number;
  asOf?: string;
  futureStatus?: boolean;
  plan?: { advancedKdp: boolean };
  currency?: string;
  timezone?: string;
  organizationName?: string;
  /** `klaviyo` (default) enforces the published limits, `off` neither enforces nor advertises any, `huge` advertises huge ones. */
  limits?: 'klaviyo' | 'off' | 'huge' | Record<string, SandboxLimits>;
  latencyMs?: number;
  jitterMs?: number;
  asyncDelayMs?: number;
  windowPhaseMs?: number;
  otherIntegration?: { share: number };
  revisions?: { missing?: 'error' | 'oldest'; unknown?: 'error' | 'prior'; timeMachine?: boolean };
  switches?: Record<string, unknown>;
}

export interface SandboxAccount {
  id: string;
  publicKey: string;
  keys: string[];
  /** The first key, which is what most tests need. */
  key: string;
}

/** A plan of trouble: either a preset by name or a fault in full; see test/sandbox/README.md. */
export interface SandboxFault {
  match?: { operation?: string; method?: string; path?: string };
  times?: number | 'forever';
  after?: number;
  probability?: number;
  preset?: string;
  retryAfter?: number | string;
  fault?: { kind: string } & Record<string, unknown>;
}

/** A request as the sandbox received it. */
export interface SandboxRequest {
  n: number;
  at: string;
  method: string;
  path: string;
  query: string;
  operation: string | null;
  revision: string | null;
  effectiveRevision: string | null;
  status: number;
  body: unknown;
  headers: Record<string, string>;
  ms: number;
  fault?: string;
}

export interface SandboxOptions {
  port?: number;
  seed?: number;
  demo?: boolean;
  args?: string[];
}

const START_MS = 20_000;

/** A running Klaviyo sandbox and its control address. */
export class Sandbox {
  readonly url: string;
  readonly demo: { accountId: string; publicKey: string; privateKey: string } | undefined;
  private readonly child: ChildProcess;

  constructor(child: ChildProcess, ready: { url: string; demo?: Sandbox['demo'] }) {
    this.child = child;
    this.url = ready.url;
    this.demo = ready.demo;
  }

  get pid(): number | undefined {
    return this.child.pid;
  }

  /** One call of the control address (path after `/_sandbox`); throws on a refusal, with the sandbox's sentence. */
  async control<T = Record<string, unknown>>(method: string, path: string, body?: unknown): Promise<T> {
    const response = await fetch(`${this.url}/_sandbox${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const answer = (await response.json()) as T & { error?: string };
    if (!response.ok) throw new Error(`sandbox control ${method} ${path}: ${response.status} ${answer.error ?? ''}`);
    return answer;
  }

  /** Creates an account; its quota is Klaviyo's unless `limits` says otherwise. */
  async createAccount(options: SandboxAccountOptions = {}): Promise<SandboxAccount> {
    const made = await this.control<{ id: string; publicKey: string; keys: string[] }>('POST', '/accounts', options);
    return { ...made, key: made.keys[0] ?? '' };
  }

  /** Changes an account's switches: limits, latency, keys (`{ key, invalid: true }` revokes), plan, foreign load. */
  async patchAccount(accountId: string, change: Partial<SandboxAccountOptions>): Promise<Record<string, unknown>> {
    return this.control('PATCH', `/accounts/${accountId}`, change);
  }

  /** Plans a fault and answers its id. */
  async fault(accountId: string, fault: SandboxFault): Promise<string> {
    return (await this.control<{ id: string }>('POST', `/accounts/${accountId}/faults`, fault)).id;
  }

  async clearFaults(accountId: string): Promise<void> {
    await this.control('DELETE', `/accounts/${accountId}/faults`);
  }

  /** What was received since the log was cleared, in order. */
  async requests(accountId: string, operation?: string): Promise<SandboxRequest[]> {
    const query = operation === undefined ? '' : `?operation=${encodeURIComponent(operation)}`;
    return (await this.control<{ requests: SandboxRequest[] }>('GET', `/accounts/${accountId}/requests${query}`))
      .requests;
  }

  async clearRequests(accountId: string): Promise<void> {
    await this.control('DELETE', `/accounts/${accountId}/requests`);
  }

  /** Moves the sandbox's clock. */
  async clock(change: {
    offsetMs?: number;
    advanceMs?: number;
    now?: string | number;
    frozen?: boolean;
  }): Promise<void> {
    await this.control('POST', '/clock', change);
  }

  /** Removes every account. */
  async reset(): Promise<void> {
    await this.control('POST', '/reset');
  }

  /** Ends the process and waits until it is gone. */
  async stop(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise<void>((done) => this.child.once('exit', () => done()));
    this.child.kill('SIGTERM');
    await gone;
  }
}

/** Starts the sandbox as a process of its own on a free port; it ends with this process whatever happens to it. */
export async function startSandbox(options: SandboxOptions = {}): Promise<Sandbox> {
  const script = resolve(process.cwd(), 'test/sandbox/main.ts');
  const args = [
    '--disable-warning=ExperimentalWarning',
    script,
    '--with-parent',
    '--port',
    String(options.port ?? 0),
    '--seed',
    String(options.seed ?? 1),
    ...(options.demo === true ? ['--demo'] : []),
    ...(options.args ?? []),
  ];
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'pipe'] });
  let complaints = '';
  child.stderr.on('data', (chunk: Buffer) => {
    complaints = (complaints + chunk.toString('utf8')).slice(-4000);
  });
  const lines = createInterface({ input: child.stdout });
  const ready = await new Promise<string>((done, fail) => {
    const timer = setTimeout(() => {
      child.kill('SIGKILL');
      fail(new Error(`the sandbox did not start within ${START_MS} ms: ${complaints}`));
    }, START_MS);
    lines.once('line', (line) => {
      clearTimeout(timer);
      done(line);
    });
    child.once('exit', (code) => {
      clearTimeout(timer);
      fail(new Error(`the sandbox ended at once (${String(code)}): ${complaints}`));
    });
  });
  child.stderr.on('data', (chunk: Buffer) => process.stderr.write(chunk));
  return new Sandbox(child, JSON.parse(ready) as { url: string; demo?: Sandbox['demo'] });
}
