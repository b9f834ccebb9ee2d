import { GroupsService } from '../../src/groups/groups.service';
import { allMirrored, mirrored } from './groups-mirror-stage';
import { openStage, type Reader, type ReadsStage, type Row } from './reads-stage';

const API = '/api/v1/klaviyo';

describe('writing to lists', () => {
  let stage: ReadsStage;
  let user = 0;

  beforeAll(async () => {
    stage = await openStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  const call = (reader: Reader, method: 'post' | 'delete', path: string, given: object, headers: object = {}) => {
    const request = stage.app.http[method](`${API}${path}`).set({
      ...stage.app.asService,
      'Accept-Language': 'en',
      ...headers,
    });
    return method === 'post'
      ? request.send({ userId: reader.userId, ...given })
      : request.query({ userId: reader.userId, ...given });
  };
  const withList = async (members = 0) => {
    const reader = await stage.connect(++user, { lists: [{ name: 'VIP', members }], profiles: 30 });
    await allMirrored(stage, reader);
    const id = ((await reader.get('/get-lists')).body.lists as Row[])[0]!.id;
    await reader.quiet();
    return { reader, id };
  };
  const atKlaviyo = async (reader: Reader, id: string) =>
    (await stage.sandbox.control<{ members: string[] }>('GET', `/accounts/${reader.account.id}/lists/${id}/members`))
      .members;
  const inMirror = async (reader: Reader, id: string) =>
    (
      await stage.sql<{ id: string }>(
        'SELECT profile_id AS id FROM membership WHERE user_id = $1 AND group_id = $2 AND left_at IS NULL',
        [reader.userId, id],
      )
    ).map((row) => row.id);
  const people = async (reader: Reader, count: number) =>
    (
      await stage.sandbox.control<{ profiles: { id: string }[] }>('GET', `/accounts/${reader.account.id}/profiles`)
    ).profiles
      .slice(0, count)
      .map(({ id }) => id);

  describe('POST /lists', () => {
    it('makes a list at Klaviyo that the mirror knows at once', async () => {
      const { reader } = await withList();
      const { status, body } = await call(reader, 'post', '/lists', { name: 'Été', optInProcess: 'single_opt_in' });
      expect(status).toBe(201);
      expect(body).toEqual({
        success: true,
        list: {
          id: expect.stringMatching(/^\w{6}$/),
          name: 'Été',
          optInProcess: 'single_opt_in',
          createdAt: expect.any(String),
          updatedAt: expect.any(String),
        },
      });
      const { body: read } = await reader.get(`/lists/${body.list.id as string}`, { source: 'mirror' });
      expect(read).toMatchObject({ list: body.list, source: 'mirror' });
      const connection = await reader.get('/connect');
      expect(connection.body.connections[0].capabilities.lists.write).toBe('ok');
    });

    it('makes one list for one Idempotency-Key', async () => {
      const { reader } = await withList();
      const twice = [1, 2].map(() => call(reader, 'post', '/lists', { name: 'Once' }, { 'Idempotency-Key': 'k1' }));
      const [first, second] = await Promise.all(twice);
      expect(first!.body.list).toEqual(second!.body.list);
      expect(await reader.requests('createList')).toHaveLength(1);
    });

    it('says in the caller’s words what Klaviyo refuses, and when the day’s lists are made', async () => {
      const { reader } = await withList();
      const refused = await call(reader, 'post', '/lists', { name: '   ' });
      expect([refused.status, refused.body.code, refused.body.errors[0].field]).toEqual([
        400,
        'KLAVIYO_REJECTED',
        'name',
      ]);
      await stage.sandbox.patchAccount(reader.account.id, {
        limits: { listCreate: { burst: 10, steady: 150, daily: 2 } },
      });
      const codes: string[] = [];
      for (let n = 0; n < 3; n++) codes.push((await call(reader, 'post', '/lists', { name: 'x' })).body.code as string);
      expect(codes.at(-1)).toBe('KLAVIYO_RATE_LIMITED');
    });

    it('remembers that the key may not', async () => {
      const { reader } = await withList();
      await stage.sandbox.patchAccount(reader.account.id, {
        keys: [{ key: reader.account.key, scopes: ['lists:read', 'profiles:read', 'accounts:read'] }],
      });
      const { status, body } = await call(reader, 'post', '/lists', { name: 'x' });
      expect([status, body.code, body.scopes]).toEqual([403, 'KLAVIYO_SCOPE_MISSING', ['lists:write']]);
      const connection = await reader.get('/connect');
      expect(connection.body.connections[0].capabilities.lists.write).toBe('scope_missing');
    });

    it.each([
      [{}, 'name'],
      [{ name: '' }, 'name'],
      [{ name: 'x'.repeat(256) }, 'name'],
      [{ name: 12 }, 'name'],
      [{ name: 'x', optInProcess: 'triple' }, 'optInProcess'],
      [{ name: 'x', members: [] }, 'members'],
    ])('refuses %j, naming the field', async (given, field) => {
      const { status, body } = await stage.app.http
        .post(`${API}/lists`)
        .set(stage.app.asService)
        .send({ userId: 1, ...given });
      expect(status).toBe(400);
      expect(body).toMatchObject({ code: 'VALIDATION_FAILED', errors: [{ field }] });
    });
  });

  describe('members', () => {
    it('are put on a list in one call and taken off in one, and the mirror follows', async () => {
      const { reader, id } = await withList(2);
      const before = await atKlaviyo(reader, id);
      const [a, b, c] = (await people(reader, 10)).filter((profile) => !before.includes(profile));
      const added = await call(reader, 'post', `/lists/${id}/profiles`, { profileIds: [a, b, a, c] });
      expect(added.status).toBe(202);
      expect(added.body).toEqual({
        success: true,
        results: [a, b, a, c].map((profile, index) => ({ index, status: 'added', id: profile })),
      });
      expect((await atKlaviyo(reader, id)).sort()).toEqual([...before, a, b, c].sort());
      expect((await inMirror(reader, id)).sort()).toEqual([...before, a, b, c].sort());
      const removed = await call(reader, 'delete', `/lists/${id}/profiles`, { profileIds: `${a!}, ${b!}` });
      expect(removed.status).toBe(202);
      expect(removed.body.results).toEqual([
        { index: 0, status: 'removed', id: a },
        { index: 1, status: 'removed', id: b },
      ]);
      expect((await inMirror(reader, id)).sort()).toEqual([...before, c].sort());
      expect(await atKlaviyo(reader, id)).toHaveLength(3);
      const writes = (await reader.requests()).filter(({ method }) => method !== 'GET');
      expect(writes.map(({ operation }) => operation)).toEqual(['addProfilesToList', 'removeProfilesFromList']);
    });

    it('are judged one by one: a bad id does not refuse the others', async () => {
      const { reader, id } = await withList();
      const [a, b] = await people(reader, 2);
      const given = [a, 'no such id!', 12, null, { id: a }, '01NOSUCHPROFILE00000000000', b];
      const { status, body } = await call(reader, 'post', `/lists/${id}/profiles`, { profileIds: given });
      expect(status).toBe(202);
      const failed = (index: number) => ({ index, status: 'failed', code: 'VALIDATION_FAILED' });
      expect(body.results).toEqual([
        { index: 0, status: 'added', id: a },
        failed(1),
        failed(2),
        failed(3),
        failed(4),
        { index: 5, status: 'failed', id: '01NOSUCHPROFILE00000000000', code: 'PROFILE_NOT_FOUND' },
        { index: 6, status: 'added', id: b },
      ]);
      expect((await atKlaviyo(reader, id)).sort()).toEqual([a, b].sort());
      expect((await inMirror(reader, id)).sort()).toEqual([a, b].sort());
    });

    it('change nobody’s consent', async () => {
      const { reader, id } = await withList();
      const [a] = await people(reader, 1);
      const consent = async () =>
        (await reader.get('/subscribe', { profileId: a! })).body.profile.subscriptions as unknown;
      const before = await consent();
      await call(reader, 'post', `/lists/${id}/profiles`, { profileIds: [a] });
      await call(reader, 'delete', `/lists/${id}/profiles`, { profileIds: a });
      expect(await consent()).toEqual(before);
    });

    it('of an unknown list are not written at all', async () => {
      const { reader } = await withList();
      const [a] = await people(reader, 1);
      for (const [method, given] of [
        ['post', { profileIds: [a] }],
        ['delete', { profileIds: a }],
      ] as const) {
        const { status, body } = await call(reader, method, '/lists/Zz9Zz9/profiles', given);
        expect([status, body.code]).toEqual([404, 'LIST_NOT_FOUND']);
      }
      expect((await reader.requests()).filter(({ method }) => method !== 'GET')).toEqual([]);
    });

    it('fail as a call where Klaviyo fails, and the mirror does not pretend', async () => {
      const { reader, id } = await withList();
      const [a] = await people(reader, 1);
      const plan = { match: { operation: 'addProfilesToList' }, preset: '400', times: 'forever' as const };
      await stage.sandbox.fault(reader.account.id, plan);
      const { status, body } = await call(reader, 'post', `/lists/${id}/profiles`, { profileIds: [a] });
      expect([status, body.code]).toEqual([400, 'KLAVIYO_REJECTED']);
      expect(await inMirror(reader, id)).toEqual([]);
    });

    it('are 1 to 1,000 in a body and 1 to 100 in a query', async () => {
      const { reader, id } = await withList();
      const many = (count: number) => Array.from({ length: count }, (_, index) => `01P${String(index)}`);
      const bad = [
        call(reader, 'post', `/lists/${id}/profiles`, { profileIds: [] }),
        call(reader, 'post', `/lists/${id}/profiles`, { profileIds: many(1001) }),
        call(reader, 'post', `/lists/${id}/profiles`, { profileIds: 'x' }),
        call(reader, 'post', `/lists/${id}/profiles`, {}),
        call(reader, 'delete', `/lists/${id}/profiles`, { profileIds: many(101).join(',') }),
        call(reader, 'delete', `/lists/${id}/profiles`, {}),
      ];
      for (const { status, body } of await Promise.all(bad))
        expect([status, body.errors[0].field]).toEqual([400, 'profileIds']);
      const full = await call(reader, 'delete', `/lists/${id}/profiles`, { profileIds: many(100).join(',') });
      expect([full.status, full.body.results.length]).toEqual([202, 100]);
    });

    it('stay as noted while a pass that began before is still under way', async () => {
      const { reader, id } = await withList(3);
      const [leaver] = await atKlaviyo(reader, id);
      const joiner = (await people(reader, 20)).find((profile) => profile !== leaver)!;
      let done = false;
      await mirrored(stage, reader, 'memberships', 'full', {
        between: async (part, rows) => {
          if (done || part !== `list:${id}` || rows.length === 0) return;
          done = true;
          await call(reader, 'delete', `/lists/${id}/profiles`, { profileIds: leaver });
          await call(reader, 'post', `/lists/${id}/profiles`, { profileIds: [joiner] });
        },
      });
      expect(done).toBe(true);
      expect((await inMirror(reader, id)).sort()).toEqual((await atKlaviyo(reader, id)).sort());
    });
  });

  describe('what events tell of members', () => {
    const note = (reader: Reader, id: string, joined: boolean, at: string) =>
      stage.app.app
        .get(GroupsService)
        .noteMembers(reader.userId, reader.connectionId, [
          { kind: 'list', groupId: id, profileId: 'P1', joined, at: new Date(at) },
        ]);

    it.each([
      [
        'in order',
        [
          [true, '10:00'],
          [false, '11:00'],
          [true, '12:00'],
        ],
        true,
      ],
      [
        'in order',
        [
          [true, '10:00'],
          [false, '11:00'],
        ],
        false,
      ],
      [
        'the wrong way round',
        [
          [false, '11:00'],
          [true, '10:00'],
        ],
        false,
      ],
      [
        'twice',
        [
          [true, '10:00'],
          [true, '10:00'],
          [false, '11:00'],
          [false, '11:00'],
        ],
        false,
      ],
      [
        'late',
        [
          [true, '10:00'],
          [true, '12:00'],
          [false, '09:00'],
        ],
        true,
      ],
    ] as const)('counts by its own time, coming %s', async (_, changes, member) => {
      const { reader, id } = await withList();
      for (const [joined, time] of changes) await note(reader, id, joined, `2026-01-01T${time}:00Z`);
      expect(await inMirror(reader, id)).toEqual(member ? ['P1'] : []);
    });

    it('shows in the lists of a person, and leaves no row for a connection that is gone', async () => {
      const { reader, id } = await withList();
      const groups = stage.app.app.get(GroupsService);
      await note(reader, id, true, '2026-01-01T10:00:00Z');
      expect(await groups.listsOf(reader.userId, reader.connectionId, 'P1')).toEqual([{ id, name: 'VIP' }]);
      expect(await groups.exists(reader.userId, reader.connectionId, 'list', id)).toBe(true);
      await call(reader, 'delete', '/connect', {});
      await stage.sql('DELETE FROM membership WHERE user_id = $1', [reader.userId]);
      await note(reader, id, true, '2026-01-01T10:00:00Z');
      expect(await inMirror(reader, id)).toEqual([]);
      expect(await groups.exists(reader.userId, reader.connectionId, 'list', id)).toBe(false);
    });
  });
});
