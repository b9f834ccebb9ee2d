import { allMirrored, mirrored } from './groups-mirror-stage';
import { openStage, type Query, type Reader, type ReadsStage, type Row } from './reads-stage';

interface Person extends Row {
  email: string | null;
  firstName: string | null;
  tags: string[];
  updatedAt: string;
  joinedAt?: string;
  lists?: { id: string; name: string }[];
}

const NOBODY = '01JZZZZZZZZZZZZZZZZZZZZZZZ';

describe('people of the mirror', () => {
  let stage: ReadsStage;
  let user = 6000;
  const account = (more: object = {}) => stage.connect(++user, { profiles: 0, limits: 'huge', ...more });
  const seed = async (reader: Reader, ...rows: object[]): Promise<string[]> => {
    const ids = [];
    for (const row of rows) ids.push(((await reader.seed('profiles', row)) as { id: string }).id);
    return ids;
  };
  const found = async (reader: Reader, query: Query): Promise<Person[]> => {
    const { status, body } = await reader.get('/profiles', { source: 'mirror', ...query });
    if (status !== 200) throw new Error(JSON.stringify(body));
    return body.profiles as Person[];
  };
  const emails = async (reader: Reader, query: Query) => (await found(reader, query)).map(({ email }) => email).sort();

  beforeAll(async () => {
    stage = await openStage({ env: { SYNC_INTERVAL_MINUTES: '0' } });
  });

  afterAll(async () => {
    await stage.stop();
  });

  describe('GET /profiles', () => {
    let reader: Reader;
    let ids: string[];

    beforeAll(async () => {
      reader = await account({ lists: [{ name: 'Newsletter' }], segments: [{ name: 'Loyal' }] });
      ids = await seed(
        reader,
        {
          email: 'ada@example.com',
          phone_number: '+33612345678',
          external_id: 'crm-1',
          first_name: 'Ada',
          last_name: 'Byron',
          properties: { tags: ['vip', 'été'], plan: 'pro', orders: 13, optin: true, sizes: ['S', 'M'] },
          updated: '2026-01-01T00:00:00Z',
        },
        {
          email: 'ines@example.com',
          first_name: 'Inès',
          last_name: 'Lefèvre',
          organization: '100 % Coton_\\',
          properties: { tags: ['vip'], plan: 'free', orders: '13', 'a:b': 'c' },
          updated: '2026-01-02T00:00:00Z',
        },
        {
          email: 'strasse@example.com',
          first_name: 'Straße',
          properties: { tags: 'solo', plan: 'pro' },
          updated: '2026-01-03T00:00:00.000Z',
        },
        { email: 'bare@example.com', updated: '2026-01-04T00:00:00Z' },
      );
      await mirrored(stage, reader, 'profiles');
      await allMirrored(stage, reader);
    });

    it('gives everybody in the shape of the contract, the same as Klaviyo itself gives', async () => {
      await reader.quiet();
      const mirror = await reader.get('/profiles', { source: 'mirror' });
      expect(await reader.requests()).toEqual([]);
      expect(mirror.body).toMatchObject({
        success: true,
        pagination: { limit: 50, nextCursor: null, total: 4 },
        source: 'mirror',
        stale: false,
      });
      const live = await reader.get('/profiles', { source: 'live' });
      expect(live.body).toMatchObject({ source: 'live', pagination: { limit: 50, nextCursor: null, total: 4 } });
      expect(mirror.body.profiles).toEqual(live.body.profiles);
      expect(Object.keys(mirror.body.profiles[0] as object).sort()).toEqual(
        [
          ...['createdAt', 'customAttributes', 'email', 'externalId', 'firstName', 'id', 'image', 'lastName', 'locale'],
          ...['location', 'organization', 'phoneNumber', 'subscriptions', 'tags', 'title', 'updatedAt'],
        ].sort(),
      );
    });

    it.each<[string, Query, string[]]>([
      ['an e-mail address, whatever the case', { email: 'ADA@Example.com' }, ['ada']],
      ['a phone number', { phoneNumber: '+33612345678' }, ['ada']],
      ['an id of ours', { externalId: 'crm-1' }, ['ada']],
      ['nobody by an unknown address', { email: 'nobody@example.com' }, []],
      ['a part of the first name', { name: 'ada' }, ['ada']],
      ['a part of a name across first and last', { name: 'a byr' }, ['ada']],
      ['a name with its accents', { name: 'LEFÈVRE' }, ['ines']],
      ['no name without its accents', { name: 'lefevre' }, []],
      ['a name that grows when its case changes', { name: 'STRASSE' }, ['strasse']],
      ['the characters that stand for others, as themselves', { name: '0 % c' }, ['ines']],
      ['nobody by them as wildcards', { name: 'a%n' }, []],
      ['an underscore and a backslash', { name: 'n_\\' }, ['ines']],
      ['a tag', { tag: 'vip' }, ['ada', 'ines']],
      ['a tag with an accent', { tag: 'été' }, ['ada']],
      ['a tag that stands alone', { tag: 'solo' }, ['strasse']],
      ['no tag by its part', { tag: 'vi' }, []],
      ['a custom attribute', { attribute: 'plan:pro' }, ['ada', 'strasse']],
      ['a number, written as number or text', { attribute: 'orders:13' }, ['ada', 'ines']],
      ['a truth value', { attribute: 'optin:true' }, ['ada']],
      ['an item of an array', { attribute: 'sizes:M' }, ['ada']],
      ['no attribute of that name', { attribute: 'nothing:M' }, []],
      ['tags, which are no custom attribute', { attribute: 'tags:vip' }, []],
      ['several conditions, all of which must hold', { tag: 'vip', attribute: 'plan:free' }, ['ines']],
      [
        'what was updated since then, that moment included',
        { updatedSince: '2026-01-03T00:00:00Z' },
        ['bare', 'strasse'],
      ],
      ['what was updated before, that moment not', { updatedUntil: '2026-01-02T01:00:00+01:00' }, ['ada']],
      [
        'what was updated within a time, by its order',
        { updatedSince: '2026-01-02T00:00:00Z', updatedUntil: '2026-01-04T00:00:00Z', sort: '-updatedAt' },
        ['ines', 'strasse'],
      ],
    ])('finds %s', async (_, query, names) => {
      expect(await emails(reader, query)).toEqual(names.map((name) => `${name}@example.com`));
    });

    it.each<[string, Query]>([
      ['email', { email: 'ada@example.com' }],
      ['phoneNumber', { phoneNumber: '+33612345678' }],
      ['externalId', { externalId: 'crm-1' }],
      ['updatedSince', { updatedSince: '2026-01-02T00:00:00Z' }],
      ['updatedUntil', { updatedUntil: '2026-01-03T00:00:00.500Z' }],
    ])('finds the same people live by %s', async (_, query) => {
      const live = await reader.get('/profiles', { ...query, source: 'live' });
      expect(live.status).toBe(200);
      expect((live.body.profiles as Person[]).map(({ id }) => id)).toEqual(
        (await found(reader, query)).map(({ id }) => id),
      );
    });

    it.each<[string, Query]>([
      ['name', { name: 'ada' }],
      ['tag', { tag: 'vip' }],
      ['attribute', { attribute: 'plan:pro' }],
    ])('says that Klaviyo cannot be asked by %s', async (field, query) => {
      const { status, body } = await reader.get('/profiles', { ...query, source: 'live' });
      expect(status).toBe(400);
      expect(body.errors).toEqual([{ field, message: expect.stringContaining('source=mirror') }]);
    });

    it('says which parameters cannot be asked of Klaviyo together with a list', async () => {
      const listId = ids[0]!;
      const query = { listId, segmentId: listId, updatedSince: '2026-01-01T00:00:00Z', sort: 'id', source: 'live' };
      const { body } = await reader.get('/profiles', query);
      expect((body.errors as { field: string }[]).map(({ field }) => field)).toEqual([
        'updatedSince',
        'segmentId',
        'sort',
      ]);
    });

    it.each<[string, Query, string]>([
      ['a name of two characters', { name: 'ad' }, 'name'],
      ['a name that has two once composed', { name: 'e\u0301a' }, 'name'],
      ['an attribute without a name', { attribute: ':x' }, 'attribute'],
      ['an attribute without a colon', { attribute: 'plan' }, 'attribute'],
      ['an unknown order', { sort: 'name' }, 'sort'],
      ['a day that does not exist', { updatedSince: '2026-02-30T00:00:00Z' }, 'updatedSince'],
      ['an unknown parameter', { nme: 'ada' }, 'nme'],
    ])('refuses %s, naming it', async (_, query, field) => {
      const { status, body } = await reader.get('/profiles', { source: 'mirror', ...query });
      expect(status).toBe(400);
      expect((body.errors as { field: string }[]).map((error) => error.field)).toEqual([field]);
    });

    it('gives a table with the same columns for everybody', async () => {
      const { text, headers } = await stage.app.http
        .get('/api/v1/klaviyo/profiles')
        .query({ userId: reader.userId, source: 'mirror', email: 'ada@example.com' })
        .set({ ...stage.app.asService, Accept: 'text/csv' });
      expect(headers['content-type']).toContain('text/csv');
      const [header, line] = text.split('\r\n');
      expect(header).toContain('id,email,phoneNumber');
      expect(line).toContain(`${ids[0]!},ada@example.com,'+33612345678`);
    });
  });

  describe('a walk', () => {
    it.each(['id', '-id', 'updatedAt', '-updatedAt'])('by %s gives everybody once and in order', async (sort) => {
      const reader = await account({ profiles: 130, sameSecond: 70 });
      await mirrored(stage, reader, 'profiles');
      const pages = (await reader.walk('/profiles', 'profiles', { source: 'mirror', sort, limit: 30 })) as Person[][];
      expect(pages.map((page) => page.length)).toEqual([30, 30, 30, 30, 10]);
      const rows = pages.flat();
      expect(new Set(rows.map(({ id }) => id)).size).toBe(130);
      const keys = rows.map(({ id, updatedAt }) => (sort.endsWith('id') ? id : `${updatedAt} ${id}`));
      const sorted = [...keys].sort();
      expect(keys).toEqual(sort.startsWith('-') ? sorted.reverse() : sorted);
    });

    it('finds rare and common people alike, page by page', async () => {
      const reader = await account({ profiles: 600 });
      await mirrored(stage, reader, 'profiles');
      const people = (await reader.walk('/profiles', 'profiles', { source: 'mirror', limit: 200 })).flat() as Person[];
      const tags = new Map<string, number>();
      for (const { tags: own } of people) for (const tag of own) tags.set(tag, (tags.get(tag) ?? 0) + 1);
      expect(tags.size).toBeGreaterThan(2);
      // Pages of 1: a stretch of 40 rows is looked through before the index is asked.
      for (const [tag, count] of tags) {
        const limit = Math.max(1, Math.floor(count / 7));
        const pages = await reader.walk('/profiles', 'profiles', { source: 'mirror', tag, limit });
        expect(pages.flat().map(({ id }) => id)).toEqual(
          people.filter((person) => person.tags.includes(tag)).map(({ id }) => id),
        );
      }
      const [someone] = people.slice(-1);
      const [alone] = await found(reader, { email: someone!.email!, limit: 1 });
      expect(alone).toEqual(someone);
    });

    it('counts only when asked, and always what is on one page', async () => {
      const reader = await account({ profiles: 30 });
      await mirrored(stage, reader, 'profiles');
      const paging = async (query: Query) =>
        (await reader.get('/profiles', { source: 'mirror', ...query })).body.pagination;
      expect(await paging({ limit: 30 })).toEqual({ limit: 30, nextCursor: null, total: 30 });
      expect(await paging({ limit: 10 })).toEqual({ limit: 10, nextCursor: expect.any(String) });
      const counted = await paging({ limit: 10, includeTotal: true });
      expect(counted).toEqual({ limit: 10, nextCursor: expect.any(String), total: 30 });
      expect(await paging({ limit: 10, includeTotal: true, cursor: counted.nextCursor as string })).toMatchObject({
        total: 30,
      });
    });

    it('does not go on with the cursor of other filters, another order, source or user', async () => {
      const reader = await account({ profiles: 30 });
      await mirrored(stage, reader, 'profiles');
      const other = await stage.connect(++user, reader.account);
      await mirrored(stage, other, 'profiles');
      const query = { source: 'mirror', limit: 10, updatedSince: '2000-01-01T00:00:00Z' };
      const first = await reader.get('/profiles', query);
      const cursor = first.body.pagination.nextCursor as string;
      expect((await reader.get('/profiles', { ...query, limit: 5, cursor })).body.profiles).toHaveLength(5);
      for (const changed of [{ updatedSince: '2000-01-02T00:00:00Z' }, { sort: '-id' }, { source: 'auto' }]) {
        const { status, body } = await reader.get('/profiles', { ...query, ...changed, cursor });
        expect([status, body.errors[0].field]).toEqual([400, 'cursor']);
      }
      expect((await other.get('/profiles', { ...query, cursor })).status).toBe(400);
    });

    it('goes through Klaviyo’s own pages, too', async () => {
      const reader = await account({ profiles: 230 });
      const pages = await reader.walk('/profiles', 'profiles', { source: 'live', limit: 150 });
      expect(pages.map((page) => page.length)).toEqual([150, 80]);
      const ids = pages.flat().map(({ id }) => id);
      expect(ids).toEqual([...new Set(ids)].sort());
    });
  });

  describe('source', () => {
    it('is Klaviyo before people were mirrored, and 409 for the mirror', async () => {
      const reader = await account({ profiles: 3 });
      expect((await reader.get('/profiles')).body).toMatchObject({ source: 'live' });
      for (const query of [{ source: 'mirror' }, { name: 'ada' }])
        expect((await reader.get('/profiles', query)).body).toMatchObject({ code: 'NOT_SYNCED' });
      expect((await reader.get('/profiles/tags')).body).toMatchObject({ code: 'NOT_SYNCED' });
    });

    it('is the mirror while it is young, then Klaviyo, and the stale mirror when Klaviyo does not answer', async () => {
      const reader = await account({ profiles: 3 });
      await mirrored(stage, reader, 'profiles');
      expect((await reader.get('/profiles')).body).toMatchObject({ source: 'mirror', stale: false });
      await stage.sql(`UPDATE mirror_state SET synced_at = synced_at - interval '2 hours' WHERE user_id = $1`, [
        reader.userId,
      ]);
      expect((await reader.get('/profiles')).body).toMatchObject({ source: 'live', stale: false });
      expect((await reader.get('/profiles', { tag: 'vip' })).body).toMatchObject({ source: 'mirror', stale: true });
      await stage.sandbox.fault(reader.account.id, { preset: '503', times: 'forever' });
      const { body } = await reader.get('/profiles');
      expect(body).toMatchObject({ source: 'mirror', stale: true });
      expect(body.profiles).toHaveLength(3);
    });
  });

  describe('GET /profiles/:id', () => {
    it('gives one person with their lists, as Klaviyo does', async () => {
      const reader = await account({ lists: [{ name: 'Newsletter' }] });
      const email = 'one@example.com';
      const list = (await reader.get('/get-lists')).body.lists[0] as Row;
      const subscribed = await stage.app.http
        .post('/api/v1/klaviyo/subscribe')
        .set(stage.app.asService)
        .send({ userId: reader.userId, profile: { email }, listId: list.id });
      const { id } = subscribed.body.profile as Person;
      await mirrored(stage, reader, 'profiles');
      await allMirrored(stage, reader);
      const mirror = await reader.get(`/profiles/${id}`, { source: 'mirror' });
      expect(mirror.body).toMatchObject({
        source: 'mirror',
        stale: false,
        profile: { id, email, lists: [{ id: list.id, name: 'Newsletter' }] },
      });
      const live = await reader.get(`/profiles/${id}`, { source: 'live' });
      expect(live.body.profile).toEqual(mirror.body.profile);
      expect(live.body.source).toBe('live');
    });

    it('is 404 for nobody, for what is no id, and for somebody who is gone', async () => {
      const reader = await account({ profiles: 2 });
      await mirrored(stage, reader, 'profiles');
      await allMirrored(stage, reader);
      const [first, second] = await found(reader, {});
      for (const source of ['mirror', 'auto', 'live'])
        for (const id of [NOBODY, 'no%20id!'])
          expect((await reader.get(`/profiles/${id}`, { source })).body).toMatchObject({ code: 'PROFILE_NOT_FOUND' });
      await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/profiles/${first!.id}`);
      await mirrored(stage, reader, 'profiles');
      expect((await reader.get(`/profiles/${first!.id}`, { source: 'mirror' })).status).toBe(404);
      expect((await found(reader, {})).map(({ id }) => id)).toEqual([second!.id]);
    });

    it('asks Klaviyo for somebody whom a fresh mirror does not know yet', async () => {
      const reader = await account({ profiles: 1 });
      await mirrored(stage, reader, 'profiles');
      await allMirrored(stage, reader);
      const [id] = await seed(reader, { email: 'fresh@example.com' });
      expect((await reader.get(`/profiles/${id!}`)).body).toMatchObject({ source: 'live', profile: { id } });
      // From now on the mirror knows them.
      expect((await reader.get(`/profiles/${id!}`)).body).toMatchObject({ source: 'mirror', profile: { id } });
    });
  });

  describe('GET /profiles/tags', () => {
    it('counts people by tag, filters by part of the name and pages', async () => {
      const reader = await account();
      const tagged = (...tags: string[]) => ({ email: `${tags.join('-')}@example.com`, properties: { tags } });
      await seed(reader, tagged('VIP', 'b2b'), tagged('VIP'), tagged('b2b', 'b2c'), tagged('ÉTÉ'));
      await mirrored(stage, reader, 'profiles');
      const tags = async (query: Query) => (await reader.get('/profiles/tags', query)).body;
      expect(await tags({})).toMatchObject({
        tags: [
          { name: 'VIP', count: 2 },
          { name: 'b2b', count: 2 },
          { name: 'b2c', count: 1 },
          { name: 'ÉTÉ', count: 1 },
        ],
        pagination: { limit: 50, nextCursor: null, total: 4 },
        source: 'mirror',
        stale: false,
      });
      expect((await tags({ name: 'été' })).tags).toEqual([{ name: 'ÉTÉ', count: 1 }]);
      expect((await tags({ name: 'B2' })).tags).toHaveLength(2);
      const pages = await reader.walk('/profiles/tags', 'tags', { limit: 3 });
      expect(pages.map((page) => page.map(({ name }) => name))).toEqual([['VIP', 'b2b', 'b2c'], ['ÉTÉ']]);
    });
  });

  describe.each([
    ['list', 'lists', 'LIST_NOT_FOUND'],
    ['segment', 'segments', 'SEGMENT_NOT_FOUND'],
  ])('the members of a %s', (kind, plural, code) => {
    let reader: Reader;
    let id: string;

    beforeAll(async () => {
      reader = await account({ profiles: 150, [plural]: [{ name: 'Some', members: 120 }] });
      await mirrored(stage, reader, 'profiles');
      await allMirrored(stage, reader);
      id = ((await reader.get(`/get-${plural}`)).body[plural] as Row[])[0]!.id;
    });

    it('are the same from the mirror and live, who joined last first', async () => {
      const query = { limit: 50 };
      const mirror = await reader.walk(`/${plural}/${id}/profiles`, 'profiles', { ...query, source: 'mirror' });
      expect(mirror.map((page) => page.length)).toEqual([50, 50, 20]);
      const live = await reader.walk(`/${plural}/${id}/profiles`, 'profiles', { ...query, source: 'live' });
      const byId = (pages: Row[][]) => pages.flat().sort((a, b) => (a.id < b.id ? -1 : 1));
      expect(byId(mirror)).toEqual(byId(live));
      const times = (mirror.flat() as Person[]).map(({ joinedAt }) => joinedAt!);
      expect(times).toEqual([...times].sort().reverse());
    });

    it('are found among people by the id of the group, from either source', async () => {
      const query = { [`${kind}Id`]: id, limit: 200 };
      const mirror = await reader.get('/profiles', { ...query, source: 'mirror' });
      expect(mirror.body.pagination).toEqual({ limit: 200, nextCursor: null, total: 120 });
      const live = await reader.get('/profiles', { ...query, source: 'live' });
      const idsOf = (people: Row[]) => people.map((row) => row.id).sort();
      expect(idsOf(mirror.body.profiles as Row[])).toEqual(idsOf(live.body.profiles as Row[]));
      for (const sort of ['-id', 'updatedAt'])
        expect(
          (await reader.walk('/profiles', 'profiles', { ...query, sort, source: 'mirror', limit: 50 })).flat(),
        ).toHaveLength(120);
      const [someone] = mirror.body.profiles as Person[];
      const narrowed = { ...query, email: someone!.email! };
      expect((await reader.get('/profiles', { ...narrowed, source: 'mirror' })).body.profiles).toEqual([someone]);
      expect((await reader.get('/profiles', { ...narrowed, source: 'live' })).body.profiles).toEqual([someone]);
    });

    it('counts them when asked', async () => {
      const { body } = await reader.get(`/${plural}/${id}/profiles`, {
        source: 'mirror',
        limit: 5,
        includeTotal: true,
      });
      expect(body.pagination).toMatchObject({ limit: 5, total: 120 });
      const all = { [`${kind}Id`]: id, source: 'mirror', limit: 5, includeTotal: true };
      expect((await reader.get('/profiles', all)).body.pagination).toMatchObject({ total: 120 });
    });

    it('are 404 of a group that is unknown, from either source', async () => {
      for (const source of ['mirror', 'live', 'auto'])
        expect((await reader.get(`/${plural}/XXXXXX/profiles`, { source })).body).toMatchObject({ code });
      for (const source of ['mirror', 'live'])
        expect((await reader.get('/profiles', { [`${kind}Id`]: 'XXXXXX', source })).body).toMatchObject({ code });
    });

    it('refuses the cursor of another group', async () => {
      const { body } = await reader.get(`/${plural}/${id}/profiles`, { source: 'mirror', limit: 5 });
      const cursor = body.pagination.nextCursor as string;
      const other = await reader.get(`/${plural}/XXXXXX/profiles`, { source: 'mirror', cursor });
      expect([other.status, other.body.errors[0].field]).toEqual([400, 'cursor']);
    });
  });

  describe('our own writes', () => {
    const call = (reader: Reader, method: 'post' | 'patch', path: string, body: object) =>
      stage.app.http[method](`/api/v1/klaviyo${path}`)
        .set(stage.app.asService)
        .send({ userId: reader.userId, ...body });

    it('are in the mirror at once: people, their tags, and the lists they are on', async () => {
      const reader = await account({ lists: [{ name: 'Newsletter' }, { name: 'VIP' }] });
      await mirrored(stage, reader, 'profiles');
      await allMirrored(stage, reader);
      const [one, two] = (await reader.get('/get-lists')).body.lists as Row[];
      const profile = { email: 'Written@Example.com', firstName: 'Written', tags: ['fresh'] };
      const subscribed = await call(reader, 'post', '/subscribe', { profile, listId: one!.id });
      const { id } = subscribed.body.profile as Person;
      expect(await found(reader, { tag: 'fresh', listId: one!.id })).toEqual([subscribed.body.profile]);
      const change = { profileId: id, profile: { firstName: 'Changed' }, removeTags: ['fresh'] };
      const lists = { addListIds: [two!.id], removeListIds: [one!.id] };
      await call(reader, 'patch', '/update-contact', { ...change, ...lists });
      const [changed] = await found(reader, { name: 'changed' });
      expect(changed).toMatchObject({ id, firstName: 'Changed', tags: [] });
      const { body } = await reader.get(`/profiles/${id}`, { source: 'mirror' });
      expect(body.profile.lists).toEqual([{ id: two!.id, name: two!.name }]);
    });

    it('are not kept where people were never mirrored', async () => {
      const reader = await account();
      await call(reader, 'post', '/subscribe', { profile: { email: 'early@example.com' } });
      expect(await stage.sql('SELECT 1 FROM mirrored_profile WHERE user_id = $1', [reader.userId])).toEqual([]);
    });

    it('mark as gone whom Klaviyo does not know any more when they are looked for', async () => {
      const reader = await account({ profiles: 2 });
      await mirrored(stage, reader, 'profiles');
      const [first] = await found(reader, {});
      await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/profiles/${first!.id}`);
      expect((await reader.get('/subscribe', { profileId: first!.id })).status).toBe(404);
      expect(await found(reader, {})).toHaveLength(1);
    });
  });

  it('does not show a user the people of another, though both mirror one account', async () => {
    const first = await account({ profiles: 5 });
    const second = await stage.connect(++user, first.account);
    await mirrored(stage, first, 'profiles');
    await mirrored(stage, second, 'profiles');
    await stage.sql('DELETE FROM mirrored_profile WHERE user_id = $1', [second.userId]);
    expect(await found(second, {})).toEqual([]);
    expect(await found(first, {})).toHaveLength(5);
    const stranger = await second.get('/profiles', { connectionId: first.connectionId });
    expect(stranger.body).toMatchObject({ code: 'CONNECTION_NOT_FOUND' });
  });
});
