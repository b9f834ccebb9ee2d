import { request as httpRequest, Agent, type IncomingMessage } from 'node:http';
import { connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { stopService, type StopTimes } from '../../src/http/stop';
import { OpenCalls } from '../../src/http/open-calls';
import { createDatabase, type TestDatabase } from '../support/database';
import { startApp, type RunningApp } from '../support/app';
import { TryModule } from '../support/try';

const WORK = '/api/v1/klaviyo/try/work';
const TIMES: StopTimes = { callsMs: 1_000, flushMs: 300, closeMs: 5_000 };

describe('a stop', () => {
  let app: RunningApp;
  let database: TestDatabase;
  beforeEach(async () => {
    database = await createDatabase();
    app = await startApp({ imports: [TryModule], database });
  });
  afterEach(async () => {
    await database.drop();
  });

  const agent = new Agent({ keepAlive: true });
  afterAll(() => agent.destroy());

  /** One call on a kept connection. */
  const call = (takes: number, extra: Record<string, string> = {}) =>
    new Promise<{ response: IncomingMessage; body: string }>((resolve, reject) => {
      const sent = httpRequest(
        `${app.url}${WORK}`,
        { method: 'POST', agent, headers: { ...app.asService, 'Content-Type': 'application/json', ...extra } },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => resolve({ response, body: Buffer.concat(chunks).toString() }));
        },
      );
      sent.on('error', reject);
      sent.end(JSON.stringify({ userId: 1, name: 'x', options: { takes } }));
    });
  const opened = async (count: number) => {
    const deadline = Date.now() + 5_000;
    while (app.app.get(OpenCalls).count < count && Date.now() < deadline) await wait(10);
  };

  it('lets open calls finish, closes their connections, and takes no new ones', async () => {
    await call(0);
    const open = call(500);
    await opened(1);
    const stopped = stopService(app.app, TIMES);
    const { hostname, port } = new URL(app.url);
    const refused = await new Promise((resolve) => {
      connect(Number(port), hostname)
        .on('error', () => resolve(true))
        .on('connect', () => resolve(false));
    });
    expect(refused).toBe(true);
    const { response, body } = await open;
    expect(response.statusCode).toBe(201);
    expect(response.headers.connection).toBe('close');
    expect(JSON.parse(body)).toMatchObject({ success: true });
    await stopped;
  });

  it('answers calls that take too long with 503 and the time to try again, in their language', async () => {
    for (const [language, title] of [
      ['fr', 'Service indisponible'],
      ['en', 'Service unavailable'],
    ] as const) {
      const open = call(10_000, { 'Accept-Language': language });
      await opened(1);
      const began = Date.now();
      await stopService(app.app, TIMES);
      expect(Date.now() - began).toBeLessThan(6_000);
      const { response, body } = await open;
      expect(response.statusCode).toBe(503);
      expect(response.headers['retry-after']).toBe('5');
      expect(JSON.parse(body)).toMatchObject({ code: 'SERVICE_UNAVAILABLE', title, retryAfter: 5 });
      if (language === 'fr') app = await startApp({ imports: [TryModule], database });
    }
  });

  it('says at once that the service is not ready, to who still has a connection', async () => {
    const { hostname, port } = new URL(app.url);
    const socket = connect(Number(port), hostname);
    // Half a request: the connection is at work, so it is not closed with the idle ones.
    socket.write('GET /health/ready HTTP/1.1\r\nHost: x\r\n');
    const open = call(700);
    await opened(1);
    const stopped = stopService(app.app, TIMES);
    socket.write('\r\n');
    let answer = '';
    for await (const chunk of socket) answer += (chunk as Buffer).toString();
    expect(answer).toMatch(/^HTTP\/1.1 503 /);
    expect(answer.toLowerCase()).toContain('connection: close');
    await open;
    await stopped;
  });

  it('ends in time though a caller does not read its answer', async () => {
    const { hostname, port } = new URL(app.url);
    const socket = connect(Number(port), hostname);
    socket.pause();
    socket.on('error', () => undefined);
    const body = JSON.stringify({ userId: 1, name: 'x'.repeat(900_000) });
    socket.write(
      `POST /api/v1/klaviyo/try/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${app.serviceKey}\r\n` +
        `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    await opened(1);
    const began = Date.now();
    await stopService(app.app, { callsMs: 300, flushMs: 200, closeMs: 500 });
    expect(Date.now() - began).toBeLessThan(4_000);
    socket.destroy();
    // The rest of the close that was not waited for.
    await app.app.close();
  });
});
