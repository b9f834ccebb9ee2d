import { openStage, until, type Reader, type ReadsStage, type Row } from './reads-stage';

const DAY = 86_400_000;
const MINUTE = 60_000;
const at = (time: number) => new Date(time).toISOString();

interface Seen {
  received?: number;
  opened?: string[];
  clicked?: string[];
  bounced?: number;
  unsubscribed?: string[];
  spam?: number;
  orders?: number[];
}

describe('campaign figures', () => {
  let stage: ReadsStage;
  let user = 0;

  beforeAll(async () => {
    stage = await openStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  const people = async (reader: Reader) =>
    (
      await stage.sandbox.control<{ profiles: { id: string }[] }>('GET', `/accounts/${reader.account.id}/profiles`)
    ).profiles.map(({ id }) => id);

  /** A sent campaign, and the events that it left at Klaviyo. */
  const sent = async (reader: Reader, name: string, sentAt: number, seen: Seen = {}): Promise<string> => {
    const [campaign] = (await reader.seed('campaigns', [
      { name, status: 'Sent', created: at(sentAt - DAY), scheduled: at(sentAt), sent: at(sentAt) },
    ])) as [{ id: string }];
    const everybody = await people(reader);
    const event = (metric: string, profileId: string | undefined, properties: object = {}, own = true) => ({
      metric,
      own,
      profileId,
      time: at(Math.max(sentAt, Date.now() - DAY)),
      properties: { $message: campaign.id, ...properties },
    });
    const person = (index: number) => everybody[index % everybody.length];
    const events = [
      ...everybody.slice(0, seen.received ?? 0).map((id) => event('Received Email', id)),
      ...(seen.opened ?? []).map((who) => event('Opened Email', person(Number(who)))),
      ...(seen.clicked ?? []).map((who) => event('Clicked Email', person(Number(who)))),
      ...Array.from({ length: seen.bounced ?? 0 }, (_, index) => event('Bounced Email', person(index))),
      ...(seen.unsubscribed ?? []).map((who) => event('Unsubscribed from Email Marketing', person(Number(who)))),
      ...Array.from({ length: seen.spam ?? 0 }, (_, index) => event('Marked Email as Spam', person(index))),
      ...(seen.orders ?? []).map((value, index) =>
        event('Placed Order', person(index), { $attributed_message: campaign.id, $value: value }, false),
      ),
    ];
    if (events.length > 0) await reader.seed('events', events);
    return campaign.id;
  };
  const read = async (reader: Reader, query = {}): Promise<Map<string, Row>> => {
    const { status, text, body } = await reader.get('/get-campaigns', { includeStats: true, ...query });
    if (status !== 200) throw new Error(text);
    return new Map((body.campaigns as Row[]).map((row) => [row.id, row]));
  };
  const reports = (reader: Reader) => reader.requests('queryCampaignValues');

  it('are counts of Klaviyo, with rates over what was delivered and the account’s currency', async () => {
    const reader = await stage.connect(++user, { profiles: 12, currency: 'CHF' });
    const id = await sent(reader, 'Soldes', Date.now() - 3 * DAY, {
      received: 8,
      opened: ['0', '0', '1', '2', '3'],
      clicked: ['0', '0', '1'],
      bounced: 2,
      unsubscribed: ['5'],
      spam: 1,
      orders: [20.5, 30],
    });
    const started = Date.now();
    const { stats } = (await read(reader)).get(id)!;
    expect(stats).toEqual({
      recipients: 10,
      delivered: 8,
      opens: 5,
      uniqueOpens: 4,
      openRate: 0.5,
      clicks: 3,
      uniqueClicks: 2,
      clickRate: 0.25,
      bounces: 2,
      bounceRate: 0.2,
      unsubscribes: 1,
      unsubscribeRate: 0.125,
      spamComplaints: 1,
      conversions: 2,
      revenue: 50.5,
      currency: 'CHF',
      computedAt: expect.stringMatching(/Z$/),
    });
    expect(Date.parse((stats as { computedAt: string }).computedAt)).toBeGreaterThanOrEqual(started - 1);
    const one = await reader.get(`/campaigns/${id}`, { includeStats: true });
    expect(one.body.campaign.stats).toEqual(stats);
  });

  it('come from one report for all campaigns of a year, asked for once in ten minutes', async () => {
    const reader = await stage.connect(++user, { profiles: 5, limits: 'klaviyo' });
    const ids = [];
    for (const days of [1, 20, 100, 200, 300, 360])
      ids.push(await sent(reader, `${String(days)} days ago`, Date.now() - days * DAY, { received: 2 }));
    const draft = (await reader.seed('campaigns', { name: 'draft' })) as { id: string };
    const first = await read(reader);
    for (const id of ids) expect(first.get(id)).toMatchObject({ stats: { delivered: 2, openRate: 0 } });
    expect(first.get(draft.id)).toMatchObject({ status: 'draft', stats: null });
    expect(await reports(reader)).toHaveLength(1);
    const again = await read(reader);
    expect(again.get(ids[0]!)).toEqual(first.get(ids[0]!));
    expect(await reports(reader)).toHaveLength(1);
    const without = (await reader.get('/get-campaigns')).body.campaigns as Row[];
    expect(without[0]).not.toHaveProperty('stats');
  });

  it('are asked for again after ten minutes', async () => {
    const reader = await stage.connect(++user, { profiles: 5 });
    const id = await sent(reader, 'A', Date.now() - DAY, { received: 1 });
    const before = (await read(reader)).get(id)!['stats'] as { computedAt: string };
    await stage.sql(`UPDATE report_run SET computed_at = computed_at - interval '11 minutes' WHERE user_id = $1`, [
      user,
    ]);
    const after = (await read(reader)).get(id)!['stats'] as { computedAt: string };
    expect(await reports(reader)).toHaveLength(2);
    expect(after.computedAt > before.computedAt).toBe(true);
  });

  it('are asked for once by many calls at once', async () => {
    const reader = await stage.connect(++user, { profiles: 5, latencyMs: 50 });
    const id = await sent(reader, 'A', Date.now() - DAY, { received: 1 });
    await Promise.all([1, 2, 3, 4, 5].map(() => read(reader)));
    await until(
      async () => (await read(reader)).get(id)!['stats'],
      (stats) => stats !== null,
    );
    expect(await reports(reader)).toHaveLength(1);
  });

  it('of campaigns older than a year come from the report of their year, through the job where time is short', async () => {
    const reader = await stage.connect(++user, { profiles: 5, limits: 'klaviyo' });
    const recent = await sent(reader, 'recent', Date.now() - DAY, { received: 3 });
    const old = await sent(reader, 'old', Date.parse('2024-06-15T12:00:00Z'), { received: 2 });
    const first = await read(reader);
    expect(first.get(recent)).toMatchObject({ stats: { delivered: 3 } });
    expect(first.get(old)).toMatchObject({ stats: null });
    const later = await until(
      async () => (await read(reader)).get(old)!,
      (row) => row['stats'] !== null,
    );
    expect(later).toMatchObject({ stats: { delivered: 2 } });
    const frames = (await reports(reader)).map(
      ({ body }) => (body as { data: { attributes: { timeframe: object } } }).data.attributes.timeframe,
    );
    expect(frames).toEqual([
      expect.anything(),
      { start: '2024-01-01T00:00:00+00:00', end: '2024-12-31T23:59:59+00:00' },
    ]);
    expect((await reports(reader)).every(({ status }) => status === 200)).toBe(true);
    const waiting = await stage.sql('SELECT 1 FROM report_run WHERE user_id = $1 AND requested_at IS NOT NULL', [user]);
    expect(waiting).toEqual([]);
  });

  it.each(['Pacific/Auckland', 'America/Los_Angeles', 'UTC'])(
    'cover what was sent a minute ago in %s',
    async (timezone) => {
      const reader = await stage.connect(++user, { profiles: 5, timezone });
      const id = await sent(reader, 'just now', Date.now() - MINUTE, { received: 1 });
      expect((await read(reader)).get(id)).toMatchObject({ stats: { delivered: 1 } });
    },
  );

  it('go on where a report of several pages was left', async () => {
    const reader = await stage.connect(++user, { profiles: 5, limits: 'klaviyo' });
    const [a, b] = [await sent(reader, 'A', Date.now() - DAY), await sent(reader, 'B', Date.now() - 2 * DAY)];
    const page = (rows: [campaign: string, message: string, delivered: number][], next: string | null) => ({
      match: { operation: 'queryCampaignValues' },
      times: 1,
      fault: {
        kind: 'status',
        status: 200,
        body: {
          data: {
            type: 'campaign-values-report',
            id: '1',
            attributes: {
              results: rows.map(([campaign_id, campaign_message_id, delivered]) => ({
                groupings: { campaign_id, campaign_message_id, send_channel: 'email' },
                statistics: { delivered, recipients: delivered, opens_unique: 1 },
              })),
            },
          },
          links: { self: 'https://a.klaviyo.com/', next },
        },
      },
    });
    const next = 'https://elsewhere.example/api/campaign-values-reports?page_cursor=NEXT';
    await stage.sandbox.fault(reader.account.id, page([[a, 'm1', 4]], next));
    await stage.sandbox.fault(
      reader.account.id,
      page(
        [
          [a, 'm2', 6],
          [b, 'm3', 5],
        ],
        null,
      ),
    );
    await read(reader);
    const rows = await until(
      () => read(reader),
      (found) => found.get(b)!['stats'] !== null,
    );
    expect(rows.get(a)).toMatchObject({ stats: { delivered: 10, uniqueOpens: 2, openRate: 0.2, opens: null } });
    expect(rows.get(b)).toMatchObject({ stats: { delivered: 5 } });
    const asked = await reports(reader);
    expect(asked.map(({ query }) => query.includes('page_cursor=NEXT'))).toEqual([false, true]);
    expect(asked[1]!.body).toEqual(asked[0]!.body);
  });

  it('have no conversions where the account counts no purchases', async () => {
    const reader = await stage.connect(++user, { profiles: 5 });
    const { metrics } = await stage.sandbox.control<{ metrics: { id: string; name: string }[] }>(
      'GET',
      `/accounts/${reader.account.id}/metrics`,
    );
    for (const { id } of metrics.filter(({ name }) => name === 'Placed Order'))
      await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/metrics/${id}`);
    const id = await sent(reader, 'A', Date.now() - DAY, { received: 1 });
    expect((await read(reader)).get(id)).toMatchObject({ stats: { delivered: 1, conversions: null, revenue: null } });
  });

  it.each(['500', '403-scope', '400', 'html-200', 'hang-headers', '429'])(
    'never fail the read: with %s the campaigns come without them, or with the last known',
    async (preset) => {
      const reader = await stage.connect(++user, { profiles: 5 });
      // A first answer says what the account's limits are: by Klaviyo's own, the next report would have to wait.
      await sent(reader, 'before', Date.now() - DAY, { received: 1 });
      await read(reader);
      await stage.sql(`UPDATE report_run SET computed_at = computed_at - interval '1 hour' WHERE user_id = $1`, [user]);
      const id = await sent(reader, 'A', Date.now() - DAY, { received: 1 });
      const plan = { match: { operation: 'queryCampaignValues' }, preset, retryAfter: 30, times: 'forever' as const };
      await stage.sandbox.fault(reader.account.id, plan);
      expect((await read(reader)).get(id)).toMatchObject({ name: 'A', stats: null });
      await stage.sandbox.clearFaults(reader.account.id);
      const asked = (await reports(reader)).length;
      if (preset === '400' || preset === '403-scope') {
        await read(reader);
        expect(await reports(reader)).toHaveLength(asked);
        await stage.sql('UPDATE report_run SET leased_until = NULL WHERE user_id = $1', [user]);
      }
      if (preset === '429') return;
      const known = await until(
        async () => (await read(reader)).get(id)!['stats'],
        (stats) => stats !== null,
      );
      await stage.sandbox.fault(reader.account.id, plan);
      await stage.sql(`UPDATE report_run SET computed_at = computed_at - interval '1 hour' WHERE user_id = $1`, [user]);
      expect((await read(reader)).get(id)!['stats']).toEqual(known);
    },
  );

  it('of a year that Klaviyo refuses are not asked for again that day: refusals count, too', async () => {
    const reader = await stage.connect(++user, { profiles: 5 });
    await sent(reader, 'recent', Date.now() - DAY, { received: 1 });
    await read(reader);
    const id = await sent(reader, 'old', Date.parse('2024-06-15T12:00:00Z'), { received: 2 });
    await stage.sandbox.fault(reader.account.id, {
      match: { operation: 'queryCampaignValues' },
      preset: '400',
      times: 1,
    });
    expect((await read(reader)).get(id)).toMatchObject({ stats: null });
    // Ten minutes later, as far as the report is concerned.
    await stage.sql(`UPDATE report_run SET leased_until = leased_until - interval '11 minutes' WHERE user_id = $1`, [
      user,
    ]);
    expect((await read(reader)).get(id)).toMatchObject({ stats: null });
    expect(await reports(reader)).toHaveLength(2);
    await stage.sql(`UPDATE report_run SET leased_until = leased_until - interval '1 day' WHERE user_id = $1`, [user]);
    expect((await read(reader)).get(id)).toMatchObject({ stats: { delivered: 2 } });
  });

  it('are not had without the right to read metrics, and the read goes on', async () => {
    const reader = await stage.connect(++user, {
      profiles: 5,
      keys: [{ scopes: ['accounts:read', 'campaigns:read'] }],
    });
    const id = await sent(reader, 'A', Date.now() - DAY, { received: 1 });
    expect((await read(reader)).get(id)).toMatchObject({ stats: null });
    expect(await reports(reader)).toEqual([]);
  });

  it('are each user’s own, and go with the connection', async () => {
    const reader = await stage.connect(++user, { profiles: 5 });
    const owner = user;
    await sent(reader, 'A', Date.now() - DAY, { received: 1 });
    await read(reader);
    const rows = (table: string) => stage.sql(`SELECT user_id FROM ${table} WHERE user_id = $1`, [owner]);
    expect(await rows('campaign_figure')).toHaveLength(1);
    const other = await stage.connect(++user, reader.account);
    await read(other);
    expect(await rows('campaign_figure')).toHaveLength(1);
    await stage.app.http.delete('/api/v1/klaviyo/connect').set(stage.app.asService).query({ userId: owner });
    expect(await rows('campaign_figure')).toEqual([]);
    expect(await rows('report_run')).toEqual([]);
    expect(await stage.sql('SELECT 1 FROM campaign_figure WHERE user_id = $1', [user])).toHaveLength(1);
  });
});
