import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT, type CryptoKey, type JWTPayload } from 'jose';
import { JWT_SECRET, OTHER_SERVICE_KEY, startApp, type RunningApp } from '../support/app';
import { TryModule } from '../support/try';

const BASE = '/api/v1/klaviyo/try';
const NOW = () => Math.floor(Date.now() / 1000);

describe('callers', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ imports: [TryModule], env: { JWT_ISSUER: 'https://crealia.example' } });
  });
  afterAll(async () => {
    await app.stop();
  });

  const issuer = { iss: 'https://crealia.example' };
  const get = (path: string, authorization?: string) => {
    const request = app.http.get(`${BASE}${path}`);
    return authorization === undefined ? request : request.set('Authorization', authorization);
  };
  const signed = (payload: JWTPayload, secret = JWT_SECRET, alg = 'HS256') =>
    new SignJWT(payload).setProtectedHeader({ alg }).sign(new TextEncoder().encode(secret));

  it.each([`Bearer test-service-key-0123456789abcdef0123456789`, `bearer ${OTHER_SERVICE_KEY}`])(
    'may hold any of the service keys: %s',
    async (authorization) => {
      await get('/none?userId=7', authorization).expect(200);
    },
  );

  it.each([
    ['nothing', undefined],
    ['a key that is one character short', 'Bearer test-service-key-0123456789abcdef012345678'],
    ['another scheme', 'Basic dGVzdDp0ZXN0'],
    ['the bare key', 'test-service-key-0123456789abcdef0123456789'],
    ['an empty token', 'Bearer '],
    ['two tokens', 'Bearer a b'],
  ])('are refused with %s', async (_, authorization) => {
    const { body, headers } = await get('/none?userId=7', authorization).expect(401);
    expect(body.code).toBe('UNAUTHENTICATED');
    expect(headers['www-authenticate']).toBe('Bearer');
  });

  it('are refused before the body is read, and on addresses that do not exist', async () => {
    for (const path of [`${BASE}/echo`, '/nowhere', '/api/v1/klaviyo', '/'])
      await app.http.post(path).set('Content-Type', 'application/json').send('{"userId":').expect(401);
  });

  it('need no token on open routes', async () => {
    await get('/open').expect(200);
    await app.http.get('/health/live').expect(200);
  });

  describe('with a user’s token', () => {
    it('act for that user alone', async () => {
      const token = `Bearer ${await app.tokenFor(42, issuer)}`;
      expect((await get('/none', token).expect(200)).body.userId).toBe(42);
      expect((await get('/none?userId=42', token).expect(200)).body.userId).toBe(42);
      expect((await get('/none?userId=43', token).expect(403)).body.code).toBe('USER_SCOPE_MISMATCH');
      const { body } = await app.http.post(`${BASE}/echo`).set('Authorization', token).send({ userId: 43 }).expect(403);
      expect(body.code).toBe('USER_SCOPE_MISMATCH');
    });

    it.each<[string, () => Promise<string> | string]>([
      ['expired', () => signed({ ...issuer, sub: '7', exp: NOW() - 61 })],
      ['not valid yet', () => signed({ ...issuer, sub: '7', exp: NOW() + 600, nbf: NOW() + 90 })],
      ['without an end', () => signed({ ...issuer, sub: '7' })],
      ['without a user', () => signed({ ...issuer, exp: NOW() + 600 })],
      ['of user 0', () => signed({ ...issuer, sub: '0', exp: NOW() + 600 })],
      ['of a user that is no number', () => signed({ ...issuer, sub: 'abc', exp: NOW() + 600 })],
      ['of a user beyond 2^53', () => signed({ ...issuer, sub: '9007199254740993', exp: NOW() + 600 })],
      ['of another issuer', () => signed({ iss: 'https://evil.example', sub: '7', exp: NOW() + 600 })],
      ['without an issuer', () => signed({ sub: '7', exp: NOW() + 600 })],
      ['signed with another secret', () => signed({ ...issuer, sub: '7', exp: NOW() + 600 }, 'x'.repeat(40))],
      [
        'signed with another HMAC',
        () => signed({ ...issuer, sub: '7', exp: NOW() + 600 }, JWT_SECRET.repeat(2), 'HS512'),
      ],
      ['not signed', () => new UnsecuredJWT({ ...issuer, sub: '7' }).setExpirationTime('1h').encode()],
      ['in three parts that are no JWT', () => 'a.b.c'],
    ])('%s are refused', async (_, make) => {
      const { body } = await get('/none', `Bearer ${await make()}`).expect(401);
      expect(body.code).toBe('UNAUTHENTICATED');
    });

    it('are given a minute for clocks that differ', async () => {
      await get('/none', `Bearer ${await signed({ ...issuer, sub: '7', exp: NOW() - 30 })}`).expect(200);
    });
  });

  describe('say for whom they call', () => {
    it.each([
      ['in the query', () => app.http.get(`${BASE}/none?userId=7`)],
      ['in the header', () => app.http.get(`${BASE}/none`).set('X-User-Id', '7')],
      ['in both, equal', () => app.http.get(`${BASE}/none?userId=7`).set('X-User-Id', '7')],
      ['twice in the query, equal', () => app.http.get(`${BASE}/none?userId=7&userId=7`)],
    ])('%s', async (_, request) => {
      expect((await request().set(app.asService).expect(200)).body.userId).toBe(7);
    });

    it('in the body', async () => {
      const { body } = await app.http.post(`${BASE}/echo`).set(app.asService).send({ userId: 7 }).expect(200);
      expect(body.scope).toEqual({ userId: 7, caller: { kind: 'service', name: 'crealia' } });
    });

    it.each(['0', '-1', '1.5', 'abc', '9223372036854775808', '1e3', '', '%201', '07'])(
      'and are told when it is malformed: %s',
      async (userId) => {
        const { body } = await app.http.get(`${BASE}/none?userId=${userId}`).set(app.asService).expect(400);
        expect(body).toMatchObject({ code: 'VALIDATION_FAILED', errors: [{ field: 'userId' }] });
      },
    );

    it.each([0, -1, 1.5, '7', 'abc', 2 ** 63, null, [7], { id: 7 }, true])(
      'and are told when it is malformed in a body: %j',
      async (userId) => {
        const { body } = await app.http.post(`${BASE}/echo`).set(app.asService).send({ userId }).expect(400);
        expect(body).toMatchObject({ code: 'VALIDATION_FAILED', errors: [{ field: 'userId' }] });
      },
    );

    it('and are told when it is missing', async () => {
      for (const request of [app.http.get(`${BASE}/none`), app.http.post(`${BASE}/echo`).send({ name: 5 })]) {
        const { body } = await request.set(app.asService).expect(400);
        expect(body.code).toBe('USER_ID_REQUIRED');
      }
    });

    it.each([
      ['query and header', () => app.http.get(`${BASE}/none?userId=7`).set('X-User-Id', '8')],
      ['twice in the query', () => app.http.get(`${BASE}/none?userId=7&userId=8`)],
      ['body and query', () => app.http.post(`${BASE}/echo?userId=8`).send({ userId: 7 })],
      ['body and header', () => app.http.post(`${BASE}/echo`).set('X-User-Id', '8').send({ userId: 7 })],
      ['twice in the header', () => app.http.get(`${BASE}/none`).set('X-User-Id', '7, 8')],
    ])('once: %s', async (_, request) => {
      expect((await request().set(app.asService).expect(403)).body.code).toBe('USER_SCOPE_MISMATCH');
    });

    it('and are told of a malformed user before one that differs, and of both before a wrong body', async () => {
      const send = (userId: unknown) =>
        app.http.post(`${BASE}/echo`).set(app.asService).set('X-User-Id', '8').send({ userId, name: 5 });
      expect((await send('x').expect(400)).body.errors).toEqual([expect.objectContaining({ field: 'userId' })]);
      await send(7).expect(403);
      expect((await send(8).expect(400)).body.errors).toEqual([expect.objectContaining({ field: 'name' })]);
    });

    it('or not at all where the route needs nobody', async () => {
      expect((await get('/anybody', app.asService.Authorization).expect(200)).body.userId).toBeNull();
      expect((await get('/anybody?userId=7', app.asService.Authorization).expect(200)).body.userId).toBe(7);
      await get('/anybody?userId=x', app.asService.Authorization).expect(400);
      await get('/anybody').expect(401);
    });
  });
});

