import { readFileSync } from 'node:fs';
import { startApp, type RunningApp } from '../support/app';

const TOKEN = 'test-metrics-token-0123456789abcdef0123456789';
const UNAUTHENTICATED = { success: false, status: 401, code: 'UNAUTHENTICATED', instance: '/metrics' };

/** The value of one series of the text format; undefined where it is not there. */
function valueOf(text: string, series: string): number | undefined {
  const line = text.split('\n').find((item) => item.startsWith(`${series} `));
  return line === undefined ? undefined : Number(line.slice(series.length + 1));
}

describe('Metrics without a token', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp();
  });
  afterAll(() => app.stop());

  it('are answered in the text format to whoever connects straight from an internal address', async () => {
    const { text, headers } = await app.http.get('/metrics').expect(200);
    expect(headers['content-type']).toMatch(/^text\/plain; version=0\.0\.4; charset=utf-8/);
    expect(text).toMatch(/^process_cpu_seconds_total /m);
    expect(text).toMatch(/^nodejs_eventloop_lag_seconds /m);
    expect(text).toMatch(
      /^klaviyo_service_info\{version="\d+\.\d+\.\d+",node="v\d+.*",environment="test",role="all"\} 1$/m,
    );
    expect(text).toMatch(/^# TYPE klaviyo_requests_total counter$/m);
    expect(valueOf(text, 'database_pool_size')).toBe(app.env.databasePoolSize);
    expect(valueOf(text, 'database_pool_waiting')).toBe(0);
    expect(valueOf(text, 'database_pool_connections{state="idle"}')).toBeGreaterThanOrEqual(0);
  });

  it('stand in the operator’s table, each of ours with its kind, and nothing else does', async () => {
    const { text } = await app.http.get('/metrics').expect(200);
    const ours = [...text.matchAll(/^# TYPE (\w+) (\w+)$/gm)]
      .map(([, name, kind]) => `${name} ${kind}`)
      .filter((item) => !/^(process|nodejs)_/.test(item));
    const table = readFileSync('docs/operations.md', 'utf8');
    const told = [...table.matchAll(/^\| `(\w+)` +\| (counter|gauge|histogram) /gm)].map(
      ([, name, kind]) => `${name} ${kind}`,
    );
    expect(told.sort()).toEqual(ours.sort());
  });

  it('answer HEAD', async () => {
    const { text } = await app.http.head('/metrics').expect(200);
    expect(text).toBeFalsy();
  });

  it.each(['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Proto'])('are refused behind a proxy (%s)', async (name) => {
    const { body } = await app.http.get('/metrics').set(name, '127.0.0.1').expect(401);
    expect(body).toMatchObject(UNAUTHENTICATED);
  });

  it('count and time calls by route template', async () => {
    await app.http.get('/health/live').expect(200);
    const before = (await app.http.get('/metrics')).text;
    const series = 'http_requests_total{method="GET",route="/health/live",status="200"}';
    await app.http.get('/health/live').expect(200);
    const after = (await app.http.get('/metrics')).text;
    expect(valueOf(after, series)).toBe((valueOf(before, series) ?? 0) + 1);
    expect(valueOf(after, 'http_request_duration_seconds_count{method="GET",route="/health/live"}')).toBe(
      valueOf(after, series),
    );
  });

  it('know unknown addresses and methods under one label each', async () => {
    for (const path of ['/nowhere', '/api/v1/klaviyo/nowhere?email=bob@example.com', '/%zz', '/wp-admin.php'])
      await app.http.get(path).set(app.asService);
    await app.http.options('/nowhere').set('Origin', 'https://elsewhere.example');
    const { text } = await app.http.get('/metrics');
    expect(text).toMatch(/http_requests_total\{method="GET",route="unknown",status="404"\} \d/);
    expect(text).not.toMatch(/nowhere|wp-admin|bob/);
  });
});

describe('Metrics with a token', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ env: { METRICS_TOKEN: TOKEN } });
  });
  afterAll(() => app.stop());

  it('are answered to its bearer, also behind a proxy', async () => {
    await app.http.get('/metrics').set('Authorization', `Bearer ${TOKEN}`).expect(200);
    await app.http
      .get('/metrics')
      .set('Authorization', `bearer ${TOKEN}`)
      .set('X-Forwarded-For', '203.0.113.9')
      .expect(200);
  });

  it.each([
    ['no token', undefined],
    ['a wrong one', `Bearer ${TOKEN}x`],
    ['another scheme', `Basic ${TOKEN}`],
    ['an empty one', 'Bearer '],
  ])('are refused with %s, from wherever', async (_, authorization) => {
    const call = app.http.get('/metrics');
    const { body, text } = await (authorization === undefined ? call : call.set('Authorization', authorization));
    expect(body).toMatchObject(UNAUTHENTICATED);
    expect(text).not.toContain(TOKEN);
  });

  it('are refused to a service key', async () => {
    await app.http.get('/metrics').set(app.asService).expect(401);
  });
});

describe('Metrics from outside the internal ranges', () => {
  it('are refused without a token', async () => {
    const app = await startApp({ env: { INTERNAL_CIDRS: '10.0.0.0/8' } });
    try {
      const { body } = await app.http.get('/metrics').expect(401);
      expect(body).toMatchObject(UNAUTHENTICATED);
    } finally {
      await app.stop();
    }
  });
});
