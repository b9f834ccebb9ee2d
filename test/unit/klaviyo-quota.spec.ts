import { SystemClock } from '../../src/common/clock';
import { Drain } from '../../src/common/drain';
import { AppError } from '../../src/common/errors';
import type { Env } from '../../src/config/env';
import type { AccountHealth } from '../../src/klaviyo/account-health';
import { KlaviyoAccess } from '../../src/klaviyo/klaviyo-access';
import { operations, type Operation } from '../../src/klaviyo/operations';
import { bucketsOf, parseRateLimit, type QuotaRequest } from '../../src/klaviyo/quota';
import { SharedQuota } from '../../src/klaviyo/shared-quota';
import { Waits } from '../../src/klaviyo/waits';
import type { Alerts, Incident } from '../../src/observability/alerts';
import { QuotaModel } from '../support/quota-model';

const START = Date.parse('2026-11-22T12:00:00Z');

/** What operators would be told. */
class Told {
  readonly raised: Incident[] = [];
  readonly resolved: string[] = [];
  raise = (incident: Incident): void => void this.raised.push(incident);
  resolveKnown = (key: string): void => void this.resolved.push(key);
}

/** One process's line before a ledger in memory; several may share the ledger, as replicas do the database. */
function setUp(share = 1, ledger = new QuotaModel(() => Date.now())) {
  const clock = new SystemClock();
  const drain = new Drain();
  const told = new Told();
  const health = { noticed: () => undefined, written: () => Promise.resolve() } as unknown as AccountHealth;
  const quota = new SharedQuota(
    { klaviyoRateLimitShare: share } as Env,
    ledger,
    clock,
    new Waits(clock, drain),
    health,
    told as unknown as Alerts,
  );
  return { quota, drain, ledger, told };
}

function access(accountId: string): KlaviyoAccess {
  return new KlaviyoAccess({ userId: 42, connectionId: '0197-test', accountId, privateKey: 'pk_test' });
}

function request(
  operation: Operation,
  some: Partial<QuotaRequest> & { query?: string; accountId?: string } = {},
): QuotaRequest {
  const { query = '', accountId = 'WBhXHN', ...rest } = some;
  return {
    access: access(accountId),
    operation,
    buckets: bucketsOf(operation, new URLSearchParams(query), '2026-07-15'),
    priority: 'interactive',
    deadline: Infinity,
    ...rest,
  };
}

/** Starts as many calls as the quota lets through and notes when each began. */
function startMany(quota: SharedQuota, count: number, one: QuotaRequest): number[] {
  const starts: number[] = [];
  for (let index = 0; index < count; index += 1)
    void quota.acquire(one).then(() => {
      starts.push(Date.now());
    });
  return starts;
}

/** The most calls that fall into one fixed window of that length, over every phase in steps of 10 ms. */
function fullest(starts: readonly number[], windowMs: number): number {
  let most = 0;
  for (let phase = 0; phase < windowMs; phase += Math.max(10, windowMs / 100)) {
    const counts = new Map<number, number>();
    for (const start of starts) {
      const window = Math.floor((start - phase) / windowMs);
      counts.set(window, (counts.get(window) ?? 0) + 1);
    }
    most = Math.max(most, ...counts.values());
  }
  return most;
}

async function limitsOf(ledger: QuotaModel): Promise<Record<string, number>> {
  await jest.advanceTimersByTimeAsync(0);
  return Object.fromEntries((await ledger.use('WBhXHN')).map(({ name, limits }) => [name, limits.steady]));
}

beforeEach(() => jest.useFakeTimers({ now: START }));
afterEach(() => jest.useRealTimers());

