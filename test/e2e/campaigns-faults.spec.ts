import { startSandbox, type Sandbox } from '../support/sandbox';
import { openStage, type Reader, type ReadsStage, type Row } from './reads-stage';

const ROUTES = [
  { path: '/get-lists', noun: 'lists', operation: 'getLists', scope: 'lists:read' },
  { path: '/get-segments', noun: 'segments', operation: 'getSegments', scope: 'segments:read' },
  { path: '/get-campaigns', noun: 'campaigns', operation: 'getCampaigns', scope: 'campaigns:read' },
];
const DEADLINE_MS = 3_000;

describe.each(ROUTES)('$path when Klaviyo has trouble', ({ path, noun, operation, scope }) => {
  let stage: ReadsStage;
  let reader: Reader;
  let user = 0;

  beforeAll(async () => {
    stage = await openStage({
      env: { REQUEST_DEADLINE_MS: String(DEADLINE_MS), KLAVIYO_TIMEOUT_MS: '700', KLAVIYO_MAX_RETRIES: '2' },
    });
  });

  afterAll(async () => {
    await stage.stop();
  });

  beforeEach(async () => {
    reader = await stage.connect(++user, { lists: 12, segments: 12, campaigns: 12 });
  });

  const trouble = (preset: string, rest: object = {}) =>
    stage.sandbox.fault(reader.account.id, { match: { operation }, preset, times: 'forever', ...rest });

  it.each([
    ['403-html', 502, 'KLAVIYO_UNAVAILABLE'],
    ['400', 400, 'KLAVIYO_REJECTED'],
    ['409-bare', 409, 'CONFLICT'],
    ['410', 502, 'KLAVIYO_REVISION_RETIRED'],
    ['500', 502, 'KLAVIYO_UNAVAILABLE'],
    ['502', 502, 'KLAVIYO_UNAVAILABLE'],
    ['reset', 502, 'KLAVIYO_UNAVAILABLE'],
    ['truncated', 502, 'KLAVIYO_UNAVAILABLE'],
    ['html-200', 502, 'KLAVIYO_UNAVAILABLE'],
    ['hang-headers', 504, 'KLAVIYO_TIMEOUT'],
    ['hang-body', 504, 'KLAVIYO_TIMEOUT'],
  ])('answers %s with %d %s in time', async (preset, status, code) => {
    await trouble(preset);
    const started = Date.now();
    const { body, ...answer } = await reader.get(path);
    expect([answer.status, body.code]).toEqual([status, code]);
    expect(Date.now() - started).toBeLessThan(DEADLINE_MS + 1_000);
    expect(JSON.stringify(body)).not.toContain(reader.account.key.slice(3, 13));
  });

  it('lists the scope that the key lacks', async () => {
    await trouble('403-scope');
    const { status, body } = await reader.get(path);
    expect([status, body.code, body.scopes]).toEqual([403, 'KLAVIYO_SCOPE_MISSING', [scope]]);
  });

  it('waits as long as Klaviyo says when that fits, and says so at once when it does not', async () => {
    await trouble('429', { retryAfter: 1, times: 1 });
    expect((await reader.get(path)).body[noun]).toBeInstanceOf(Array);
    await trouble('429', { retryAfter: 60 });
    const { status, body, headers } = await reader.get(path);
    expect([status, body.code]).toEqual([429, 'KLAVIYO_RATE_LIMITED']);
    expect(Number(headers['retry-after'])).toBeGreaterThan(50);
  });

  it.each(['500', 'reset', 'hang-headers', 'truncated'])('repeats the read after one %s', async (preset) => {
    await trouble(preset, { times: 1 });
    const { status, body } = await reader.get(path);
    expect(status).toBe(200);
    expect((body[noun] as Row[]).length).toBeGreaterThan(0);
  });

  it('asks nothing of Klaviyo any more once it refused the key', async () => {
    await trouble('401', { times: 1 });
    expect((await reader.get(path)).body.code).toBe('KLAVIYO_KEY_INVALID');
    await reader.quiet();
    for (const source of ['auto', 'live']) {
      const { status, body } = await reader.get(path, { source, includeStats: true });
      expect([status, body.code]).toEqual([401, 'KLAVIYO_KEY_INVALID']);
    }
    expect(await reader.requests()).toEqual([]);
  });
});

