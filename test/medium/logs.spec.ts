import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Controller, Get, Logger, Module } from '@nestjs/common';
import { ApiController } from '../../src/common/controller';
import { routeRules } from '../../src/common/route-rules';
import { RotatedFile } from '../../src/observability/rotated-file';
import { SERVICE_KEY, startApp, type RunningApp } from '../support/app';
import { until } from '../support/until';

@ApiController('log-probe')
class ProbeController {
  private readonly logger = new Logger('Probe');

  @Get(':id')
  read(): { done: true } {
    this.logger.log('Working', { step: 1 });
    return { done: true };
  }
}

@Controller('log-probe-crash')
class CrashController {
  @Get()
  @routeRules({ open: true })
  crash(): never {
    throw new Error(`broke for bob@example.com with pk_0123456789abcdef0123 and ${SERVICE_KEY}`);
  }
}

@Module({ controllers: [ProbeController, CrashController] })
class ProbeModule {}

describe('The log of a call', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ imports: [ProbeModule], env: { LOG_LEVEL: 'trace' } });
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    app.logs.lines.length = 0;
  });

  /** The line is written when the answer has left, which the caller may see first. */
  async function callLine(): Promise<Record<string, unknown>> {
    const until = Date.now() + 5000;
    for (;;) {
      const line = app.logs.entries.find((entry) => entry.context === 'Http');
      if (line) return line;
      if (Date.now() > until) throw new Error('no line about the call');
      await wait(10);
    }
  }

  it('has one line with method, template, path, status, time, caller and user', async () => {
    await app.http
      .get('/api/klaviyo/log-probe/abc?userId=42')
      .set(app.asService)
      .set('X-Request-Id', 'request-0001')
      .expect(200);
    expect(await callLine()).toMatchObject({
      level: 'info',
      requestId: 'request-0001',
      userId: 42,
      caller: 'crealia',
      method: 'GET',
      route: '/api/v1/klaviyo/log-probe/:id',
      path: '/api/klaviyo/log-probe/abc',
      status: 200,
      ms: expect.any(Number),
    });
    expect(app.logs.entries.filter((entry) => entry.context === 'Http')).toHaveLength(1);
  });

  it('names the call and the user on every line made during it', async () => {
    await app.http
      .get('/api/v1/klaviyo/log-probe/abc?userId=42')
      .set(app.asService)
      .set('X-Request-Id', 'request-0002')
      .expect(200);
    expect(app.logs.entries.find((entry) => entry.context === 'Probe')).toMatchObject({
      msg: 'Working',
      step: 1,
      requestId: 'request-0002',
      userId: 42,
    });
  });

  it('holds no header, no query value, no body and no credential, at the lowest level', async () => {
    const token = await app.tokenFor(42);
    await app.http
      .get('/api/v1/klaviyo/log-probe/abc?userId=42&secretvalue=hidden-in-query')
      .set('Authorization', `Bearer ${token}`)
      .set('X-Custom', 'hidden-in-header');
    await app.http.post('/api/v1/klaviyo/nowhere').set(app.asService).send({ note: 'hidden-in-body' });
    await app.http.get('/api/v1/klaviyo/log-probe/abc').set('Authorization', 'Bearer wrong-hidden-credential');
    await app.http.get('/api/v1/klaviyo/log-probe/bob%40example.com?userId=42').set(app.asService);
    await callLine();
    expect(app.logs.lines.length).toBeGreaterThan(3);
    expect(app.logs.text).not.toMatch(/hidden-in|wrong-hidden|bob%40/);
    expect(app.logs.text).not.toContain(token);
    expect(app.logs.text).not.toContain(SERVICE_KEY);
  });

  it('tells of a refused caller under the id that it was answered with', async () => {
    const { headers } = await app.http.get('/api/v1/klaviyo/log-probe/abc').expect(401);
    const line = await callLine();
    expect(line).toMatchObject({ status: 401, requestId: headers['x-request-id'] });
    expect(line).not.toHaveProperty('userId');
  });

  it('keeps the cause of an internal error under its request id, without what it quotes', async () => {
    const { body } = await app.http.get('/log-probe-crash').expect(500);
    const cause = app.logs.entries.find((entry) => entry.level === 'error');
    expect(cause).toMatchObject({ requestId: body.requestId });
    expect(JSON.stringify(cause)).toContain('broke for [redacted] with [redacted] and [redacted]');
  });
});

describe('The log file', () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'klaviyo-log-'));
  });
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  const text = () =>
    readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('');

  it('is rotated by size and keeps the newest files only', async () => {
    const complaints: string[] = [];
    const file = new RotatedFile({ file: join(folder, 'service.log'), maxSize: '2k', keep: 3 }, (sentence) =>
      complaints.push(sentence),
    );
    for (let i = 0; i < 200; i++) {
      file.write(`{"n":${i},"text":"${'x'.repeat(100)}"}\n`);
      if (i % 10 === 0) await wait(5);
    }
    await until('the last line', () => text().includes('"n":199'), 10_000);
    await until('the oldest to go', () => readdirSync(folder).length <= 5, 10_000);
    expect(complaints).toEqual([]);
    expect(readdirSync(folder).length).toBeGreaterThan(1);
    expect(text()).not.toContain('"n":0,');
    for (const name of readdirSync(folder)) {
      expect(name).toMatch(/^service\.\d+\.log$/);
      expect(statSync(join(folder, name)).mode & 0o077).toBe(0);
    }
  });

  it('that cannot be written stops nothing: it complains once and goes on', async () => {
    writeFileSync(join(folder, 'taken'), '');
    const complaints: string[] = [];
    const file = new RotatedFile({ file: join(folder, 'taken', 'x.log'), maxSize: '2k', keep: 3 }, (sentence) =>
      complaints.push(sentence),
    );
    for (let i = 0; i < 5000; i++) file.write('{}\n');
    await until('the complaint', () => complaints.length > 0, 10_000);
    for (let i = 0; i < 5000; i++) file.write('{}\n');
    file.flush();
    expect(complaints).toHaveLength(1);
    expect(complaints[0]).toMatch(/^LOG_FILE cannot be written/);
  });

  it('goes on in a new file after a restart', async () => {
    mkdirSync(join(folder, 'logs'));
    const options = { file: join(folder, 'logs', 'service'), maxSize: '1m', keep: 2 };
    const first = new RotatedFile(options, () => undefined);
    first.write('one\n');
    const read = () =>
      readdirSync(join(folder, 'logs')).map((name) => readFileSync(join(folder, 'logs', name), 'utf8'));
    await until('the first line', () => read().join('').includes('one'), 10_000);
    new RotatedFile(options, () => undefined).write('two\n');
    await until('the second line', () => read().join('').includes('two'), 10_000);
    expect(read().join('')).toContain('one');
  });
});
