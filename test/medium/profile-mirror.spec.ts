import { Client } from 'pg';
import type { Reader } from '../e2e/reads-stage';
import { Db } from '../../src/database/scope';
import { CallTally } from '../../src/klaviyo/call-tally';
import type { Pass } from '../../src/mirror/syncer';
import { ProfileMirrorRepository } from '../../src/profiles/profile-mirror.repository';
import { ConnectionService } from '../../src/connection/connection.service';
import { ProfileMirrorService } from '../../src/profiles/profile-mirror.service';
import { toMirrorRow } from '../../src/profiles/mirrored-row.klaviyo';
import { fetchedPage } from '../support/fetched-page';
import { openMirrorStage, type MirrorStage } from './event-mirror-stage';

const SECOND = 1000;

interface Stored {
  id: string;
  email: string | null;
  name: string | null;
  searchable: { t: string[]; a: Record<string, unknown> };
  attributes: Record<string, unknown>;
  changedAt: Date;
  syncedAt: Date;
  deletedAt: Date | null;
}

describe('the mirror of people', () => {
  let stage: MirrorStage;
  let repository: ProfileMirrorRepository;
  let user = 5000;
  const account = (more: object = {}) => stage.connect(++user, { profiles: 250, limits: 'huge', ...more });
  const stored = (reader: Reader) =>
    stage.sql<Stored>(
      `SELECT klaviyo_id AS id, email, name, searchable, document::json->'attributes' AS attributes,
         changed_at AS "changedAt", synced_at AS "syncedAt", deleted_at AS "deletedAt"
       FROM mirrored_profile
       WHERE user_id = $1 AND connection_id = $2 ORDER BY klaviyo_id`,
      [reader.userId, reader.connectionId],
    );
  const one = async (reader: Reader, id: string): Promise<Stored> => {
    const row = (await stored(reader)).find((item) => item.id === id);
    if (!row) throw new Error(`${id} is not stored`);
    return row;
  };
  const row = (id: string, attributes: Record<string, unknown> = {}) => toMirrorRow({ id, attributes });
  const upsert = (reader: Reader, ...rows: ReturnType<typeof row>[]) =>
    repository.upsert(reader.userId, reader.connectionId, rows);
  const call = () => ({ deadline: Date.now() + 30_000, tally: new CallTally() });

  beforeAll(async () => {
    stage = await openMirrorStage();
    repository = stage.app.app.get(ProfileMirrorRepository);
  });

  afterAll(async () => {
    await stage.stop();
  });

  it('equals Klaviyo row for row after a full pass, read in the largest pages with consent', async () => {
    const reader = await account();
    expect(await stage.pass(reader, 'profiles')).toMatchObject({ rows: 250, changed: 250, pages: 3, swept: 0 });
    expect(await stage.compare(reader, ['profiles'])).toEqual([]);
    const [first] = await reader.requests('getProfiles');
    const query = new URLSearchParams(first!.query);
    expect(Object.fromEntries(query)).toEqual({
      'additional-fields[profile]': 'subscriptions',
      'page[size]': '100',
      sort: 'created',
    });
    const [someone] = await stored(reader);
    expect(someone!.attributes).toHaveProperty('subscriptions');
  });

  it('writes neither row nor document anew when the same is seen again, and says when it was seen', async () => {
    const reader = await account({ profiles: 30 });
    await stage.pass(reader, 'profiles');
    const before = await stored(reader);
    expect(await stage.pass(reader, 'profiles')).toMatchObject({ rows: 30, changed: 0, swept: 0 });
    const after = await stored(reader);
    expect(after.map(({ changedAt }) => changedAt)).toEqual(before.map(({ changedAt }) => changedAt));
    expect(after.every(({ syncedAt }, index) => syncedAt > before[index]!.syncedAt)).toBe(true);
  });

  it('reads only what changed incrementally, by the minute before the last pass', async () => {
    const reader = await account();
    await stage.pass(reader, 'profiles');
    await reader.seed('profiles', { email: 'new@example.com', first_name: 'New' });
    await reader.quiet();
    const passed = await stage.pass(reader, 'profiles', 'incremental');
    expect(passed).toMatchObject({ rows: 1, changed: 1, pages: 1 });
    expect(await stage.compare(reader, ['profiles'])).toEqual([]);
    const query = new URLSearchParams((await reader.requests('getProfiles'))[0]!.query);
    expect(query.get('sort')).toBe('updated');
    expect(query.get('filter')).toMatch(/^greater-than\(updated,[^)]+\)$/);
  });

  it('marks who vanished with the time, and forgets that when they are seen again', async () => {
    const reader = await account({ profiles: 12 });
    await stage.pass(reader, 'profiles');
    const [first, second, third] = await stored(reader);
    for (const { id } of [first!, second!, third!])
      await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/profiles/${id}`);
    expect(await stage.pass(reader, 'profiles')).toMatchObject({ rows: 9, changed: 0, swept: 3 });
    expect((await one(reader, first!.id)).deletedAt).toBeInstanceOf(Date);
    expect(await stage.compare(reader, ['profiles'])).toEqual([]);
    expect(await upsert(reader, row(first!.id, first!.attributes))).toBe(1);
    expect((await one(reader, first!.id)).deletedAt).toBeNull();
  });

  it('counts live and unseen rows, and sweeps in chunks until none is left', async () => {
    const reader = await account({ profiles: 0 });
    await upsert(reader, ...Array.from({ length: 25 }, (_, index) => row(`P${String(index).padStart(2, '0')}`)));
    const pass: Pass = await stage.begin(reader, 'profiles', 'full');
    await upsert(reader, row('P03'), row('P20'));
    const syncer = stage.syncer('profiles');
    expect(await syncer.unseen(pass)).toEqual({ live: 25, unseen: 23 });
    const chunks = [];
    do chunks.push(await syncer.sweep(pass, 10));
    while (chunks.at(-1) !== 0);
    expect(chunks).toEqual([10, 10, 3, 0]);
    expect((await stored(reader)).filter(({ deletedAt }) => deletedAt === null).map(({ id }) => id)).toEqual([
      'P03',
      'P20',
    ]);
  });

  it('gives the windows of an axis a second more on either side', async () => {
    const reader = await account({ profiles: 100 });
    const syncer = stage.syncer('profiles');
    const pass = await stage.begin(reader, 'profiles', 'full');
    const all = await fetchedPage(
      syncer,
      pass,
      { part: 'created', span: { from: null, to: null }, cursor: null },
      call(),
    );
    const rows = all.rows as { id: string; createdAt: string }[];
    const [from, to] = [Date.parse(rows[10]!.createdAt), Date.parse(rows[20]!.createdAt)];
    const window = await fetchedPage(syncer, pass, { part: 'created', span: { from, to }, cursor: null }, call());
    const ids = (window.rows as { id: string }[]).map(({ id }) => id);
    expect(ids).toEqual(rows.slice(10, 21).map(({ id }) => id));
    expect(window.last).toBe(to);
    const [part] = await syncer.parts(pass);
    expect(await syncer.newest!(pass, part!, call())).toBe(Date.parse(rows.at(-1)!.createdAt));
  });

  it('looks for the newest in an empty account and finds nothing', async () => {
    const reader = await account({ profiles: 0 });
    const pass = await stage.begin(reader, 'profiles', 'full');
    const [part] = await stage.syncer('profiles').parts(pass);
    expect(await stage.syncer('profiles').newest!(pass, part!, call())).toBeNull();
    expect(await stage.pass(reader, 'profiles')).toMatchObject({ rows: 0, pages: 1 });
  });

  describe('a row that comes again', () => {
    const at = (second: number) => new Date(Date.UTC(2026, 0, 1) + second * SECOND).toISOString();

    it('does not replace a newer version by an older one, but counts as seen', async () => {
      const reader = await account({ profiles: 0 });
      await upsert(reader, row('P1', { email: 'New@Example.com', first_name: 'New', updated: at(10) }));
      const before = await one(reader, 'P1');
      expect(await upsert(reader, row('P1', { email: 'old@example.com', first_name: 'Old', updated: at(9) }))).toBe(0);
      const after = await one(reader, 'P1');
      expect(after).toMatchObject({ email: 'new@example.com', name: 'NEW', attributes: { first_name: 'New' } });
      expect(after.syncedAt > before.syncedAt).toBe(true);
    });

    it('takes another document of the same second, for consent changes without moving the time', async () => {
      const reader = await account({ profiles: 0 });
      await upsert(reader, row('P1', { title: 'one', updated: at(1) }));
      expect(await upsert(reader, row('P1', { title: 'two', updated: at(1) }))).toBe(1);
      expect(await one(reader, 'P1')).toMatchObject({ attributes: { title: 'two' } });
    });

    it('keeps the newest of several versions that come at once, in whatever order', async () => {
      const reader = await account({ profiles: 0 });
      const versions = [2, 3, 1].map((second) => row('P1', { title: String(second), updated: at(second) }));
      expect(await upsert(reader, ...versions)).toBe(1);
      expect(await one(reader, 'P1')).toMatchObject({ attributes: { title: '3' } });
    });

    it('keeps document and row of one version within one transaction that writes both', async () => {
      const reader = await account({ profiles: 0 });
      const { userId, connectionId } = reader;
      await upsert(reader, row('P1', { title: 'first', updated: at(5) }));
      const newer = row('P1', { title: 'newer', updated: at(7) });
      const older = row('P1', { title: 'older', updated: at(6) });
      await stage.app.app.get(Db).inTransaction(userId, async () => {
        await repository.upsert(userId, connectionId, [newer]);
        await repository.upsert(userId, connectionId, [older]);
      });
      expect(await one(reader, 'P1')).toMatchObject({ attributes: { title: 'newer' } });
    });

    it('comes to life in the version that is kept when an older one of somebody gone is seen', async () => {
      const reader = await account({ profiles: 0 });
      const { userId, connectionId } = reader;
      await upsert(reader, row('P1', { title: 'newer', updated: at(7) }));
      expect(await repository.markGone(userId, connectionId, ['P1', 'P2'])).toEqual(['P1']);
      expect(await repository.markGone(userId, connectionId, ['P1'])).toEqual([]);
      expect(await upsert(reader, row('P1', { title: 'older', updated: at(6) }))).toBe(1);
      expect(await one(reader, 'P1')).toMatchObject({ deletedAt: null, attributes: { title: 'newer' } });
    });
  });

  it('takes any text: U+0000, halves of characters, separators, quotes, unicode', async () => {
    const reader = await account({ profiles: 0 });
    const odd = 'a\u0000b \ud800 c \x1e d "e" \\ \\u0000 {f,g} \'h\' 🙂 é';
    const kept = 'a\ufffdb \ufffd c \x1e d "e" \\ \\u0000 {f,g} \'h\' 🙂 é';
    const attributes = {
      email: odd,
      first_name: odd,
      external_id: odd,
      properties: { [odd]: odd, tags: [odd, 'plain'], deep: { [odd]: [odd] }, list: [odd, 7, { x: 1 }] },
    };
    await upsert(reader, row('P1', attributes), row('P2', { first_name: 'Plain' }));
    const found = await one(reader, 'P1');
    expect(found.attributes).toEqual({
      email: kept,
      first_name: kept,
      external_id: kept,
      properties: { [kept]: kept, tags: [kept, 'plain'], deep: { [kept]: [kept] }, list: [kept, 7, { x: 1 }] },
    });
    expect(found.searchable).toEqual({ t: [kept, 'plain'], a: { [kept]: kept, list: [kept, 7] } });
    expect(await one(reader, 'P2')).toMatchObject({ name: 'PLAIN' });
  });

  it('keeps each text in its own column, whatever control characters stand in it', async () => {
    const reader = await account({ profiles: 0 });
    const separators = 'a\x1eb\x1fc\0d';
    await upsert(
      reader,
      row('P1', { email: separators, first_name: separators, properties: { note: separators } }),
      row('P2', { email: '\x1f', first_name: '', external_id: '' }),
      row('P3'),
    );
    expect(await stored(reader)).toMatchObject([
      { id: 'P1', email: 'a\ufffdb\ufffdc\ufffdd', attributes: { properties: { note: 'a\x1eb\x1fc\ufffdd' } } },
      { id: 'P2', email: '\ufffd', name: null },
      { id: 'P3', email: null, name: null },
    ]);
  });

  it('survives attributes of other types than documented, and fields that nobody knows', async () => {
    const reader = await account({ profiles: 0 });
    const attributes = {
      email: 7,
      phone_number: {},
      external_id: null,
      first_name: [],
      created: 'yesterday',
      updated: '+012345-01-01T00:00:00Z',
      properties: [1],
      brand_new: { kept: true },
    };
    await upsert(reader, row('P1', attributes));
    expect(await one(reader, 'P1')).toMatchObject({ email: null, name: null, attributes });
  });

  it('writes more than a statement holds', async () => {
    const reader = await account({ profiles: 0 });
    const heavy = 'x'.repeat(90_000);
    const rows = Array.from({ length: 2500 }, (_, index) =>
      row(`P${String(index).padStart(4, '0')}`, { note: index < 200 ? heavy : index }),
    );
    expect(await upsert(reader, ...rows)).toBe(2500);
    expect(await stored(reader)).toHaveLength(2500);
  });

  it('writes nothing of its own for a connection that is gone', async () => {
    const reader = await account({ profiles: 0 });
    await stage.pass(reader, 'profiles');
    await repository.keep(reader.userId, reader.connectionId, [row('P1')]);
    await stage.sql('DELETE FROM connection WHERE user_id = $1', [reader.userId]);
    await repository.keep(reader.userId, reader.connectionId, [row('P2')]);
    expect((await stored(reader)).map(({ id }) => id)).toEqual(['P1']);
  });

  it('erases rows in chunks, of the named connections of the user alone', async () => {
    const [gone, other] = [await account({ profiles: 0 }), await account({ profiles: 0 })];
    for (const reader of [gone, other]) await upsert(reader, row('P1'), row('P2'), row('P3'));
    const syncer = stage.syncer('profiles');
    const erase = () => syncer.erase(gone.userId, [gone.connectionId, other.connectionId], 2);
    expect([await erase(), await erase(), await erase()]).toEqual([2, 1, 0]);
    expect(await stored(gone)).toEqual([]);
    expect(await stored(other)).toHaveLength(3);
  });

  it('are read in the order of their updates along its index, of however many there are', async () => {
    const reader = await account({ profiles: 0 });
    await stage.pass(reader, 'profiles');
    await stage.sql(
      `INSERT INTO mirrored_profile (user_id, connection_id, klaviyo_id, searchable, document, fingerprint, updated_at,
         changed_at, synced_at)
       SELECT $1, $2, 'P' || n, '{"t": [], "a": {}}', '{"attributes": {"note": "' || repeat('x', 1000) || '"}}', n,
         now() - n * interval '1 second', now(), now() FROM generate_series(1, 20000) AS n`,
      [reader.userId, reader.connectionId],
    );
    await stage.sql('ANALYZE mirrored_profile');
    const asked = jest.spyOn(Client.prototype, 'query');
    try {
      const { status, body } = await reader.get('/profiles', { source: 'mirror', sort: '-updatedAt', limit: 50 });
      expect([status, body.profiles?.[0]?.id, body.profiles?.length]).toEqual([200, 'P1', 50]);
      const said: readonly unknown[][] = asked.mock.calls;
      const [sql, params] = said.find(([text]) => typeof text === 'string' && text.includes('mirrored_profile')) ?? [];
      const planned = await stage.sql<Record<string, string>>(`EXPLAIN ${String(sql)}`, params as unknown[]);
      const plan = planned.map((line) => line['QUERY PLAN']).join('\n');
      expect(plan).toContain('mirrored_profile_updated');
      expect(plan).not.toMatch(/Seq Scan on mirrored_profile|Sort/);
    } finally {
      asked.mockRestore();
    }
  });

  describe('people who are read again by their ids', () => {
    const refresh = async (reader: Reader, ids: string[]) => {
      const access = await stage.app.app.get(ConnectionService).accessFor(reader, reader.connectionId);
      return stage.app.app.get(ProfileMirrorService).refresh(access, ids);
    };

    it('come a hundred a call with consent, each once; who is unknown at Klaviyo is gone here', async () => {
      const reader = await account({ profiles: 250 });
      await stage.pass(reader, 'profiles');
      const ids = (await stored(reader)).map(({ id }) => id);
      const changed = { properties: { seen: 'again' }, updated: new Date().toISOString() };
      await stage.sandbox.control('PATCH', `/accounts/${reader.account.id}/profiles/${ids[0]!}`, changed);
      await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/profiles/${ids[1]!}`);
      await reader.quiet();
      expect(await refresh(reader, [...ids, ...ids, 'NOBODY'])).toEqual([ids[1], 'NOBODY']);
      const asked = await reader.requests('getProfiles');
      expect(asked).toHaveLength(3);
      expect(new URLSearchParams(asked[0]!.query).get('additional-fields[profile]')).toBe('subscriptions');
      expect(await one(reader, ids[0]!)).toMatchObject({ searchable: { a: { seen: 'again' } } });
      expect(await stage.compare(reader, ['profiles'])).toEqual([]);
    });

    it('are not kept where people were never mirrored', async () => {
      const reader = await account({ profiles: 3 });
      const { profiles } = await stage.sandbox.control<{ profiles: { id: string }[] }>(
        'GET',
        `/accounts/${reader.account.id}/profiles`,
      );
      expect(
        await refresh(
          reader,
          profiles.map(({ id }) => id),
        ),
      ).toEqual([]);
      expect(await stored(reader)).toEqual([]);
    });

    it('are the destination and the source of a merge alike', async () => {
      const reader = await account({ profiles: 0 });
      const seeded = (email: string) => reader.seed('profiles', { email }) as Promise<{ id: string }>;
      const [from, into] = [await seeded('from@example.com'), await seeded('into@example.com')];
      await stage.pass(reader, 'profiles');
      await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/profiles/${from.id}`);
      const patch = { title: 'of both', updated: new Date().toISOString() };
      await stage.sandbox.control('PATCH', `/accounts/${reader.account.id}/profiles/${into.id}`, patch);
      await refresh(reader, [from.id, into.id]);
      expect((await one(reader, from.id)).deletedAt).toBeInstanceOf(Date);
      expect(await one(reader, into.id)).toMatchObject({ deletedAt: null, attributes: { title: 'of both' } });
    });
  });

  it('counts the tags of those who are there when a pass ends', async () => {
    const reader = await account({ profiles: 0 });
    const tagged = (id: string, ...tags: string[]) => row(id, { properties: { tags } });
    const counts = () =>
      stage.sql('SELECT tag, profiles FROM profile_tag WHERE user_id = $1 ORDER BY tag', [reader.userId]);
    const pass = await stage.begin(reader, 'profiles', 'full');
    await upsert(reader, tagged('P1', 'vip', 'été'), tagged('P2', 'vip'), tagged('P3', 'old'), row('P4'));
    await stage.syncer('profiles').finished!(pass);
    expect(await counts()).toEqual([
      { tag: 'old', profiles: 1 },
      { tag: 'vip', profiles: 2 },
      { tag: 'été', profiles: 1 },
    ]);
    await repository.markGone(reader.userId, reader.connectionId, ['P1', 'P3']);
    await stage.syncer('profiles').finished!(pass);
    expect(await counts()).toEqual([{ tag: 'vip', profiles: 1 }]);
  });
});
