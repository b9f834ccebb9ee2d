import { createHash } from 'node:crypto';
import { passOver } from './campaigns-mirror-stage';
import { openStage, until, type Query, type Reader, type ReadsStage, type Row } from './reads-stage';

const DAY = 86_400_000;
const ago = (days: number) => new Date(Date.now() - days * DAY).toISOString();

interface Kept extends Record<string, unknown> {
  klaviyo_id: string;
  document: { attributes: Record<string, unknown>; relationships?: Record<string, unknown> };
  messages: { id: string; attributes: Record<string, unknown> }[];
  deleted_at: Date | null;
}

describe('the mirror of campaigns', () => {
  let stage: ReadsStage;
  let user = 0;

  beforeAll(async () => {
    stage = await openStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  const kept = (reader: Reader) =>
    stage.sql<Kept>('SELECT * FROM mirrored_campaign WHERE user_id = $1 ORDER BY name', [reader.userId]);
  const change = (reader: Reader, id: string, to: object) =>
    stage.sandbox.control('PATCH', `/accounts/${reader.account.id}/campaigns/${id}`, to);
  const remove = (reader: Reader, id: string) =>
    stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/campaigns/${id}`);
  const seed = async (reader: Reader, rows: object[]) => (await reader.seed('campaigns', rows)) as { id: string }[];
  const read = async (reader: Reader, query: Query = {}) => {
    const { status, text, body } = await reader.get('/get-campaigns', { source: 'mirror', ...query });
    if (status !== 200) throw new Error(text);
    return body as { campaigns: Row[]; pagination: object; source: string; syncedAt: string; stale: boolean };
  };

  describe('holds what Klaviyo holds', () => {
    it('of every channel, archived or not, with messages, attribute by attribute', async () => {
      const reader = await stage.connect(++user, { campaigns: 330 });
      await seed(reader, [
        { name: 'silent', messages: [] },
        { name: 'odd', status: 'Awaiting Approval' },
      ]);
      const passed = await passOver(stage, reader);
      expect(passed.parts.sort()).toEqual([
        'email:false',
        'email:true',
        'push:false',
        'push:true',
        'sms:false',
        'sms:true',
      ]);
      const rows = await kept(reader);
      const there = await stage.sandbox.control<{ campaigns: { count: number; digest: string } }>(
        'GET',
        `/accounts/${reader.account.id}/digest?resource=campaigns`,
      );
      expect({ count: rows.length, digest: digestOf(rows) }).toEqual(there.campaigns);
      expect(new Set(rows.map(({ channel }) => channel))).toEqual(new Set(['email', 'sms', 'push']));
      expect(rows.find(({ name }) => name === 'silent')!.messages).toEqual([]);
      expect(rows.find(({ name }) => name === 'odd')).toMatchObject({
        status: 'unknown',
        klaviyo_status: 'Awaiting Approval',
      });
      const told = rows.find(({ messages }) => messages.length > 0)!;
      expect(told['message_ids']).toEqual(told.messages.map(({ id }) => id));
      expect(told.messages[0]!.attributes).toHaveProperty('definition.channel');
      expect(JSON.stringify(told.document)).not.toContain('"links"');
      expect(told.document.relationships).toHaveProperty('campaign-messages');
    });

    it('and answers the same from here as from there', async () => {
      const reader = await stage.connect(++user, { campaigns: 120 });
      await passOver(stage, reader);
      for (const query of [
        { channel: 'all' },
        {},
        { channel: 'sms', status: 'sent,draft' },
        { channel: 'all', archived: true },
        { channel: 'all', archived: false, from: ago(200), to: ago(20) },
        { status: 'unknown' },
      ]) {
        const live = (await reader.get('/get-campaigns', { ...query, source: 'live' })).body;
        const mirrored = await read(reader, query);
        expect(mirrored.campaigns).toEqual(live.campaigns);
        expect(mirrored.pagination).toEqual(live.pagination);
      }
    });

    it('in the order of Klaviyo’s ids, too, where the moment is the same', async () => {
      const reader = await stage.connect(++user, {});
      await seed(
        reader,
        Array.from({ length: 25 }, (_, n) => ({ name: String(n), status: 'Sent', sent: '2026-05-01T10:00:00Z' })),
      );
      await passOver(stage, reader);
      const whole = (await read(reader)).campaigns.map(({ id }) => id);
      expect(whole).toEqual([...whole].sort());
      const pages = await reader.walk('/get-campaigns', 'campaigns', { source: 'mirror', limit: 4 });
      expect(pages.map((page) => page.length)).toEqual([4, 4, 4, 4, 4, 4, 1]);
      expect(pages.flat().map(({ id }) => id)).toEqual(whole);
    });
  });

  it('changes nothing where nothing changed, and says how many did', async () => {
    const reader = await stage.connect(++user, { campaigns: 40 });
    expect(await passOver(stage, reader)).toMatchObject({ fetched: 40, changed: 40, swept: 0 });
    const before = await kept(reader);
    expect(await passOver(stage, reader)).toMatchObject({ fetched: 40, changed: 0, swept: 0 });
    const after = await kept(reader);
    const unstamped = (rows: Kept[]) => rows.map((row) => ({ ...row, synced_at: null }));
    expect(unstamped(after)).toEqual(unstamped(before));
    expect(Number(after[0]!['synced_at'])).toBeGreaterThan(Number(before[0]!['synced_at']));
    await change(reader, before[3]!.klaviyo_id, { name: 'renamed' });
    expect(await passOver(stage, reader)).toMatchObject({ changed: 1 });
  });

  it('marks what vanished with the time, shows it no more, and takes it back when it returns', async () => {
    const reader = await stage.connect(++user, {});
    const [stays, goes] = await seed(reader, [{ name: 'stays' }, { name: 'goes' }]);
    await passOver(stage, reader);
    await remove(reader, goes!.id);
    expect(await passOver(stage, reader)).toMatchObject({ fetched: 1, swept: 1 });
    expect((await kept(reader)).map(({ name, deleted_at }) => [name, deleted_at !== null])).toEqual([
      ['goes', true],
      ['stays', false],
    ]);
    expect((await read(reader)).campaigns.map(({ id }) => id)).toEqual([stays!.id]);
    expect((await read(reader)).pagination).toEqual({ limit: 1000, nextCursor: null, total: 1 });
    const one = await reader.get(`/campaigns/${goes!.id}`, { source: 'mirror' });
    expect([one.status, one.body.code]).toEqual([404, 'CAMPAIGN_NOT_FOUND']);
    await stage.sql('UPDATE mirrored_campaign SET deleted_at = now() WHERE user_id = $1', [user]);
    expect(await passOver(stage, reader)).toMatchObject({ changed: 1, swept: 0 });
    expect((await read(reader)).campaigns.map(({ id }) => id)).toEqual([stays!.id]);
  });

  it('is not set back by an older version, which still counts as seen', async () => {
    const reader = await stage.connect(++user, {});
    const [one] = await seed(reader, [{ name: 'old name', updated: ago(3) }]);
    const old: unknown[] = [];
    await passOver(stage, reader, { onRows: (rows) => (old.push(...rows), rows) });
    await change(reader, one!.id, { name: 'new name', updated: ago(1) });
    const both = (rows: readonly unknown[]) => (rows.length > 0 ? [...rows, ...old] : rows);
    expect(await passOver(stage, reader, { onRows: both })).toMatchObject({ changed: 1 });
    expect((await kept(reader))[0]).toMatchObject({ name: 'new name' });
    const late = (rows: readonly unknown[]) => (rows.length > 0 ? old : rows);
    expect(await passOver(stage, reader, { onRows: late })).toMatchObject({ changed: 0, swept: 0 });
    expect((await kept(reader))[0]).toMatchObject({ name: 'new name', deleted_at: null });
  });

  it('survives texts that no database takes', async () => {
    const reader = await stage.connect(++user, {});
    await seed(reader, [{ name: 'nul \u0000 and half \ud83d of a pair' }]);
    await passOver(stage, reader);
    expect((await read(reader)).campaigns.map(({ name }) => name)).toEqual([
      expect.stringMatching(/^nul \ufffd and half .+ of a pair$/u),
    ]);
  });

  describe('is read', () => {
    it('by auto while it is fresh, without a call to Klaviyo, and not at all by live', async () => {
      const reader = await stage.connect(++user, { campaigns: 12 });
      const first = (await reader.get('/get-campaigns')).body;
      expect(first.source).toBe('live');
      await passOver(stage, reader);
      await reader.quiet();
      const { body } = await reader.get('/get-campaigns');
      expect(body).toMatchObject({ source: 'mirror', stale: false, campaigns: first.campaigns });
      expect(await reader.requests('getCampaigns')).toEqual([]);
      expect((await reader.get('/get-campaigns', { source: 'live' })).body.source).toBe('live');
      await stage.sql(`UPDATE mirror_state SET synced_at = now() - interval '2 hours' WHERE user_id = $1`, [user]);
      expect((await reader.get('/get-campaigns')).body.source).toBe('live');
      expect((await read(reader)).stale).toBe(true);
    });

    it('in Klaviyo’s stead where Klaviyo cannot answer, said to be stale', async () => {
      const reader = await stage.connect(++user, { campaigns: 12 });
      await passOver(stage, reader);
      const whole = (await read(reader)).campaigns;
      await stage.sql(`UPDATE mirror_state SET synced_at = now() - interval '2 hours' WHERE user_id = $1`, [user]);
      await stage.sandbox.fault(reader.account.id, {
        match: { path: 'campaigns' },
        preset: '429',
        retryAfter: 60,
        times: 'forever',
      });
      const { status, body } = await reader.get('/get-campaigns', { includeStats: true });
      expect([status, body.source, body.stale]).toEqual([200, 'mirror', true]);
      expect((body.campaigns as Row[]).map(({ id }) => id)).toEqual(whole.map(({ id }) => id));
      expect((await reader.get('/get-campaigns', { source: 'live' })).status).toBe(429);
      const one = await reader.get(`/campaigns/${whole[0]!.id}`);
      expect(one.body).toEqual({
        success: true,
        campaign: whole[0],
        source: 'mirror',
        syncedAt: expect.any(String),
        stale: true,
      });
      const unknown = await reader.get('/campaigns/01H0000000000000000000000X');
      expect([unknown.status, unknown.body.code]).toEqual([429, 'KLAVIYO_RATE_LIMITED']);
    });

    it('for one campaign by its id; one that it does not know yet is asked of Klaviyo', async () => {
      const reader = await stage.connect(++user, { campaigns: 5 });
      await passOver(stage, reader);
      const [known] = (await read(reader, { channel: 'all' })).campaigns;
      await reader.quiet();
      const one = await reader.get(`/campaigns/${known!.id}`);
      expect(one.body).toMatchObject({ campaign: known, source: 'mirror', stale: false });
      expect(one.body.campaign).toEqual(known);
      expect(await reader.requests('getCampaign')).toEqual([]);
      const [fresh] = await seed(reader, [{ name: 'fresh' }]);
      const asked = await reader.get(`/campaigns/${fresh!.id}`);
      expect(asked.body).toMatchObject({ campaign: { name: 'fresh' }, source: 'live' });
      const mirror = await reader.get(`/campaigns/${fresh!.id}`, { source: 'mirror' });
      expect([mirror.status, mirror.body.code]).toEqual([404, 'CAMPAIGN_NOT_FOUND']);
      expect((await reader.get(`/campaigns/${known!.id}`, { source: 'live' })).body.source).toBe('live');
    });

    it('page by page to its end although it grows old meanwhile, the total as it was at the beginning', async () => {
      const reader = await stage.connect(++user, { campaigns: 30 });
      await passOver(stage, reader);
      const whole = (await read(reader, { channel: 'all' })).campaigns;
      const first = (await reader.get('/get-campaigns', { channel: 'all', limit: 10 })).body;
      expect(first.pagination).toEqual({ limit: 10, nextCursor: expect.any(String), total: 30 });
      await stage.sql(`UPDATE mirror_state SET synced_at = now() - interval '2 hours' WHERE user_id = $1`, [user]);
      const rest = (
        await reader.get('/get-campaigns', { channel: 'all', limit: 100, cursor: first.pagination.nextCursor })
      ).body;
      expect(rest).toMatchObject({ source: 'mirror', stale: true, pagination: { nextCursor: null, total: 30 } });
      expect([...first.campaigns, ...rest.campaigns]).toEqual(whole);
    });

    it('by its own user alone', async () => {
      const reader = await stage.connect(++user, { campaigns: 5 });
      await passOver(stage, reader);
      const [known] = (await read(reader, { channel: 'all' })).campaigns;
      const other = await stage.connect(++user, {});
      await passOver(stage, other);
      expect((await read(other, { channel: 'all' })).campaigns).toEqual([]);
      for (const path of [`/campaigns/${known!.id}`, `/campaigns/${known!.id}/history`])
        expect((await other.get(path)).body.code).toBe('CAMPAIGN_NOT_FOUND');
    });

    it('no more once the connection is gone', async () => {
      const reader = await stage.connect(++user, { campaigns: 5 });
      await passOver(stage, reader);
      await stage.app.http.delete('/api/v1/klaviyo/connect').set(stage.app.asService).query({ userId: user });
      for (const table of ['mirrored_campaign', 'campaign_change', 'campaign_snapshot', 'conversion_metric'])
        expect(await stage.sql(`SELECT 1 FROM ${table} WHERE user_id = $1`, [user])).toEqual([]);
    });
  });

  it('comes from a synchronisation that a caller asks for, and the reports follow it', async () => {
    const reader = await stage.connect(++user, { campaigns: 460, profiles: 20, events: 200 });
    const started = await stage.app.http
      .post('/api/v1/klaviyo/sync')
      .set(stage.app.asService)
      .send({ userId: user, resources: ['campaigns'] });
    expect([started.status, started.body.sync?.status]).toEqual([202, expect.stringMatching(/queued|running/)]);
    const ended = await until(
      async () => (await reader.get(`/sync/${String(started.body.sync.id)}`)).body.sync as Record<string, unknown>,
      ({ finishedAt }) => finishedAt !== null,
    );
    expect(ended).toMatchObject({
      status: 'succeeded',
      progress: { resources: [{ resource: 'campaigns', status: 'succeeded', upserted: 460, deleted: 0, error: null }] },
    });
    const live = (await reader.get('/get-campaigns', { channel: 'all', source: 'live' })).body.campaigns as Row[];
    expect((await read(reader, { channel: 'all' })).campaigns).toEqual(live);
    const counted = await until(
      async () => (await read(reader, { channel: 'all', includeStats: true })).campaigns,
      (rows) => rows.some(({ stats }) => stats !== null),
    );
    expect(counted).toHaveLength(460);
  });

  it('has the reports of its campaigns asked for by itself, recent ones first, five years back', async () => {
    const reader = await stage.connect(++user, { profiles: 5 });
    const years = [0, 1, 2, 3, 4, 7].map((n) => new Date(Date.now() - n * 365.25 * DAY - 5 * DAY).toISOString());
    await seed(
      reader,
      years.map((sent) => ({ name: sent, status: 'Sent', created: sent, sent })),
    );
    await passOver(stage, reader);
    const reports = await until(
      () => reader.requests('queryCampaignValues'),
      (asked) => asked.length >= 5,
    );
    const starts = reports.map(
      ({ body }) =>
        (body as { data: { attributes: { timeframe: { start: string } } } }).data.attributes.timeframe.start,
    );
    expect(starts).toEqual([...starts].sort().reverse());
    expect(starts).toHaveLength(5);
    await passOver(stage, reader);
    const waiting = await stage.sql<{ start_after: Date }>(
      `SELECT start_after FROM pgboss.job WHERE name = 'campaign-stats' AND singleton_key = $1 AND state = 'created'`,
      [`${reader.connectionId}:plan`],
    );
    expect(waiting).toHaveLength(1);
    expect(waiting[0]!.start_after.getTime() - Date.now()).toBeGreaterThan(8 * 60_000);
  });
});

/** As the sandbox sums its own rows up. */
function digestOf(rows: readonly Kept[]): string {
  let sum = 0;
  for (const { klaviyo_id, document } of rows) {
    const hash = createHash('sha256')
      .update(`${klaviyo_id}\n${JSON.stringify(sorted(document.attributes))}`)
      .digest();
    sum = (sum + hash.readUIntBE(0, 6)) % 2 ** 48;
  }
  return sum.toString(16).padStart(12, '0');
}

function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, item]) => [name, sorted(item)]),
  );
}
