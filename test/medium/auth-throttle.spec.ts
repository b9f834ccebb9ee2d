import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app';
import { TryModule } from '../support/try';

const BASE = '/api/v1/klaviyo/try';

/**
 * What the service needs of Redis, behind Redis' own protocol: the one script, and answering everything else with OK.
 * It keeps its counts when it is stopped and started again at the same port.
 */
class TinyRedis {
  readonly counts = new Map<string, number>();
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;
  port = 0;

  async start(): Promise<void> {
    this.server = createServer((socket) => {
      this.sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => this.sockets.delete(socket));
      socket.on('data', (data) => {
        for (const command of commandsIn(data.toString())) socket.write(this.answer(command));
      });
    }).listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    const closed = this.server ? once(this.server, 'close') : undefined;
    this.server?.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  private answer([name, , , key = '', ttl = '0']: string[]): string {
    if (name?.toLowerCase() !== 'eval') return '+OK\r\n';
    const hits = (this.counts.get(key) ?? 0) + 1;
    this.counts.set(key, hits);
    return `*2\r\n:${hits}\r\n:${ttl}\r\n`;
  }
}

/** The commands of a chunk of the protocol: `*2\r\n$4\r\nECHO\r\n$1\r\nx\r\n`. */
function commandsIn(text: string): string[][] {
  const commands: string[][] = [];
  let at = 0;
  const line = () => {
    const end = text.indexOf('\r\n', at);
    const read = text.slice(at, end);
    at = end + 2;
    return read;
  };
  while (text[at] === '*') {
    const parts: string[] = [];
    for (let left = Number(line().slice(1)); left > 0; left--) {
      const length = Number(line().slice(1));
      parts.push(text.slice(at, at + length));
      at += length + 2;
    }
    commands.push(parts);
  }
  return commands;
}

const call = (app: RunningApp, userId: number) => app.http.get(`${BASE}/none?userId=${userId}`).set(app.asService);

describe('callers’ throttling', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ imports: [TryModule], env: { THROTTLE_LIMIT: '3', THROTTLE_TTL_SECONDS: '60' } });
  });
  afterAll(async () => {
    await app.stop();
  });

  it('counts a user’s calls over all routes and callers, says what is left, and refuses with the time to wait', async () => {
    const first = await call(app, 1).expect(200);
    expect(first.headers).toMatchObject({ 'x-ratelimit-limit': '3', 'x-ratelimit-remaining': '2' });
    await app.http.post(`${BASE}/echo`).set(app.asService).send({ userId: 1 }).expect(200);
    await app.http
      .get(`${BASE}/none`)
      .set('Authorization', `Bearer ${await app.tokenFor(1)}`)
      .expect(200);
    for (const [language, title] of [
      ['fr', 'Trop de requêtes'],
      ['en', 'Too many requests'],
    ] as const) {
      const { body, headers } = await call(app, 1).set('Accept-Language', language).expect(429);
      expect(body).toMatchObject({ code: 'RATE_LIMITED', title });
      expect(body.detail).toContain(String(body.retryAfter));
      expect(headers['retry-after']).toBe(String(body.retryAfter));
      expect(body.retryAfter).toBeGreaterThan(50);
      expect(body.retryAfter).toBeLessThanOrEqual(60);
    }
  });

  it('leaves other users alone', async () => {
    await call(app, 2).expect(200);
  });

  it('comes after the user was found and before the body is judged', async () => {
    for (let count = 0; count < 3; count++) await call(app, 3).expect(200);
    await app.http.post(`${BASE}/echo`).set(app.asService).send({ userId: 3, name: 5 }).expect(429);
    await app.http.post(`${BASE}/echo`).set(app.asService).send({ userId: '3' }).expect(400);
  });

  it('counts by caller where there is no user', async () => {
    for (let count = 0; count < 3; count++) await app.http.get(`${BASE}/anybody`).set(app.asService).expect(200);
    await app.http.get(`${BASE}/anybody`).set(app.asService).expect(429);
  });

  it('does not count open routes', async () => {
    for (let count = 0; count < 6; count++) await app.http.get('/health/live').expect(200);
  });
});

describe('throttling shared by replicas', () => {
  it('adds up what each lets pass; without Redis each counts alone, says so once, and calls go on', async () => {
    const redis = new TinyRedis();
    await redis.start();
    const env = { THROTTLE_LIMIT: '4', REDIS_URL: `redis://127.0.0.1:${redis.port}` };
    const one = await startApp({ imports: [TryModule], env });
    const two = await startApp({ imports: [TryModule], env, database: one.database });
    try {
      for (const app of [one, two, one, two]) await call(app, 1).expect(200);
      for (const app of [one, two]) await call(app, 1).expect(429);
      expect([...redis.counts]).toEqual([['klaviyo:throttle:user:1', 6]]);

      await redis.stop();
      for (let count = 0; count < 4; count++) await call(one, 1).expect(200);
      await call(one, 1).expect(429);
      // Nest's logger is one a process, so the line is in the log of whichever service started last.
      const lines = [...one.logs.entries, ...two.logs.entries];
      expect(lines.filter((line) => String(line.msg).startsWith('Redis does not answer'))).toHaveLength(1);

      await redis.start();
      const before = redis.counts.get('klaviyo:throttle:user:9') ?? 0;
      const deadline = Date.now() + 15_000;
      while ((redis.counts.get('klaviyo:throttle:user:9') ?? 0) === before && Date.now() < deadline) {
        await call(one, 9);
        await wait(100);
      }
      expect(redis.counts.get('klaviyo:throttle:user:9')).toBeGreaterThan(before);
    } finally {
      await two.stop();
      await one.stop();
      await redis.stop();
    }
  });
});
