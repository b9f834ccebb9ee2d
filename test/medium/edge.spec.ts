import { connect } from 'node:net';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { en } from '../../src/common/messages.en';
import { fr } from '../../src/common/messages.fr';
import type { ErrorCode } from '../../src/common/errors';
import { startApp, type RunningApp } from '../support/app';
import { TryModule } from '../support/try';

const BASE = '/api/v1/klaviyo/try';
const MEGABYTE = 1024 * 1024;

describe('the edge', () => {
  let app: RunningApp;
  beforeAll(async () => {
    app = await startApp({ imports: [TryModule] });
  });
  afterAll(async () => {
    await app.stop();
  });

  const post = (path = '/echo') => app.http.post(`${BASE}${path}`).set(app.asService);
  /** Sends these very bytes, and reads the whole answer. */
  const raw = async (body: RequestInit['body'] | Buffer, headers: Record<string, string> = {}) => {
    const answer = await fetch(`${app.url}${BASE}/echo`, {
      method: 'POST',
      headers: { ...app.asService, 'content-type': 'application/json', ...headers },
      body: body as RequestInit['body'],
      duplex: 'half',
    });
    const text = await answer.text();
    return { status: answer.status, text, json: JSON.parse(text) as unknown };
  };
  /** A JSON body of exactly this many bytes. */
  const sized = (bytes: number) => {
    const frame = JSON.stringify({ userId: 7, name: '' });
    return JSON.stringify({ userId: 7, name: 'x'.repeat(bytes - frame.length) });
  };

  it('has one handler under two addresses', async () => {
    for (const base of ['/api/v1/klaviyo', '/api/klaviyo']) {
      const { body } = await app.http
        .post(`${base}/try/echo`)
        .set(app.asService)
        .send({ userId: 7, name: 'x' })
        .expect(200);
      expect(body).toMatchObject({ success: true, scope: { userId: 7 }, body: { name: 'x' } });
    }
  });

  it('lets everything below a call see its context, after the body was read too', async () => {
    const { body, headers } = await post().set('Accept-Language', 'en').send({ userId: 7 }).expect(200);
    expect(body.context).toMatchObject({ requestId: headers['x-request-id'], language: 'en', userId: 7 });
    expect(body.context.deadline).toBeGreaterThan(Date.now());
    expect(body.context.deadline).toBeLessThanOrEqual(Date.now() + app.env.requestDeadlineMs);
  });

  describe('request ids', () => {
    it.each(['abcdefgh', 'A.b_c-1234', 'x'.repeat(128)])('are the caller’s where they can be: %s', async (id) => {
      const { headers } = await app.http.get('/health/live').set('X-Request-Id', id).expect(200);
      expect(headers['x-request-id']).toBe(id);
    });

    it.each(['short', 'x'.repeat(129), 'with space'])('are new where the caller’s will not do: %s', async (id) => {
      const { headers } = await app.http.get('/health/live').set('X-Request-Id', id).expect(200);
      expect(headers['x-request-id']).toMatch(/^[0-9a-f-]{36}$/);
    });
  });

  describe('refuses in both languages', () => {
    const send = (path: string, init: RequestInit & { language: string }) =>
      fetch(`${app.url}${path}`, {
        ...init,
        headers: { ...app.asService, 'accept-language': init.language, ...(init.headers as Record<string, string>) },
      });

    it.each<[ErrorCode, number, string, RequestInit]>([
      ['UNAUTHENTICATED', 401, `${BASE}/none`, { headers: { authorization: '' } }],
      ['USER_ID_REQUIRED', 400, `${BASE}/none`, {}],
      ['USER_SCOPE_MISMATCH', 403, `${BASE}/none?userId=1`, { headers: { 'x-user-id': '2' } }],
      ['VALIDATION_FAILED', 400, `${BASE}/none?userId=0`, {}],
      ['ROUTE_NOT_FOUND', 404, '/api/klaviyo/nowhere', {}],
      ['ROUTE_NOT_FOUND', 404, `${BASE}/none`, { method: 'PUT' }],
      ['ORIGIN_NOT_ALLOWED', 403, `${BASE}/none?userId=1`, { headers: { origin: 'https://evil.example' } }],
      [
        'MALFORMED_JSON',
        400,
        `${BASE}/echo`,
        { method: 'POST', body: '{', headers: { 'content-type': 'application/json' } },
      ],
      ['UNSUPPORTED_MEDIA_TYPE', 415, `${BASE}/echo`, { method: 'POST', body: 'a=b' }],
      [
        'PAYLOAD_TOO_LARGE',
        413,
        `${BASE}/echo`,
        { method: 'POST', body: 'x'.repeat(MEGABYTE + 1), headers: { 'content-type': 'application/json' } },
      ],
      [
        'INTERNAL',
        500,
        `${BASE}/work`,
        {
          method: 'POST',
          body: JSON.stringify({ userId: 1, name: 'x', options: { throws: 'secret words' } }),
          headers: { 'content-type': 'application/json' },
        },
      ],
    ])('%s (%i)', async (code, status, path, init) => {
      for (const [language, catalogue] of [
        ['fr', fr],
        ['en', en],
      ] as const) {
        const answer = await send(path, { ...init, language });
        const text = await answer.text();
        const body = JSON.parse(text) as Record<string, unknown>;
        expect(answer.status).toBe(status);
        expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
        expect(answer.headers.get('content-language')).toBe(language);
        expect(answer.headers.get('cache-control')).toBe('no-store');
        expect(body).toMatchObject({
          success: false,
          type: `/docs/errors#${code}`,
          title: catalogue.codes[code].title,
          status,
          code,
          instance: path.split('?')[0],
          requestId: answer.headers.get('x-request-id'),
        });
        expect(body.detail).toBe(catalogue.codes[code].detail.replace('{limit}', '1 MB'));
        expect(text).not.toContain('secret words');
        expect(answer.headers.get('www-authenticate')).toBe(code === 'UNAUTHENTICATED' ? 'Bearer' : null);
      }
    });
  });

  it('logs the cause of an internal error under its request id and answers none of it', async () => {
    const { headers } = await post('/work')
      .send({ userId: 1, name: 'x', options: { throws: 'the cause' } })
      .expect(500);
    const line = app.logs.entries.find(
      (entry) => entry.requestId === headers['x-request-id'] && entry.msg === 'Call failed',
    );
    expect(line).toMatchObject({ level: 'error', code: 'INTERNAL', err: { message: 'the cause' }, userId: 1 });
  });

  it('speaks French when nothing is said, and when nothing we speak is asked for', async () => {
    for (const language of [undefined, 'de, es;q=0.5']) {
      const request = app.http.get('/nowhere').set(app.asService);
      const { headers } = await (language === undefined ? request : request.set('Accept-Language', language));
      expect(headers['content-language']).toBe('fr');
    }
  });

  describe('a body', () => {
    it('of exactly 1 MB passes, one byte more does not', async () => {
      expect((await raw(sized(MEGABYTE))).status).toBe(200);
      expect((await raw(sized(MEGABYTE + 1))).status).toBe(413);
    });

    it('that does not say its size is counted all the same', async () => {
      const stream = new ReadableStream({
        start(controller) {
          const text = new TextEncoder().encode(sized(MEGABYTE + 1));
          for (let at = 0; at < text.length; at += 65_536) controller.enqueue(text.subarray(at, at + 65_536));
          controller.close();
        },
      });
      expect((await raw(stream)).status).toBe(413);
    });

    it('has the limit of its route', async () => {
      await post('/small')
        .send({ userId: 7, name: 'x'.repeat(900) })
        .expect(201);
      const { body } = await post('/small')
        .set('Accept-Language', 'en')
        .send({ userId: 7, name: 'x'.repeat(1100) })
        .expect(413);
      expect(body.detail).toContain('1 KB');
    });

    it.each([
      ['gzip', gzipSync],
      ['deflate', deflateSync],
      ['br', brotliCompressSync],
    ] as const)('may be compressed: %s', async (encoding, compress) => {
      const headers = { 'content-encoding': encoding };
      const answer = await raw(compress(JSON.stringify({ userId: 7, name: 'é' })), headers);
      expect(answer.status).toBe(200);
      expect(answer.json).toMatchObject({ body: { name: 'é' }, context: { userId: 7 } });
      expect((await raw(compress(sized(MEGABYTE)), headers)).status).toBe(200);
      expect((await raw(compress(sized(MEGABYTE + 1)), headers)).status).toBe(413);
      expect((await raw('no such thing', headers)).status).toBe(400);
    });

    it('that is a bomb stops at the limit', async () => {
      const bomb = gzipSync(Buffer.alloc(200 * MEGABYTE, 32), { level: 9 });
      const before = process.memoryUsage().rss;
      expect((await raw(bomb, { 'content-encoding': 'gzip' })).status).toBe(413);
      expect(process.memoryUsage().rss - before).toBeLessThan(100 * MEGABYTE);
    });

    it('in another encoding is refused', async () => {
      const answer = await raw('x', { 'content-encoding': 'zstd' });
      expect(answer.json).toMatchObject({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
    });

    it.each([
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/vnd.api+json',
      'application/json; charset=iso-8859-1',
      'text/json',
      'nonsense',
    ])('of another type is refused: %s', async (type) => {
      const answer = await raw('{"userId":7}', { 'content-type': type });
      expect(answer.json).toMatchObject({ status: 415, code: 'UNSUPPORTED_MEDIA_TYPE' });
    });

    it.each(['application/json', 'application/json; charset=utf-8', 'Application/JSON;charset="UTF-8"'])(
      'is taken as %s',
      async (type) => {
        expect((await raw('{"userId":7}', { 'content-type': type })).status).toBe(200);
      },
    );

    it.each<[string, string | Buffer]>([
      ['cut off', '{"userId":7'],
      ['with a comma too many', '{"userId":7,}'],
      ['in single quotes', "{'userId':7}"],
      ['in invalid UTF-8', Buffer.from([0x7b, 0x22, 0x61, 0x22, 0x3a, 0x22, 0xff, 0x22, 0x7d])],
      ['as two documents', '{}{}'],
    ])('that is no JSON is told so: %s', async (_, body) => {
      expect((await raw(body)).json).toMatchObject({ status: 400, code: 'MALFORMED_JSON' });
    });

    it.each(['[]', '"x"', '5', 'null', 'true'])('that is no object is refused: %s', async (body) => {
      const answer = (await raw(body)).json;
      expect(answer).toMatchObject({ status: 400, code: 'VALIDATION_FAILED', errors: [{ field: 'body' }] });
    });

    it('that is empty counts as none', async () => {
      const { body } = await app.http
        .post(`${BASE}/echo?userId=7`)
        .set(app.asService)
        .set('Content-Type', 'application/json')
        .expect(200);
      expect(body.body).toEqual({});
    });

    it.each<[string, string, string]>([
      ['__proto__', '{"userId":7,"data":{"a":{"__proto__":{"admin":true}}}}', 'data.a.__proto__'],
      ['constructor.prototype', '{"userId":7,"data":{"constructor":{"prototype":{}}}}', 'data.constructor'],
      ['a NUL', '{"userId":7,"name":"a\\u0000"}', 'name'],
      ['33 levels', `{"userId":7,"data":${'{"a":'.repeat(40)}1${'}'.repeat(40)}}`, 'data'],
      ['100,000 levels', `{"userId":7,"data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`, 'data'],
    ])('with %s is a clear 400', async (_, body, field) => {
      const answer = (await raw(body)).json;
      expect(answer).toMatchObject({ status: 400, code: 'VALIDATION_FAILED', errors: [{ field }] });
      expect(({} as { admin?: boolean }).admin).toBeUndefined();
    });

    it('keeps a free object exactly as it was sent', async () => {
      const data = '{"constructor":"Ferrari","toString":1,"then":{"a":[1,2]},"é":"ü"}';
      const { text } = await raw(`{"userId":7,"data":${data}}`);
      expect(text).toContain(data);
    });

    it('names every wrong and every unknown field', async () => {
      const { body } = await post().send({ userId: 7, name: 5, email: 'x', other: 1 }).expect(400);
      expect(body.errors.map((fault: { field: string }) => fault.field).sort()).toEqual(['email', 'name', 'other']);
    });

    it('that breaks off leaves the service as it was', async () => {
      const { hostname, port } = new URL(app.url);
      const socket = connect(Number(port), hostname);
      const head = `POST ${BASE}/echo HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${app.serviceKey}\r\n`;
      socket.write(`${head}Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"userId"`, () =>
        socket.destroy(),
      );
      await new Promise((resolve) => socket.once('close', resolve));
      await post().send({ userId: 7 }).expect(200);
    });
  });

  describe('a query', () => {
    it('is refused where it holds what the route does not know', async () => {
      const { body } = await app.http.get(`${BASE}/query?userId=7&size=2&other=1`).set(app.asService).expect(400);
      expect(body.errors).toEqual([expect.objectContaining({ field: 'other' })]);
    });

    it('is refused where a route takes none', async () => {
      const { body } = await app.http.get(`${BASE}/none?userId=7&size=2`).set(app.asService).expect(400);
      expect(body.errors).toEqual([expect.objectContaining({ field: 'size' })]);
      await app.http.get(`${BASE}/none?userId=7`).set(app.asService).expect(200);
    });

    it('is refused beside a body that carries the fields', async () => {
      const { body } = await app.http.post(`${BASE}/echo?userId=7&name=x`).set(app.asService).send({}).expect(400);
      expect(body.errors).toEqual([expect.objectContaining({ field: 'name' })]);
    });

    it('carries the parameters of a DELETE; a body of one is refused', async () => {
      await app.http.delete(`${BASE}/none?userId=7`).set(app.asService).expect(200);
      const { body } = await app.http
        .delete(`${BASE}/none?userId=7`)
        .set(app.asService)
        .send({ name: 'x' })
        .expect(400);
      expect(body.errors).toEqual([expect.objectContaining({ field: 'name' })]);
    });

    it('given twice is refused', async () => {
      const { body } = await app.http.get(`${BASE}/query?userId=7&size=2&size=3`).set(app.asService).expect(400);
      expect(body.errors).toEqual([expect.objectContaining({ field: 'size' })]);
    });

    it('is never in the log', async () => {
      await app.http.get(`${BASE}/query?userId=7&size=needle4711`).set(app.asService).expect(400);
      expect(app.logs.text).not.toContain('needle4711');
    });
  });

  it('answers tables and texts as they are', async () => {
    const { text, headers } = await app.http.get(`${BASE}/table?userId=7`).set(app.asService).expect(200);
    expect([text, headers['content-type']]).toEqual(['a,b\n1,2\n', 'text/csv']);
  });

  it('finds nothing under an id with a NUL', async () => {
    await app.http.get(`${BASE}/items/a%00b?userId=7`).set(app.asService).expect(404);
    await app.http.get(`${BASE}/items/a?userId=7`).set(app.asService).expect(200);
  });

  it('tells no caller what it runs on, and browsers to be careful', async () => {
    const { headers } = await app.http.get(`${BASE}/open`).expect(200);
    expect(headers).not.toHaveProperty('server');
    expect(headers).not.toHaveProperty('x-powered-by');
    expect(headers).toMatchObject({
      'x-content-type-options': 'nosniff',
      'content-security-policy': "default-src 'none';frame-ancestors 'none'",
      'cache-control': 'no-store',
      'referrer-policy': 'no-referrer',
    });
    expect(headers).not.toHaveProperty('strict-transport-security');
  });

  it('gives slow clients ten seconds for the head and thirty for the whole', () => {
    const server = app.app.getHttpServer();
    expect([server.headersTimeout, server.requestTimeout]).toEqual([10_000, 30_000]);
  });

  it.each<[string, string, number, string]>([
    [
      'a target that does not decode',
      `GET ${BASE}/%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`,
      400,
      'VALIDATION_FAILED',
    ],
    ['a line that is no HTTP', 'NONSENSE\r\n\r\n', 400, 'VALIDATION_FAILED'],
    [
      'a head that is too long',
      `GET / HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`,
      413,
      'PAYLOAD_TOO_LARGE',
    ],
  ])('answers with a problem document before there is a request: %s', async (_, text, status, code) => {
    const { hostname, port } = new URL(app.url);
    const socket = connect(Number(port), hostname);
    socket.write(text);
    const chunks: Buffer[] = [];
    for await (const chunk of socket) chunks.push(chunk as Buffer);
    const [head = '', body = ''] = Buffer.concat(chunks).toString().split('\r\n\r\n');
    expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} `));
    expect(head.toLowerCase()).toContain('content-type: application/problem+json');
    expect(head.toLowerCase()).toMatch(/x-request-id: [0-9a-f-]{36}/);
    expect(JSON.parse(body)).toMatchObject({ success: false, status, code });
  });
});