describe('wrong credentials', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ imports: [TryModule], env: { TRUST_PROXY: '1' } });
  });
  afterAll(async () => {
    await app.stop();
  });

  it('are refused with 429 after 60 a minute; a valid one never is, and a missing one is not counted', async () => {
    const from = (address: string) => app.http.get(`${BASE}/none?userId=7`).set('X-Forwarded-For', address);
    for (let count = 0; count < 70; count++) await from('192.0.2.1').expect(401);
    for (let count = 0; count < 60; count++) await from('192.0.2.1').set('Authorization', 'Bearer wrong').expect(401);
    const { body, headers } = await from('192.0.2.1').set('Authorization', 'Bearer wrong').expect(429);
    expect(body.code).toBe('RATE_LIMITED');
    expect(Number(headers['retry-after'])).toBe(body.retryAfter);
    expect(body.retryAfter).toBeGreaterThan(0);
    expect(body.retryAfter).toBeLessThanOrEqual(60);
    await from('192.0.2.1').set(app.asService).expect(200);
    await from('192.0.2.1').expect(401);
    await from('192.0.2.2').set('Authorization', 'Bearer wrong').expect(401);
  });
});

describe('tokens that are verified by published keys', () => {
  let app: RunningApp;
  let server: Server;
  let keys: CryptoKey;
  let answer: { status: number; body: string };
  beforeAll(async () => {
    const pair = await generateKeyPair('ES256', { extractable: true });
    keys = pair.privateKey;
    const published = JSON.stringify({ keys: [{ ...(await exportJWK(pair.publicKey)), kid: 'k1', alg: 'ES256' }] });
    answer = { status: 503, body: '' };
    server = createServer((_, response) => response.writeHead(answer.status).end(answer.body)).listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as AddressInfo;
    app = await startApp({
      imports: [TryModule],
      env: { JWT_JWKS_URL: `http://127.0.0.1:${port}/jwks`, JWT_AUDIENCE: 'klaviyo' },
    });
    good = { status: 200, body: published };
  });
  let good: typeof answer;
  afterAll(async () => {
    await app.stop();
    server.close();
  });

  const token = (claims: JWTPayload = {}, header: { alg?: string; kid?: string } = {}) =>
    new SignJWT({ sub: '7', aud: 'klaviyo', exp: NOW() + 600, ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: 'k1', ...header })
      .sign(keys);
  const call = async (bearer: string) => app.http.get(`${BASE}/none`).set('Authorization', `Bearer ${bearer}`);

  it('cannot be judged while the keys cannot be had: 503, and not 401', async () => {
    for (const bad of [
      { status: 503, body: '' },
      { status: 200, body: 'no json' },
      { status: 200, body: '{}' },
    ]) {
      answer = bad;
      const { status, body, headers } = await call(await token());
      expect({ status, code: body.code }).toEqual({ status: 503, code: 'SERVICE_UNAVAILABLE' });
      expect(headers['retry-after']).toBe('5');
    }
    await app.http.get(`${BASE}/none?userId=7`).set(app.asService).expect(200);
  });

  it('are taken when a published key signed them for us', async () => {
    answer = good;
    expect((await call(await token())).body).toMatchObject({ success: true, userId: 7 });
  });

  it('are taken by our own secret too, for the audience we are', async () => {
    answer = good;
    expect((await call(await app.tokenFor(9, { aud: 'klaviyo' }))).body).toMatchObject({ userId: 9 });
    expect((await call(await app.tokenFor(9))).status).toBe(401);
  });

  it.each<[string, () => Promise<string>]>([
    ['for another audience', () => token({ aud: 'other' })],
    ['by a key that is not published', () => token({}, { kid: 'k2' })],
    [
      'with the published key as an HMAC secret',
      () =>
        new SignJWT({ sub: '7', aud: 'klaviyo', exp: NOW() + 600 })
          .setProtectedHeader({ alg: 'HS256', kid: 'k1' })
          .sign(new TextEncoder().encode(good.body)),
    ],
    ['expired', () => token({ exp: NOW() - 90 })],
  ])('are refused: %s', async (_, make) => {
    answer = good;
    expect((await call(await make())).status).toBe(401);
  });
});
