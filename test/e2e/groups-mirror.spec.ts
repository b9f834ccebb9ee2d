import { allMirrored, mirrored } from './groups-mirror-stage';
import { openStage, type Reader, type ReadsStage, type Row } from './reads-stage';

describe.each([
  ['lists', 'list', 'getLists', 'getList'],
  ['segments', 'segment', 'getSegments', 'getSegment'],
] as const)('get-%s from the mirror', (noun, one, many, single) => {
  let stage: ReadsStage;
  let user = 0;

  beforeAll(async () => {
    stage = await openStage({ env: { KLAVIYO_MAX_RETRIES: '1' } });
  });

  afterAll(async () => {
    await stage.stop();
  });

  const path = `/get-${noun}`;
  const withGroups = async (given: number | { name: string; members?: number }[]) => {
    const reader = await stage.connect(++user, { [noun]: given, profiles: 20 });
    await mirrored(stage, reader, noun);
    return reader;
  };
  const rows = async (reader: Reader, query: Record<string, unknown> = {}) => {
    const { status, body } = await reader.get(path, query as Record<string, string>);
    expect(status).toBe(200);
    return body[noun] as Row[];
  };
  const age = (reader: Reader, minutes: number) =>
    stage.sql(
      `UPDATE mirror_state SET synced_at = synced_at - make_interval(mins => $2),
         complete_at = complete_at - make_interval(mins => $2) WHERE user_id = $1`,
      [reader.userId, minutes],
    );

  it('is word for word what Klaviyo says, without asking it', async () => {
    const reader = await withGroups(23);
    const live = await reader.get(path, { source: 'live' });
    await reader.quiet();
    for (const source of ['mirror', 'auto'] as const) {
      const { body } = await reader.get(path, { source });
      expect(body).toMatchObject({ source: 'mirror', stale: false, pagination: live.body.pagination });
      expect(body[noun]).toEqual(live.body[noun]);
      expect(Math.abs(Date.parse(body.syncedAt as string) - Date.now())).toBeLessThan(60_000);
    }
    const id = (live.body[noun] as Row[])[7]!.id;
    const { body } = await reader.get(`/${noun}/${id}`);
    expect(body).toMatchObject({ success: true, [one]: (live.body[noun] as Row[])[7], source: 'mirror', stale: false });
    expect(await reader.requests()).toEqual([]);
  });

  it('walks by limit and cursor to the same rows in the same order, with their total', async () => {
    const reader = await withGroups(35);
    const whole = (await rows(reader, { source: 'mirror' })).map(({ id }) => id);
    for (const limit of [1, 7, 34, 35, 36]) {
      const pages = await reader.walk(path, noun, { limit, source: 'mirror' });
      expect(pages.flat().map(({ id }) => id)).toEqual(whole);
      expect(pages.slice(0, -1).every((page) => page.length === limit)).toBe(true);
    }
    const first = await reader.get(path, { limit: 10 });
    expect(first.body.pagination).toMatchObject({ limit: 10, total: 35, nextCursor: expect.any(String) });
    // A walk ends where it began, though the mirror grew old meanwhile.
    await age(reader, 10_000);
    const second = await reader.get(path, { limit: 50, cursor: first.body.pagination.nextCursor as string });
    expect(second.body).toMatchObject({ source: 'mirror', stale: true, pagination: { total: 35, nextCursor: null } });
    expect((second.body[noun] as Row[]).map(({ id }) => id)).toEqual(whole.slice(10));
  });

  it('goes on at Klaviyo with a cursor of Klaviyo’s, though there is a mirror by now', async () => {
    const reader = await stage.connect(++user, { [noun]: 15, profiles: 1 });
    const first = await reader.get(path, { limit: 12 });
    await mirrored(stage, reader, noun);
    const { body } = await reader.get(path, { cursor: first.body.pagination.nextCursor as string });
    expect(body.source).toBe('live');
    expect(body[noun]).toHaveLength(3);
  });

  it('takes a part of the name like Klaviyo’s rows are filtered', async () => {
    const given = ['Été à la plage', "O'Brien & Fils 100%", 'STRASSE', 'straße', 'a_b'];
    const reader = await withGroups(given.map((name) => ({ name })));
    for (const name of ['ÉTÉ', 'e\u0301te\u0301', "o'brien & f", '0%', '%', '_', 'Straße', 'nothing', 'ete']) {
      const [live, mirror] = [await rows(reader, { name, source: 'live' }), await rows(reader, { name })];
      expect([name, mirror]).toEqual([name, live]);
    }
    expect(await rows(reader, { name: '%' })).toHaveLength(1);
  });

  it('asks Klaviyo once the mirror is old, and gives the old one where Klaviyo cannot answer', async () => {
    const reader = await withGroups(3);
    await age(reader, 100);
    await reader.quiet();
    expect((await reader.get(path)).body).toMatchObject({ source: 'live', stale: false });
    expect(await reader.requests(many)).toHaveLength(1);
    expect((await reader.get(path, { source: 'mirror' })).body).toMatchObject({ source: 'mirror', stale: true });
    const plan = { match: { operation: many }, preset: '503', times: 'forever' as const };
    await stage.sandbox.fault(reader.account.id, plan);
    const { status, body } = await reader.get(path);
    expect([status, body.source, body.stale, (body[noun] as Row[]).length]).toEqual([200, 'mirror', true, 3]);
    expect((await reader.get(path, { source: 'live' })).body.code).toBe('KLAVIYO_UNAVAILABLE');
  });

  it('answers a refused key from the mirror, and says that it is stale', async () => {
    const reader = await withGroups(3);
    await stage.sandbox.patchAccount(reader.account.id, { keys: [{ key: reader.account.key, invalid: true }] });
    expect((await reader.get(path, { source: 'live' })).body.code).toBe('KLAVIYO_KEY_INVALID');
    await reader.quiet();
    const { body } = await reader.get(path, { includeStats: true });
    expect(body).toMatchObject({ source: 'mirror', stale: true });
    expect(body[noun]).toHaveLength(3);
    expect(await reader.requests()).toEqual([]);
  });

  it('finds a single one that is younger than the mirror, and none that is gone', async () => {
    const reader = await withGroups(2);
    await stage.sandbox.control('POST', `/accounts/${reader.account.id}/${noun}`, { name: 'Young' });
    const young = (await rows(reader, { source: 'live' })).find(({ name }) => name === 'Young')!;
    expect((await reader.get(`/${noun}/${young.id}`)).body).toMatchObject({ source: 'live', [one]: { name: 'Young' } });
    const mirror = await reader.get(`/${noun}/${young.id}`, { source: 'mirror' });
    const code = `${one.toUpperCase()}_NOT_FOUND`;
    expect([mirror.status, mirror.body.code]).toEqual([404, code]);
    const [first] = await rows(reader, { source: 'mirror' });
    await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/${noun}/${first!.id}`);
    await mirrored(stage, reader, noun);
    expect((await rows(reader, { source: 'mirror' })).map(({ name }) => name)).toContain('Young');
    for (const source of ['auto', 'mirror', 'live'])
      expect((await reader.get(`/${noun}/${first!.id}`, { source })).body.code).toBe(code);
  });

  it('counts members by the pass over them, at no cost, and keeps the history', async () => {
    const reader = await stage.connect(++user, {
      [noun]: [
        { name: 'A', members: 4 },
        { name: 'B', members: 0 },
      ],
      profiles: 20,
    });
    await allMirrored(stage, reader);
    await reader.quiet();
    for (const source of ['auto', 'mirror']) {
      const counted = await rows(reader, { includeStats: true, source });
      expect(counted.map(({ name, memberCount }) => [name, memberCount]).sort()).toEqual([
        ['A', 4],
        ['B', 0],
      ]);
      expect(counted.every(({ memberCountAt }) => typeof memberCountAt === 'string')).toBe(true);
    }
    expect(await reader.requests()).toEqual([]);
    const a = (await rows(reader)).find(({ name }) => name === 'A')!;
    const history = await reader.get(`/${noun}/${a.id}/history`);
    expect(history.body).toEqual({
      success: true,
      history: [{ at: expect.stringMatching(/Z$/), memberCount: 4, source: 'pass' }],
      pagination: { limit: 50, nextCursor: null },
    });
    // Live, Klaviyo's own count is wanted once the pass's is older than ten minutes.
    await stage.sql(`UPDATE member_count SET computed_at = computed_at - interval '11 minutes' WHERE user_id = $1`, [
      reader.userId,
    ]);
    expect((await reader.get(`/${noun}/${a.id}`, { includeStats: true, source: 'live' })).body[one].memberCount).toBe(
      4,
    );
    expect((await reader.requests(single)).filter(({ query }) => query.includes('profile_count'))).toHaveLength(1);
  });
});

describe('member counts over time', () => {
  let stage: ReadsStage;
  let reader: Reader;
  let id: string;

  beforeAll(async () => {
    stage = await openStage();
    reader = await stage.connect(1, { lists: [{ name: 'A', members: 2 }], profiles: 5 });
    await allMirrored(stage, reader);
    id = ((await reader.get('/get-lists')).body.lists as Row[])[0]!.id;
    await stage.sql('DELETE FROM member_count_history');
    for (const [hours, count] of [
      [1, 50],
      [30, 40],
      [31, 30],
      [24 * 20, 20],
      [24 * 20 + 0.5, 10],
    ])
      await stage.sql(
        `INSERT INTO member_count_history SELECT user_id, connection_id, kind, klaviyo_id,
           date_trunc('hour', now() - make_interval(mins => $1)), date_trunc('hour', now() - make_interval(mins => $1)),
           $2, 'count' FROM member_count ON CONFLICT DO NOTHING`,
        [Math.round(hours! * 60), count],
      );
  });

  afterAll(async () => {
    await stage.stop();
  });

  const history = async (query: Record<string, string> = {}) => {
    const { status, body } = await reader.get(`/lists/${id}/history`, query);
    expect(status).toBe(200);
    return body as { history: { at: string; memberCount: number }[]; pagination: { nextCursor: string | null } };
  };

  it('come newest first, page by page, from and to a time', async () => {
    const all = (await history()).history;
    expect(all.slice(0, 4).map(({ memberCount }) => memberCount)).toEqual([50, 40, 30, 20]);
    const first = await history({ limit: '2' });
    const second = await history({ limit: '200', cursor: first.pagination.nextCursor! });
    expect([...first.history, ...second.history]).toEqual(all);
    const between = await history({ from: all[2]!.at, to: all[0]!.at });
    expect(between.history.map(({ memberCount }) => memberCount)).toEqual([40, 30]);
    const foreign = await reader.get(`/lists/${id}/history`, {
      cursor: first.pagination.nextCursor!,
      from: all[2]!.at,
    });
    expect([foreign.status, foreign.body.errors[0].field]).toEqual([400, 'cursor']);
  });

  it('are to be had as a table', async () => {
    const { status, text } = await stage.app.http
      .get(`/api/v1/klaviyo/lists/${id}/history`)
      .set({ ...stage.app.asService, Accept: 'text/csv' })
      .query({ userId: 1, limit: 1 });
    expect(status).toBe(200);
    expect(text).toMatch(/^at,memberCount,source\r\n[^,]+Z,50,count\r\n$/);
  });

  it('keep one a day after a week, and one an hour before', async () => {
    await allMirrored(stage, reader);
    const counts = (await history()).history.map(({ memberCount }) => memberCount);
    expect(counts).toContain(2);
    expect(counts).toContain(30);
    expect(counts.filter((count) => count <= 20 && count > 2).length).toBe(1);
    await allMirrored(stage, reader);
    expect((await history()).history).toHaveLength(counts.length);
  });

  it('of what Klaviyo does not know are not found; of a list that we never saw, empty', async () => {
    const unknown = await reader.get('/lists/Zz9Zz9/history');
    expect([unknown.status, unknown.body.code]).toEqual([404, 'LIST_NOT_FOUND']);
    const none = await reader.get('/segments/Zz9Zz9/history');
    expect([none.status, none.body.code]).toEqual([404, 'SEGMENT_NOT_FOUND']);
    await stage.sandbox.control('POST', `/accounts/${reader.account.id}/lists`, { name: 'Young' });
    const { body } = await reader.get('/get-lists', { source: 'live' });
    const young = (body.lists as Row[]).find(({ name }) => name === 'Young')!;
    expect((await reader.get(`/lists/${young.id}/history`)).body.history).toEqual([]);
  });
});