describe('what time does not allow', () => {
  let sandbox: Sandbox;
  let stage: ReadsStage;

  beforeAll(async () => {
    sandbox = await startSandbox();
    stage = await openStage({ klaviyoUrl: sandbox.url, env: { REQUEST_DEADLINE_MS: '2000' } }, sandbox);
  });

  afterAll(async () => {
    await stage.stop();
    await sandbox.stop();
  });

  it('is behind the cursor: slow pages of lists come in parts, none twice, none lost', async () => {
    const reader = await stage.connect(1, { lists: 45 });
    await sandbox.patchAccount(reader.account.id, { latencyMs: 700 });
    const first = await reader.get('/get-lists');
    expect(first.status).toBe(200);
    expect((first.body.lists as Row[]).length).toBeLessThan(45);
    expect(first.body.pagination).toEqual({ limit: 1000, nextCursor: expect.any(String) });
    const pages = await reader.walk('/get-lists', 'lists', {});
    await sandbox.patchAccount(reader.account.id, { latencyMs: 0 });
    const whole = ((await reader.get('/get-lists')).body.lists as Row[]).map(({ id }) => id);
    expect(pages.flat().map(({ id }) => id)).toEqual(whole);
  });

  it('is behind the cursor: slow pages of campaigns come in parts, each newest first, none twice, none lost', async () => {
    const reader = await stage.connect(2, { campaigns: 700 });
    const whole = ((await reader.get('/get-campaigns')).body.campaigns as Row[]).map(({ id }) => id);
    expect(whole.length).toBeGreaterThan(400);
    await sandbox.patchAccount(reader.account.id, { latencyMs: 500 });
    const first = await reader.get('/get-campaigns', { limit: 200 });
    expect(first.body.pagination).not.toHaveProperty('total');
    const pages = await reader.walk('/get-campaigns', 'campaigns', { limit: 200 });
    const ids = pages.flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    expect([...ids].sort()).toEqual([...whole].sort());
  });

  it('keeps what a throttled second page leaves', async () => {
    const reader = await stage.connect(3, { lists: 25 });
    await sandbox.fault(reader.account.id, {
      match: { operation: 'getLists' },
      after: 1,
      preset: '429',
      retryAfter: 30,
      times: 1,
    });
    const { status, body } = await reader.get('/get-lists');
    expect(status).toBe(200);
    expect(body.lists).toHaveLength(10);
    expect(body.pagination.nextCursor).toEqual(expect.any(String));
    expect(body.pagination).not.toHaveProperty('total');
  });

  it('does not call half the lists the whole when a later page breaks', async () => {
    const reader = await stage.connect(4, { lists: 25 });
    await sandbox.fault(reader.account.id, {
      match: { operation: 'getLists' },
      after: 1,
      preset: '400',
      times: 'forever',
    });
    expect((await reader.get('/get-lists')).status).toBe(400);
  });

  it.each([
    ['another host', 'https://example.com/api/lists?page%5Bcursor%5D=x'],
    ['another path', '/api/profiles?page%5Bcursor%5D=x'],
  ])('does not follow a next page at %s', async (_, href) => {
    const reader = await stage.connect(href.startsWith('https') ? 5 : 6, { lists: 25 });
    const absolute = href.startsWith('/') ? `${sandbox.url}${href}` : href;
    await sandbox.fault(reader.account.id, {
      match: { operation: 'getLists' },
      fault: { kind: 'nextLink', href: absolute },
    });
    const { status, body } = await reader.get('/get-lists');
    expect([status, body.code]).toEqual([502, 'KLAVIYO_UNAVAILABLE']);
  });
});

describe.each(['2023-10-15', '2025-01-15', '2026-07-15'])('under revision %s', (revision) => {
  let stage: ReadsStage;
  let reader: Reader;

  beforeAll(async () => {
    stage = await openStage({ env: { KLAVIYO_API_REVISION: revision } });
    reader = await stage.connect(1, {
      lists: 21,
      segments: 11,
      campaigns: 40,
      profiles: 50,
      events: 500,
      limits: 'huge',
    });
  });

  afterAll(async () => {
    await stage.stop();
  });

  it('reads lists, segments, and campaigns of every channel with their figures', async () => {
    const lists = await reader.get('/get-lists', { includeStats: true });
    expect(lists.body.lists).toHaveLength(21);
    const segments = await reader.get('/get-segments');
    expect(segments.body.segments).toHaveLength(11);
    const campaigns = await reader.get('/get-campaigns', { channel: 'all', includeStats: true });
    expect(campaigns.status).toBe(200);
    const rows = campaigns.body.campaigns as Row[];
    expect(rows).toHaveLength(40);
    expect(new Set(rows.map(({ channel }) => channel))).toEqual(new Set(['email', 'sms', 'push']));
    expect(rows.find(({ status }) => status === 'sent')).toMatchObject({ stats: { recipients: expect.any(Number) } });
    const one = await reader.get(`/campaigns/${rows[0]!.id}`);
    expect(one.body.campaign).toMatchObject({ id: rows[0]!.id, channel: rows[0]!['channel'] });
    const all = await reader.requests();
    expect(all.filter(({ status }) => status >= 400)).toEqual([]);
    const sent = new Set(all.filter(({ operation }) => operation === 'getLists').map((request) => request.revision));
    expect([...sent]).toEqual([revision]);
    const [report] = await reader.requests('queryCampaignValues');
    expect(report?.revision).toBe(revision === '2023-10-15' ? '2025-01-15' : revision);
  });
});
