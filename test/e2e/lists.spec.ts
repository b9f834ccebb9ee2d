import { openStage, until, type Reader, type ReadsStage, type Row } from './reads-stage';

const names = (count: number) => Array.from({ length: count }, (_, index) => ({ name: `List ${String(index + 1)}` }));

describe('get-lists', () => {
  let stage: ReadsStage;
  let user = 100;
  /** A new user with an account of these lists. */
  const withLists = (lists: number | { name: string; optIn?: 'single_opt_in' | 'double_opt_in'; members?: number }[]) =>
    stage.connect(++user, { lists, profiles: 20 });

  beforeAll(async () => {
    stage = await openStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  it.each([0, 1, 10, 11, 35])(
    'gives all of %d lists at once, however many pages Klaviyo makes of them',
    async (count) => {
      const reader = await withLists(names(count));
      const { status, body } = await reader.get('/get-lists');
      expect(status).toBe(200);
      expect(body).toMatchObject({
        success: true,
        pagination: { limit: 1000, nextCursor: null, total: count },
        source: 'live',
        stale: false,
      });
      expect((body.lists as Row[]).map(({ name }) => name).sort()).toEqual(
        names(count)
          .map(({ name }) => name)
          .sort(),
      );
      expect(Math.abs(Date.parse(body.syncedAt as string) - Date.now())).toBeLessThan(60_000);
      expect(await reader.requests('getLists')).toHaveLength(Math.max(1, Math.ceil(count / 10)));
    },
  );

  it('gives the first 1,000 of 1,001 lists with a cursor, and the last one behind it', async () => {
    const reader = await withLists(names(1001));
    const first = await reader.get('/get-lists');
    expect(first.body.lists).toHaveLength(1000);
    expect(first.body.pagination).toEqual({ limit: 1000, nextCursor: expect.any(String) });
    const second = await reader.get('/get-lists', { cursor: first.body.pagination.nextCursor as string });
    expect(second.body.lists).toHaveLength(1);
    expect(second.body.pagination).toEqual({ limit: 50, nextCursor: null });
    const ids = new Set([...(first.body.lists as Row[]), ...(second.body.lists as Row[])].map(({ id }) => id));
    expect(ids.size).toBe(1001);
  });

  it('names exactly the fields of the contract', async () => {
    const reader = await withLists([{ name: 'Newsletter', optIn: 'double_opt_in', members: 3 }]);
    const { body } = await reader.get('/get-lists');
    expect(body.lists).toEqual([
      {
        id: expect.stringMatching(/^\w{6}$/),
        name: 'Newsletter',
        optInProcess: 'double_opt_in',
        createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/),
        updatedAt: expect.stringMatching(/Z$/),
      },
    ]);
    const unversioned = await stage.app.http
      .get('/api/klaviyo/get-lists')
      .set(stage.app.asService)
      .query({ userId: reader.userId });
    expect(unversioned.body.lists).toEqual(body.lists);
  });

  it('takes a part of the name in any case and composition, quotes and accents included', async () => {
    const given = ['Été à la plage', 'L’«été» "chaud"', "O'Brien & Fils", 'Hiver', 'STRASSE', 'straße'];
    const reader = await withLists(given.map((name) => ({ name })));
    const found = async (name: string) =>
      ((await reader.get('/get-lists', { name })).body.lists as Row[]).map((list) => list.name).sort();
    expect(await found('ÉTÉ')).toEqual([given[1], given[0]].sort());
    expect(await found('e\u0301te\u0301')).toEqual([given[1], given[0]].sort());
    expect(await found('"chaud"')).toEqual([given[1]]);
    expect(await found("o'brien & f")).toEqual([given[2]]);
    expect(await found('Straße')).toEqual(['STRASSE', 'straße']);
    expect(await found('nothing of the kind')).toEqual([]);
    expect(await found('ete')).toEqual([]);
  });

  it('walks by limit and cursor to the same lists in the same order as the whole', async () => {
    const reader = await withLists(names(35));
    const whole = ((await reader.get('/get-lists')).body.lists as Row[]).map(({ id }) => id);
    for (const limit of [1, 7, 10, 34, 35, 36, 200]) {
      const pages = await reader.walk('/get-lists', 'lists', { limit });
      expect(pages.flat().map(({ id }) => id)).toEqual(whole);
      expect(pages.slice(0, -1).every((page) => page.length === limit)).toBe(true);
    }
    const matching = whole.length - 9;
    const filtered = await reader.walk('/get-lists', 'lists', { limit: 4, name: 'list ' });
    expect(filtered.flat()).toHaveLength(35);
    const some = await reader.walk('/get-lists', 'lists', { limit: 4, name: '1' });
    expect(some.flat().every(({ name }) => name.includes('1'))).toBe(true);
    expect(some.flat().length).toBeLessThan(matching);
  });

  it('goes on behind the last list given when lists before it went meanwhile', async () => {
    const reader = await withLists(names(9));
    const first = await reader.get('/get-lists', { limit: 4 });
    const given = first.body.lists as Row[];
    await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/lists/${given[0]!.id}`);
    const { body } = await reader.get('/get-lists', { limit: 9, cursor: first.body.pagination.nextCursor as string });
    expect((body.lists as Row[]).map(({ name }) => name)).toEqual(['List 5', 'List 6', 'List 7', 'List 8', 'List 9']);
  });

  it('refuses a cursor of another user, filter, route or source, and one that was changed', async () => {
    const reader = await withLists(names(12));
    const other = await stage.connect(++user, reader.account);
    const cursor = (await reader.get('/get-lists', { limit: 5 })).body.pagination.nextCursor as string;
    const changed = `${cursor.slice(0, -2)}${cursor.endsWith('A') ? 'BB' : 'AA'}`;
    const tries = [
      other.get('/get-lists', { cursor }),
      reader.get('/get-lists', { cursor, name: 'List' }),
      reader.get('/get-lists', { cursor, source: 'live' }),
      reader.get('/get-segments', { cursor }),
      reader.get('/get-campaigns', { cursor }),
      reader.get('/get-lists', { cursor: changed }),
      reader.get('/get-lists', { cursor: 'x' }),
    ];
    for (const { status, body } of await Promise.all(tries)) {
      expect(status).toBe(400);
      expect(body).toMatchObject({
        code: 'VALIDATION_FAILED',
        errors: [{ field: 'cursor', message: 'is not a cursor of this list: start again without it' }],
      });
    }
    const { status, body } = await reader.get('/get-lists', { cursor, limit: 20, includeStats: false });
    expect(status).toBe(200);
    expect(body.lists).toHaveLength(7);
  });

  it('calls a cursor that Klaviyo takes no more what it is', async () => {
    const reader = await withLists(names(25));
    const cursor = (await reader.get('/get-lists', { limit: 15 })).body.pagination.nextCursor as string;
    await stage.sandbox.fault(reader.account.id, {
      match: { operation: 'getLists' },
      fault: { kind: 'expireCursors' },
    });
    const { status, body } = await reader.get('/get-lists', { cursor });
    expect([status, body.code, body.errors[0].field]).toEqual([400, 'VALIDATION_FAILED', 'cursor']);
  });

  it.each([
    [{ limit: 0 }, 'limit'],
    [{ limit: 201 }, 'limit'],
    [{ limit: '1e2' }, 'limit'],
    [{ cursor: '' }, 'cursor'],
    [{ source: 'both' }, 'source'],
    [{ includeStats: 'yes' }, 'includeStats'],
    [{ name: '' }, 'name'],
    [{ name: 'x'.repeat(256) }, 'name'],
    [{ connectionId: 'default' }, 'connectionId'],
    [{ colour: 'red' }, 'colour'],
  ])('refuses %j, naming the parameter', async (query, field) => {
    const { status, body } = await stage.app.http
      .get('/api/v1/klaviyo/get-lists')
      .set(stage.app.asService)
      .query({ userId: 1, ...query });
    expect(status).toBe(400);
    expect(body).toMatchObject({ success: false, code: 'VALIDATION_FAILED', errors: [{ field }] });
  });

  it('is closed without a caller and without a user, and knows no connection of others', async () => {
    const reader = await withLists(names(1));
    const { http, asService } = stage.app;
    expect((await http.get('/api/v1/klaviyo/get-lists').query({ userId: reader.userId })).status).toBe(401);
    expect((await http.get('/api/v1/klaviyo/get-lists').set(asService)).body.code).toBe('USER_ID_REQUIRED');
    const stranger = { userId: 999_999 };
    const without = await http.get('/api/v1/klaviyo/get-lists').set(asService).query(stranger);
    expect([without.status, without.body.code]).toEqual([404, 'CONNECTION_NOT_FOUND']);
    const [foreign, unknown] = await Promise.all(
      [reader.connectionId, '01900000-0000-7000-8000-000000000000'].map((connectionId) =>
        http
          .get('/api/v1/klaviyo/get-lists')
          .set({ ...asService, 'X-Request-Id': 'request-0001' })
          .query({ ...stranger, connectionId }),
      ),
    );
    expect(foreign!.status).toBe(404);
    expect(foreign!.body).toEqual(unknown!.body);
  });

  it('says so when the mirror is asked for before there is one, and reads Klaviyo otherwise', async () => {
    const reader = await withLists(names(2));
    const mirror = await reader.get('/get-lists', { source: 'mirror' });
    expect([mirror.status, mirror.body.code]).toEqual([409, 'NOT_SYNCED']);
    expect(await reader.requests()).toEqual([]);
    for (const source of ['live', 'auto'])
      expect((await reader.get('/get-lists', { source })).body).toMatchObject({ source: 'live', stale: false });
  });
});

describe('lists/:id', () => {
  let stage: ReadsStage;
  let reader: Reader;
  let id: string;

  beforeAll(async () => {
    stage = await openStage();
    reader = await stage.connect(7, { lists: [{ name: 'VIP', members: 4 }], profiles: 10 });
    id = ((await reader.get('/get-lists')).body.lists as Row[])[0]!.id;
  });

  afterAll(async () => {
    await stage.stop();
  });

  it('gives one list, with its members where asked for', async () => {
    const { status, body } = await reader.get(`/lists/${id}`);
    expect(status).toBe(200);
    expect(body).toEqual({
      success: true,
      list: {
        id,
        name: 'VIP',
        optInProcess: expect.any(String),
        createdAt: expect.any(String),
        updatedAt: expect.any(String),
      },
      source: 'live',
      syncedAt: expect.stringMatching(/Z$/),
      stale: false,
    });
    const counted = await reader.get(`/lists/${id}`, { includeStats: true });
    expect(counted.body.list).toMatchObject({ id, memberCount: 4, memberCountAt: expect.stringMatching(/Z$/) });
  });

  it('does not know an unknown id, nor one of another account', async () => {
    const other = await stage.connect(8, { lists: 1 });
    for (const answer of [
      await reader.get('/lists/Zz9Zz9'),
      await reader.get('/lists/..%2Faccounts'),
      await other.get(`/lists/${id}`),
    ]) {
      expect(answer.status).toBe(404);
      expect(answer.body.code).toBe('LIST_NOT_FOUND');
    }
    expect((await reader.get('/lists/Zz9Zz9')).body.detail).toContain('Zz9Zz9');
    expect((await reader.get(`/lists/${id}`, { source: 'both' })).body.errors[0].field).toBe('source');
  });
});

describe('member counts of lists', () => {
  let stage: ReadsStage;

  beforeAll(async () => {
    stage = await openStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  it('are absent unless asked for, come as far as two seconds go, and trickle in afterwards', async () => {
    const lists = [1, 2, 3, 4].map((members) => ({ name: `List ${String(members)}`, members }));
    const reader = await stage.connect(1, { lists, profiles: 10 });
    const started = Date.now();
    const first = (await reader.get('/get-lists', { includeStats: true })).body.lists as Row[];
    expect(Date.now() - started).toBeLessThan(8_000);
    const known = first.filter(({ memberCount }) => memberCount !== null);
    expect(known.length).toBeGreaterThanOrEqual(1);
    expect(known.length).toBeLessThan(4);
    for (const list of first) expect(list['memberCount'] === null).toBe(list['memberCountAt'] === null);
    const all = await until(
      async () => (await reader.get('/get-lists', { includeStats: true })).body.lists as Row[],
      (rows) => rows.every(({ memberCount }) => memberCount !== null),
      25_000,
    );
    expect(all.map(({ name, memberCount }) => [name, memberCount]).sort()).toEqual(
      lists.map(({ name, members }) => [name, members]),
    );
    const { body } = await reader.get('/get-lists');
    expect(body.lists[0]).not.toHaveProperty('memberCount');
    const refused = (await reader.requests()).filter(({ status }) => status === 429);
    expect(refused).toEqual([]);
  });

  it('are not asked for again within ten minutes, and then only those that are older', async () => {
    const reader = await stage.connect(2, { lists: [{ name: 'A', members: 2 }], profiles: 5 });
    const count = async () => ((await reader.get('/get-lists', { includeStats: true })).body.lists as Row[])[0]!;
    const first = await count();
    expect(first).toMatchObject({ memberCount: 2 });
    expect(await count()).toEqual(first);
    expect(await reader.requests('getList')).toHaveLength(1);
    await stage.sql(`UPDATE member_count SET computed_at = computed_at - interval '11 minutes' WHERE user_id = 2`);
    await until(count, (row) => String(row['memberCountAt']) > String(first['memberCountAt']));
    expect(await reader.requests('getList')).toHaveLength(2);
  });

  it.each(['500', '403-scope', 'html-200', 'hang-headers', '404'])(
    'never fail the read: with %s the lists come without them',
    async (preset) => {
      const userId = 10 + ['500', '403-scope', 'html-200', 'hang-headers', '404'].indexOf(preset);
      const reader = await stage.connect(userId, { lists: [{ name: 'A', members: 2 }], profiles: 5 });
      await stage.sandbox.fault(reader.account.id, { match: { operation: 'getList' }, preset, times: 'forever' });
      const { status, body } = await reader.get('/get-lists', { includeStats: true });
      expect(status).toBe(200);
      expect(body.lists).toEqual([expect.objectContaining({ name: 'A', memberCount: null, memberCountAt: null })]);
      await stage.sandbox.clearFaults(reader.account.id);
    },
  );

  it('are no longer waited for once Klaviyo refused the key', async () => {
    const lists = [1, 2, 3, 4, 5, 6].map((members) => ({ name: String(members), members }));
    const reader = await stage.connect(4, { lists, profiles: 10 });
    await reader.get('/get-lists', { includeStats: true });
    const waiting = () => stage.sql('SELECT 1 FROM member_count WHERE user_id = 4 AND requested_at IS NOT NULL');
    expect((await waiting()).length).toBeGreaterThan(0);
    const plan = { match: { operation: 'getList' }, preset: '401', times: 'forever' as const };
    await stage.sandbox.fault(reader.account.id, plan);
    await until(waiting, (rows) => rows.length === 0);
    await reader.quiet();
    expect((await reader.get('/get-lists')).body.code).toBe('KLAVIYO_KEY_INVALID');
    expect(await reader.requests()).toEqual([]);
  });

  it('go with the connection', async () => {
    const reader = await stage.connect(3, { lists: [{ name: 'A', members: 1 }], profiles: 5 });
    await reader.get('/get-lists', { includeStats: true });
    const rows = () => stage.sql('SELECT 1 FROM member_count WHERE user_id = 3');
    expect(await rows()).toHaveLength(1);
    await stage.app.http.delete('/api/v1/klaviyo/connect').set(stage.app.asService).query({ userId: 3 });
    expect(await rows()).toHaveLength(0);
  });
});
