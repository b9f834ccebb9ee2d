import { until } from '../support/until';
import { API, setStage, type Stage } from './profiles-stage';

describe('POST /subscribe', () => {
  let stage: Stage;
  beforeAll(async () => {
    stage = await setStage();
  });
  afterAll(async () => {
    await stage.stop();
  });

  it('creates a person, puts them on a list by membership and warns that no consent was given', async () => {
    const { call, lists } = stage;
    const answer = await call('post', '/subscribe', {
      profile: {
        email: 'Ada@Example.com',
        phoneNumber: '+33612345678',
        externalId: 'crm-42',
        firstName: 'Ada',
        lastName: 'Byron',
        organization: 'Crealia',
        title: 'Comtesse',
        image: 'https://example.com/ada.png',
        locale: 'fr-FR',
        location: { city: 'Lyon', country: 'France', latitude: 45.76, timezone: 'Europe/Paris' },
        customAttributes: { role: 'pro', nested: { a: [1, null] } },
        tags: [' vip ', 'b2b', 'vip'],
      },
      listId: lists.newsletter,
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toEqual({
      success: true,
      created: true,
      profile: {
        id: expect.stringMatching(/^\w{26}$/),
        email: 'ada@example.com',
        phoneNumber: '+33612345678',
        externalId: 'crm-42',
        firstName: 'Ada',
        lastName: 'Byron',
        organization: 'Crealia',
        title: 'Comtesse',
        image: 'https://example.com/ada.png',
        locale: 'fr-FR',
        location: {
          address1: null,
          address2: null,
          city: 'Lyon',
          region: null,
          country: 'France',
          zip: null,
          timezone: 'Europe/Paris',
          latitude: 45.76,
          longitude: null,
          ip: null,
        },
        customAttributes: { role: 'pro', nested: { a: [1, null] } },
        tags: ['vip', 'b2b'],
        subscriptions: expect.objectContaining({ email: expect.objectContaining({ suppressions: [] }) }),
        createdAt: expect.stringMatching(/^\d{4}-.*Z$/),
        updatedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      },
      lists: [{ id: lists.newsletter, name: 'Newsletter', status: 'added' }],
      warnings: ['NO_CONSENT'],
    });
    expect(await stage.members(lists.newsletter)).toContain(answer.body.profile.id);
  });

  it('updates a known person: tags are added without duplicates, custom attributes merge and null clears', async () => {
    const { call } = stage;
    const first = { email: 'merge@example.com', firstName: 'A', tags: ['a', 'b'], customAttributes: { x: 1, y: 2 } };
    const created = await call('post', '/subscribe', { profile: first });
    expect(created.status).toBe(201);
    const second = { email: 'MERGE@example.com', lastName: 'B', tags: ['b', 'c'], customAttributes: { y: null, z: 3 } };
    const updated = await call('post', '/subscribe', { profile: second });
    expect(updated.status).toBe(200);
    expect(updated.body).toMatchObject({
      created: false,
      profile: { id: created.body.profile.id, firstName: 'A', lastName: 'B', tags: ['a', 'b', 'c'] },
      lists: [],
      warnings: [],
    });
    expect(updated.body.profile.customAttributes).toEqual({ x: 1, z: 3 });
  });

  it('loses no tag when several callers add to the same person at once', async () => {
    const { call } = stage;
    const tags = ['t1', 't2', 't3', 't4', 't5', 't6'];
    const answers = await Promise.all(
      tags.map((tag) => call('post', '/subscribe', { profile: { email: 'race@example.com', tags: [tag] } })),
    );
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(new Set(answers.map(({ body }) => body.profile.id)).size).toBe(1);
    const found = await call('get', '/subscribe', { email: 'race@example.com' });
    expect([...found.body.profile.tags].sort()).toEqual(tags);
  });

  it('asks Klaviyo to subscribe where consent was given, and says so', async () => {
    const { call, lists, sandbox, account } = stage;
    await sandbox.clearRequests(account.id);
    const answer = await call('post', '/subscribe', {
      profile: { email: 'yes@example.com', phoneNumber: '+33611111111' },
      listIds: [lists.newsletter, lists.vip],
      consent: { email: true, sms: true, source: 'Checkout' },
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      lists: [
        { id: lists.newsletter, name: 'Newsletter', status: 'requested' },
        { id: lists.vip, name: 'VIP', status: 'requested' },
      ],
      subscription: { email: 'requested', sms: 'requested' },
      warnings: [],
    });
    const jobs = (await sandbox.requests(account.id)).filter(({ path }) => path.includes('bulk-create-jobs'));
    expect(jobs).toHaveLength(2);
    expect(jobs[0]?.body).toMatchObject({ data: { attributes: { custom_source: 'Checkout' } } });
    const { id } = answer.body.profile as { id: string };
    await until('they are on the list', async () => (await stage.members(lists.vip)).includes(id), 5000);
    const found = await call('get', '/subscribe', { profileId: id });
    expect(found.body.profile.subscriptions).toMatchObject({
      email: { consent: 'SUBSCRIBED', canReceive: true },
      sms: { consent: 'SUBSCRIBED' },
    });
  });

  it('leaves consent to the person on a list with double opt-in', async () => {
    const { call, lists } = stage;
    const answer = await call('post', '/subscribe', {
      profile: { email: 'later@example.com' },
      listId: lists.confirmed,
      consent: { email: true },
    });
    expect(answer.body).toMatchObject({ lists: [{ status: 'requested' }], subscription: { email: 'requested' } });
    expect(answer.body.subscription).not.toHaveProperty('sms');
    const found = await call('get', '/subscribe', { email: 'later@example.com' });
    expect(found.body.profile.subscriptions.email.consent).not.toBe('SUBSCRIBED');
  });

  it('records a consent of the past as it was, and warns where that spares a confirmation', async () => {
    const { call, lists } = stage;
    const answer = await call('post', '/subscribe', {
      profile: { email: 'old@example.com' },
      listId: lists.confirmed,
      consent: { email: true, consentedAt: '2024-05-06T07:08:09+02:00' },
    });
    expect(answer.body).toMatchObject({ lists: [{ status: 'requested' }], warnings: ['DOUBLE_OPT_IN_SKIPPED'] });
    const { id } = answer.body.profile as { id: string };
    await until('they are on the list', async () => (await stage.members(lists.confirmed)).includes(id), 5000);
    const found = await call('get', '/subscribe', { profileId: id });
    expect(found.body.profile.subscriptions.email).toMatchObject({
      consent: 'SUBSCRIBED',
      consentedAt: '2024-05-06T05:08:09.000Z',
    });
  });

  it('subscribes without any list', async () => {
    const answer = await stage.call('post', '/subscribe', {
      profile: { email: 'nolist@example.com' },
      consent: { email: true },
    });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({ lists: [], subscription: { email: 'requested' }, warnings: [] });
  });

  it('checks every list before anything is written', async () => {
    const { call, lists } = stage;
    await stage.received();
    const answer = await call('post', '/subscribe', {
      profile: { email: 'unwritten@example.com' },
      listIds: [lists.newsletter, 'NOPE01'],
    });
    expect(answer.status).toBe(404);
    expect(answer.body).toMatchObject({
      success: false,
      code: 'LIST_NOT_FOUND',
      detail: expect.stringContaining('NOPE01'),
    });
    expect((await stage.received()).filter((line) => !line.startsWith('GET'))).toEqual([]);
    const found = await call('get', '/subscribe', { email: 'unwritten@example.com' });
    expect(found.body.code).toBe('PROFILE_NOT_FOUND');
  });

  it('refuses identifiers of two people and names both', async () => {
    const { call, seed } = stage;
    const one = await seed({ email: 'one@example.com' });
    const two = await seed({ external_id: 'two' });
    for (const tags of [undefined, ['x']]) {
      const answer = await call('post', '/subscribe', {
        profile: { email: 'one@example.com', externalId: 'two', tags },
      });
      expect(answer.status).toBe(409);
      expect(answer.body.code).toBe('PROFILE_CONFLICT');
      expect([...answer.body.profileIds].sort()).toEqual([one, two].sort());
    }
  });

  it.each(["o'brien+x@example.fr", 'zoé+été@exämple.fr', 'a.b-c_d@sub.example.co'])(
    'takes the address %s and finds it again',
    async (email) => {
      const { call } = stage;
      const created = await call('post', '/subscribe', { profile: { email } });
      expect(created.status).toBe(201);
      const found = await call('get', '/subscribe', { email });
      expect(found.body.profile.id).toBe(created.body.profile.id);
    },
  );

  it('keeps an answer under its Idempotency-Key and does nothing twice', async () => {
    const { call } = stage;
    const input = { profile: { email: 'once@example.com', tags: ['a'] } };
    const headers = { 'Idempotency-Key': 'subscribe-once' };
    const first = await call('post', '/subscribe', input, headers);
    await stage.received();
    const second = await call('post', '/subscribe', input, headers);
    expect(second.status).toBe(201);
    expect(second.headers['idempotency-replayed']).toBe('true');
    expect(second.body).toEqual(first.body);
    expect(await stage.received()).toEqual([]);
  });

  it('answers at the address without a version too', async () => {
    const answer = await stage.app.http
      .post('/api/klaviyo/subscribe')
      .set(stage.app.asService)
      .send({ userId: stage.userId, profile: { email: 'v0@example.com' } });
    expect(answer.status).toBe(201);
  });

  it('notes that the key may write', async () => {
    const { body } = await stage.call('get', '/connect');
    const { capabilities } = body.connections[0];
    expect(capabilities.profiles.write).toBe('ok');
    expect(capabilities.lists.write).toBe('ok');
    expect(capabilities.subscriptions.write).toBe('ok');
  });

  const profile = { email: 'x@example.com' };
  const deep = (levels: number): object => (levels === 1 ? { a: 1 } : { a: deep(levels - 1) });
  const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, index]));

  it.each<[string, object, string[]]>([
    ['no profile', {}, ['profile']],
    ['a profile without identifier', { profile: { firstName: 'Ada' } }, ['profile']],
    ['an address that is none', { profile: { email: 'nobody' } }, ['profile.email']],
    [
      'an address of 255 characters',
      { profile: { email: `${'a'.repeat(60)}@${'b'.repeat(191)}.fr` } },
      ['profile.email'],
    ],
    ['a phone that is not E.164', { profile: { phoneNumber: '06 12 34 56 78' } }, ['profile.phoneNumber']],
    ['null for a field', { profile: { ...profile, firstName: null } }, ['profile.firstName']],
    ['an unknown field', { profile: { ...profile, mail: 'x' }, list: 'x' }, ['list', 'profile.mail']],
    [
      'an unknown part of the location',
      { profile: { ...profile, location: { town: 'x' } } },
      ['profile.location.town'],
    ],
    ['401 custom attributes', { profile: { ...profile, customAttributes: keys(401) } }, ['profile.customAttributes']],
    ['11 levels', { profile: { ...profile, customAttributes: deep(11) } }, ['profile.customAttributes']],
    [
      'tags as a custom attribute',
      { profile: { ...profile, customAttributes: { tags: ['x'] } } },
      ['profile.customAttributes.tags'],
    ],
    ['a blank tag', { profile: { ...profile, tags: ['ok', ' '] } }, ['profile.tags']],
    ['a profile above 100 KB', { profile: { ...profile, customAttributes: { a: 'é'.repeat(60_000) } } }, ['profile']],
    ['one list and several', { profile, listId: 'LIST01', listIds: ['LIST02'] }, ['listIds']],
    ['no list in a list of lists', { profile, listIds: [] }, ['listIds']],
    ['a list twice', { profile, listIds: ['LIST01', 'LIST01'] }, ['listIds']],
    ['a list id that cannot be one', { profile, listId: '../accounts' }, ['listId']],
    ['consent to nothing', { profile, consent: {} }, ['consent']],
    ['consent that is refused', { profile, consent: { email: false } }, ['consent.email']],
    [
      'consent to mail without an address',
      { profile: { externalId: '1' }, consent: { email: true } },
      ['profile.email'],
    ],
    ['consent to texts without a phone', { profile, consent: { sms: true } }, ['profile.phoneNumber']],
    [
      'consent of the future',
      { profile, consent: { email: true, consentedAt: '2999-01-01T00:00:00Z' } },
      ['consent.consentedAt'],
    ],
    ['consent at no instant', { profile, consent: { email: true, consentedAt: 'today' } }, ['consent.consentedAt']],
  ])('refuses %s, naming the field', async (_, input, fields) => {
    const answer = await stage.call('post', '/subscribe', input);
    expect(answer.status).toBe(400);
    expect(answer.body.code).toBe('VALIDATION_FAILED');
    expect(answer.body.errors.map((fault: { field: string }) => fault.field)).toEqual(fields);
    expect(answer.body.errors[0].message).toEqual(expect.stringMatching(/\w/));
  });

  it('accepts 400 custom attributes of 10 levels', async () => {
    const answers = await Promise.all(
      [keys(400), deep(10)].map((customAttributes, index) =>
        stage.call('post', '/subscribe', { profile: { email: `many${index}@example.com`, customAttributes } }),
      ),
    );
    expect(answers.map(({ status }) => status)).toEqual([201, 201]);
  });

  it('refuses __proto__ among the custom attributes', async () => {
    const answer = await stage.app.http
      .post(`${API}/subscribe`)
      .set({ ...stage.app.asService, 'Content-Type': 'application/json' })
      .send('{"userId":71,"profile":{"email":"p@example.com","customAttributes":{"__proto__":{"a":1}}}}');
    expect(answer.status).toBe(400);
    expect(answer.body.errors[0].field).toContain('profile.customAttributes');
  });
});
