import { send, setStage, type Stage } from './profiles-stage';

describe('finding people', () => {
  let stage: Stage;
  let id: string;
  beforeAll(async () => {
    stage = await setStage();
    id = await stage.seed({
      email: "o'brien+x@example.fr",
      phone_number: '+33699999999',
      external_id: 'a"b\\c,d)(é',
      first_name: 'Conan',
      properties: { tags: 'vip', role: 'pro' },
      location: { city: 'Lyon', latitude: '45.76', longitude: 4.83 },
    });
    const path = `/accounts/${stage.account.id}/lists`;
    await stage.sandbox.control('POST', `${path}/${stage.lists.newsletter}/members`, [id]);
    await stage.sandbox.control('POST', `${path}/${stage.lists.vip}/members`, [id]);
  });
  afterAll(async () => {
    await stage.stop();
  });

  const identifiers = (): [string, string][] => [
    ['profileId', id],
    ['email', "o'brien+x@example.fr"],
    ['email', "O'Brien+X@Example.FR"],
    ['phoneNumber', '+33699999999'],
    ['externalId', 'a"b\\c,d)(é'],
  ];

  it('answers the person with consent and lists, by each identifier, in the query as in the body', async () => {
    for (const [field, value] of identifiers()) {
      const found = await stage.call('get', '/subscribe', { [field]: value });
      expect([field, found.status]).toEqual([field, 200]);
      expect(found.body).toMatchObject({
        success: true,
        profile: {
          id,
          firstName: 'Conan',
          tags: ['vip'],
          customAttributes: { role: 'pro' },
          location: { city: 'Lyon', latitude: 45.76, longitude: 4.83 },
          subscriptions: { email: { suppressions: [] } },
        },
      });
      const lists = found.body.profile.lists as { name: string }[];
      expect(lists.map(({ name }) => name).sort()).toEqual(['Newsletter', 'VIP']);
      const searched = await stage.call('post', '/profiles/search', { [field]: value });
      expect(searched.status).toBe(200);
      expect(searched.body).toEqual(found.body);
    }
  });

  it.each([
    ['profileId', '01NOBODY000000000000000000'],
    ['email', 'nobody@example.com'],
    ['phoneNumber', '+33600000000'],
    ['externalId', 'nobody'],
  ])('answers 404 for an unknown %s, in French too', async (field, value) => {
    const answer = await stage.call('get', '/subscribe', { [field]: value });
    expect(answer.status).toBe(404);
    expect(answer.body).toMatchObject({ code: 'PROFILE_NOT_FOUND', instance: '/api/v1/klaviyo/subscribe' });
    const french = await stage.call('get', '/subscribe', { [field]: value }, { 'Accept-Language': 'fr' });
    expect(french.body.detail).not.toBe(answer.body.detail);
    expect(french.headers['content-language']).toBe('fr');
  });

  it.each<[string, object, string]>([
    ['no identifier', {}, 'profileId'],
    ['two identifiers', { profileId: 'abc', email: 'a@example.com' }, 'email'],
    ['an address that is none', { email: 'a@b' }, 'email'],
    ['an empty address', { email: '' }, 'email'],
    ['a phone that is not E.164', { phoneNumber: '0612345678' }, 'phoneNumber'],
    ['a profile id with a path in it', { profileId: '../lists' }, 'profileId'],
    ['an unknown parameter', { email: 'a@example.com', mail: 'x' }, 'mail'],
  ])('refuses %s, naming the field, in both', async (_, input, field) => {
    for (const [method, path] of [
      ['get', '/subscribe'],
      ['post', '/profiles/search'],
    ] as const) {
      const answer = await stage.call(method, path, input);
      expect([answer.status, answer.body.code]).toEqual([400, 'VALIDATION_FAILED']);
      expect(answer.body.errors.map((fault: { field: string }) => fault.field)).toEqual([field]);
    }
  });

  it('does not keep the search under an Idempotency-Key: it only reads', async () => {
    const headers = { 'Idempotency-Key': 'search' };
    const first = await stage.call('post', '/profiles/search', { email: 'nobody@example.com' }, headers);
    const second = await stage.call('post', '/profiles/search', { profileId: id }, headers);
    expect([first.status, second.status]).toEqual([404, 200]);
    expect(second.headers).not.toHaveProperty('idempotency-replayed');
  });

  it('names every field that may be written, in the language of the call', async () => {
    const english = await stage.call('get', '/update-contact');
    expect(english.status).toBe(200);
    expect(Object.keys(english.body as object)).toEqual(['success', 'fields']);
    const fields = english.body.fields as { name: string; type: string; constraint: string }[];
    expect(fields).toContainEqual({ name: 'email', type: 'email', constraint: 'must be an e-mail address' });
    expect(fields.map(({ name }) => name)).toEqual(
      expect.arrayContaining(['location.city', 'customAttributes', 'tags']),
    );
    expect(fields.every(({ constraint }) => constraint.length > 0)).toBe(true);
    const french = await stage.call('get', '/update-contact', {}, { 'Accept-Language': 'fr' });
    expect(french.body.fields).toContainEqual({
      name: 'email',
      type: 'email',
      constraint: 'doit être une adresse e-mail',
    });
  });

  it('adds the person and an empty history where nothing was changed yet', async () => {
    const answer = await stage.call('get', '/update-contact', { profileId: id });
    expect(answer.body).toMatchObject({ profile: { id }, history: [], fields: expect.any(Array) });
    expect((await stage.call('get', '/update-contact', { email: 'nobody@example.com' })).status).toBe(404);
    const two = await stage.call('get', '/update-contact', { profileId: id, email: 'a@example.com' });
    expect(two.body.errors[0].field).toBe('email');
  });

  it('is closed without a caller and without a user', async () => {
    const routes = [
      ['get', '/subscribe'],
      ['post', '/subscribe'],
      ['get', '/update-contact'],
      ['patch', '/update-contact'],
      ['post', '/profiles/search'],
    ] as const;
    for (const [method, path] of routes) {
      const nobody = await stage.app.http[method](`/api/v1/klaviyo${path}`);
      expect([path, nobody.status, nobody.body.code]).toEqual([path, 401, 'UNAUTHENTICATED']);
      const noUser = await stage.app.http[method](`/api/v1/klaviyo${path}`).set(stage.app.asService);
      expect([path, noUser.status, noUser.body.code]).toEqual([path, 400, 'USER_ID_REQUIRED']);
    }
  });

  it("answers another user's connection, and a user without any, exactly like an unknown one", async () => {
    const unknown = '0198c0de-0000-7000-8000-000000000000';
    const calls = [
      ['get', '/subscribe', { profileId: id }],
      ['get', '/update-contact', { profileId: id }],
      ['post', '/profiles/search', { profileId: id }],
      ['post', '/subscribe', { profile: { email: 'a@example.com' } }],
      ['patch', '/update-contact', { profileId: id, addTags: ['x'] }],
    ] as const;
    await stage.received();
    for (const [method, path, input] of calls) {
      const answers = await Promise.all([
        send(stage.app, 72, method, path, input),
        send(stage.app, 72, method, path, { ...input, connectionId: stage.connectionId }),
        stage.call(method, path, { ...input, connectionId: unknown }),
      ]);
      const bodies = answers.map(({ body }) => ({ ...body, requestId: '' }));
      expect(bodies[0]).toMatchObject({ status: 404, code: 'CONNECTION_NOT_FOUND' });
      expect(bodies[1]).toEqual(bodies[0]);
      expect(bodies[2]).toEqual(bodies[0]);
    }
    const fields = await stage.call('get', '/update-contact', { connectionId: unknown });
    expect(fields.body.code).toBe('CONNECTION_NOT_FOUND');
    expect(await stage.received()).toEqual([]);
  });

  it('takes the connection by its id', async () => {
    const answer = await stage.call('get', '/subscribe', { profileId: id, connectionId: stage.connectionId });
    expect(answer.status).toBe(200);
  });
});
