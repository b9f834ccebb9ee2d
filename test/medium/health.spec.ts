import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { DataSource } from 'typeorm';
import { Drain } from '../../src/common/drain';
import { EncryptionService } from '../../src/encryption/encryption.service';
import { startApp, type RunningApp } from '../support/app';
import { createDatabase, type TestDatabase } from '../support/database';

const READY = { status: 'ok', checks: { database: 'ok', migrations: 'ok', keys: 'ok' } };

/** Stands between the service and its database, so that a test can hold the line or cut it. */
class Line {
  mode: 'open' | 'silent' | 'cut' = 'open';
  private readonly sockets = new Set<Socket>();
  private readonly server: Server;

  constructor(private readonly target: URL) {
    this.server = createServer((inbound) => this.join(inbound));
  }

  async url(): Promise<string> {
    await new Promise<void>((done) => this.server.listen(0, '127.0.0.1', done));
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = String((this.server.address() as AddressInfo).port);
    return url.href;
  }

  set(mode: Line['mode']): void {
    this.mode = mode;
    if (mode === 'cut') for (const socket of this.sockets) socket.destroy();
  }

  close(): void {
    this.set('cut');
    this.server.close();
  }

  private join(inbound: Socket): void {
    if (this.mode === 'cut') {
      inbound.destroy();
      return;
    }
    const outbound = connect(Number(this.target.port), this.target.hostname);
    for (const [from, to] of [
      [inbound, outbound],
      [outbound, inbound],
    ] as const) {
      this.sockets.add(from);
      from.on('data', (chunk) => this.mode === 'open' && to.write(chunk));
      from.on('error', () => to.destroy());
      from.on('close', () => {
        this.sockets.delete(from);
        to.destroy();
      });
    }
  }
}

/** Asks until the answer is as wished, or gives the last one: the checks are remembered for half a second. */
async function readyUntil(app: RunningApp, status: number): Promise<{ status: number; body: typeof READY }> {
  const until = Date.now() + 10_000;
  for (;;) {
    const answer = await app.http.get('/health/ready');
    if (answer.status === status || Date.now() > until) return { status: answer.status, body: answer.body };
    await wait(100);
  }
}

describe('Health', () => {
  let database: TestDatabase;
  let line: Line;
  let app: RunningApp;

  beforeAll(async () => {
    database = await createDatabase();
    line = new Line(new URL(database.url));
    app = await startApp({ database: { ...database, url: await line.url() } });
  });

  afterAll(async () => {
    line.set('open');
    await app.stop();
    line.close();
    await database.drop();
  });

  it('answers ready and live to anybody, with GET and with HEAD, and lets nobody keep the answer', async () => {
    const ready = await app.http.get('/health/ready').expect(200, READY);
    expect(ready.headers['cache-control']).toBe('no-store');
    await app.http.get('/health/live').expect(200, { status: 'ok' });
    await app.http.head('/health/ready').expect(200);
    await app.http.head('/health/live').expect(200);
  });

  it('is not ready while the database says nothing, still lives, and recovers by itself', async () => {
    line.set('silent');
    const { status, body } = await readyUntil(app, 503);
    expect({ status, body }).toEqual({
      status: 503,
      body: { status: 'error', checks: { database: 'error', migrations: 'error', keys: 'ok' } },
    });
    await app.http.get('/health/live').expect(200);
    line.set('cut');
    line.set('open');
    expect(await readyUntil(app, 200)).toEqual({ status: 200, body: READY });
  });

  it('is not ready while the database cannot be reached, and tells why in the log only', async () => {
    line.set('cut');
    const { status, body } = await readyUntil(app, 503);
    expect(status).toBe(503);
    expect(Object.keys(body)).toEqual(['status', 'checks']);
    expect(app.logs.text).toContain('"check":"database"');
    line.set('open');
    expect((await readyUntil(app, 200)).status).toBe(200);
  });

  it('asks the database a few times only, however often it is asked itself', async () => {
    const query = jest.spyOn(app.app.get(DataSource), 'query');
    // Work in the background asks it other things.
    const asked = () => query.mock.calls.filter(([sql]) => sql === 'SELECT 1').length;
    const started = Date.now();
    // What was found last is good for a while: until it is asked anew, and no longer.
    do {
      const answers = await Promise.all(Array.from({ length: 200 }, () => app.http.get('/health/ready')));
      expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
    } while (asked() === 0 && Date.now() - started < 10_000);
    expect(asked()).toBeGreaterThan(0);
    expect(asked()).toBeLessThanOrEqual(2 + Math.ceil((Date.now() - started) / 500));
    query.mockRestore();
  });
});

describe('Readiness', () => {
  it('needs every migration, and says so once the missing one has run', async () => {
    const app = await startApp();
    const database = app.app.get(DataSource);
    try {
      const [last] = await database.query(
        'DELETE FROM schema_migration WHERE id = (SELECT max(id) FROM schema_migration) RETURNING "timestamp", name',
      );
      const { status, body } = await readyUntil(app, 503);
      expect(status).toBe(503);
      expect(body.checks).toEqual({ database: 'ok', migrations: 'error', keys: 'ok' });
      await database.query('INSERT INTO schema_migration ("timestamp", name) VALUES ($1, $2)', [
        last[0].timestamp,
        last[0].name,
      ]);
      expect((await readyUntil(app, 200)).body).toEqual(READY);
    } finally {
      await app.stop();
    }
  });

  it('needs a key ring that opens what it sealed', async () => {
    const app = await startApp();
    try {
      jest.spyOn(app.app.get(EncryptionService), 'open').mockRejectedValue(new Error('no'));
      const { body } = await readyUntil(app, 503);
      expect(body.checks).toEqual({ database: 'ok', migrations: 'ok', keys: 'error' });
    } finally {
      await app.stop();
    }
  });

  it('ends with the stop signal, while the process lives on', async () => {
    const app = await startApp();
    try {
      await app.http.get('/health/ready').expect(200);
      app.app.get(Drain).begin();
      await app.http.get('/health/ready').expect(503, { ...READY, status: 'error' });
      await app.http.get('/health/live').expect(200);
    } finally {
      await app.stop();
    }
  });
});
