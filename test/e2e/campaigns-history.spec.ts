import { CampaignEngagementService } from '../../src/campaigns/campaign-engagement.service';
import { passOver } from './campaigns-mirror-stage';
import { openStage, until, type Query, type Reader, type ReadsStage, type Row } from './reads-stage';

const MINUTE = 60_000;
const DAY = 86_400_000;
const at = (time: number) => new Date(time).toISOString();

interface Entry {
  at: string;
  status: string | null;
  klaviyoStatus: string | null;
  scheduledAt: string | null;
  sentAt: string | null;
  stats: { delivered: number; uniqueOpens: number; openRate: number | null; computedAt: string } | null;
}

describe('campaigns over time', () => {
  let stage: ReadsStage;
  let user = 0;

  beforeAll(async () => {
    stage = await openStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  const seed = async (reader: Reader, rows: object[]) =>
    (await reader.seed('campaigns', rows)) as { id: string; messages: { id: string }[] }[];
  const change = (reader: Reader, id: string, to: object) =>
    stage.sandbox.control('PATCH', `/accounts/${reader.account.id}/campaigns/${id}`, to);
  const history = async (reader: Reader, id: string, query: Query = {}) => {
    const { status, text, body } = await reader.get(`/campaigns/${id}/history`, query);
    if (status !== 200) throw new Error(text);
    return body as { history: Entry[]; pagination: { limit: number; nextCursor: string | null } };
  };
  const people = async (reader: Reader) =>
    (
      await stage.sandbox.control<{ profiles: { id: string }[] }>('GET', `/accounts/${reader.account.id}/profiles`)
    ).profiles.map(({ id }) => id);
  const happen = async (reader: Reader, campaign: string, metric: string, count: number) => {
    const everybody = await people(reader);
    const time = at(Date.now() - MINUTE);
    const events = everybody
      .slice(0, count)
      .map((profileId) => ({ metric, own: true, profileId, time, properties: { $message: campaign } }));
    await reader.seed('events', events);
  };
  /** Ten minutes later: figures may be asked for again. */
  const later = (reader: Reader) =>
    stage.sql(`UPDATE report_run SET computed_at = computed_at - interval '11 minutes' WHERE user_id = $1`, [
      reader.userId,
    ]);
  const report = async (reader: Reader) => (await reader.get('/get-campaigns', { includeStats: true })).body;
  const snapshots = (reader: Reader) =>
    stage.sql<{ at: Date; counts: { opens: number } }>(
      'SELECT at, counts FROM campaign_snapshot WHERE user_id = $1 ORDER BY at',
      [reader.userId],
    );

  it('tell status, schedule and figures at each change, newest first', async () => {
    const reader = await stage.connect(++user, { profiles: 12 });
    const created = Date.now() - 3 * DAY;
    const [row] = await seed(reader, [{ name: 'A', status: 'Draft', created: at(created) }]);
    const id = row!.id;
    await passOver(stage, reader);
    await passOver(stage, reader);
    const scheduled = at(Date.now() - 2 * DAY);
    await change(reader, id, { status: 'Scheduled', scheduled });
    await passOver(stage, reader);
    await change(reader, id, { status: 'Sent', sent: scheduled });
    await happen(reader, id, 'Received Email', 8);
    await passOver(stage, reader);
    await report(reader);
    await happen(reader, id, 'Opened Email', 4);
    await later(reader);
    // Of an hour only the last figures stay: these become those of an hour ago.
    await stage.sql(`UPDATE campaign_snapshot SET at = at - interval '70 minutes' WHERE user_id = $1`, [user]);
    await stage.sql(`UPDATE campaign_change SET at = at - interval '80 minutes' WHERE user_id = $1`, [user]);
    await report(reader);
    const { history: entries, pagination } = await history(reader, id);
    expect(pagination).toEqual({ limit: 50, nextCursor: null });
    expect(entries.map(({ status, stats }) => [status, stats?.delivered, stats?.uniqueOpens])).toEqual([
      ['sent', 8, 4],
      ['sent', 8, 0],
      ['sent', undefined, undefined],
      ['scheduled', undefined, undefined],
      ['draft', undefined, undefined],
    ]);
    expect(entries[0]).toEqual({
      at: entries[0]!.stats!.computedAt,
      status: 'sent',
      klaviyoStatus: 'Sent',
      scheduledAt: scheduled,
      sentAt: at(Math.floor(Date.parse(scheduled) / 1000) * 1000),
      stats: expect.objectContaining({ openRate: 0.5, currency: 'EUR' }),
    });
    expect(entries[4]).toMatchObject({ klaviyoStatus: 'Draft', scheduledAt: null, sentAt: null, stats: null });
    const times = entries.map((entry) => entry.at);
    expect(times).toEqual([...times].sort().reverse());
    const pages = await reader.walk(`/campaigns/${id}/history`, 'history', { limit: 2 });
    expect(pages.map((page) => page.length)).toEqual([2, 2, 1]);
    expect(pages.flat()).toEqual(entries);
    const csv = await stage.app.http
      .get(`/api/v1/klaviyo/campaigns/${id}/history`)
      .set({ ...stage.app.asService, Accept: 'text/csv' })
      .query({ userId: user });
    expect(csv.text.split('\r\n')[0]).toMatch(/^at,status,klaviyoStatus,scheduledAt,sentAt,stats\.recipients,/);
    expect(csv.text.trimEnd().split('\r\n')).toHaveLength(6);
  });

  it('keep figures that a report changed, and of an hour only the last', async () => {
    const reader = await stage.connect(++user, { profiles: 12 });
    const [row] = await seed(reader, [
      { name: 'A', status: 'Sent', created: at(Date.now() - 2 * DAY), sent: at(Date.now() - DAY) },
    ]);
    await happen(reader, row!.id, 'Received Email', 5);
    await report(reader);
    const first = await snapshots(reader);
    expect(first).toHaveLength(1);
    await later(reader);
    await report(reader);
    expect(await snapshots(reader)).toEqual(first);
    const hours = async (back: number) =>
      stage.sql(`UPDATE campaign_snapshot SET at = at - make_interval(hours => $2) WHERE user_id = $1`, [user, back]);
    await hours(5);
    await happen(reader, row!.id, 'Opened Email', 1);
    await later(reader);
    await report(reader);
    const [, second] = await snapshots(reader);
    await stage.sql(`UPDATE campaign_snapshot SET at = date_trunc('hour', now()) WHERE user_id = $1 AND at = $2`, [
      user,
      second!.at,
    ]);
    await happen(reader, row!.id, 'Clicked Email', 1);
    await later(reader);
    await report(reader);
    const all = await snapshots(reader);
    expect(all).toHaveLength(2);
    expect(all[1]!.at.getTime()).toBeGreaterThan(Date.now() - MINUTE);
  });

  it('are thinned: hourly for two days, then the last of each day, for four hundred days but for the very last', async () => {
    const reader = await stage.connect(++user, { profiles: 12 });
    const [row] = await seed(reader, [
      { name: 'A', status: 'Sent', created: at(Date.now() - 2 * DAY), sent: at(Date.now() - DAY) },
    ]);
    const old = 'OLDCAMPAIGN00000000000000A';
    const noon = Math.floor(Date.now() / DAY) * DAY + DAY / 2;
    const put = (id: string, days: number, hours: number) =>
      stage.sql(
        `INSERT INTO campaign_snapshot (user_id, connection_id, klaviyo_id, at, counts) VALUES ($1, $2, $3, $4, '{}')`,
        [user, reader.connectionId, id, new Date(noon - days * DAY + hours * 3_600_000)],
      );
    for (const days of [1, 5, 6, 31]) for (const hours of [0, 1, 2]) await put(row!.id, days, hours);
    await put(row!.id, 401, 0);
    await put(row!.id, 399, 0);
    await put(old, 500, 0);
    await put(old, 450, 0);
    await happen(reader, row!.id, 'Received Email', 5);
    await report(reader);
    const left = (await snapshots(reader)).map((one) => (noon - one.at.getTime()) / 3_600_000).filter((h) => h > 20);
    expect(left.sort((a, b) => b - a)).toEqual([450 * 24, 399 * 24, 31 * 24 - 2, 6 * 24 - 2, 5 * 24 - 2, 24, 23, 22]);
  });

  it('are empty for a campaign that was never seen here, and 404 for one that is not there', async () => {
    const reader = await stage.connect(++user, {});
    const [row] = await seed(reader, [{ name: 'A' }]);
    expect((await history(reader, row!.id)).history).toEqual([]);
    const unknown = await reader.get('/campaigns/01H0000000000000000000000X/history');
    expect([unknown.status, unknown.body.code]).toEqual([404, 'CAMPAIGN_NOT_FOUND']);
    for (const odd of ['a%20b', 'x'.repeat(65), "'%20OR%201=1", '%F0%9F%98%80'])
      for (const path of [`/campaigns/${odd}`, `/campaigns/${odd}/history`]) {
        const { status, body } = await reader.get(path);
        expect([path, status, body.code]).toEqual([path, 404, 'CAMPAIGN_NOT_FOUND']);
      }
  });

  it('are still told of a campaign that is gone at Klaviyo', async () => {
    const reader = await stage.connect(++user, {});
    const [row] = await seed(reader, [{ name: 'A' }, { name: 'B' }]);
    await passOver(stage, reader);
    await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/campaigns/${row!.id}`);
    await passOver(stage, reader);
    expect((await history(reader, row!.id)).history).toMatchObject([{ status: 'draft' }]);
  });

  it('refuse a cursor of another campaign or another user', async () => {
    const reader = await stage.connect(++user, {});
    const stranger = await stage.connect(++user, reader.account);
    const [a, b] = await seed(reader, [{ name: 'A' }, { name: 'B' }]);
    await passOver(stage, reader);
    await change(reader, a!.id, { status: 'Sent' });
    await passOver(stage, reader);
    await passOver(stage, stranger);
    const cursor = (await history(reader, a!.id, { limit: 1 })).pagination.nextCursor!;
    expect((await history(reader, a!.id, { cursor })).history).toHaveLength(1);
    for (const refused of [
      await reader.get(`/campaigns/${b!.id}/history`, { cursor }),
      await stranger.get(`/campaigns/${a!.id}/history`, { cursor }),
    ])
      expect([refused.status, refused.body.errors?.[0]?.field]).toEqual([400, 'cursor']);
  });

  describe('between the reports', () => {
    const note = (reader: Reader, items: Parameters<CampaignEngagementService['noteEngagement']>[2]) =>
      stage.app.app.get(CampaignEngagementService).noteEngagement(reader.userId, reader.connectionId, items);
    const engagement = async (reader: Reader, id: string) =>
      (await reader.get(`/campaigns/${id}`, { includeStats: true, source: 'mirror' })).body as {
        campaign: Row;
        engagement: object | null;
      };
    const now = () => new Date();
    /** A report of a moment ago: none is asked for meanwhile. */
    const reported = (reader: Reader) =>
      stage.sql(
        `INSERT INTO report_run (user_id, connection_id, report_window, computed_at) VALUES ($1, $2, 'recent', now())`,
        [reader.userId, reader.connectionId],
      );

    it('are what events told, by campaign or by message, until a report counts it itself', async () => {
      const reader = await stage.connect(++user, { profiles: 12 });
      const [a, b] = await seed(reader, [
        { name: 'A', status: 'Sent', created: at(Date.now() - 2 * DAY), sent: at(Date.now() - DAY) },
        { name: 'B', status: 'Sent', created: at(Date.now() - 2 * DAY), sent: at(Date.now() - DAY) },
      ]);
      await passOver(stage, reader, { follow: false });
      await reported(reader);
      await note(reader, [
        { message: a!.id, kind: 'open', at: now(), count: 2 },
        { message: a!.id, kind: 'open', at: now(), count: 1 },
        { message: b!.messages[0]!.id, kind: 'click', at: now(), count: 5 },
        { message: 'nobody knows', kind: 'spam', at: now(), count: 1 },
      ]);
      await note(reader, [{ message: a!.id, kind: 'delivered', at: now(), count: 7 }]);
      await note(reader, []);
      expect((await engagement(reader, a!.id)).engagement).toEqual({
        since: null,
        delivered: 7,
        opens: 3,
        clicks: 0,
        bounces: 0,
        unsubscribes: 0,
        spamComplaints: 0,
      });
      expect((await engagement(reader, b!.id)).engagement).toMatchObject({ opens: 0, clicks: 5 });
      const plain = (await reader.get(`/campaigns/${a!.id}`, { source: 'mirror' })).body;
      expect(plain).not.toHaveProperty('engagement');
    });

    it('are forgotten once a report is younger, and those after it are counted from then on', async () => {
      const reader = await stage.connect(++user, { profiles: 12 });
      const sent = { status: 'Sent', created: at(Date.now() - 2 * DAY), sent: at(Date.now() - DAY) };
      const [a] = await seed(reader, [{ name: 'A', ...sent }]);
      await happen(reader, a!.id, 'Received Email', 5);
      await passOver(stage, reader, { follow: false });
      await note(reader, [{ message: a!.id, kind: 'open', at: new Date(Date.now() - 5 * MINUTE), count: 2 }]);
      await report(reader);
      expect(await stage.sql('SELECT 1 FROM campaign_engagement WHERE user_id = $1', [user])).toEqual([]);
      await note(reader, [
        { message: a!.id, kind: 'open', at: new Date(Date.now() - 5 * MINUTE), count: 2 },
        { message: a!.id, kind: 'open', at: new Date(Date.now() + MINUTE), count: 4 },
      ]);
      const one = (await reader.get(`/campaigns/${a!.id}`, { includeStats: true })).body;
      expect(one.engagement).toMatchObject({ since: one.campaign.stats.computedAt, opens: 4 });
      expect(one.campaign.stats).toMatchObject({ delivered: 5, opens: 0 });
    });

    it('have the report asked for soon, once, and never within ten minutes of the last', async () => {
      const reader = await stage.connect(++user, { profiles: 12 });
      const sent = { status: 'Sent', created: at(Date.now() - 2 * DAY), sent: at(Date.now() - DAY) };
      const [a] = await seed(reader, [{ name: 'A', ...sent }]);
      await passOver(stage, reader, { follow: false });
      for (const count of [1, 2, 3]) await note(reader, [{ message: a!.id, kind: 'open', at: now(), count }]);
      await until(
        () => reader.requests('queryCampaignValues'),
        (asked) => asked.length === 1,
      );
      const left = () =>
        stage.sql<{ start_after: Date }>(
          `SELECT start_after FROM pgboss.job WHERE name = 'campaign-stats' AND singleton_key = $1 AND state = 'created'`,
          [`${reader.connectionId}:plan`],
        );
      await until(
        () => stage.sql('SELECT 1 FROM report_run WHERE user_id = $1 AND computed_at IS NOT NULL', [user]),
        (rows) => rows.length === 1,
      );
      for (const count of [1, 2]) await note(reader, [{ message: a!.id, kind: 'open', at: now(), count }]);
      const waiting = await left();
      expect(waiting).toHaveLength(1);
      expect(waiting[0]!.start_after.getTime()).toBeGreaterThan(Date.now() + 8 * MINUTE);
      expect(await reader.requests('queryCampaignValues')).toHaveLength(1);
    });

    it('are not kept for a connection that is gone, nor for another’s campaign', async () => {
      const reader = await stage.connect(++user, {});
      const other = await stage.connect(++user, {});
      const [a] = await seed(reader, [{ name: 'A', status: 'Sent' }]);
      await passOver(stage, reader);
      await note(other, [{ message: a!.id, kind: 'open', at: now(), count: 1 }]);
      await stage.app.http.delete('/api/v1/klaviyo/connect').set(stage.app.asService).query({ userId: reader.userId });
      await note(reader, [{ message: a!.id, kind: 'open', at: now(), count: 1 }]);
      expect(
        await stage.sql('SELECT 1 FROM campaign_engagement WHERE user_id = ANY($1)', [[reader.userId, other.userId]]),
      ).toEqual([]);
    });
  });

  it('have figures in pages of the mirror, in the same answer; what is due is left to the job where Klaviyo may not be asked', async () => {
    const reader = await stage.connect(++user, { profiles: 12 });
    const sent = { status: 'Sent', created: at(Date.now() - 2 * DAY), sent: at(Date.now() - DAY) };
    const [a] = await seed(reader, [{ name: 'A', ...sent }, { name: 'draft' }]);
    await happen(reader, a!.id, 'Received Email', 5);
    await passOver(stage, reader, { follow: false });
    await reader.quiet();
    const read = async (source: string) =>
      (await reader.get('/get-campaigns', { includeStats: true, source })).body.campaigns as Row[];
    expect((await read('mirror')).map(({ name, stats }) => [name, stats])).toEqual(
      expect.arrayContaining([
        ['A', null],
        ['draft', null],
      ]),
    );
    const known = await until(
      async () => (await read('mirror')).find(({ id }) => id === a!.id)!['stats'],
      (stats) => stats !== null,
    );
    expect(known).toMatchObject({ delivered: 5 });
    expect(await reader.requests('queryCampaignValues')).toHaveLength(1);
    expect(await reader.requests('getCampaigns')).toEqual([]);
    await later(reader);
    const fresh = (await read('auto')).find(({ id }) => id === a!.id)!['stats'] as { computedAt: string };
    expect(fresh.computedAt > (known as { computedAt: string }).computedAt).toBe(true);
    expect(await reader.requests('queryCampaignValues')).toHaveLength(2);
    expect(await reader.requests('getCampaigns')).toEqual([]);
    const live = (await read('live')).find(({ id }) => id === a!.id)!['stats'];
    expect((await read('mirror')).find(({ id }) => id === a!.id)!['stats']).toEqual(live);
  });

  it('choose the conversion metric once for all processes, and anew where a report was refused', async () => {
    const reader = await stage.connect(++user, { profiles: 5 });
    await seed(reader, [{ name: 'A', status: 'Sent', created: at(Date.now() - 2 * DAY), sent: at(Date.now() - DAY) }]);
    await report(reader);
    await later(reader);
    await report(reader);
    expect(await reader.requests('queryCampaignValues')).toHaveLength(2);
    expect(await reader.requests('getMetrics')).toHaveLength(1);
    await later(reader);
    await stage.sandbox.fault(reader.account.id, {
      match: { operation: 'queryCampaignValues' },
      preset: '400',
      times: 1,
    });
    await report(reader);
    expect(await stage.sql('SELECT 1 FROM conversion_metric WHERE user_id = $1', [user])).toEqual([]);
  });
});
