import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import { freePort } from '../medium/openapi-build';
import type { Sandbox, SandboxAccount } from '../support/sandbox';
import { API } from '../support/walk';

const START_MS = 60_000;
const SERVICE_KEY = 'c'.repeat(40);

/** The built service as a process that can be killed and started again under the same address. */
export class Process {
  private child: ChildProcess | undefined;
  private said = '';

  private constructor(
    private readonly main: string,
    private readonly env: Record<string, string>,
    readonly url: string,
  ) {}

  static async at(
    main: string,
    databaseUrl: string,
    klaviyoUrl: string,
    more: Record<string, string> = {},
  ): Promise<Process> {
    const port = await freePort();
    const env = {
      NODE_ENV: 'test',
      PORT: String(port),
      DATABASE_URL: databaseUrl,
      MIGRATE_ON_START: 'false',
      SERVICE_API_KEYS: `spec:${SERVICE_KEY}`,
      ENCRYPTION_KEYS: `t1:${Buffer.alloc(32, 1).toString('base64')}`,
      KLAVIYO_API_BASE_URL: klaviyoUrl,
      LOG_LEVEL: 'warn',
      THROTTLE_LIMIT: '1000000',
      SYNC_INTERVAL_MINUTES: '0',
      ...more,
    };
    return new Process(main, env, `http://127.0.0.1:${port}`);
  }

  get pid(): number | undefined {
    return this.child?.pid;
  }