describe('the line before the quota', () => {
  it.each<[string, Operation, number, number, number]>([
    ['1/s 15/m', operations.getAccounts, 1, 15, 0.85],
    ['3/s 60/m', operations.getTags, 3, 60, 0.95],
    ['10/s 150/m', operations.getCampaigns, 10, 150, 0.95],
    ['75/s 750/m', operations.getProfiles, 75, 750, 0.95],
  ])('keeps to %s whatever the phase of the windows, and uses it', async (_, operation, burst, steady, used) => {
    const { quota } = setUp();
    const starts = startMany(quota, steady * 6, request(operation));
    await jest.advanceTimersByTimeAsync(5 * 60_000);
    expect(fullest(starts, 1000)).toBeLessThanOrEqual(burst);
    expect(fullest(starts, 60_000)).toBeLessThanOrEqual(steady);
    expect(starts.length).toBeGreaterThanOrEqual(5 * steady * used - 1);
  });

  it('keeps to it when the network delays each call by up to 200 ms', async () => {
    const { quota } = setUp();
    const starts = startMany(quota, 400, request(operations.getCampaigns));
    await jest.advanceTimersByTimeAsync(3 * 60_000);
    const arrivals = starts.map((start, index) => start + ((index * 7919) % 200));
    expect(fullest(arrivals, 1000)).toBeLessThanOrEqual(10);
    expect(fullest(arrivals, 60_000)).toBeLessThanOrEqual(150);
  });

  it('starts a call at 1/s only once in two seconds', async () => {
    const { quota } = setUp();
    const starts = startMany(quota, 3, request(operations.getAccounts));
    await jest.advanceTimersByTimeAsync(10_000);
    const gaps = starts.slice(1).map((start, index) => start - (starts[index] ?? 0));
    expect(gaps).toHaveLength(2);
    for (const gap of gaps) {
      expect(gap).toBeGreaterThanOrEqual(2000);
      expect(gap).toBeLessThan(2100);
    }
  });

  it('uses no more than the configured share', async () => {
    const { quota } = setUp(0.1);
    const starts = startMany(quota, 200, request(operations.getCampaigns));
    await jest.advanceTimersByTimeAsync(4 * 60_000 - 1);
    expect(fullest(starts, 1000)).toBe(1);
    expect(fullest(starts, 60_000)).toBeLessThanOrEqual(15);
    expect(starts.length).toBeGreaterThanOrEqual(50);
  });

  it('makes the windows longer where the share is less than one call', async () => {
    const { quota } = setUp(0.1);
    const starts = startMany(quota, 5, request(operations.campaignValuesReport));
    await jest.advanceTimersByTimeAsync(5 * 60_000);
    expect(starts).toHaveLength(1);
    await jest.advanceTimersByTimeAsync(60_000);
    expect(starts).toHaveLength(2);
  });

  it('counts the day', async () => {
    const { quota } = setUp();
    const starts = startMany(quota, 300, request(operations.createList));
    // Counted by the hour, so that whatever day Klaviyo counts is within it.
    await jest.advanceTimersByTimeAsync(24 * 3_600_000);
    expect(starts).toHaveLength(150);
    await jest.advanceTimersByTimeAsync(2 * 3_600_000);
    expect(starts).toHaveLength(300);
  });

  it('refuses at once, with an honest time, what cannot start before its deadline', async () => {
    const { quota } = setUp();
    const call = request(operations.campaignValuesReport, { deadline: START + 15_000 });
    await quota.acquire(call);
    const second = quota.acquire(call);
    await jest.advanceTimersByTimeAsync(2001);
    await second;
    const at = Date.now();
    const error = await quota.acquire(call).catch((caught: unknown) => caught);
    expect(Date.now()).toBe(at);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'KLAVIYO_RATE_LIMITED', status: 429, retryAfter: 59 });
  });

  it('counts those ahead when it judges a deadline', async () => {
    const { quota } = setUp();
    const call = request(operations.getAccounts, { deadline: START + 5000 });
    const results = await Promise.all(
      [0, 1, 2, 3, 4].map((index) => {
        const ended = quota.acquire(call).then(
          () => `started after ${Math.round((Date.now() - START) / 1000)} s`,
          (error: unknown) => (error as AppError).code,
        );
        if (index === 4) void jest.advanceTimersByTimeAsync(6000);
        return ended;
      }),
    );
    expect(results).toEqual([
      'started after 0 s',
      'started after 2 s',
      'started after 4 s',
      'KLAVIYO_RATE_LIMITED',
      'KLAVIYO_RATE_LIMITED',
    ]);
  });

  it('lets interactive calls pass before background ones, which leave them the last slots', async () => {
    const { quota } = setUp();
    const order: string[] = [];
    const begin = (name: string, priority: QuotaRequest['priority']): void =>
      void quota.acquire(request(operations.getCampaigns, { priority })).then(() => order.push(name));
    for (let index = 0; index < 200; index += 1) begin('background', 'background');
    await jest.advanceTimersByTimeAsync(30_000);
    const before = order.length;
    expect(before).toBeLessThan(144);
    begin('interactive', 'interactive');
    await jest.advanceTimersByTimeAsync(0);
    expect(order.slice(before)).toEqual(['interactive']);
  });

  it('serves each line in order of arrival', async () => {
    const { quota } = setUp();
    const order: number[] = [];
    for (let index = 0; index < 30; index += 1)
      void quota.acquire(request(operations.getTags)).then(() => order.push(index));
    await jest.advanceTimersByTimeAsync(30_000);
    expect(order).toEqual([...Array(30).keys()]);
  });

  it('keeps accounts and endpoints apart', async () => {
    const { quota } = setUp();
    await quota.acquire(request(operations.getAccounts));
    await quota.acquire(request(operations.getAccounts, { accountId: 'OTHER1' }));
    await quota.acquire(request(operations.getWebhooks));
    expect(Date.now()).toBe(START);
  });

  it('holds a call with a second budget to both, and not the endpoint without it', async () => {
    const { quota } = setUp();
    const counted = request(operations.getList, { query: 'additional-fields[list]=profile_count' });
    const starts = startMany(quota, 40, counted);
    const alsoCounted = startMany(
      quota,
      40,
      request(operations.getSegment, { query: 'additional-fields[segment]=profile_count' }),
    );
    const plain = startMany(quota, 20, request(operations.getList));
    await jest.advanceTimersByTimeAsync(60_000);
    expect(plain.every((start) => start === START)).toBe(true);
    const both = [...starts, ...alsoCounted].sort((a, b) => a - b);
    expect(fullest(both, 1000)).toBe(1);
    expect(fullest(both, 60_000)).toBe(15);
  });

  it('starts nothing on a bucket that Klaviyo refused before its time has passed', async () => {
    const { quota } = setUp();
    const call = request(operations.getProfiles);
    await quota.acquire(call);
    quota.refused(call, 5000);
    const starts = startMany(quota, 2, call);
    await jest.advanceTimersByTimeAsync(4999);
    expect(starts).toHaveLength(0);
    await jest.advanceTimersByTimeAsync(10);
    expect(starts).toHaveLength(2);
  });

  it('refuses those who wait when a refusal puts their start beyond their deadline', async () => {
    const { quota } = setUp();
    await quota.acquire(request(operations.getAccounts));
    const waiting = quota.acquire(request(operations.getAccounts, { deadline: START + 4000 })).catch((e: unknown) => e);
    quota.refused(request(operations.getAccounts), 30_000);
    expect(await waiting).toMatchObject({ code: 'KLAVIYO_RATE_LIMITED', retryAfter: 30 });
    expect(Date.now()).toBe(START);
  });

  it('takes over what Klaviyo says it allows, upward and downward, and counts what was done before', async () => {
    const { quota } = setUp();
    const call = request(operations.getTags);
    await quota.acquire(call);
    quota.learn(call, '1000, 1000;w=1, 60000;w=60', undefined);
    const starts = startMany(quota, 500, call);
    await jest.advanceTimersByTimeAsync(1000);
    expect(starts).toHaveLength(500);
    quota.learn(call, '3, 3;w=1, 60;w=60', undefined);
    const later = startMany(quota, 2, call);
    await jest.advanceTimersByTimeAsync(500);
    expect(later).toHaveLength(0);
    await jest.advanceTimersByTimeAsync(3000);
    expect(later).toHaveLength(2);
  });

  it('believes no header that may describe a second budget, or is none', async () => {
    const { quota, ledger } = setUp();
    const counted = request(operations.getList, { query: 'additional-fields[list]=profile_count' });
    await quota.acquire(counted);
    quota.learn(counted, '1, 1;w=1, 15;w=60', undefined);
    quota.learn(request(operations.getList), 'nonsense', undefined);
    expect(await limitsOf(ledger)).toEqual({ getList: 750, profile_count: 15 });
  });

  it('takes over the second budget’s limits where it knows the first one’s from Klaviyo', async () => {
    const { quota, ledger } = setUp();
    const plain = request(operations.getList);
    const counted = request(operations.getList, { query: 'additional-fields[list]=profile_count' });
    await quota.acquire(plain);
    quota.learn(plain, '75, 75;w=1, 750;w=60', undefined);
    await quota.acquire(counted);
    quota.learn(counted, '2, 2;w=1, 30;w=60', undefined);
    await jest.advanceTimersByTimeAsync(0);
    expect(await limitsOf(ledger)).toEqual({ getList: 750, profile_count: 30 });
  });

  it('sends less at once while others are seen to use the second', async () => {
    const { quota, ledger } = setUp();
    const call = request(operations.getProfiles);
    await quota.acquire(call);
    for (const remaining of ['20', '18', '15']) quota.learn(call, '75, 75;w=1, 750;w=60', remaining);
    const starts = startMany(quota, 20, call);
    await jest.advanceTimersByTimeAsync(0);
    expect(starts.length).toBeLessThan(5);
    expect((await ledger.use('WBhXHN'))[0]?.others).toBeGreaterThan(50);
    await jest.advanceTimersByTimeAsync(70_000);
    expect(startMany(quota, 20, call)).toEqual([]);
    expect((await ledger.use('WBhXHN'))[0]?.others).toBe(0);
  });

  it('does not take its own calls for those of others', async () => {
    const { quota, ledger } = setUp();
    const call = request(operations.getProfiles);
    for (let index = 1; index <= 20; index += 1) {
      await quota.acquire(call);
      quota.learn(call, '75, 75;w=1, 750;w=60', String(75 - index));
    }
    expect((await ledger.use('WBhXHN'))[0]?.others).toBe(0);
  });

  it('asks once for all who come together', async () => {
    const { quota, ledger } = setUp();
    await quota.acquire(request(operations.getEvents));
    ledger.asked = 0;
    const starts = startMany(quota, 80, request(operations.getEvents));
    await jest.advanceTimersByTimeAsync(0);
    expect(starts).toHaveLength(80);
    expect(ledger.asked).toBeLessThanOrEqual(2);
  });

  it('does not ask about what it knows to be used up', async () => {
    const { quota, ledger } = setUp();
    const call = request(operations.campaignValuesReport, { deadline: START + 5000 });
    await quota.acquire(call);
    quota.refused(call, 60_000);
    await expect(quota.acquire(call)).rejects.toMatchObject({ retryAfter: 60 });
    ledger.asked = 0;
    for (let index = 0; index < 100; index += 1) await quota.acquire(call).catch(() => undefined);
    expect(ledger.asked).toBe(0);
  });

  it('tells operators once that a day is used up, and when it is not any more', async () => {
    const { quota, told } = setUp();
    startMany(quota, 151, request(operations.createList));
    await jest.advanceTimersByTimeAsync(26 * 3_600_000);
    expect(new Set(told.raised.map(({ key }) => key))).toEqual(new Set(['quota.daily_exhausted:WBhXHN:createList']));
    expect(told.raised[0]).toMatchObject({ type: 'quota.daily_exhausted', userId: 42, connectionId: '0197-test' });
    expect(told.resolved.at(-1)).toBe('quota.daily_exhausted:WBhXHN:createList');
  });

  it('answers that the service is unavailable while the ledger is', async () => {
    const { quota, ledger } = setUp();
    jest.spyOn(ledger, 'take').mockRejectedValue(new Error('no database'));
    await expect(quota.acquire(request(operations.getTags))).rejects.toMatchObject({
      code: 'SERVICE_UNAVAILABLE',
      retryAfter: 5,
    });
  });

  it('lets go of those who wait longer than a stopping process lives', async () => {
    const { quota, drain } = setUp();
    await quota.acquire(request(operations.getAccounts));
    const soon = quota.acquire(request(operations.getAccounts)).then(() => 'started');
    const others = [1, 2, 3, 4].map(() => quota.acquire(request(operations.getAccounts)).catch((e: unknown) => e));
    drain.begin();
    await jest.advanceTimersByTimeAsync(7000);
    expect(await soon).toBe('started');
    expect(await others[3]).toMatchObject({ code: 'SERVICE_UNAVAILABLE', status: 503 });
  });
});

