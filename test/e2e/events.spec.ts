import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { startApp, type RunningApp } from '../support/app';
import { startSandbox, type Sandbox, type SandboxAccount, type SandboxRequest } from '../support/sandbox';

const BASE = '/api/v1/klaviyo';
const ADA = { email: 'ada@example.com' };

interface SentDocument {
  data: { type: string; attributes: Record<string, unknown> };
}

describe('events', () => {
  let sandbox: Sandbox;
  let app: RunningApp;
  let account: SandboxAccount;
  let user = 2000;

  beforeAll(async () => {
    sandbox = await startSandbox();
    // Nothing delivers in the background here: what is queued stays as the call left it.
    app = await startApp({ klaviyoUrl: sandbox.url, env: { ROLE: 'api', KLAVIYO_TIMEOUT_MS: '1000' } });
  });

  afterAll(async () => {
    await app.stop();
    await sandbox.stop();
  });

  beforeEach(async () => {
    user++;
    account = await connected(user);
  });

  const post = (path: string, body: object) =>
    app.http.post(`${BASE}${path}`).set(app.asService).set('Accept-Language', 'en').send(body);
  const get = (path: string) => app.http.get(`${BASE}${path}`).set(app.asService).set('Accept-Language', 'en');
  const trigger = (event: object, more: object = {}) => post('/trigger-event', { userId: user, event, ...more });
  const order = (more: object = {}) => ({
    eventType: 'Placed Order',
    eventData: { OrderId: '1' },
    profile: ADA,
    ...more,
  });
  const received = (operation = 'createEvent') => sandbox.requests(account.id, operation);
  const attributesOf = (request?: SandboxRequest) => (request?.body as SentDocument).data.attributes;
  const stored = () => rows('SELECT * FROM sent_event WHERE user_id = $1', [user]);
  const rows = (sql: string, params: unknown[]): Promise<Record<string, unknown>[]> =>
    app.app.get(DataSource).query(sql, params);
  const eventsAtKlaviyo = async () =>
    (await sandbox.control<{ events: Record<string, unknown>[] }>('GET', `/accounts/${account.id}/events`)).events;

  async function connected(userId: number, options = {}): Promise<SandboxAccount> {
    const made = await sandbox.createAccount({ currency: 'EUR', ...options });
    const answer = await post('/connect', { userId, privateApiKey: made.key });
    expect(answer.status).toBe(201);
    return made;
  }

  describe('one that Klaviyo takes', () => {
    it('is sent at once, with its value and currency from the data (the example of the owner)', async () => {
      const profile = await sandbox.control<{ id: string }>('POST', `/accounts/${account.id}/profiles`, ADA);
      const eventData = {
        orderId: 'ORD-12345',
        total: 99.99,
        currency: 'EUR',
        items: [{ id: 'product_1', name: 'Produit 1', quantity: 2, price: 49.99 }],
      };
      const answer = await trigger({ eventType: 'Placed Order', eventData, profileId: profile.id });
      expect(answer.status).toBe(202);
      expect(answer.body).toEqual({
        success: true,
        event: {
          id: expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f]{4}-7/),
          eventType: 'Placed Order',
          uniqueId: answer.body.event.id,
          status: 'sent',
          profile: { id: profile.id, email: null, phoneNumber: null, externalId: null },
          time: expect.stringMatching(/:\d\d\.000Z$/),
          value: 99.99,
          currency: 'EUR',
          attempts: 1,
          lastError: null,
          createdAt: expect.stringMatching(/Z$/),
          sentAt: expect.stringMatching(/Z$/),
        },
      });
      const [request, ...more] = await received();
      expect(more).toEqual([]);
      expect(attributesOf(request)).toEqual({
        properties: eventData,
        time: `${answer.body.event.time.slice(0, 19)}Z`,
        value: 99.99,
        value_currency: 'EUR',
        unique_id: answer.body.event.id,
        metric: { data: { type: 'metric', attributes: { name: 'Placed Order' } } },
        profile: { data: { type: 'profile', id: profile.id, attributes: {} } },
      });
      const [event] = await eventsAtKlaviyo();
      expect(event).toMatchObject({ profileId: profile.id });
    });

    it.each([
      ['email', { email: 'ada@example.com' }],
      ['customerEmail', { customerEmail: 'ada@example.com' }],
      ['customer.email', { customer: { email: 'ada@example.com' } }],
    ])('finds its profile in eventData.%s', async (_, eventData) => {
      const answer = await trigger({
        eventType: 'placed_order',
        eventData: { ...eventData, total: 10, currency: 'EUR' },
      });
      expect(answer.status).toBe(202);
      expect(answer.body.event).toMatchObject({ status: 'sent', profile: ADA, value: 10, eventType: 'Placed Order' });
      expect(attributesOf((await received())[0])).toMatchObject({
        profile: { data: { type: 'profile', attributes: ADA } },
      });
    });

    it('carries identifiers, time, value, currency, uniqueId and backfill as they were given', async () => {
      const profile = { email: "o'brien+x@exämple.fr", phoneNumber: '+33612345678', externalId: 'C-1' };
      const answer = await trigger({
        eventType: 'Réserva une table',
        eventData: { 'Nombre de personnes': 4, nested: { a: [1, null, 'é'] } },
        profile,
        time: '2026-01-02T03:04:05.678+01:00',
        value: 12.5,
        currency: 'CHF',
        uniqueId: 'table-1',
        backfill: true,
      });
      expect(answer.body.event).toMatchObject({ status: 'sent', time: '2026-01-02T02:04:05.000Z', profile });
      expect(attributesOf((await received())[0])).toEqual({
        properties: { 'Nombre de personnes': 4, nested: { a: [1, null, 'é'] } },
        time: '2026-01-02T02:04:05Z',
        value: 12.5,
        value_currency: 'CHF',
        unique_id: 'table-1',
        backfill: true,
        metric: { data: { type: 'metric', attributes: { name: 'Réserva une table' } } },
        profile: {
          data: {
            type: 'profile',
            attributes: { email: profile.email, phone_number: profile.phoneNumber, external_id: 'C-1' },
          },
        },
      });
    });

    it('leaves nothing of what it said in the database, and its identifiers sealed', async () => {
      await trigger({ eventType: 'Secret', eventData: { note: 'very-private' }, profile: ADA });
      const [row] = await stored();
      expect(row?.['sealed_payload']).toBeNull();
      expect(JSON.stringify(row)).not.toMatch(/very-private|ada@example/);
    });

    it('tells the connection that events can be written', async () => {
      await trigger(order());
      const { body } = await get(`/connect?userId=${user}`);
      expect(body.connections[0].capabilities.events).toEqual({ read: 'ok', write: 'ok' });
    });

    it('is answered under the unversioned address too, and by a user’s own token', async () => {
      const answer = await app.http
        .post('/api/klaviyo/trigger-event')
        .set('Authorization', `Bearer ${await app.tokenFor(user)}`)
        .send({ event: order() });
      expect(answer.status).toBe(202);
    });

    it('takes every example of the catalogue', async () => {
      const { body } = await get('/trigger-event');
      for (const { example, name } of body.eventTypes) {
        const answer = await trigger(example);
        expect(answer.body).toMatchObject({ success: true, event: { status: 'sent', eventType: name } });
      }
      expect(await received()).toHaveLength(body.eventTypes.length);
    });
  });

  describe('the same one again', () => {
    it('is the first one, marked as a duplicate, and goes to Klaviyo once', async () => {
      const event = order({ uniqueId: 'ORD-1', profile: { email: 'Ada@Example.com' } });
      const first = await trigger(event);
      const again = await trigger({ ...event, eventType: 'PLACED_ORDER', profile: ADA, eventData: { other: true } });
      expect(again.status).toBe(202);
      expect(again.body).toEqual({
        success: true,
        event: first.body.event,
        duplicate: true,
      });
      expect(await received()).toHaveLength(1);
    });

    it('is another event for another type, profile, uniqueId, connection or user', async () => {
      const other = await connected(user);
      const second = (await get(`/connect?userId=${user}`)).body.connections[1].id;
      await connected(user + 500);
      const event = order({ uniqueId: 'ORD-1' });
      const answers = [
        await trigger(event),
        await trigger({ ...event, eventType: 'Refunded Order' }),
        await trigger({ ...event, profile: { email: 'bob@example.com' } }),
        await trigger({ ...event, uniqueId: 'ORD-2' }),
        await trigger(event, { connectionId: second }),
        await trigger(event, { userId: user + 500 }),
      ];
      expect(answers.map(({ status, body }) => [status, body.duplicate])).toEqual(answers.map(() => [202, undefined]));
      expect(await sandbox.requests(other.id, 'createEvent')).toHaveLength(1);
    });

    it('is sent once however many come at the same time, and all are told of the one', async () => {
      await sandbox.patchAccount(account.id, { latencyMs: 150 });
      const answers = await Promise.all(Array.from({ length: 10 }, () => trigger(order({ uniqueId: 'RACE' }))));
      expect(new Set(answers.map(({ body }) => body.event.id)).size).toBe(1);
      expect(answers.filter(({ body }) => body.duplicate === true)).toHaveLength(9);
      expect(answers.every(({ status, body }) => status === 202 && body.event.status === 'sent')).toBe(true);
      expect(await received()).toHaveLength(1);
    });

    it('is tried anew when the first one was refused while this one waited for it', async () => {
      await sandbox.patchAccount(account.id, { latencyMs: 300 });
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset: '403-scope' });
      const answers = await Promise.all([trigger(order({ uniqueId: 'R' })), trigger(order({ uniqueId: 'R' }))]);
      expect(answers.map(({ status }) => status).sort()).toEqual([202, 403]);
      expect((await stored()).map(({ status }) => status)).toEqual(['sent']);
    });

    it('replaces one that failed for good', async () => {
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset: '400' });
      expect((await trigger(order({ uniqueId: 'ORD-9' }))).status).toBe(400);
      expect((await get(`/events?userId=${user}`)).body.events).toMatchObject([
        { status: 'failed', lastError: 'KLAVIYO_REJECTED', attempts: 1, sentAt: null },
      ]);
      const again = await trigger(order({ uniqueId: 'ORD-9' }));
      expect(again.body).toMatchObject({ event: { status: 'sent', attempts: 1 } });
      expect(again.body.duplicate).toBeUndefined();
      expect((await get(`/events?userId=${user}`)).body.events).toMatchObject([{ status: 'sent', lastError: null }]);
    });

    it('with an Idempotency-Key is answered the same, whatever its uniqueId', async () => {
      const send = () =>
        app.http
          .post(`${BASE}/trigger-event`)
          .set(app.asService)
          .set('Idempotency-Key', `event-${user}`)
          .send({ userId: user, event: order() });
      const [first, second] = [await send(), await send()];
      expect(second.headers['idempotency-replayed']).toBe('true');
      expect(second.body).toEqual(first.body);
      expect(await received()).toHaveLength(1);
    });
  });

  describe('one that Klaviyo refuses', () => {
    it('is told in the caller’s words and kept as failed', async () => {
      await sandbox.fault(account.id, {
        match: { operation: 'createEvent' },
        fault: {
          kind: 'status',
          status: 400,
          body: {
            errors: [
              {
                id: randomUUID(),
                status: 400,
                code: 'invalid',
                title: 'Invalid input.',
                detail: "'ada@example.com' is on a blocked domain.",
                source: { pointer: '/data/attributes/profile/data/attributes/email' },
              },
            ],
          },
        },
      });
      const answer = await trigger({ eventType: 'X', eventData: { customer: ADA } });
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({
        code: 'KLAVIYO_REJECTED',
        errors: [{ field: 'event.eventData.customer.email', message: expect.stringContaining('blocked domain') }],
      });
      expect(JSON.stringify(answer.body)).not.toContain('ada@example.com');
      expect(await stored()).toMatchObject([{ status: 'failed', last_error: 'KLAVIYO_REJECTED' }]);
    });

    it.each([
      ['401', 401, 'KLAVIYO_KEY_INVALID'],
      ['403-scope', 403, 'KLAVIYO_SCOPE_MISSING'],
      ['410', 502, 'KLAVIYO_REVISION_RETIRED'],
    ])('for a %s of ours leaves nothing behind', async (preset, status, code) => {
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset });
      const answer = await trigger(order());
      expect(answer.status).toBe(status);
      expect(answer.body.code).toBe(code);
      expect(await stored()).toEqual([]);
      expect(await received()).toHaveLength(1);
    });

    it('names the scope that is missing and remembers it', async () => {
      await sandbox.patchAccount(account.id, {
        keys: [{ key: account.key, scopes: ['accounts:read', 'metrics:read'] }],
      });
      const answer = await trigger(order());
      expect(answer.body).toMatchObject({ code: 'KLAVIYO_SCOPE_MISSING', scopes: ['events:write'] });
      const { body } = await get(`/connect?userId=${user}`);
      expect(body.connections[0].capabilities.events.write).toBe('scope_missing');
    });

    it('for its key is refused without asking Klaviyo from then on', async () => {
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset: '401' });
      await trigger(order());
      await sandbox.clearRequests(account.id);
      const answer = await trigger(order());
      expect(answer.status).toBe(401);
      expect(answer.body.code).toBe('KLAVIYO_KEY_INVALID');
      expect(await sandbox.requests(account.id)).toEqual([]);
      expect(await stored()).toEqual([]);
    });

    it.each(['404', '409-bare', '409-duplicate', '413'])('with %s is not tried again', async (preset) => {
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset });
      const answer = await trigger(order());
      expect(answer.status).toBeGreaterThanOrEqual(400);
      expect(answer.status).toBeLessThan(500);
      expect(await stored()).toMatchObject([{ status: 'failed', last_error: answer.body.code }]);
    });
  });

  describe('one that Klaviyo cannot take now', () => {
    it.each([
      ['429', 'KLAVIYO_RATE_LIMITED'],
      ['429-no-retry-after', 'KLAVIYO_RATE_LIMITED'],
      ['429-garbage', 'KLAVIYO_RATE_LIMITED'],
      ['500', 'KLAVIYO_UNAVAILABLE'],
      ['502', 'KLAVIYO_UNAVAILABLE'],
      ['503', 'KLAVIYO_UNAVAILABLE'],
      ['403-html', 'KLAVIYO_UNAVAILABLE'],
      ['400-html', 'KLAVIYO_UNAVAILABLE'],
      ['html-200', 'KLAVIYO_UNAVAILABLE'],
      ['reset', 'KLAVIYO_UNAVAILABLE'],
      ['hang-headers', 'KLAVIYO_TIMEOUT'],
    ])('(%s) is kept, tried once, and its caller answered at once', async (preset, lastError) => {
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset, times: 'forever' });
      const before = Date.now();
      const answer = await trigger(order());
      expect(answer.status).toBe(202);
      expect(answer.body.event).toMatchObject({ status: 'queued', attempts: 1, lastError, sentAt: null });
      expect(Date.now() - before).toBeLessThan(7000);
      expect(await received()).toHaveLength(1);
      const [row] = await stored();
      expect(row).toMatchObject({ status: 'queued', lease: null, attempts: 1 });
      expect(JSON.stringify(row)).not.toContain('ada@example');
    });

    it.each(['truncated', 'hang-body'])(
      '(%s, a half answer) is accepted and at Klaviyo once at most',
      async (preset) => {
        await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset });
        const answer = await trigger(order());
        expect(answer.status).toBe(202);
        expect(['sent', 'queued']).toContain(answer.body.event.status);
        expect(await stored()).toMatchObject([{ status: answer.body.event.status, attempts: 1, lease: null }]);
        expect(await received()).toHaveLength(1);
        expect((await eventsAtKlaviyo()).length).toBeLessThanOrEqual(1);
      },
    );

    it('waits as long as Klaviyo said', async () => {
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset: '429', retryAfter: 40 });
      await trigger(order());
      const [row] = await rows(
        'SELECT extract(epoch FROM next_attempt_at - now())::float8 AS pause FROM sent_event WHERE user_id = $1',
        [user],
      );
      expect(row?.['pause']).toBeGreaterThan(35);
      expect(row?.['pause']).toBeLessThanOrEqual(41);
    });

    it('and comes again meanwhile is the same one, not sent twice', async () => {
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset: '503' });
      const first = await trigger(order({ uniqueId: 'Q' }));
      const again = await trigger(order({ uniqueId: 'Q' }));
      expect(again.body).toMatchObject({ duplicate: true, event: { id: first.body.event.id, status: 'queued' } });
      expect(await received()).toHaveLength(1);
    });

    it('is dropped, and counted, when its account is disconnected', async () => {
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset: '503', times: 2 });
      await trigger(order({ uniqueId: '1' }));
      await trigger(order({ uniqueId: '2' }));
      await trigger(order({ uniqueId: '3' }));
      const answer = await app.http.delete(`${BASE}/connect?userId=${user}`).set(app.asService);
      expect(answer.body).toEqual({ success: true, disconnected: 1, discardedEvents: 2 });
      expect(await stored()).toEqual([]);
    });
  });

  describe('bad input', () => {
    const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i]));
    const deep = (levels: number): object => (levels === 1 ? { end: 1 } : { next: deep(levels - 1) });

    it.each<[string, object, string]>([
      ['no event', {}, 'event'],
      ['an event that is no object', { event: 'x' }, 'event'],
      ['no type', { event: { eventData: {}, profile: ADA } }, 'event.eventType'],
      ['an empty type', { event: order({ eventType: '' }) }, 'event.eventType'],
      ['a type of 128 characters', { event: order({ eventType: 'x'.repeat(128) }) }, 'event.eventType'],
      ['a metric of Klaviyo’s', { event: order({ eventType: 'Opened Email' }) }, 'event.eventType'],
      ['no data', { event: { eventType: 'X', profile: ADA } }, 'event.eventData'],
      ['data that is an array', { event: order({ eventData: [] }) }, 'event.eventData'],
      ['401 properties', { event: order({ eventData: keys(401) }) }, 'event.eventData'],
      ['11 levels', { event: order({ eventData: deep(11) }) }, 'event.eventData'],
      ['nobody to whom it happened', { event: { eventType: 'X', eventData: {} } }, 'event.profile'],
      ['a profile without identifier', { event: order({ profile: {} }) }, 'event.profile'],
      ['an unknown identifier', { event: order({ profile: { name: 'Ada' } }) }, 'event.profile.name'],
      ['a profile twice', { event: order({ profileId: '01H' }) }, 'event.profile'],
      ['a malformed e-mail', { event: order({ profile: { email: 'x' } }) }, 'event.profile.email'],
      [
        'an e-mail of 255 characters',
        { event: order({ profile: { email: `${'a'.repeat(60)}@${'b'.repeat(191)}.fr` } }) },
        'event.profile.email',
      ],
      [
        'a phone that is not E.164',
        { event: order({ profile: { phoneNumber: '0612345678' } }) },
        'event.profile.phoneNumber',
      ],
      ['a malformed profile id', { event: { ...order(), profile: undefined, profileId: 'a/b' } }, 'event.profileId'],
      ['a malformed time', { event: order({ time: 'yesterday' }) }, 'event.time'],
      ['a time long ago', { event: order({ time: '1899-01-01T00:00:00Z' }) }, 'event.time'],
      ['a time far ahead', { event: order({ time: '2999-01-01T00:00:00Z' }) }, 'event.time'],
      ['a value in words', { event: order({ value: '10' }) }, 'event.value'],
      ['an unknown currency', { event: order({ currency: 'euro' }) }, 'event.currency'],
      ['an empty uniqueId', { event: order({ uniqueId: '' }) }, 'event.uniqueId'],
      ['a uniqueId of 256 characters', { event: order({ uniqueId: 'x'.repeat(256) }) }, 'event.uniqueId'],
      ['a NUL in the uniqueId', { event: order({ uniqueId: 'a\0b' }) }, 'event.uniqueId'],
      ['a backfill in words', { event: order({ backfill: 'yes' }) }, 'event.backfill'],
      ['an unknown field', { event: order({ priority: 1 }) }, 'event.priority'],
      ['an unknown field beside the event', { event: order(), dryRun: true }, 'dryRun'],
      ['a malformed connectionId', { event: order(), connectionId: '1' }, 'connectionId'],
    ])('%s is a 400 that names the field', async (_, body, field) => {
      const answer = await post('/trigger-event', { userId: user, ...body });
      expect(answer.status).toBe(400);
      expect(answer.body).toMatchObject({ success: false, code: 'VALIDATION_FAILED' });
      expect(answer.body.errors.map((fault: { field: string }) => fault.field)).toContain(field);
      expect(await received()).toEqual([]);
      expect(await stored()).toEqual([]);
    });

    it('a key that would change a prototype is refused with its path', async () => {
      const answer = await app.http
        .post(`${BASE}/trigger-event`)
        .set(app.asService)
        .set('Content-Type', 'application/json')
        .send(`{"userId":${user},"event":{"eventType":"X","eventData":{"a":{"__proto__":{"x":1}}},"profileId":"01H"}}`);
      expect(answer.status).toBe(400);
      expect(answer.body.errors).toMatchObject([{ field: 'event.eventData.a.__proto__' }]);
    });

    it('what Klaviyo accepts is accepted: 400 properties, 10 levels, many line items', async () => {
      const eventData = { ...keys(398), deep: deep(9), Items: Array.from({ length: 60 }, () => keys(9)) };
      const answer = await trigger(order({ eventData }));
      expect(answer.body).toMatchObject({ success: true, event: { status: 'sent' } });
    });

    it('says so in French when asked in French', async () => {
      const answer = await app.http
        .post(`${BASE}/trigger-event`)
        .set(app.asService)
        .send({ userId: user, event: order({ eventType: 'Opened Email' }) });
      expect(answer.headers['content-language']).toBe('fr');
      expect(answer.body.errors[0].message).toMatch(/Klaviyo/);
    });
  });

  describe('whose they are', () => {
    it('nobody without a credential, and no event without a user', async () => {
      expect((await app.http.post(`${BASE}/trigger-event`).send({})).status).toBe(401);
      expect((await app.http.get(`${BASE}/trigger-event`)).status).toBe(401);
      expect((await app.http.get(`${BASE}/events`)).status).toBe(401);
      expect((await app.http.get(`${BASE}/events/${randomUUID()}`)).status).toBe(401);
      const answer = await post('/trigger-event', { event: order() });
      expect(answer.body.code).toBe('USER_ID_REQUIRED');
      expect((await get('/events')).body.code).toBe('USER_ID_REQUIRED');
    });

    it('a user without a connection has none, and neither has an unknown or foreign connection', async () => {
      const stranger = user + 9000;
      const foreign = (await get(`/connect?userId=${user}`)).body.connections[0].id as string;
      for (const more of [{}, { connectionId: foreign }, { connectionId: randomUUID() }]) {
        const answer = await post('/trigger-event', { userId: stranger, event: order(), ...more });
        expect(answer.status).toBe(404);
        expect(answer.body.code).toBe('CONNECTION_NOT_FOUND');
      }
      const query = `userId=${stranger}&connectionId=${foreign}`;
      expect((await get(`/events?${query}`)).body.code).toBe('CONNECTION_NOT_FOUND');
      expect((await get(`/trigger-event?${query}`)).body.code).toBe('CONNECTION_NOT_FOUND');
      expect(await received()).toEqual([]);
    });

    it('another user’s event is as unknown as one that never was', async () => {
      const { body } = await trigger(order());
      const other = user + 700;
      await connected(other);
      const foreign = await get(`/events/${body.event.id}?userId=${other}`);
      const unknown = await get(`/events/${randomUUID()}?userId=${other}`);
      const malformed = await get(`/events/x?userId=${other}`);
      for (const answer of [foreign, unknown, malformed]) {
        expect(answer.status).toBe(404);
        expect(answer.body).toMatchObject({ code: 'EVENT_NOT_FOUND', detail: unknown.body.detail });
      }
      expect((await get(`/events?userId=${other}`)).body.events).toEqual([]);
    });
  });

  describe('the list of what was sent', () => {
    it('is newest first, in pages that together are the whole', async () => {
      const ids: string[] = [];
      for (let i = 0; i < 7; i++) ids.unshift((await trigger(order({ uniqueId: `p${i}` }))).body.event.id as string);
      const seen: string[] = [];
      let cursor: string | null = '';
      for (const expected of [3, 3, 1]) {
        const { body } = await get(`/events?userId=${user}&limit=3${cursor ? `&cursor=${cursor}` : ''}`);
        expect(body.events).toHaveLength(expected);
        expect(body.pagination).toMatchObject({ limit: 3, total: 7 });
        seen.push(...body.events.map((event: { id: string }) => event.id));
        cursor = body.pagination.nextCursor;
      }
      expect(cursor).toBeNull();
      expect(seen).toEqual(ids);
      const { body } = await get(`/events?userId=${user}`);
      expect(body.pagination).toEqual({ limit: 50, nextCursor: null, total: 7 });
    });

    it('shows one with all that is known of it', async () => {
      const { body } = await trigger(order({ uniqueId: 'one', value: 3, currency: 'EUR' }));
      const answer = await get(`/events/${body.event.id}?userId=${user}`);
      expect(answer.status).toBe(200);
      expect(answer.body).toEqual({ success: true, event: body.event });
    });

    it('can be narrowed to states', async () => {
      await trigger(order({ uniqueId: 'a' }));
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset: '400' });
      await trigger(order({ uniqueId: 'b' }));
      await sandbox.fault(account.id, { match: { operation: 'createEvent' }, preset: '503' });
      await trigger(order({ uniqueId: 'c' }));
      const uniqueIds = async (status: string) => {
        const { body } = await get(`/events?userId=${user}&status=${status}`);
        return [body.pagination.total, ...body.events.map((event: { uniqueId: string }) => event.uniqueId)];
      };
      expect(await uniqueIds('failed')).toEqual([1, 'b']);
      expect(await uniqueIds('queued,sent')).toEqual([2, 'c', 'a']);
      expect(await uniqueIds('dead')).toEqual([0]);
      const answer = await get(`/events?userId=${user}&status=lost`);
      expect(answer.body.errors).toMatchObject([{ field: 'status' }]);
    });

    it('refuses a cursor of another user, filter or nobody’s, and unknown parameters', async () => {
      await trigger(order({ uniqueId: 'a' }));
      await trigger(order({ uniqueId: 'b' }));
      const { body } = await get(`/events?userId=${user}&limit=1`);
      const cursor = body.pagination.nextCursor as string;
      await connected(user + 800);
      for (const query of [
        `userId=${user + 800}&cursor=${cursor}`,
        `userId=${user}&status=sent&cursor=${cursor}`,
        `userId=${user}&cursor=${cursor}x`,
        `userId=${user}&cursor=x`,
      ]) {
        const answer = await get(`/events?${query}`);
        expect(answer.status).toBe(400);
        expect(answer.body.errors).toMatchObject([{ field: 'cursor' }]);
      }
      for (const [path, field] of [
        [`/events?userId=${user}&sort=asc`, 'sort'],
        [`/events?userId=${user}&limit=201`, 'limit'],
        [`/events/${body.events[0].id}?userId=${user}&x=1`, 'x'],
        [`/trigger-event?userId=${user}&x=1`, 'x'],
      ] as const) {
        const answer = await get(path);
        expect(answer.status).toBe(400);
        expect(answer.body.errors).toMatchObject([{ field }]);
      }
    });
  });

  describe('the catalogue', () => {
    it('needs no user, and has the predefined types', async () => {
      const { status, body } = await get('/trigger-event');
      expect(status).toBe(200);
      expect(body.metrics).toBeUndefined();
      expect(body.eventTypes.map((type: { name: string }) => type.name)).toEqual(
        expect.arrayContaining([
          'Active on Site',
          'Viewed Product',
          'Added to Cart',
          'Started Checkout',
          'Placed Order',
          'Ordered Product',
          'Fulfilled Order',
          'Cancelled Order',
          'Refunded Order',
        ]),
      );
      const placed = body.eventTypes.find((type: { key: string }) => type.key === 'placed_order');
      expect(Object.keys(placed).sort()).toEqual(
        ['category', 'description', 'example', 'key', 'name', 'recommendedProperties'].sort(),
      );
      expect(placed).toMatchObject({ category: 'purchase', description: expect.stringContaining('order') });
      expect(placed.recommendedProperties).toContain('OrderId');
    });

    it('speaks French when nothing else is said', async () => {
      const { body } = await app.http.get('/api/klaviyo/trigger-event').set(app.asService);
      expect(body.eventTypes.find((type: { key: string }) => type.key === 'placed_order').description).toMatch(
        /commande/,
      );
    });

    it('has the account’s own metrics too, asked for once a minute', async () => {
      await trigger(order({ eventType: 'Spun the Wheel' }));
      const { body } = await get(`/trigger-event?userId=${user}`);
      expect(body.metrics).toContainEqual({ id: expect.any(String), name: 'Spun the Wheel', integration: 'API' });
      await get(`/trigger-event?userId=${user}`);
      expect(await received('getMetrics')).toHaveLength(2); // one of them is the probe of POST /connect
    });

    it('comes without metrics for a user without connection, or where Klaviyo does not say', async () => {
      expect((await get(`/trigger-event?userId=${user + 9000}`)).body.metrics).toBeUndefined();
      await sandbox.fault(account.id, { match: { operation: 'getMetrics' }, preset: '503', times: 'forever' });
      const { status, body } = await get(`/trigger-event?userId=${user}`);
      expect(status).toBe(200);
      expect(body.metrics).toBeUndefined();
      expect(body.eventTypes.length).toBeGreaterThan(9);
      await sandbox.clearFaults(account.id);
      expect((await get(`/trigger-event?userId=${user}`)).body.metrics).toBeDefined();
    });

    it('asks for the user of a connection', async () => {
      const answer = await get(`/trigger-event?connectionId=${randomUUID()}`);
      expect(answer.status).toBe(400);
      expect(answer.body.code).toBe('USER_ID_REQUIRED');
    });
  });
});
