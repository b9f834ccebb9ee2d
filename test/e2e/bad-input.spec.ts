import { gzipSync } from 'node:zlib';
import { openBadInputStage, type BadInputStage, type Sent } from './bad-input-stage';

const MEGABYTE = 1024 * 1024;
/** Every route with a body; held against the routes that there are. */
const WRITING = [
  'PATCH /connections/:id',
  'PATCH /update-contact',
  'PATCH /webhooks/:id',
  'POST /connect',
  'POST /lists',
  'POST /lists/:id/profiles',
  'POST /profiles/search',
  'POST /subscribe',
  'POST /sync',
  'POST /sync/:id/cancel',
  'POST /trigger-event',
  'POST /webhooks',
  'POST /webhooks/:id/rotate-secret',
  'POST /webhooks/events/:id/replay',
  'POST /webhooks/events/replay',
  'PUT /sync/schedule',
];
const OTHERS = [
  'DELETE /connect',
  'DELETE /lists/:id/profiles',
  'DELETE /webhooks',
  'GET /campaigns/:id',
  'GET /campaigns/:id/history',
  'GET /connect',
  'GET /connections/:id/usage',
  'GET /events',
  'GET /events/:id',
  'GET /get-campaigns',
  'GET /get-lists',
  'GET /get-segments',
  'GET /lists/:id',
  'GET /lists/:id/history',
  'GET /lists/:id/profiles',
  'GET /profiles',
  'GET /profiles/:id',
  'GET /profiles/:id/events',
  'GET /profiles/tags',
  'GET /segments/:id',
  'GET /segments/:id/history',
  'GET /segments/:id/profiles',
  'GET /subscribe',
  'GET /sync',
  'GET /sync/:id',
  'GET /sync/:id/logs',
  'GET /sync/:id/stream',
  'GET /trigger-event',
  'GET /update-contact',
  'GET /webhooks',
  'GET /webhooks/events',
  'GET /webhooks/events/:id',
  'GET /webhooks/topics',
];

/** Where every field may be left out. */
const NEEDING_NOTHING = new Set([
  'PATCH /connections/:id',
  'POST /sync',
  'POST /sync/:id/cancel',
  'POST /webhooks/:id/rotate-secret',
  'POST /webhooks/events/:id/replay',
]);
/** Values that are right by chance: nobody is called `x`. */
const FITTING = [
  'enabled true 200',
  'intervalMinutes null 200',
  'label "x" 200',
  'label null 200',
  'description "x" 200',
  'description "x" 201',
  'description null 200',
  'description null 201',
  'externalId "x" 404',
  'name "x" 200',
  'name "x" 201',
  'topic "x" 202',
  'profileIds [[]] 202',
];
const NOBODYS = '0190c7a0-0000-7000-8000-000000000000';

/** A refusal as a caller can use it. */
function refused(answer: Sent, status: number, code: string, field?: string): void {
  expect([answer.status, answer.body.code]).toEqual([status, code]);
  if (field !== undefined) expect(answer.body.errors?.map((fault) => fault.field)).toContain(field);
  for (const { message } of answer.body.errors ?? []) expect(message.length).toBeGreaterThan(3);
}