  /** Resolves when it is ready to work. */
  async start(): Promise<void> {
    const child = spawn(process.execPath, [this.main], {
      env: { PATH: process.env['PATH'], ...this.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.on('data', (chunk: Buffer) => (this.said = (this.said + chunk.toString()).slice(-20_000)));
    const deadline = Date.now() + START_MS;
    for (;;) {
      const answer = await fetch(`${this.url}/health/ready`).catch(() => undefined);
      await answer?.arrayBuffer();
      if (answer?.ok === true) return;
      if (child.exitCode !== null || Date.now() > deadline) throw new Error(`It does not start:\n${this.said}`);
      await wait(50);
    }
  }

  /** As `kill -9`: no hook runs, nothing is finished. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  /** @returns the exit code, and the milliseconds until it was gone */
  async terminate(): Promise<{ code: number | null; ms: number }> {
    const began = performance.now();
    const code = await this.end('SIGTERM');
    return { code, ms: performance.now() - began };
  }

  private async end(signal: NodeJS.Signals): Promise<number | null> {
    const { child } = this;
    if (!child || child.exitCode !== null || child.signalCode !== null) return child?.exitCode ?? null;
    const gone = once(child, 'exit') as Promise<[number | null]>;
    child.kill(signal);
    const [code] = await gone;
    return code;
  }

  /** The end of what it wrote to its streams. */
  get output(): string {
    return this.said;
  }

  get isRunning(): boolean {
    return this.child !== undefined && this.child.exitCode === null && this.child.signalCode === null;
  }
}

/** Numbers that are the same for the same seed (mulberry32). */
export function chance(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

export interface Answer {
  status: number;
  text: string;
  replayed: boolean;
  retryAfter: string | null;
}

/** One thing that a caller wants done, and what it was told. */
export interface Wish {
  kind: 'event' | 'keyed-event' | 'subscription';
  /** Tells it apart at Klaviyo: the event's `n`, the person's address. */
  mark: string;
  path: string;
  body: Record<string, unknown>;
  headers: Record<string, string>;
  /** The first answer, if there was any. */
  first?: Answer;
  /** Asked before it was answered: the process died meanwhile. */
  unanswered: number;
}

/** A crowd of callers who keep the service busy, remember every answer, and ask again what was not answered. */
export class Callers {
  readonly wishes: Wish[] = [];
  readonly refused: Answer[] = [];
  private made = 0;
  private running = false;
  private crowd: Promise<void>[] = [];

  constructor(
    private readonly url: string,
    private readonly userId: number,
    private readonly seed: number,
  ) {}

  begin(callers = 6): void {
    this.running = true;
    this.crowd = Array.from({ length: callers }, (_, at) => this.caller(chance(this.seed + this.made * 31 + at)));
  }

  /** Resolves when nobody calls any more. */
  async end(): Promise<void> {
    this.running = false;
    await Promise.all(this.crowd);
  }

  /** Everything that a caller was told is done. */
  get accepted(): Wish[] {
    return this.wishes.filter(({ first }) => first !== undefined && first.status < 300);
  }

  /** Asks for it once (more), exactly as the first time. Undefined: no answer. */
  async ask(wish: Wish): Promise<Answer | undefined> {
    try {
      const answer = await fetch(`${this.url}${API}${wish.path}`, {
        method: 'POST',
        headers: { authorization: `Bearer ${SERVICE_KEY}`, 'content-type': 'application/json', ...wish.headers },
        body: JSON.stringify(wish.body),
      });
      const text = await answer.text();
      return {
        status: answer.status,
        text,
        replayed: answer.headers.get('idempotency-replayed') === 'true',
        retryAfter: answer.headers.get('retry-after'),
      };
    } catch {
      return undefined;
    }
  }

  private async caller(random: () => number): Promise<void> {
    while (this.running) {
      const open = this.wishes.filter(({ first, unanswered }) => first === undefined && unanswered > 0);
      const wish = open.length > 0 && random() < 0.5 ? open[Math.floor(random() * open.length)] : this.wish(random());
      if (wish) await this.pursue(wish);
    }
  }

  private async pursue(wish: Wish): Promise<void> {
    const answer = await this.ask(wish);
    if (answer === undefined) {
      wish.unanswered += 1;
      await wait(20);
    } else if (answer.status < 300) wish.first ??= answer;
    else {
      this.refused.push(answer);
      await wait(50);
    }
  }

  private wish(kind: number): Wish {
    const mark = `n${++this.made}`;
    const event = { eventType: 'Stream', eventData: { mark }, profile: { externalId: `p${this.made % 7}` } };
    const keyed = { 'idempotency-key': `key-${mark}` };
    const common = { mark, unanswered: 0, path: '/trigger-event' };
    const wish: Wish =
      kind < 0.4
        ? { ...common, kind: 'event', headers: {}, body: { userId: this.userId, event: { ...event, uniqueId: mark } } }
        : kind < 0.7
          ? { ...common, kind: 'keyed-event', headers: keyed, body: { userId: this.userId, event } }
          : {
              ...common,
              kind: 'subscription',
              path: '/subscribe',
              headers: keyed,
              body: { userId: this.userId, profile: { email: `${mark}@example.com`, tags: ['t'] } },
            };
    this.wishes.push(wish);
    return wish;
  }
}

/** What stands at Klaviyo: how often each mark. */
export async function marksOf(sandbox: Sandbox, account: SandboxAccount): Promise<Map<string, number>> {
  const counts = new Map<string, number>();
  const { events } = await sandbox.control<{ events: { properties: { mark?: string } }[] }>(
    'GET',
    `/accounts/${account.id}/events?limit=100000`,
  );
  for (const { properties } of events)
    if (properties.mark !== undefined) counts.set(properties.mark, (counts.get(properties.mark) ?? 0) + 1);
  return counts;
}

export async function connect(url: string, userId: number, account: SandboxAccount): Promise<void> {
  const answer = await fetch(`${url}${API}/connect`, {
    method: 'POST',
    headers: { authorization: `Bearer ${SERVICE_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify({ userId, privateApiKey: account.key }),
  });
  if (answer.status !== 201) throw new Error(`connect: ${answer.status} ${await answer.text()}`);
}

export function post(url: string, path: string, body: object): Promise<Response> {
  return fetch(`${url}${API}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${SERVICE_KEY}`, 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

export function get(url: string, path: string): Promise<Response> {
  return fetch(`${url}${API}${path}`, { headers: { authorization: `Bearer ${SERVICE_KEY}` } });
}

/** Runs statements on a line of its own. */
export async function sql<T extends object>(databaseUrl: string, text: string, params: unknown[] = []): Promise<T[]> {
  const client = new Client({ connectionString: databaseUrl });
  await client.connect();
  try {
    return (await client.query<T>(text, params)).rows;
  } finally {
    await client.end();
  }
}

/** Looks until it is so. */
export async function until(what: string, isSo: () => Promise<boolean>, ms: number): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await wait(100);
  }
}

/** Works on a few items at once. */
export async function atOnce<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  const rest = [...items];
  const worker = async (): Promise<void> => {
    for (let item = rest.shift(); item !== undefined; item = rest.shift()) await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, worker));
}
