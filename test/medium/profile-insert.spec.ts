import { Client } from 'pg';
import type { Reader } from '../e2e/reads-stage';
import { toMirrorRow } from '../../src/profiles/mirrored-row.klaviyo';
import { ProfileMirrorRepository } from '../../src/profiles/profile-mirror.repository';
import { until } from '../support/until';
import { openMirrorStage, type MirrorStage } from './event-mirror-stage';

type Row = Record<string, unknown>;

/** What a first pass writes, which is copied where it is new. */
describe('people of a first pass', () => {
  let stage: MirrorStage;
  let repository: ProfileMirrorRepository;
  let user = 5500;
  const account = () => stage.connect(++user, { profiles: 0, limits: 'huge' });
  const row = (id: string, attributes: Row = {}) => toMirrorRow({ id, attributes });
  const at = (second: number) => new Date(Date.UTC(2026, 0, 1, 0, 0, second)).toISOString();
  const insert = ({ userId, connectionId }: Reader, ...rows: ReturnType<typeof row>[]) =>
    repository.insert(userId, connectionId, rows);
  const upsert = ({ userId, connectionId }: Reader, ...rows: ReturnType<typeof row>[]) =>
    repository.upsert(userId, connectionId, rows);
  const stored = ({ userId, connectionId }: Reader) =>
    stage.sql<Row>(
      `SELECT klaviyo_id, email, phone, external_id, name, searchable, created_at::text, updated_at::text, document,
         deleted_at, changed_at > now() - interval '1 minute' AS changed, synced_at > now() - interval '1 minute' AS synced
       FROM mirrored_profile WHERE user_id = $1 AND connection_id = $2 ORDER BY klaviyo_id`,
      [userId, connectionId],
    );
  const titles = async (reader: Reader) =>
    (await stored(reader)).map(
      ({ document }) => (JSON.parse(String(document)) as { attributes: { title: string } }).attributes.title,
    );

  beforeAll(async () => {
    stage = await openMirrorStage();
    repository = stage.app.app.get(ProfileMirrorRepository);
  });

  afterAll(async () => {
    await stage.stop();
  });

  it('is the same as what any other pass writes, whatever stands in it', async () => {
    const odd = 'a\u0000b \ud800 \x1e \x1f \t\n\r\\N \\ "e" {f,g} 🙂 é';
    const rows = [
      row('P1', {
        email: odd,
        phone_number: '+33123456789',
        external_id: odd,
        first_name: odd,
        properties: { [odd]: odd, tags: [odd], number: 1.5, yes: true, list: [odd, 7] },
        created: '1969-07-20T20:17:40.123+00:00',
        updated: '2026-01-01T00:00:00.007Z',
      }),
      row('P2', { created: '0001-01-01T00:00:00Z', updated: '9999-12-31T23:59:59.999Z', first_name: 'x'.repeat(9000) }),
      row('P3', { email: '', first_name: '', external_id: '', created: null }),
      row('é 🙂', { brand_new: { kept: [null] } }),
    ];
    const [copied, written] = [await account(), await account()];
    expect(await insert(copied, ...rows)).toBe(4);
    expect(await upsert(written, ...rows)).toBe(4);
    const both = [await stored(copied), await stored(written)];
    expect(both[0]).toHaveLength(4);
    expect(both[0]).toEqual(both[1]);
  });

  it('counts as new once, and as changed where it is another later', async () => {
    const reader = await account();
    await insert(reader, row('P1', { title: 'one', updated: at(1) }), row('P2', { title: 'two', updated: at(1) }));
    expect(await upsert(reader, row('P1', { title: 'one', updated: at(1) }))).toBe(0);
    expect(await upsert(reader, row('P2', { title: 'three', updated: at(1) }))).toBe(1);
    expect(await titles(reader)).toEqual(['one', 'three']);
    expect(await upsert(reader, row('P2', { title: 'three', updated: at(1) }))).toBe(0);
  });

  it('replaces what is there already by what is newer alone', async () => {
    const reader = await account();
    await upsert(reader, row('P1', { title: 'old', updated: at(1) }), row('P2', { title: 'new', updated: at(5) }));
    const seen = [
      ...['P1', 'P2', 'P3'].map((id) => row(id, { title: 'seen', updated: at(3) })),
      row('P3', { title: 'seen later', updated: at(4) }),
    ];
    expect(await insert(reader, ...seen)).toBe(2);
    expect(await titles(reader)).toEqual(['seen', 'new', 'seen later']);
  });

  it('is found anew where somebody else stores one of it meanwhile', async () => {
    const reader = await account();
    const other = new Client({ connectionString: stage.app.database.url });
    await other.connect();
    try {
      await other.query('BEGIN');
      await other.query(
        `INSERT INTO mirrored_profile (user_id, connection_id, klaviyo_id, searchable, document, updated_at)
         VALUES ($1, $2, 'P2', '{"t": [], "a": {}}', '{"attributes": {"title": "other"}}', $3)`,
        [reader.userId, reader.connectionId, at(2)],
      );
      const inserting = insert(reader, ...['P1', 'P2', 'P3'].map((id) => row(id, { title: 'seen', updated: at(1) })));
      const waiting = `SELECT 1 FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE 'COPY mirrored_profile%'`;
      await until('the other is waited for', async () => (await stage.sql(waiting)).length === 1, 10_000);
      await other.query('COMMIT');
      expect(await inserting).toBe(2);
      expect(await titles(reader)).toEqual(['seen', 'other', 'seen']);
    } finally {
      await other.end();
    }
  });

  it('is refused whole, without a word of it, and the next is taken', async () => {
    const reader = await account();
    const tooLong = `${Array.from({ length: 9000 }, (_, index) => (index * 7919) % 9973).join('.')}@example.com`;
    const failing = insert(reader, row('P1'), row('P2', { email: tooLong }), row('P3'));
    await expect(failing).rejects.toMatchObject({ sqlState: '54000', down: false });
    await failing.catch((error: unknown) => expect(JSON.stringify(error)).not.toContain('example.com'));
    expect(await stored(reader)).toEqual([]);
    expect(await insert(reader, row('P1'), row('P3'))).toBe(2);
  });

  it('is written in parts where it is more than a statement holds', async () => {
    const reader = await account();
    const heavy = 'x'.repeat(90_000);
    const rows = Array.from({ length: 2500 }, (_, index) => row(`P${index}`, { note: index < 200 ? heavy : index }));
    expect(await insert(reader, ...rows)).toBe(2500);
    expect(await stored(reader)).toHaveLength(2500);
  });
});