describe('bad input', () => {
  let stage: BadInputStage;
  beforeAll(async () => {
    stage = await openBadInputStage();
  });
  afterAll(async () => {
    await stage.stop();
  });
  afterEach(() => {
    expect(stage.alarms()).toEqual([]);
  });

  const good = (route: string) => ({ userId: stage.userId, ...stage.good[route] });
  const text = (route: string) => JSON.stringify(good(route));
  const methodOf = (route: string) => route.split(' ')[0] ?? '';

  it('is tried on every route of the API', () => {
    expect([...WRITING, ...OTHERS].sort()).toEqual(stage.walk.routes);
    expect(Object.keys(stage.good).sort()).toEqual(WRITING);
  });

  describe.each(WRITING)('to %s', (route) => {
    it('is not what the good body is', async () => {
      const answer = await stage.send(route, good(route));
      expect([answer.status < 300, answer.text]).toEqual([true, expect.any(String)]);
      await stage.written();
    });

    it.each([
      ['cut off', (json: string) => json.slice(0, -1)],
      ['with something behind it', (json: string) => `${json}x`],
      ['in single quotes', (json: string) => json.replaceAll('"', "'")],
      ['with a comma too many', (json: string) => `${json.slice(0, -1)},}`],
      ['with a comment', (json: string) => `/* x */${json}`],
      ['with a NUL in front', (json: string) => `\u0000${json}`],
      ['with NaN', (json: string) => `${json.slice(0, -1)},"x":NaN}`],
      ['that is only a word', () => 'undefined'],
    ])('that is JSON %s is 400 MALFORMED_JSON', async (_, spoil) => {
      refused(await stage.send(route, spoil(text(route))), 400, 'MALFORMED_JSON');
      expect(await stage.written()).toEqual([]);
    });

    it('that is no UTF-8 is 400 MALFORMED_JSON', async () => {
      const bytes = Buffer.concat([Buffer.from(text(route).slice(0, -1)), Buffer.from(',"x":"\xff"}', 'latin1')]);
      const headers = { 'content-type': 'application/json' };
      const answer = await stage.raw({ method: methodOf(route), path: stage.pathOf(route), headers, body: bytes });
      refused(answer, 400, 'MALFORMED_JSON');
    });

    it.each([['[]'], ['[{}]'], ['null'], ['"text"'], ['12'], ['true']])(
      'that is %s is 400 naming the body',
      async (body) => {
        refused(await stage.send(route, body), 400, 'VALIDATION_FAILED', 'body');
        expect(await stage.written()).toEqual([]);
      },
    );

    it('that is nothing at all is 400 asking for the user', async () => {
      refused(await stage.send(route, ''), 400, 'USER_ID_REQUIRED');
      const headers = { 'x-user-id': String(stage.userId) };
      const [method, path] = [methodOf(route), stage.pathOf(route)];
      for (const answer of [await stage.send(route, '', headers), await stage.raw({ method, path, headers })])
        if (!NEEDING_NOTHING.has(route)) refused(answer, 400, 'VALIDATION_FAILED');
        else expect(answer.status).toBeLessThan(300);
      await stage.written();
    });

    it('with a field that nobody knows is 400 naming it', async () => {
      for (const field of ['unknown', 'UserId', 'toString', 'constructor', 'a b', 'ключ', ''])
        refused(await stage.send(route, { ...good(route), [field]: 1 }), 400, 'VALIDATION_FAILED', field);
      const many = Object.fromEntries(Array.from({ length: 5000 }, (_, at) => [`field${at}`, at]));
      const answer = await stage.send(route, { ...good(route), ...many });
      refused(answer, 400, 'VALIDATION_FAILED', 'field0');
      expect(answer.body.errors).toHaveLength(100);
      expect(await stage.written()).toEqual([]);
    });

    it('with a key that poisons prototypes is 400 naming it', async () => {
      for (const [piece, field] of [
        ['"__proto__":{"isAdmin":true}', '__proto__'],
        ['"constructor":{"prototype":{"isAdmin":true}}', 'constructor'],
        ['"a":{"b":{"__proto__":null}}', 'a.b.__proto__'],
        ['"a":[{"__proto__":1}]', 'a[0].__proto__'],
        ['"\\u005f_proto__":1', '__proto__'],
      ] as const)
        refused(await stage.send(route, `${text(route).slice(0, -1)},${piece}}`), 400, 'VALIDATION_FAILED', field);
      expect({}).not.toHaveProperty('isAdmin');
    });

    it('with a field twice is 400 naming it, and 403 for two users, whichever would have counted', async () => {
      const body = text(route);
      for (const piece of ['"userId":1', '"user\\u0049d":1', '"userId":"x"'])
        refused(await stage.send(route, `{${piece},${body.slice(1)}`), 403, 'USER_SCOPE_MISMATCH');
      const [, first = ''] = Object.keys(good(route));
      for (const piece of [`"${first}":{}`, `"${first}" : null, "x":[{"${first}":"}"}]`])
        refused(await stage.send(route, `{${piece},${body.slice(1)}`), 400, 'VALIDATION_FAILED', first);
      expect(await stage.written()).toEqual([]);
      const again = await stage.send(route, `{"userId":${stage.userId},${body.slice(1)}`);
      expect([again.status < 300, again.text]).toEqual([true, expect.any(String)]);
      await stage.written();
    });

    it('with wrong types everywhere is 400 naming each field', async () => {
      const wrong = [null, 1, 'x', true, [], {}, [[]], 0.5, ''];
      for (const field of Object.keys(good(route)).filter((name) => name !== 'userId'))
        for (const value of wrong) {
          const answer = await stage.send(route, { ...good(route), [field]: value });
          if (answer.status === 400) {
            expect([field, value, answer.body.code]).toEqual([field, value, 'VALIDATION_FAILED']);
            expect(answer.body.errors?.every((fault) => fault.field.startsWith(field))).toBe(true);
          } else expect(FITTING).toContain(`${field} ${JSON.stringify(value)} ${answer.status}`);
        }
      refused(await stage.send(route, { ...good(route), connectionId: 'x' }), 400, 'VALIDATION_FAILED', 'connectionId');
    });

    it('of exactly 1 MB is read, of one byte more it is 413: as it is, and compressed', async () => {
      const fill = (bytes: number) => text(route) + ' '.repeat(bytes - Buffer.byteLength(text(route)));
      const zipped = { 'content-encoding': 'gzip' };
      const call = (body: string | Buffer, headers = {}) =>
        stage.raw({
          method: methodOf(route),
          path: stage.pathOf(route),
          headers: { 'content-type': 'application/json', ...headers },
          body,
        });
      expect((await call(fill(MEGABYTE))).status).toBeLessThan(300);
      expect((await call(gzipSync(fill(MEGABYTE)), zipped)).status).toBeLessThan(300);
      await stage.written();
      refused(await call(fill(MEGABYTE + 1)), 413, 'PAYLOAD_TOO_LARGE');
      refused(await call(gzipSync(fill(MEGABYTE + 1)), zipped), 413, 'PAYLOAD_TOO_LARGE');
      refused(await call(gzipSync(Buffer.alloc(64 * MEGABYTE, ' ')), zipped), 413, 'PAYLOAD_TOO_LARGE');
      refused(await call(text(route), zipped), 400, 'MALFORMED_JSON');
      refused(await call(gzipSync(text(route)).subarray(0, 30), zipped), 400, 'MALFORMED_JSON');
      refused(await call(text(route), { 'content-encoding': 'zip' }), 415, 'UNSUPPORTED_MEDIA_TYPE');
      expect(await stage.written()).toEqual([]);
    });

    it.each([
      'text/plain',
      'text/json',
      'application/x-www-form-urlencoded',
      'multipart/form-data; boundary=x',
      'application/vnd.api+json',
      'application/json; charset=utf-16',
      'application/jsonx',
      '*/*',
    ])('as %s is 415', async (type) => {
      refused(await stage.send(route, text(route), { 'content-type': type }), 415, 'UNSUPPORTED_MEDIA_TYPE');
      expect(await stage.written()).toEqual([]);
    });

    it('nested a hundred thousand levels deep is 400', async () => {
      for (const [open, close] of [
        ['[', ']'],
        ['{"a":', '}'],
      ] as const) {
        const deep = `${open.repeat(100_000)}1${close.repeat(100_000)}`;
        refused(await stage.send(route, `${text(route).slice(0, -1)},"x":${deep}}`), 400, 'VALIDATION_FAILED', 'x');
      }
    });

    it('with text that PostgreSQL cannot store is 400 naming it', async () => {
      for (const piece of ['\\u0000', 'a\\u0000b', '\\ud800', 'a\\udc00b', '\\udc00\\ud800'])
        for (const [json, field] of [
          [`"note":"${piece}"`, 'note'],
          [`"deep":{"list":["x","${piece}"]}`, 'deep.list[1]'],
          [`"deep":{"${piece}":1}`, 'deep'],
          [`"${piece}":1`, 'body'],
        ] as const)
          refused(await stage.send(route, `${text(route).slice(0, -1)},${json}}`), 400, 'VALIDATION_FAILED', field);
      expect(await stage.written()).toEqual([]);
    });

    it('with a parameter that nobody knows is 400 naming it', async () => {
      const call = (query: string) =>
        stage.raw({
          method: methodOf(route),
          path: `${stage.pathOf(route)}?${query}`,
          headers: { 'content-type': 'application/json' },
          body: text(route),
        });
      refused(await call('unknown=1'), 400, 'VALIDATION_FAILED', 'unknown');
      refused(await call(`connectionId=${stage.connectionId}`), 400, 'VALIDATION_FAILED', 'connectionId');
      refused(await call('__proto__=1'), 400, 'VALIDATION_FAILED', '__proto__');
      refused(await call('constructor[prototype]=1'), 400, 'VALIDATION_FAILED', 'constructor[prototype]');
      expect(await stage.written()).toEqual([]);
    });
  });

  describe.each(WRITING.filter((route) => route.startsWith('POST') && route !== 'POST /profiles/search'))(
    'beside an Idempotency-Key to %s',
    (route) => {
      it.each([[''], ['x'.repeat(256)], ['ключ'], ['a\tb'], ['é']])('%j is 400 naming the header', async (key) => {
        const headers = { 'idempotency-key': Buffer.from(key).toString('latin1') };
        refused(await stage.send(route, text(route), headers), 400, 'VALIDATION_FAILED', 'Idempotency-Key');
        expect(await stage.written()).toEqual([]);
      });

      it('is remembered as refused, and a key of 255 characters is taken', async () => {
        const headers = { 'idempotency-key': `${route}${'x'.repeat(255 - route.length)}` };
        const bad = { ...good(route), unknown: 1 };
        refused(await stage.send(route, bad, headers), 400, 'VALIDATION_FAILED', 'unknown');
        refused(await stage.send(route, bad, headers), 400, 'VALIDATION_FAILED', 'unknown');
        refused(await stage.send(route, good(route), headers), 409, 'IDEMPOTENCY_KEY_REUSED');
      });
    },
  );

  describe.each(OTHERS)('to %s', (route) => {
    const call = (query: string, extra: { headers?: Record<string, string>; body?: string } = {}) =>
      stage.raw({ method: methodOf(route), path: `${stage.pathOf(route)}?${query}`, ...extra });
    // A DELETE that is understood after all must not take the connection with it.
    const user = () => `userId=${stage.userId}${route.startsWith('DELETE') ? `&connectionId=${NOBODYS}` : ''}`;

    it('with a parameter that nobody knows, or one twice, is 400 naming it', async () => {
      refused(await call(`${user()}&unknown=1`), 400, 'VALIDATION_FAILED', 'unknown');
      refused(await call(`${user()}&__proto__=1`), 400, 'VALIDATION_FAILED', '__proto__');
      refused(await call(`${user()}&constructor=1`), 400, 'VALIDATION_FAILED', 'constructor');
      refused(await call(`${user()}&filter[a]=1`), 400, 'VALIDATION_FAILED', 'filter[a]');
      if (route === 'GET /connect') return;
      refused(await call(`${user()}&connectionId=x`), 400, 'VALIDATION_FAILED', 'connectionId');
      refused(await call(`${user()}&connectionId=%00`), 400, 'VALIDATION_FAILED', 'connectionId');
      const twice = `connectionId=${stage.connectionId}&connectionId=${stage.connectionId}`;
      refused(await call(`${user()}&${twice}`), 400, 'VALIDATION_FAILED', 'connectionId');
    });

    it('with parameters that do not decode is no failure of ours', async () => {
      for (const query of ['%', '%zz=1', '%C0%AF=1', 'a=%ff', '&&&', '=', '?'.repeat(100), 'x'.repeat(8000)]) {
        const answer = await call(`${user()}&${query}`);
        expect([query, answer.status < 500]).toEqual([query, true]);
      }
    });

    it('with a body in place of parameters is 400, never half understood', async () => {
      const body = JSON.stringify({ userId: stage.userId, connectionId: stage.connectionId });
      const headers = { 'content-type': 'application/json' };
      const answer = await call(user(), { headers, body });
      if (route.startsWith('DELETE')) refused(answer, 400, 'VALIDATION_FAILED', 'connectionId');
      else expect(answer.status).toBeLessThan(500);
    });
  });

  describe('in paging', () => {
    it.each([
      '/get-lists',
      '/get-segments',
      '/get-campaigns',
      '/campaigns/x/history',
      '/lists/x/history',
      '/segments/x/history',
      '/events',
      '/webhooks/events',
      '/profiles/x/events',
    ])('of %s is 400 naming it', async (path) => {
      for (const [field, values] of [
        ['limit', ['0', '-1', '201', 'abc', '1.5', '1e2', '', ' 1', '9'.repeat(400), '0x10', '٣']],
        ['cursor', ['', 'x', 'W10', 'bnVsbA', 'WyJrIiwibSIsInQiXQ', 'a'.repeat(2001), '%ff', '..', 'e30=']],
      ] as const)
        for (const value of values) {
          const query = `userId=${stage.userId}&${field}=${encodeURIComponent(value)}`;
          const answer = await stage.raw({ method: 'GET', path: `${path}?${query}` });
          refused(answer, 400, 'VALIDATION_FAILED', field);
        }
    });

    it('of what Klaviyo holds names the other filters as well', async () => {
      for (const [path, field, value] of [
        ['/get-lists', 'includeStats', '1'],
        ['/get-lists', 'source', 'MIRROR'],
        ['/get-lists', 'name', ''],
        ['/get-segments', 'name', 'x'.repeat(256)],
        ['/lists/x', 'source', 'klaviyo'],
        ['/lists/x/history', 'from', 'yesterday'],
        ['/segments/x/history', 'to', '2026-02-30T00:00:00Z'],
        ['/get-campaigns', 'status', 'sent,,draft'],
        ['/get-campaigns', 'status', 'Sent'],
        ['/get-campaigns', 'channel', 'fax'],
        ['/get-campaigns', 'archived', 'yes'],
        ['/campaigns/x', 'source', 'both'],
        ['/get-campaigns', 'from', '2026-02-30T00:00:00Z'],
        ['/get-campaigns', 'to', 'yesterday'],
        ['/events', 'status', 'lost'],
        ['/profiles/x/events', 'source', 'klaviyo'],
        ['/profiles/x/events', 'metric', ''],
        ['/profiles/x/events', 'metricId', "' OR 1=1"],
        ['/profiles/x/events', 'from', '2026-02-30T00:00:00Z'],
      ] as const) {
        const query = `userId=${stage.userId}&${field}=${encodeURIComponent(value)}`;
        refused(await stage.raw({ method: 'GET', path: `${path}?${query}` }), 400, 'VALIDATION_FAILED', field);
      }
    });
  });

  it('in an address is 400 or 404, never a failure of ours', async () => {
    for (const path of [
      '/lists/%00',
      '/lists/%zz',
      '/lists/%ff%fe',
      '/lists/..%2f..%2fsegments',
      '/lists/' + 'x'.repeat(300),
      '/lists/a%22b',
      '/lists/%F0%9F%98%80',
      "/events/'; DROP TABLE sent_event; --".replaceAll(' ', '%20'),
      '/connections/%00',
      '/profiles/%00',
      '//api//v1/klaviyo/connect',
      '//api/v1/klaviyo/../../../etc/passwd',
      '//%',
    ]) {
      const answer = await stage.raw({ method: 'GET', path: `${path}?userId=${stage.userId}` });
      expect([path, [400, 404].includes(answer.status)]).toEqual([path, true]);
      expect(answer.body.code).toMatch(/^(VALIDATION_FAILED|\w+_NOT_FOUND)$/);
    }
  });
});
