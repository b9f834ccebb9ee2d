import { startApp, type RunningApp } from '../support/app';
import { TryModule } from '../support/try';

const PATH = '/api/v1/klaviyo/try/none?userId=7';

describe('browsers', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ imports: [TryModule], env: { ALLOWED_ORIGINS: 'https://app.crealia.example' } });
  });
  afterAll(async () => {
    await app.stop();
  });

  const from = (origin: string) => app.http.get(PATH).set('Origin', origin);

  it('of an allowed origin may read answers, errors included', async () => {
    const { headers } = await from('https://app.crealia.example').set(app.asService).expect(200);
    expect(headers['access-control-allow-origin']).toBe('https://app.crealia.example');
    expect(headers['access-control-expose-headers']).toContain('X-Request-Id');
    expect(headers.vary).toContain('Origin');
    const refused = await from('https://app.crealia.example').expect(401);
    expect(refused.headers['access-control-allow-origin']).toBe('https://app.crealia.example');
  });

  it('of an allowed origin may ask first, without a token', async () => {
    const { headers } = await app.http
      .options(PATH)
      .set('Origin', 'https://app.crealia.example')
      .set('Access-Control-Request-Method', 'POST')
      .set('Access-Control-Request-Headers', 'authorization,content-type')
      .expect(204);
    expect(headers['access-control-allow-methods']).toContain('PATCH');
    expect(headers['access-control-allow-headers']).toContain('Idempotency-Key');
  });

  it.each(['https://evil.example', 'http://app.crealia.example', 'https://app.crealia.example.evil.example', 'null'])(
    'of another origin are refused: %s',
    async (origin) => {
      const { body, headers } = await from(origin).set(app.asService).expect(403);
      expect(body.code).toBe('ORIGIN_NOT_ALLOWED');
      expect(headers).not.toHaveProperty('access-control-allow-origin');
    },
  );

  it('of another origin are told first that they have no token', async () => {
    await from('https://evil.example').expect(401);
  });

  it('of another origin are refused when they ask first', async () => {
    const { body, headers } = await app.http
      .options(PATH)
      .set('Origin', 'https://evil.example')
      .set('Access-Control-Request-Method', 'POST')
      .expect(403);
    expect(body.code).toBe('ORIGIN_NOT_ALLOWED');
    expect(headers).not.toHaveProperty('access-control-allow-methods');
  });

  it('of our own host are at home', async () => {
    await from(app.url).set(app.asService).expect(200);
    await from('https://klaviyo.crealia.example').set('Host', 'klaviyo.crealia.example').set(app.asService).expect(200);
  });
});

describe('https', () => {
  const strict = {
    REQUIRE_HTTPS: 'true',
    NODE_ENV: 'staging',
    KLAVIYO_API_BASE_URL: 'https://a.klaviyo.com',
    JWT_SECRET: undefined,
    HOST: '127.0.0.1',
  };
  let proxied: RunningApp;
  let direct: RunningApp;
  beforeAll(async () => {
    // Behind one proxy, nobody inside; and reached straight from inside.
    proxied = await startApp({
      imports: [TryModule],
      env: { ...strict, TRUST_PROXY: '1', INTERNAL_CIDRS: '192.0.2.0/24' },
    });
    direct = await startApp({ imports: [TryModule], env: strict });
  });
  afterAll(async () => {
    await proxied.stop();
    await direct.stop();
  });

  it('is required', async () => {
    for (const [language, title] of [
      ['fr', 'HTTPS requis'],
      ['en', 'HTTPS required'],
    ] as const) {
      const { body } = await proxied.http.get(PATH).set(proxied.asService).set('Accept-Language', language).expect(403);
      expect(body).toMatchObject({ code: 'HTTPS_REQUIRED', title });
    }
  });

  it('is believed of a proxy that we trust', async () => {
    const { headers } = await proxied.http
      .get(PATH)
      .set(proxied.asService)
      .set('X-Forwarded-Proto', 'https')
      .expect(200);
    expect(headers['strict-transport-security']).toContain('max-age=31536000');
    await proxied.http.get(PATH).set(proxied.asService).set('X-Forwarded-Proto', 'http').expect(403);
  });

  it('is not believed of anybody else', async () => {
    await direct.http.get(PATH).set(direct.asService).set('X-Forwarded-Proto', 'https').expect(403);
  });

  it('is not asked of who comes straight from inside, but of who was passed on', async () => {
    await direct.http.get(PATH).set(direct.asService).expect(200);
    for (const header of ['Forwarded', 'X-Forwarded-For', 'X-Forwarded-Host', 'X-Forwarded-Proto'])
      await direct.http.get(PATH).set(direct.asService).set(header, 'x').expect(403);
  });

  it('is not asked of health and metrics', async () => {
    await proxied.http.get('/health/live').expect(200);
    await proxied.http.get('/health/ready').expect(200);
    expect((await proxied.http.get('/metrics')).body.code).not.toBe('HTTPS_REQUIRED');
  });

  it('is asked for after the caller', async () => {
    await proxied.http.get(PATH).expect(401);
  });
});

describe('a worker', () => {
  it('serves health and metrics and nothing else', async () => {
    const app = await startApp({ imports: [TryModule], env: { ROLE: 'worker' } });
    try {
      await app.http.get('/health/live').expect(200);
      await app.http.get('/metrics').expect(200);
      expect((await app.http.get(PATH).set(app.asService).expect(404)).body.code).toBe('ROUTE_NOT_FOUND');
    } finally {
      await app.stop();
    }
  });
});
