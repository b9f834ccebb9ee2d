import { Client } from 'pg';
import { send, setStage, type Stage } from './profiles-stage';

describe('PATCH /update-contact', () => {
  let stage: Stage;
  let made = 0;
  beforeAll(async () => {
    stage = await setStage();
  });
  afterAll(async () => {
    await stage.stop();
  });

  const seed = (row: Record<string, unknown> = {}) => stage.seed({ email: `person${++made}@example.com`, ...row });

  it('changes what is given, clears what is null, and tells what changed', async () => {
    const id = await seed({
      first_name: 'Ada',
      title: 'Miss',
      location: { city: 'Paris', country: 'France' },
      properties: { role: 'pro', old: 1, tags: ['a', 'b'] },
    });
    const answer = await stage.call('patch', '/update-contact', {
      profileId: id,
      profile: {
        firstName: 'Eva',
        title: null,
        lastName: 'Byron',
        location: { city: 'Lyon', country: null },
        customAttributes: { role: null, plan: { name: 'x' } },
      },
      unset: ['old'],
      addTags: [' c ', 'a'],
      removeTags: ['b', 'unknown'],
    });
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({
      success: true,
      profile: expect.objectContaining({
        id,
        firstName: 'Eva',
        lastName: 'Byron',
        title: null,
        location: expect.objectContaining({ city: 'Lyon', country: null }),
        customAttributes: { plan: { name: 'x' } },
        tags: ['a', 'c'],
        subscriptions: expect.any(Object),
      }),
      changes: [
        { field: 'firstName', from: 'Ada', to: 'Eva' },
        { field: 'lastName', from: null, to: 'Byron' },
        { field: 'title', from: 'Miss', to: null },
        { field: 'location.city', from: 'Paris', to: 'Lyon' },
        { field: 'location.country', from: 'France', to: null },
        { field: 'customAttributes.role', from: 'pro', to: null },
        { field: 'customAttributes.plan', from: null, to: { name: 'x' } },
        { field: 'customAttributes.old', from: 1, to: null },
        { field: 'tags', from: ['a', 'b'], to: ['a', 'c'] },
      ],
    });
    expect(await stage.atKlaviyo(id)).toMatchObject({
      first_name: 'Eva',
      title: null,
      properties: { plan: { name: 'x' }, tags: ['a', 'c'] },
    });
  });

  it('finds the person by each identifier and never creates one', async () => {
    const row = { email: 'by@example.com', phone_number: '+33655555555', external_id: 'by-me' };
    const id = await stage.seed(row);
    const identifiers = [
      { profileId: id },
      { email: 'BY@example.com' },
      { phoneNumber: '+33655555555' },
      { externalId: 'by-me' },
    ];
    for (const [index, by] of identifiers.entries()) {
      const answer = await stage.call('patch', '/update-contact', { ...by, profile: { title: `T${index}` } });
      expect(answer.body.profile).toMatchObject({ id, title: `T${index}` });
    }
    await stage.received();
    const missing = await stage.call('patch', '/update-contact', {
      email: 'nobody@example.com',
      profile: { title: 'x' },
    });
    expect([missing.status, missing.body.code]).toEqual([404, 'PROFILE_NOT_FOUND']);
    expect(await stage.received()).toEqual(['GET /api/profiles']);
  });

  it('replaces all tags by profile.tags, and removes them by null', async () => {
    const id = await seed({ properties: { tags: ['a', 'b'] } });
    const replaced = await stage.call('patch', '/update-contact', {
      profileId: id,
      profile: { tags: ['c', ' c', 'd'] },
    });
    expect(replaced.body).toMatchObject({
      profile: { tags: ['c', 'd'] },
      changes: [{ field: 'tags', from: ['a', 'b'], to: ['c', 'd'] }],
    });
    const removed = await stage.call('patch', '/update-contact', { profileId: id, profile: { tags: null } });
    expect(removed.body.changes).toEqual([{ field: 'tags', from: ['c', 'd'], to: [] }]);
    expect((await stage.atKlaviyo(id))['properties']).toEqual({});
  });

  it('loses no tag when one caller adds and another removes at once', async () => {
    const id = await seed({ properties: { tags: ['old1', 'old2'] } });
    await Promise.all([
      stage.call('patch', '/update-contact', { profileId: id, addTags: ['n1'] }),
      stage.call('patch', '/update-contact', { profileId: id, removeTags: ['old1'] }),
      stage.call('patch', '/update-contact', { profileId: id, addTags: ['n2'], removeTags: ['old2'] }),
    ]);
    const found = await stage.call('get', '/subscribe', { profileId: id });
    expect([...found.body.profile.tags].sort()).toEqual(['n1', 'n2']);
  });

  it('asks Klaviyo for nothing where everything is so already', async () => {
    const id = await seed({ properties: { tags: ['a'] } });
    await stage.received();
    const answer = await stage.call('patch', '/update-contact', { profileId: id, addTags: ['a'], removeTags: ['z'] });
    expect(answer.body).toMatchObject({ profile: { id, tags: ['a'] }, changes: [] });
    expect(await stage.received()).toEqual([`GET /api/profiles/${id}`]);
  });

  it('clears a whole location by null', async () => {
    const id = await seed({ location: { city: 'Paris', latitude: '48.8' } });
    const answer = await stage.call('patch', '/update-contact', { profileId: id, profile: { location: null } });
    expect(answer.body.changes).toEqual([
      { field: 'location.city', from: 'Paris', to: null },
      { field: 'location.latitude', from: 48.8, to: null },
    ]);
  });

  it('puts people on lists and takes them off, and tells both as one change', async () => {
    const { lists } = stage;
    const id = await seed();
    await stage.sandbox.control('POST', `/accounts/${stage.account.id}/lists/${lists.newsletter}/members`, [id]);
    const answer = await stage.call('patch', '/update-contact', {
      profileId: id,
      addListIds: [lists.vip],
      removeListIds: [lists.newsletter],
    });
    const from = [{ id: lists.newsletter, name: 'Newsletter' }];
    const to = [{ id: lists.vip, name: 'VIP' }];
    expect(answer.body).toMatchObject({ profile: { lists: to }, changes: [{ field: 'lists', from, to }] });
    expect(await stage.members(lists.vip)).toContain(id);
    expect(await stage.members(lists.newsletter)).not.toContain(id);
    const again = await stage.call('patch', '/update-contact', { profileId: id, addListIds: [lists.vip] });
    expect(again.body.changes).toEqual([]);
  });

  it('checks lists before anything is written', async () => {
    const id = await seed();
    await stage.received();
    const answer = await stage.call('patch', '/update-contact', {
      profileId: id,
      profile: { firstName: 'X' },
      removeListIds: ['NOPE01'],
    });
    expect([answer.status, answer.body.code]).toEqual([404, 'LIST_NOT_FOUND']);
    expect((await stage.received()).filter((line) => !line.startsWith('GET'))).toEqual([]);
  });

  it('gives a person a new address, and refuses one that somebody else has', async () => {
    const id = await seed();
    const other = await seed({ email: 'taken@example.com' });
    const moved = await stage.call('patch', '/update-contact', {
      profileId: id,
      profile: { email: 'New@example.com' },
    });
    expect(moved.body.changes).toEqual([{ field: 'email', from: expect.any(String), to: 'new@example.com' }]);
    const refused = await stage.call('patch', '/update-contact', {
      email: 'new@example.com',
      profile: { email: 'taken@example.com' },
    });
    expect([refused.status, refused.body.code]).toEqual([409, 'PROFILE_CONFLICT']);
    expect(refused.body.profileIds).toEqual([id, other]);
  });

  it('keeps the history newest first, with the request that made each change', async () => {
    const id = await seed();
    for (const title of ['One', 'Two', 'Two', 'Three']) {
      const headers = { 'X-Request-Id': `request-${title}-0001` };
      await stage.call('patch', '/update-contact', { profileId: id, profile: { title } }, headers);
    }
    const answer = await stage.call('get', '/update-contact', { profileId: id });
    expect(answer.body.history).toEqual([
      {
        at: expect.stringMatching(/Z$/),
        requestId: 'request-Three-0001',
        changes: [{ field: 'title', from: 'Two', to: 'Three' }],
      },
      { at: expect.any(String), requestId: 'request-Two-0001', changes: [{ field: 'title', from: 'One', to: 'Two' }] },
      { at: expect.any(String), requestId: 'request-One-0001', changes: [{ field: 'title', from: null, to: 'One' }] },
    ]);
  });

  it('keeps the newest 100 of a person, sealed', async () => {
    const id = await seed();
    const update = (index: number) =>
      stage.call('patch', '/update-contact', { profileId: id, profile: { organization: `Secretive ${index}` } });
    for (let index = 0; index < 103; index++) await update(index);
    const answer = await stage.call('get', '/update-contact', { profileId: id });
    expect(answer.body.history).toHaveLength(100);
    expect(answer.body.history[0].changes[0].to).toBe('Secretive 102');
    expect(answer.body.history[99].changes[0].to).toBe('Secretive 3');
    const rows = await inDatabase<{ text: string }>(`SELECT profile_change::text AS text FROM profile_change`);
    expect(rows.length).toBeGreaterThanOrEqual(100);
    expect(rows.some(({ text }) => text.includes('Secretive') || text.includes('organization'))).toBe(false);
  });

  it("keeps histories of two users of one account apart, and removes a user's with the connection", async () => {
    const id = await seed();
    const connected = await send(stage.app, 73, 'post', '/connect', { privateApiKey: stage.account.key });
    expect(connected.status).toBe(201);
    await stage.call('patch', '/update-contact', { profileId: id, profile: { title: 'Mine' } });
    await send(stage.app, 73, 'patch', '/update-contact', { profileId: id, profile: { title: 'Theirs' } });
    const mine = await stage.call('get', '/update-contact', { profileId: id });
    expect(mine.body.history.map((entry: { changes: { to: string }[] }) => entry.changes[0]?.to)).toEqual(['Mine']);
    const count = `SELECT count(*)::int AS count FROM profile_change WHERE user_id = 73`;
    expect(await inDatabase(count)).toEqual([{ count: 1 }]);
    await send(stage.app, 73, 'delete', '/connect', {});
    expect(await inDatabase(count)).toEqual([{ count: 0 }]);
  });

  it('answers a change that Klaviyo made although its history could not be kept, and says so', async () => {
    const id = await seed();
    await inDatabase('ALTER TABLE profile_change RENAME TO profile_change_away');
    try {
      const answer = await stage.call('patch', '/update-contact', { profileId: id, profile: { title: 'Kept' } });
      expect(answer.status).toBe(200);
      expect(answer.body).toMatchObject({ changes: [{ to: 'Kept' }], warnings: ['HISTORY_NOT_KEPT'] });
      const errors = stage.app.logs.entries.filter(({ msg }) => String(msg).includes('missing in the history'));
      expect(errors).toHaveLength(1);
    } finally {
      await inDatabase('ALTER TABLE profile_change_away RENAME TO profile_change');
    }
  });

  it.each<[string, object, string[]]>([
    ['no identifier', { profile: { title: 'x' } }, ['profileId']],
    ['two identifiers', { profileId: 'abc', email: 'a@example.com', addTags: ['x'] }, ['email']],
    ['nothing to do', { profileId: 'abc' }, ['profile']],
    ['nothing to do in empty parts', { profileId: 'abc', profile: { location: {} }, addTags: [] }, ['profile']],
    ['tags with addTags', { profileId: 'abc', profile: { tags: [] }, addTags: ['x'] }, ['profile.tags']],
    ['tags with removeTags', { profileId: 'abc', profile: { tags: null }, removeTags: ['x'] }, ['profile.tags']],
    ['a tag added and removed', { profileId: 'abc', addTags: ['y', 'x '], removeTags: ['z', 'x'] }, ['removeTags[1]']],
    ['a list joined and left', { profileId: 'abc', addListIds: ['L1'], removeListIds: ['L1'] }, ['removeListIds[0]']],
    [
      'an attribute set and unset',
      { profileId: 'abc', profile: { customAttributes: { role: 'x' } }, unset: ['role'] },
      ['unset[0]'],
    ],
    ['tags as an attribute to unset', { profileId: 'abc', unset: ['a', 'tags'] }, ['unset[1]']],
    [
      'tags as an attribute',
      { profileId: 'abc', profile: { customAttributes: { tags: 1 } } },
      ['profile.customAttributes.tags'],
    ],
    [
      'null for all attributes',
      { profileId: 'abc', profile: { customAttributes: null } },
      ['profile.customAttributes'],
    ],
    ['an address that is none', { profileId: 'abc', profile: { email: 'x' } }, ['profile.email']],
    ['an unknown field', { profileId: 'abc', profile: { mail: 'x' } }, ['profile.mail']],
    ['a profile that is no object', { profileId: 'abc', profile: 'x' }, ['profile']],
    [
      'a latitude beyond the pole',
      { profileId: 'abc', profile: { location: { latitude: 91 } } },
      ['profile.location.latitude'],
    ],
  ])('refuses %s, naming the field', async (_, input, fields) => {
    await stage.received();
    const answer = await stage.call('patch', '/update-contact', input);
    expect([answer.status, answer.body.code]).toEqual([400, 'VALIDATION_FAILED']);
    expect(answer.body.errors.map((fault: { field: string }) => fault.field)).toEqual(fields);
    expect(await stage.received()).toEqual([]);
  });

  async function inDatabase<T extends object>(sql: string): Promise<T[]> {
    const client = new Client({ connectionString: stage.app.database.url });
    await client.connect();
    try {
      return (await client.query<T>(sql)).rows;
    } finally {
      await client.end();
    }
  }
});
