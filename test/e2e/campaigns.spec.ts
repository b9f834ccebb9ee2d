import { openStage, type Query, type Reader, type ReadsStage, type Row } from './reads-stage';

const DAY = 86_400_000;
const ago = (days: number) => new Date(Date.now() - days * DAY).toISOString();

describe('get-campaigns', () => {
  let stage: ReadsStage;
  let user = 0;

  beforeAll(async () => {
    stage = await openStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  const withCampaigns = async (campaigns: object[]): Promise<Reader> => {
    const reader = await stage.connect(++user, {});
    await reader.seed('campaigns', campaigns);
    return reader;
  };
  const names = async (reader: Reader, query: Query = {}) =>
    ((await reader.get('/get-campaigns', query)).body.campaigns as Row[]).map(({ name }) => name);

  it('names exactly the fields of the contract', async () => {
    const audiences = { included: ['Y6nRLr'], excluded: ['Xk2pQd'] };
    const reader = await withCampaigns([
      { name: 'Soldes', status: 'Sent', created: ago(5), scheduled: ago(4), sent: ago(3), updated: ago(3), audiences },
    ]);
    const { status, body } = await reader.get('/get-campaigns');
    expect(status).toBe(200);
    expect(body).toEqual({
      success: true,
      campaigns: [
        {
          id: expect.stringMatching(/^\w{26}$/),
          name: 'Soldes',
          status: 'sent',
          klaviyoStatus: 'Sent',
          channel: 'email',
          archived: false,
          audiences,
          createdAt: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
          updatedAt: expect.stringMatching(/Z$/),
          scheduledAt: expect.stringMatching(/Z$/),
          sentAt: expect.stringMatching(/Z$/),
        },
      ],
      pagination: { limit: 1000, nextCursor: null, total: 1 },
      source: 'live',
      syncedAt: expect.stringMatching(/Z$/),
      stale: false,
    });
    const unversioned = await stage.app.http
      .get('/api/klaviyo/get-campaigns')
      .set(stage.app.asService)
      .query({ userId: reader.userId });
    expect(unversioned.body.campaigns).toEqual(body.campaigns);
  });

  const STATUSES = [
    ['Draft', 'draft'],
    ['Scheduled', 'scheduled'],
    ['Preparing to schedule', 'scheduled'],
    ['Adding Recipients', 'sending'],
    ['Preparing to send', 'sending'],
    ['Sending', 'sending'],
    ['Sending Segments', 'sending'],
    ['Queued without Recipients', 'sending'],
    ['Sent', 'sent'],
    ['Variations Sent', 'sent'],
    ['Cancelled', 'cancelled'],
    ['Cancelled: Account Disabled', 'cancelled'],
    ['Cancelled: Billing Limit', 'cancelled'],
    ['Cancelled: A Reason Yet To Come', 'cancelled'],
    ['Unknown', 'unknown'],
    ['Awaiting Approval', 'unknown'],
  ];

  it('knows every status of Klaviyo, keeps its word, and filters by ours', async () => {
    const reader = await withCampaigns(STATUSES.map(([status]) => ({ name: status, status })));
    const rows = (await reader.get('/get-campaigns')).body.campaigns as Row[];
    expect(Object.fromEntries(rows.map(({ klaviyoStatus, status }) => [klaviyoStatus, status]))).toEqual(
      Object.fromEntries(STATUSES),
    );
    for (const wanted of ['draft', 'sent', 'unknown', 'sending,cancelled', 'draft, scheduled'])
      expect((await names(reader, { status: wanted })).sort()).toEqual(
        STATUSES.filter(([, ours]) => wanted.split(/, ?/).includes(ours!))
          .map(([theirs]) => theirs)
          .sort(),
      );
  });

  it('orders by the moment of sending, else scheduling, else creation, newest first, then by id', async () => {
    const reader = await withCampaigns([
      { name: 'sent 2 days ago', status: 'Sent', created: ago(30), scheduled: ago(9), sent: ago(2) },
      { name: 'scheduled in 3 days', status: 'Scheduled', created: ago(20), scheduled: ago(-3) },
      { name: 'created 1 day ago', status: 'Draft', created: ago(1) },
      { name: 'sent 10 days ago', status: 'Sent', created: ago(11), scheduled: ago(10.5), sent: ago(10) },
    ]);
    expect(await names(reader)).toEqual([
      'scheduled in 3 days',
      'created 1 day ago',
      'sent 2 days ago',
      'sent 10 days ago',
    ]);
    const tied = { status: 'Sent', created: ago(40), sent: '2026-05-01T10:00:00Z' };
    const twins = await withCampaigns(Array.from({ length: 9 }, (_, index) => ({ ...tied, name: String(index) })));
    const ids = ((await twins.get('/get-campaigns')).body.campaigns as Row[]).map(({ id }) => id);
    expect(ids).toEqual([...ids].sort());
    const pages = await twins.walk('/get-campaigns', 'campaigns', { limit: 2 });
    expect(pages.flat().map(({ id }) => id)).toEqual(ids);
  });

  it('takes a window from its first instant up to, not including, its last', async () => {
    const at = (time: string) => ({ name: time, status: 'Sent', created: '2026-01-01T00:00:00Z', sent: time });
    const times = ['2026-03-01T00:00:00Z', '2026-03-15T12:00:00Z', '2026-04-01T00:00:00Z'];
    const reader = await withCampaigns(times.map(at));
    expect(await names(reader, { from: times[0], to: times[2] })).toEqual([times[1], times[0]]);
    expect(await names(reader, { from: '2026-03-01T01:00:00+01:00', to: '2026-04-01T00:00:01Z' })).toEqual(
      [...times].reverse(),
    );
    expect(await names(reader, { from: times[1] })).toEqual([times[2], times[1]]);
    expect(await names(reader, { to: times[0] })).toEqual([]);
  });

  it('tells archived ones and channels apart, and gives both kinds of the e-mail channel when unsaid', async () => {
    const reader = await withCampaigns([
      { name: 'email', channel: 'email' },
      { name: 'old email', channel: 'email', archived: true },
      { name: 'sms', channel: 'sms' },
      { name: 'old sms', channel: 'sms', archived: true },
      { name: 'push', channel: 'mobile_push' },
    ]);
    const seen = async (query: Query) => (await names(reader, query)).sort();
    expect(await seen({})).toEqual(['email', 'old email']);
    expect(await seen({ channel: 'email', archived: false })).toEqual(['email']);
    expect(await seen({ channel: 'email', archived: true })).toEqual(['old email']);
    expect(await seen({ channel: 'sms' })).toEqual(['old sms', 'sms']);
    expect(await seen({ channel: 'push' })).toEqual(['push']);
    expect(await seen({ channel: 'all' })).toEqual(['email', 'old email', 'old sms', 'push', 'sms']);
    const { body } = await reader.get('/get-campaigns', { channel: 'all' });
    const shown = (body.campaigns as Row[]).map(({ name, channel, archived }) => [name, channel, archived]);
    expect(shown).toEqual(
      expect.arrayContaining([
        ['push', 'push', false],
        ['old sms', 'sms', true],
      ]),
    );
  });

  it('walks by limit and cursor to the whole, and reads Klaviyo once for it', async () => {
    const reader = await stage.connect(++user, { campaigns: 230 });
    const whole = (await reader.get('/get-campaigns', { channel: 'all' })).body.campaigns as Row[];
    expect(whole).toHaveLength(230);
    await reader.quiet();
    const pages = await reader.walk('/get-campaigns', 'campaigns', { channel: 'all', limit: 60 });
    expect(pages.map((page) => page.length)).toEqual([60, 60, 60, 50]);
    expect(pages.flat()).toEqual(whole);
    const once = (await reader.requests('getCampaigns')).length;
    await reader.quiet();
    await reader.get('/get-campaigns', { channel: 'all' });
    expect(await reader.requests('getCampaigns')).toHaveLength(once);
  });

  it('goes on from a cursor although another process must read everything again', async () => {
    const reader = await stage.connect(++user, { campaigns: 90 });
    const whole = (await reader.get('/get-campaigns', { status: 'sent' })).body.campaigns as Row[];
    const first = await reader.get('/get-campaigns', { status: 'sent', limit: 20 });
    expect(first.body.pagination).toEqual({ limit: 20, nextCursor: expect.any(String), total: whole.length });
    const other = await openStage({ klaviyoUrl: stage.sandbox.url, database: stage.app.database }, stage.sandbox);
    try {
      const { body } = await other.app.http
        .get('/api/v1/klaviyo/get-campaigns')
        .set(other.app.asService)
        .query({ userId: reader.userId, status: 'sent', cursor: first.body.pagination.nextCursor as string });
      expect(body.campaigns).toEqual(whole.slice(20, 70));
      expect(body.pagination).toEqual({
        limit: 50,
        nextCursor: whole.length > 70 ? expect.any(String) : null,
        total: whole.length,
      });
    } finally {
      await other.stop();
    }
  });

  it('refuses a cursor of another user or other filters', async () => {
    const reader = await stage.connect(++user, { campaigns: 40 });
    const stranger = await stage.connect(++user, reader.account);
    const filters = { status: 'sent,draft', channel: 'email', from: '2020-01-01T00:00:00Z' };
    const cursor = (await reader.get('/get-campaigns', { ...filters, limit: 3 })).body.pagination.nextCursor as string;
    const same = { ...filters, status: 'draft,sent', from: '2020-01-01T01:00:00+01:00', cursor };
    expect((await reader.get('/get-campaigns', same)).status).toBe(200);
    const refused = [
      stranger.get('/get-campaigns', { ...filters, cursor }),
      reader.get('/get-campaigns', { ...filters, cursor, status: 'sent' }),
      reader.get('/get-campaigns', { ...filters, cursor, channel: 'sms' }),
      reader.get('/get-campaigns', { ...filters, cursor, archived: false }),
      reader.get('/get-campaigns', { ...filters, cursor, from: '2020-01-01T00:00:01Z' }),
      reader.get('/get-campaigns', { ...filters, cursor, to: '2030-01-01T00:00:00Z' }),
      reader.get('/get-campaigns', { ...filters, cursor, source: 'live' }),
      reader.get('/get-lists', { cursor }),
    ];
    for (const { status, body } of await Promise.all(refused))
      expect([status, body.errors?.[0]?.field]).toEqual([400, 'cursor']);
  });

  it.each([
    [{ status: 'sent,gone' }, 'status'],
    [{ status: '' }, 'status'],
    [{ channel: 'fax' }, 'channel'],
    [{ archived: '1' }, 'archived'],
    [{ from: '2026-02-30T00:00:00Z' }, 'from'],
    [{ to: 'yesterday' }, 'to'],
    [{ name: 'x' }, 'name'],
  ])('refuses %j, naming the parameter', async (query, field) => {
    const { status, body } = await stage.app.http
      .get('/api/v1/klaviyo/get-campaigns')
      .set(stage.app.asService)
      .query({ userId: 1, ...query });
    expect([status, body.code, body.errors[0].field]).toEqual([400, 'VALIDATION_FAILED', field]);
  });

  it('gives one campaign of any channel by its id, and 404 for what is not there or another’s', async () => {
    const reader = await withCampaigns([
      { name: 'push', channel: 'mobile_push', status: 'Draft' },
      { name: 'old', channel: 'sms', archived: true },
    ]);
    for (const row of (await reader.get('/get-campaigns', { channel: 'all' })).body.campaigns as Row[]) {
      const { body } = await reader.get(`/campaigns/${row.id}`);
      expect(body).toEqual({
        success: true,
        campaign: row,
        source: 'live',
        syncedAt: expect.stringMatching(/Z$/),
        stale: false,
      });
      const other = await stage.connect(++user, {});
      expect((await other.get(`/campaigns/${row.id}`)).body.code).toBe('CAMPAIGN_NOT_FOUND');
    }
    const unknown = await reader.get('/campaigns/01H0000000000000000000000X');
    expect([unknown.status, unknown.body.code]).toEqual([404, 'CAMPAIGN_NOT_FOUND']);
    expect((await reader.get('/get-campaigns', { source: 'mirror' })).body.code).toBe('NOT_SYNCED');
  });
});
