import { Db, query } from '../../src/database/scope';
import { MembershipsRepository, type MemberRow } from '../../src/groups/memberships.repository';
import { allMirrored, mirrored } from '../e2e/groups-mirror-stage';
import { openStage, until, type Reader, type ReadsStage, type Row } from '../e2e/reads-stage';

describe('the mirror of lists, segments and memberships', () => {
  let stage: ReadsStage;
  let user = 0;

  beforeAll(async () => {
    stage = await openStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  const control = <T = Record<string, unknown>>(reader: Reader, method: string, path: string, body?: unknown) =>
    stage.sandbox.control<T>(method, `/accounts/${reader.account.id}${path}`, body);
  const groups = (reader: Reader, kind: string) =>
    stage.sql<{ id: string; name: string; gone: boolean }>(
      `SELECT klaviyo_id AS id, name, deleted_at IS NOT NULL AS gone FROM mirrored_group
       WHERE user_id = $1 AND kind = $2 ORDER BY created_at, klaviyo_id`,
      [reader.userId, kind],
    );
  const members = async (reader: Reader) =>
    (
      await stage.sql<{ pair: string }>(
        `SELECT group_id || ':' || profile_id AS pair FROM membership WHERE user_id = $1 AND left_at IS NULL`,
        [reader.userId],
      )
    )
      .map(({ pair }) => pair)
      .sort();
  const counts = async (reader: Reader) =>
    Object.fromEntries(
      (
        await stage.sql<{ id: string; count: number }>(
          'SELECT klaviyo_id AS id, member_count AS count FROM member_count WHERE user_id = $1',
          [reader.userId],
        )
      ).map(({ id, count }) => [id, count]),
    );
  /** Who is where at Klaviyo. */
  const klaviyoMembers = async (reader: Reader, kind: 'lists' | 'segments', ids: readonly string[]) => {
    const pairs: string[] = [];
    for (const id of ids) {
      const { members: rows } = await control<{ members: string[] }>(reader, 'GET', `/${kind}/${id}/members`);
      pairs.push(...rows.map((profile) => `${id}:${profile}`));
    }
    return pairs;
  };

  /** What work in one transaction reads and writes of memberships; counters of its connection run on from before. */
  const costOf = (userId: number, work: () => Promise<void>) =>
    stage.app.app.get(Db).inTransaction(userId, async (manager) => {
      const look = async () =>
        (
          await query<{ read: number; updated: number; hot: number }>(
            manager,
            `SELECT (seq_tup_read + idx_tup_fetch)::int AS read, n_tup_upd::int AS updated, n_tup_hot_upd::int AS hot
             FROM pg_stat_xact_user_tables WHERE relname = 'membership'`,
          )
        )[0]!;
      const before = await look();
      await work();
      const after = await look();
      return {
        read: after.read - before.read,
        updated: after.updated - before.updated,
        hot: after.hot - before.hot,
      };
    });

  /**
   * Waits until versions of rows that were replaced before make room for new ones. A transaction of any database of the
   * server that began earlier holds them: it makes the snapshots of all others as old as itself.
   */
  const nobodySeesOlder = async () => {
    const [mark] = await stage.sql<{ now: string }>('SELECT pg_current_xact_id()::text AS now');
    await until(
      () =>
        stage.sql(
          `SELECT pid, datname, state FROM pg_stat_activity
           WHERE pid <> pg_backend_pid() AND greatest(age(backend_xid), age(backend_xmin)) > age($1::xid8::xid)`,
          [mark!.now],
        ),
      (older) => older.length === 0,
    );
  };

  it('holds every list, segment and member, the large list too, and counts them', async () => {
    const lists = Array.from({ length: 34 }, (_, index) => ({ name: `List ${String(index)}`, members: index % 5 }));
    const reader = await stage.connect(++user, {
      profiles: 3100,
      lists: [...lists, { name: 'Everybody', members: 3000 }],
      segments: [{ name: 'Some', members: 250 }],
    });
    await allMirrored(stage, reader);
    const [known, segments] = [await groups(reader, 'list'), await groups(reader, 'segment')];
    expect([known.length, segments.length]).toEqual([35, 1]);
    const there = [
      ...(await klaviyoMembers(
        reader,
        'lists',
        known.map(({ id }) => id),
      )),
      ...(await klaviyoMembers(
        reader,
        'segments',
        segments.map(({ id }) => id),
      )),
    ].sort();
    expect(there.length).toBe(34 * 2 - 2 + 3000 + 250);
    expect(await members(reader)).toEqual(there);
    const counted = await counts(reader);
    for (const { id, name } of known) expect(counted[id]).toBe(name === 'Everybody' ? 3000 : Number(name.slice(5)) % 5);
    const asked = await reader.requests('getList');
    expect(asked).toEqual([]);
  });

  it('marks who left and what was deleted in a full pass, and takes back who came again', async () => {
    const reader = await stage.connect(++user, {
      profiles: 30,
      lists: [
        { name: 'A', members: 10 },
        { name: 'B', members: 5 },
      ],
    });
    await allMirrored(stage, reader);
    const [a, b] = await groups(reader, 'list');
    const [leaver] = await klaviyoMembers(reader, 'lists', [a!.id]);
    const profile = leaver!.split(':')[1]!;
    await control(reader, 'DELETE', `/lists/${a!.id}/members/${profile}`);
    await control(reader, 'DELETE', `/lists/${b!.id}`);
    expect((await allMirrored(stage, reader, 'incremental')).swept).toBe(0);
    expect(await groups(reader, 'list')).toEqual([a, { ...b, gone: true }]);
    expect((await members(reader)).length).toBe(10);
    expect((await allMirrored(stage, reader)).swept).toBe(1);
    expect(await members(reader)).toEqual((await klaviyoMembers(reader, 'lists', [a!.id])).sort());
    expect(await counts(reader)).toMatchObject({ [a!.id]: 9 });
    await control(reader, 'POST', `/lists/${a!.id}/members`, [profile]);
    expect((await allMirrored(stage, reader, 'incremental')).written).toBe(1);
    expect((await members(reader)).length).toBe(10);
  });

  it('reads only who joined since in an incremental pass, but a list that is new to us whole', async () => {
    const reader = await stage.connect(++user, { profiles: 400, lists: [{ name: 'A', members: 350 }] });
    await allMirrored(stage, reader);
    const made = await control<{ ids?: string[] }>(reader, 'POST', '/lists', { name: 'New' });
    const { body } = await reader.get('/get-lists', { source: 'live' });
    const fresh = (body.lists as Row[]).find(({ name }) => name === 'New')!;
    expect(made).toBeDefined();
    const [old] = await groups(reader, 'list');
    const [someone] = await klaviyoMembers(reader, 'lists', [old!.id]);
    const joinedAt = '2020-01-01T00:00:00Z';
    await control(reader, 'POST', `/lists/${fresh.id}/members`, [{ id: someone!.split(':')[1], joinedAt }]);
    await reader.quiet();
    await allMirrored(stage, reader, 'incremental');
    expect(await reader.requests('getProfilesForList')).toHaveLength(2);
    expect(await members(reader)).toContain(`${fresh.id}:${someone!.split(':')[1]!}`);
    expect(await counts(reader)).toMatchObject({ [fresh.id]: 1 });
  });

  it('ends a group that goes in the middle of the pass, and no other', async () => {
    const reader = await stage.connect(++user, {
      profiles: 50,
      lists: [
        { name: 'A', members: 5 },
        { name: 'B', members: 5 },
      ],
    });
    await mirrored(stage, reader, 'lists');
    await mirrored(stage, reader, 'segments');
    const [a, b] = await groups(reader, 'list');
    await control(reader, 'DELETE', `/lists/${a!.id}`);
    const result = await mirrored(stage, reader, 'memberships');
    expect(result.gone).toEqual([`list:${a!.id}`]);
    expect(await members(reader)).toEqual((await klaviyoMembers(reader, 'lists', [b!.id])).sort());
  });

  it('writes the same rows again without changing a thing or touching an index', async () => {
    const reader = await stage.connect(++user, { profiles: 300, lists: [{ name: 'A', members: 280 }] });
    await allMirrored(stage, reader);
    expect((await allMirrored(stage, reader)).written).toBe(0);
    const rows = await stage.sql<MemberRow>(
      `SELECT kind, group_id AS "groupId", profile_id AS "profileId",
         to_char(joined_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS "joinedAt"
       FROM membership WHERE user_id = $1`,
      [reader.userId],
    );
    const memberships = stage.app.app.get(MembershipsRepository);
    await nobodySeesOlder();
    const cost = await costOf(reader.userId, async () => {
      expect(await memberships.upsert(reader.userId, reader.connectionId, new Date(), rows)).toBe(0);
    });
    expect(cost).toMatchObject({ updated: 280, hot: 280 });
  });

  it('keeps what no text of PostgreSQL holds out, and unknown attributes in', async () => {
    const reader = await stage.connect(++user, { lists: 0, profiles: 1 });
    await control(reader, 'POST', '/lists', { name: 'zero \u0000 and \ud800 half' });
    await mirrored(stage, reader, 'lists');
    const [row] = await stage.sql<{ name: string; document: Record<string, unknown> }>(
      'SELECT name, document FROM mirrored_group WHERE user_id = $1',
      [reader.userId],
    );
    expect(row!.name).toContain('zero \ufffd and');
    expect(row!.document).toMatchObject({
      name: expect.stringContaining('zero \ufffd and'),
      created: expect.any(String),
    });
  });

  it('looks members up by their key, though the planner knows nothing of a table that grows', async () => {
    const reader = await stage.connect(++user, { profiles: 1 });
    await stage.sql('TRUNCATE membership');
    await stage.sql('ALTER TABLE membership SET (autovacuum_enabled = false)');
    const memberships = stage.app.app.get(MembershipsRepository);
    const now = new Date();
    const cost = await costOf(reader.userId, async () => {
      for (let chunk = 0; chunk < 20; chunk++) {
        const rows = Array.from({ length: 500 }, (_, index) => ({
          kind: 'list' as const,
          groupId: 'L',
          profileId: `P${String((chunk * 500 + index) * 7919)}`,
          joinedAt: now.toISOString(),
        }));
        expect(await memberships.upsert(reader.userId, reader.connectionId, now, rows)).toBe(500);
      }
    });
    expect(cost.read).toBeLessThan(20_000);
  });
});
