import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { startApp, type RunningApp } from '../support/app';
import { createDatabase, type TestDatabase } from '../support/database';
import { done, TryModule } from '../support/try';

/** A line to PostgreSQL that can be cut and mended. */
class Line {
  private readonly sockets = new Set<Socket>();
  private server: Server | undefined;
  private port = 0;

  constructor(private readonly target: URL) {}

  async mend(): Promise<void> {
    this.server = createServer((from) => {
      const to = connect(Number(this.target.port), this.target.hostname);
      for (const [socket, other] of [
        [from, to],
        [to, from],
      ] as const) {
        this.sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          this.sockets.delete(socket);
          other.destroy();
        });
        socket.pipe(other);
      }
    }).listen(this.port, '127.0.0.1');
    await once(this.server, 'listening');
    this.port = (this.server.address() as AddressInfo).port;
  }

  async cut(): Promise<void> {
    const closed = this.server ? once(this.server, 'close') : undefined;
    this.server?.close();
    for (const socket of this.sockets) socket.destroy();
    await closed;
  }

  get url(): string {
    const url = new URL(this.target);
    url.hostname = '127.0.0.1';
    url.port = String(this.port);
    return url.toString();
  }
}

describe('without its database', () => {
  let database: TestDatabase;
  let line: Line;
  let app: RunningApp;
  beforeAll(async () => {
    database = await createDatabase();
    line = new Line(new URL(database.url));
    await line.mend();
    app = await startApp({ imports: [TryModule], database: { ...database, url: line.url } });
  });
  afterAll(async () => {
    await app.stop();
    await line.cut();
    await database.drop();
  });

  const work = (key: string) =>
    app.http
      .post('/api/v1/klaviyo/try/work')
      .set(app.asService)
      .set('Idempotency-Key', key)
      .send({ userId: 1, name: key });

  it('the service says 503 with the time to try again, does nothing, and is itself again when it is back', async () => {
    await work('before').expect(201);
    await line.cut();
    for (const [language, title] of [
      ['fr', 'Service indisponible'],
      ['en', 'Service unavailable'],
    ] as const) {
      const { body, headers } = await work('during').set('Accept-Language', language).expect(503);
      expect(headers['retry-after']).toBe('5');
      expect(body).toMatchObject({ code: 'SERVICE_UNAVAILABLE', title, retryAfter: 5 });
      expect(body.detail).toContain('5');
    }
    expect(done).toEqual(['before']);
    await app.http.get('/health/ready').expect(503);
    await app.http.get('/health/live').expect(200);

    await line.mend();
    const deadline = Date.now() + 10_000;
    let status = 0;
    while (status !== 201 && Date.now() < deadline) {
      ({ status } = await work('during'));
      if (status !== 201) await wait(100);
    }
    expect(status).toBe(201);
    expect((await work('before').expect(201)).headers['idempotency-replayed']).toBe('true');
    expect(done).toEqual(['before', 'during']);
    expect(app.logs.text).not.toContain(new URL(database.url).password || 'no password');
  });
});