describe('two replicas', () => {
  it('share one quota', async () => {
    const one = setUp();
    const other = setUp(1, one.ledger);
    const starts = [one, other].map(({ quota }) => startMany(quota, 500, request(operations.getCampaigns)));
    await jest.advanceTimersByTimeAsync(2 * 60_000);
    const all = starts.flat().sort((a, b) => a - b);
    expect(fullest(all, 1000)).toBeLessThanOrEqual(10);
    expect(fullest(all, 60_000)).toBeLessThanOrEqual(150);
    expect(all.length).toBeGreaterThan(2 * 150 * 0.94);
  });

  it('let an interactive call of one pass before the background work of the other', async () => {
    const one = setUp();
    const other = setUp(1, one.ledger);
    startMany(one.quota, 500, request(operations.getCampaigns, { priority: 'background' }));
    await jest.advanceTimersByTimeAsync(60_000);
    for (let call = 0; call < 20; call += 1) {
      const from = Date.now();
      const started = other.quota.acquire(request(operations.getCampaigns)).then(() => Date.now() - from);
      await jest.advanceTimersByTimeAsync(1000);
      // One slot of 150 a minute.
      expect(await started).toBeLessThanOrEqual(430);
    }
  });

  it('pause together when Klaviyo refuses one of them', async () => {
    const one = setUp();
    const other = setUp(1, one.ledger);
    const call = request(operations.getProfiles);
    await Promise.all([one.quota.acquire(call), other.quota.acquire(call)]);
    one.quota.refused(call, 5000);
    await jest.advanceTimersByTimeAsync(300);
    const starts = startMany(other.quota, 1, call);
    await jest.advanceTimersByTimeAsync(4600);
    expect(starts).toHaveLength(0);
    await jest.advanceTimersByTimeAsync(200);
    expect(starts).toHaveLength(1);
  });
});

describe('RateLimit-Limit', () => {
  it.each([
    ['75, 75;w=1, 750;w=60', { burst: 75, steady: 750, daily: undefined }],
    ['1, 1;w=1, 2;w=60, 225;w=86400', { burst: 1, steady: 2, daily: 225 }],
    ['10, 10;w=1', undefined],
    ['0, 0;w=1, 0;w=60', undefined],
    ['', undefined],
    ['x'.repeat(1000), undefined],
  ])('%s', (header, limits) => {
    expect(parseRateLimit(header)).toEqual(limits);
  });
});
