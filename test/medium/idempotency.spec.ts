import { request as httpRequest } from 'node:http';
import { Client } from 'pg';
import { IdempotencyRepository } from '../../src/auth/idempotency.repository';
import { IdempotencySystemRepository } from '../../src/auth/idempotency.system.repository';
import { OTHER_SERVICE_KEY, startApp, type RunningApp } from '../support/app';
import { done, TryModule } from '../support/try';
import { until } from '../support/until';

const BASE = '/api/v1/klaviyo/try';

describe('Idempotency-Key', () => {
  let app: RunningApp;
  let database: Client;
  beforeAll(async () => {
    app = await startApp({ imports: [TryModule], env: { REQUEST_DEADLINE_MS: '2000' } });
    database = new Client({ connectionString: app.database.url });
    await database.connect();
  });
  afterAll(async () => {
    await database.end();
    await app.stop();
  });
  beforeEach(() => {
    done.length = 0;
  });

  let made = 0;
  const newKey = () => `key-${++made}`;
  const work = (key: string, body: object, path = `${BASE}/work`) =>
    app.http.post(path).set(app.asService).set('Idempotency-Key', key).send(body);
  const rows = async (where = 'true') =>
    (await database.query<{ count: string }>(`SELECT count(*) FROM idempotency_key WHERE ${where}`)).rows[0]?.count;

  it('gives a repetition the same answer, byte for byte, and does nothing', async () => {
    const key = newKey();
    const first = await work(key, { userId: 1, name: 'é"' }).expect(201);
    const second = await work(key, { name: 'é"', userId: 1 }).expect(201);
    expect(second.text).toBe(first.text);
    expect(second.headers['content-type']).toBe(first.headers['content-type']);
    expect(first.headers).not.toHaveProperty('idempotency-replayed');
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(second.headers['x-request-id']).not.toBe(first.headers['x-request-id']);
    expect(done).toHaveLength(1);
  });

  it('knows both addresses of a route as one', async () => {
    const key = newKey();
    await work(key, { userId: 1, name: 'a' }).expect(201);
    const { headers } = await work(key, { userId: 1, name: 'a' }, '/api/klaviyo/try/work').expect(201);
    expect(headers['idempotency-replayed']).toBe('true');
    expect(done).toEqual(['a']);
  });

  it('belongs to one caller, one user and one route', async () => {
    const key = newKey();
    await work(key, { userId: 1, name: 'a' }).expect(201);
    await work(key, { userId: 2, name: 'a' }).expect(201);
    await work(key, { userId: 1 }, `${BASE}/echo`).expect(200);
    await app.http
      .post(`${BASE}/work`)
      .set('Authorization', `Bearer ${OTHER_SERVICE_KEY}`)
      .set('Idempotency-Key', key)
      .send({ userId: 1, name: 'a' })
      .expect(201);
    expect(done).toEqual(['a', 'a', 'a']);
  });

  it('with another body, query or id in the path is refused', async () => {
    const key = newKey();
    await work(key, { userId: 1, name: 'a' }).expect(201);
    for (const [language, title] of [
      ['fr', 'Idempotency-Key déjà utilisée'],
      ['en', 'Idempotency-Key already used'],
    ] as const) {
      const { body } = await work(key, { userId: 1, name: 'b' }).set('Accept-Language', language).expect(409);
      expect(body.code).toBe('IDEMPOTENCY_KEY_REUSED');
      expect(body.title).toBe(title);
    }
    const again = newKey();
    await app.http.post(`${BASE}/work/x/again?userId=1`).set(app.asService).set('Idempotency-Key', again).expect(201);
    await app.http.post(`${BASE}/work/y/again?userId=1`).set(app.asService).set('Idempotency-Key', again).expect(409);
    expect(done).toEqual(['a', 'x']);
  });

  it.each(['VALIDATION_FAILED', 'LIST_NOT_FOUND', 'CONFLICT'] as const)(
    'keeps a refusal that stands: %s',
    async (fails) => {
      const key = newKey();
      const body = { userId: 1, name: 'a', options: { fails } };
      const first = await work(key, body).set('Accept-Language', 'en');
      const second = await work(key, body).set('Accept-Language', 'fr');
      expect(second.status).toBe(first.status);
      expect(second.text).toBe(first.text);
      expect(second.headers).toMatchObject({
        'idempotency-replayed': 'true',
        'content-type': 'application/problem+json; charset=utf-8',
        'content-language': 'en',
      });
      expect(done).toHaveLength(1);
    },
  );

  it('keeps what the request class refuses, too', async () => {
    const key = newKey();
    await work(key, { userId: 1, name: 5 }).expect(400);
    const { headers } = await work(key, { userId: 1, name: 5 }).expect(400);
    expect(headers['idempotency-replayed']).toBe('true');
  });

  it.each([
    ['KLAVIYO_KEY_INVALID', 401],
    ['KLAVIYO_SCOPE_MISSING', 403],
    ['KLAVIYO_RATE_LIMITED', 429],
    ['INTERNAL', 500],
    ['KLAVIYO_UNAVAILABLE', 502],
    ['SERVICE_UNAVAILABLE', 503],
    ['KLAVIYO_TIMEOUT', 504],
  ] as const)('does not keep what may pass: %s', async (fails, status) => {
    const key = newKey();
    const body = { userId: 3, name: 'a', options: { fails } };
    await work(key, body).expect(status);
    expect(await rows('user_id = 3')).toBe('0');
    expect((await work(key, body).expect(status)).headers).not.toHaveProperty('idempotency-replayed');
    expect(done).toHaveLength(2);
  });

  it('does not keep what never reached the route', async () => {
    const key = newKey();
    const send = (type: string, text: string) =>
      app.http.post(`${BASE}/work`).set(app.asService).set('Idempotency-Key', key).set('Content-Type', type).send(text);
    await send('application/json', '{').expect(400);
    await send('text/plain', 'x').expect(415);
    await work(key, { userId: 1, name: 'a' }).expect(201);
  });

  it('makes the second of two at once wait, and answers it as the first', async () => {
    const key = newKey();
    const body = { userId: 1, name: 'a', options: { takes: 400 } };
    const [first, second] = await Promise.all([work(key, body), work(key, body)]);
    expect([first.status, second.status]).toEqual([201, 201]);
    expect(second.text).toBe(first.text);
    expect(done).toEqual(['a']);
  });

  it('lets the second work when the first came to nothing', async () => {
    const key = newKey();
    const body = { userId: 1, name: 'a', options: { takes: 300, fails: 'KLAVIYO_UNAVAILABLE' } };
    const answers = await Promise.all([work(key, body), work(key, body)]);
    expect(answers.map(({ status }) => status)).toEqual([502, 502]);
    expect(done).toEqual(['a', 'a']);
  });

  it('tells the second when the first takes longer than the second may wait', async () => {
    const key = newKey();
    const body = { userId: 1, name: 'a', options: { takes: 3500 } };
    const first = work(key, body).then((answer) => answer);
    await until('one call is under way', async () => (await rows('answer IS NULL')) === '1', 5000);
    const second = await work(key, body).set('Accept-Language', 'en').expect(409);
    expect(second.body).toMatchObject({ code: 'IDEMPOTENCY_IN_PROGRESS', title: 'Request in progress' });
    expect((await first).status).toBe(201);
    expect((await work(key, body).expect(201)).headers['idempotency-replayed']).toBe('true');
    expect(done).toEqual(['a']);
  });

  it('takes no database line while the second waits', async () => {
    const key = newKey();
    const body = { userId: 1, name: 'a', options: { takes: 800 } };
    const many = Array.from({ length: 12 }, () => work(key, body).then((answer) => answer.status));
    await until('one call is under way', async () => (await rows('answer IS NULL')) === '1', 5000);
    // The pool holds five lines; twelve waiting calls leave some for others.
    await app.http.get('/health/ready').expect(200);
    expect(await Promise.all(many)).toEqual(Array(12).fill(201));
    expect(done).toEqual(['a']);
  });

  it('keeps the answer of a caller that hung up', async () => {
    const key = newKey();
    const text = JSON.stringify({ userId: 1, name: 'gone', options: { takes: 300 } });
    const call = httpRequest(`${app.url}${BASE}/work`, {
      method: 'POST',
      headers: { ...app.asService, 'Idempotency-Key': key, 'Content-Type': 'application/json' },
    });
    call.on('error', () => undefined);
    call.end(text);
    await until('one call is under way', async () => (await rows('answer IS NULL')) === '1', 5000);
    call.destroy();
    await until('it is done', () => done.length === 1, 5000);
    const { headers } = await work(key, JSON.parse(text) as object).expect(201);
    expect(headers['idempotency-replayed']).toBe('true');
    expect(done).toEqual(['gone']);
  });

  it('is free again after a crash, once its lease has ended', async () => {
    const key = newKey();
    const body = { userId: 4, name: 'a', options: { takes: 1500 } };
    const crashed = work(key, body).then((answer) => answer);
    await until('it is known', async () => (await rows('user_id = 4')) === '1', 5000);
    const { rows: leases } = await database.query<{ left: number }>(
      'SELECT extract(epoch FROM expires_at - now())::float AS left FROM idempotency_key WHERE user_id = 4',
    );
    expect(leases[0]?.left).toBeGreaterThan(2);
    expect(leases[0]?.left).toBeLessThan(60);
    await database.query('UPDATE idempotency_key SET expires_at = now() WHERE user_id = 4');
    await work(key, { ...body, options: { takes: 0 } }).expect(201);
    expect(done).toEqual(['a']);
    // The late end of the one that was thought dead changes nothing.
    await crashed;
    const { headers } = await work(key, { ...body, options: { takes: 0 } }).expect(201);
    expect(headers['idempotency-replayed']).toBe('true');
  });

  it('is forgotten after 24 hours, and removed', async () => {
    const key = newKey();
    await work(key, { userId: 5, name: 'a' }).expect(201);
    const { rows: kept } = await database.query<{ hours: number }>(
      'SELECT extract(epoch FROM expires_at - now())::float / 3600 AS hours FROM idempotency_key WHERE user_id = 5',
    );
    expect(kept[0]?.hours).toBeGreaterThan(23.9);
    expect(kept[0]?.hours).toBeLessThanOrEqual(24);
    await database.query("UPDATE idempotency_key SET expires_at = now() - interval '1 second' WHERE user_id = 5");
    expect(await app.app.get(IdempotencySystemRepository).removeExpired()).toBe(1);
    await work(key, { userId: 5, name: 'b' }).expect(201);
    expect(done).toEqual(['a', 'b']);
  });

  it('goes with its user', async () => {
    await work(newKey(), { userId: 6, name: 'a' }).expect(201);
    await work(newKey(), { userId: 7, name: 'a' }).expect(201);
    await app.app.get(IdempotencyRepository).removeAll(6);
    expect([await rows('user_id = 6'), await rows('user_id = 7')]).toEqual(['0', '1']);
  });

  it('leaves neither the body nor the answer readable in the table', async () => {
    await work(newKey(), { userId: 8, name: 'pk_0123456789needle' }).expect(201);
    const { rows: dump } = await database.query("SELECT t::text, encode(key_hash, 'escape') FROM idempotency_key t");
    expect(JSON.stringify(dump)).not.toContain('needle');
    expect(JSON.stringify(dump)).toContain('/api/v1/klaviyo/try/work');
  });

  it('must not be sealed to another user', async () => {
    const key = newKey();
    await work(key, { userId: 9, name: 'a' }).expect(201);
    await database.query('UPDATE idempotency_key SET user_id = 10 WHERE user_id = 9');
    const { body } = await work(key, { userId: 10, name: 'a' });
    // The request names user 10, so its fingerprint differs: it is never even opened.
    expect(body.code).toBe('IDEMPOTENCY_KEY_REUSED');
  });

  it.each(['', 'x'.repeat(256), 'a\tb', 'clé'])('is refused when it is malformed: %j', async (key) => {
    const answer = await new Promise<{ status: number | undefined; text: string }>((resolve, reject) => {
      const call = httpRequest(
        `${app.url}${BASE}/work`,
        { method: 'POST', headers: { ...app.asService, 'Content-Type': 'application/json' } },
        (response) => {
          const chunks: Buffer[] = [];
          response.on('data', (chunk: Buffer) => chunks.push(chunk));
          response.on('end', () => resolve({ status: response.statusCode, text: Buffer.concat(chunks).toString() }));
        },
      );
      call.on('error', reject);
      call.setHeader('Idempotency-Key', key);
      call.end(JSON.stringify({ userId: 1, name: 'a' }));
    });
    expect(answer.status).toBe(400);
    expect(JSON.parse(answer.text)).toMatchObject({ errors: [{ field: 'Idempotency-Key' }] });
    expect(done).toEqual([]);
  });

  it('may have 255 characters', async () => {
    await work('x'.repeat(255), { userId: 1, name: 'a' }).expect(201);
  });

  it('means nothing to what only reads', async () => {
    const key = newKey();
    const read = () => work(key, { userId: 1, name: 'a' }, `${BASE}/read`).expect(200);
    expect((await read()).body.number).toBe(1);
    expect((await read()).body.number).toBe(2);
    await app.http.get(`${BASE}/none?userId=1`).set(app.asService).set('Idempotency-Key', '').expect(200);
  });
});
