import type { Sandbox, SandboxAccount, SandboxAccountOptions } from '../support/sandbox';
import { startSandbox } from '../support/sandbox';
import type { Document } from './sandbox-harness';
import { Caller } from './sandbox-harness';

let sandbox: Sandbox;
let account: SandboxAccount;
let klaviyo: Caller;

async function open(options: SandboxAccountOptions = {}): Promise<void> {
  account = await sandbox.createAccount({ limits: 'off', seed: 7, ...options });
  klaviyo = new Caller(sandbox, account.key);
}

const SUBSCRIBED = { email: { marketing: { consent: 'SUBSCRIBED' } } };

function subscribeBody(email: string, listId?: string, more: object = {}) {
  return {
    data: {
      type: 'profile-subscription-bulk-create-job',
      attributes: {
        profiles: { data: [{ type: 'profile', attributes: { email, subscriptions: SUBSCRIBED } }] },
        ...more,
      },
      ...(listId === undefined ? {} : { relationships: { list: { data: { type: 'list', id: listId } } } }),
    },
  };
}

function eventBody(attributes: object, email = 'ada@example.com') {
  const metric = { data: { type: 'metric', attributes: { name: 'Placed Order' } } };
  const profile = { data: { type: 'profile', attributes: { email } } };
  return { data: { type: 'event', attributes: { properties: {}, metric, profile, ...attributes } } };
}

async function consentOf(email: string): Promise<Document> {
  const filter = encodeURIComponent(`equals(email,"${email}")`);
  const found = await klaviyo.get(`/api/profiles?filter=${filter}&additional-fields[profile]=subscriptions`);
  return found.json.data[0]?.attributes.subscriptions.email.marketing;
}

beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(async () => {
  await sandbox.stop();
});
beforeEach(async () => {
  await sandbox.reset();
  await sandbox.clock({ now: '2026-11-22T10:00:00Z', frozen: true });
});

describe('consent jobs', () => {
  it('accepts without a body and subscribes after the delay, onto the list', async () => {
    await open({ lists: [{ name: 'Simple', optIn: 'single_opt_in' }], asyncDelayMs: 30_000 });
    const list = (await klaviyo.get('/api/lists')).json.data[0].id as string;
    const accepted = await klaviyo.send(
      'POST',
      '/api/profile-subscription-bulk-create-jobs',
      subscribeBody('a@example.com', list),
    );
    expect([accepted.status, accepted.text]).toEqual([202, '']);
    expect(await consentOf('a@example.com')).toBeUndefined();
    await sandbox.clock({ advanceMs: 30_000 });
    expect(await consentOf('a@example.com')).toMatchObject({
      consent: 'SUBSCRIBED',
      can_receive_email_marketing: true,
    });
    expect((await klaviyo.get(`/api/lists/${list}/profiles`)).json.data).toHaveLength(1);
  });

  it('leaves consent unset on a double-opt-in list until the click', async () => {
    await open({ lists: [{ name: 'Double', optIn: 'double_opt_in' }] });
    const list = (await klaviyo.get('/api/lists')).json.data[0].id as string;
    await klaviyo.send('POST', '/api/profile-subscription-bulk-create-jobs', subscribeBody('a@example.com', list));
    expect(await consentOf('a@example.com')).toMatchObject({ consent: 'NEVER_SUBSCRIBED' });
    expect((await klaviyo.get(`/api/lists/${list}/profiles`)).json.data).toHaveLength(0);
    const profileId = (await klaviyo.get('/api/profiles')).json.data[0].id as string;
    await sandbox.control('POST', `/accounts/${account.id}/lists/${list}/confirm`, { profileId });
    expect(await consentOf('a@example.com')).toMatchObject({ consent: 'SUBSCRIBED', double_optin: true });
    expect((await klaviyo.get(`/api/lists/${list}/profiles`)).json.data).toHaveLength(1);
  });

  it('makes no profile of a new e-mail without list, but one of a historical import with its own date', async () => {
    await open();
    await klaviyo.send('POST', '/api/profile-subscription-bulk-create-jobs', subscribeBody('nobody@example.com'));
    expect(await consentOf('nobody@example.com')).toBeUndefined();
    const dated = { email: { marketing: { consent: 'SUBSCRIBED', consented_at: '2024-05-01T00:00:00+00:00' } } };
    const profiles = { data: [{ type: 'profile', attributes: { email: 'old@example.com', subscriptions: dated } }] };
    const body = subscribeBody('x@example.com', undefined, { historical_import: true, profiles });
    await klaviyo.send('POST', '/api/profile-subscription-bulk-create-jobs', body);
    expect(await consentOf('old@example.com')).toMatchObject({
      consent: 'SUBSCRIBED',
      consent_timestamp: '2024-05-01T00:00:00+00:00',
    });
  });

  it('unsubscribes members of the list from it, and others from everything', async () => {
    await open({ lists: [{ name: 'L', optIn: 'single_opt_in' }] });
    const list = (await klaviyo.get('/api/lists')).json.data[0].id as string;
    await klaviyo.send('POST', '/api/profile-subscription-bulk-create-jobs', subscribeBody('in@example.com', list));
    await klaviyo.send(
      'POST',
      '/api/profile-subscription-bulk-create-jobs',
      subscribeBody('out@example.com', undefined, {}),
    );
    await klaviyo.send('POST', '/api/profiles', {
      data: { type: 'profile', attributes: { email: 'out@example.com' } },
    });
    const gone = { email: { marketing: { consent: 'UNSUBSCRIBED' } } };
    const people = ['in@example.com', 'out@example.com'].map((email) => ({
      type: 'profile',
      attributes: { email, subscriptions: gone },
    }));
    const relationships = { list: { data: { type: 'list', id: list } } };
    const data = {
      type: 'profile-subscription-bulk-delete-job',
      attributes: { profiles: { data: people } },
      relationships,
    };
    expect((await klaviyo.send('POST', '/api/profile-subscription-bulk-delete-jobs', { data })).status).toBe(202);
    expect(await consentOf('in@example.com')).toMatchObject({ consent: 'SUBSCRIBED' });
    expect(await consentOf('out@example.com')).toMatchObject({
      consent: 'UNSUBSCRIBED',
      can_receive_email_marketing: false,
    });
    expect((await klaviyo.get(`/api/lists/${list}/profiles`)).json.data).toHaveLength(0);
  });

  it('suppresses by a job that can be watched, and lifts what was suppressed by hand only', async () => {
    await open({ profiles: 100 });
    const { rows } = await klaviyo.all('/api/profiles?page[size]=100&additional-fields[profile]=subscriptions');
    const bounced = rows.find(
      (row) => row.attributes.subscriptions.email.marketing.suppression[0]?.reason === 'HARD_BOUNCE',
    );
    const body = (kind: string) => ({
      data: {
        type: `profile-suppression-bulk-${kind}-job`,
        attributes: { profiles: { data: [{ type: 'profile', attributes: { email: bounced.attributes.email } }] } },
      },
    });
    const job = await klaviyo.send('POST', '/api/profile-suppression-bulk-create-jobs', body('create'));
    expect(job.json.data.attributes.status).toBe('queued');
    const done = await klaviyo.get(`/api/profile-suppression-bulk-create-jobs/${job.json.data.id}`);
    expect(done.json.data.attributes).toMatchObject({ status: 'complete', completed_count: 1, skipped_count: 0 });
    const reasons = async () =>
      (await consentOf(bounced.attributes.email)).suppression.map((row: Document) => row.reason);
    expect(await reasons()).toEqual(['HARD_BOUNCE', 'USER_SUPPRESSED']);
    await klaviyo.send('POST', '/api/profile-suppression-bulk-delete-jobs', body('delete'));
    expect(await reasons()).toEqual(['HARD_BOUNCE']);
  });
});

describe('bulk import', () => {
  it('goes through its states by the clock, keeps good rows and tells the bad ones', async () => {
    await open({ lists: 1, asyncDelayMs: 10_000 });
    const list = (await klaviyo.get('/api/lists')).json.data[0].id as string;
    const rows = ['a@example.com', 'not-an-address', 'b@example.com'].map((email) => ({
      type: 'profile',
      attributes: { email },
    }));
    const relationships = { lists: { data: [{ type: 'list', id: list }] } };
    const data = { type: 'profile-bulk-import-job', attributes: { profiles: { data: rows } }, relationships };
    const job = await klaviyo.send('POST', '/api/profile-bulk-import-jobs', { data });
    expect(job.json.data.attributes).toMatchObject({
      status: 'queued',
      total_count: 3,
      expires_at: '2026-11-29T10:00:00+00:00',
    });
    const path = `/api/profile-bulk-import-jobs/${job.json.data.id}`;
    await sandbox.clock({ advanceMs: 10_000 });
    expect((await klaviyo.get(path)).json.data.attributes.status).toBe('processing');
    await sandbox.clock({ advanceMs: 10_000 });
    expect((await klaviyo.get(path)).json.data.attributes).toMatchObject({
      status: 'complete',
      completed_count: 2,
      failed_count: 1,
    });
    const errors = await klaviyo.get(`${path}/import-errors`);
    expect(errors.json.data[0].attributes).toMatchObject({
      detail: 'Invalid email address',
      original_payload: rows[1],
    });
    expect((await klaviyo.get(`/api/lists/${list}/profiles`)).json.data).toHaveLength(2);
  });
});

describe('events', () => {
  it('becomes visible after the delay, with the profile and the metric that it needed', async () => {
    await open({ asyncDelayMs: 5000 });
    const body = eventBody({
      properties: { OrderId: '1' },
      value: 9.99,
      value_currency: 'EUR',
      unique_id: 'o-1',
      time: '2026-11-20T10:00:00.900+00:00',
    });
    expect((await klaviyo.send('POST', '/api/events', body)).status).toBe(202);
    expect((await klaviyo.get('/api/events')).json.data).toHaveLength(0);
    await sandbox.clock({ advanceMs: 5000 });
    const page = await klaviyo.get('/api/events?include=metric,profile');
    expect(page.json.data[0].attributes).toMatchObject({
      datetime: '2026-11-20T10:00:00+00:00',
      timestamp: Date.parse('2026-11-20T10:00:00Z') / 1000,
      event_properties: { OrderId: '1', $event_id: 'o-1', $value: 9.99, $value_currency: 'EUR' },
    });
    expect(page.json.data[0].id).toHaveLength(11);
    const types = page.json.included.map((row: Document) => [row.type, row.attributes.name ?? row.attributes.email]);
    expect(types).toEqual([
      ['metric', 'Placed Order'],
      ['profile', 'ada@example.com'],
    ]);
  });

  it('keeps the first of a repeated unique id, and one a second without any', async () => {
    await open();
    const time = '2026-11-20T10:00:00Z';
    await klaviyo.send('POST', '/api/events', eventBody({ unique_id: 'x', properties: { n: 1 } }));
    await klaviyo.send('POST', '/api/events', eventBody({ unique_id: 'x', properties: { n: 2 } }));
    await klaviyo.send('POST', '/api/events', eventBody({ time }));
    await klaviyo.send('POST', '/api/events', eventBody({ time }));
    const { data } = (await klaviyo.get('/api/events')).json;
    expect(data).toHaveLength(2);
    expect(
      data.find((row: Document) => row.attributes.event_properties.$event_id === 'x').attributes.event_properties.n,
    ).toBe(1);
  });

  it('refuses a whole bulk call that repeats a unique id', async () => {
    await open();
    const event = {
      type: 'event',
      attributes: { properties: {}, unique_id: '1', metric: { data: { type: 'metric', attributes: { name: 'M' } } } },
    };
    const person = {
      type: 'event-bulk-create',
      attributes: {
        profile: { data: { type: 'profile', attributes: { email: 'a@b.co' } } },
        events: { data: [event, event] },
      },
    };
    const body = { data: { type: 'event-bulk-create-job', attributes: { 'events-bulk-create': { data: [person] } } } };
    expect((await klaviyo.send('POST', '/api/event-bulk-create-jobs', body)).status).toBe(400);
    expect((await klaviyo.get('/api/events')).json.data).toHaveLength(0);
  });

  it.each([
    [
      '401 properties',
      { properties: Object.fromEntries(Array.from({ length: 401 }, (_, n) => [`p${n}`, n])) },
      'properties',
    ],
    ['11 levels', { properties: { a: JSON.parse('['.repeat(10) + ']'.repeat(10)) } }, 'properties'],
    ['a time two years ahead', { time: '2028-11-22T00:00:00Z' }, 'time'],
    ['a unique id of 256 characters', { unique_id: 'x'.repeat(256) }, 'unique_id'],
  ])('refuses %s', async (_what, attributes, name) => {
    await open();
    const answer = await klaviyo.send('POST', '/api/events', eventBody(attributes));
    expect([answer.status, answer.json.errors[0].source.pointer]).toEqual([400, `/data/attributes/${name}`]);
  });

  it('pages 200 by default, 1,000 where that is allowed, newest first, and narrows by time and metric', async () => {
    await open({ profiles: 50, events: 2500, campaigns: 20 });
    expect((await klaviyo.get('/api/events')).json.data).toHaveLength(200);
    const { rows } = await klaviyo.all('/api/events?page[size]=1000&sort=datetime');
    expect(rows).toHaveLength(2500);
    const older = new Caller(sandbox, account.key, '2025-01-15');
    expect((await older.get('/api/events?page[size]=1000')).status).toBe(400);
    const metric = rows[0].relationships.metric.data.id as string;
    const middle = rows[1200].attributes.datetime as string;
    const filter = encodeURIComponent(`equals(metric_id,"${metric}"),greater-or-equal(datetime,${middle})`);
    const narrowed = (await klaviyo.all(`/api/events?filter=${filter}`)).rows;
    const expected = rows.filter(
      (row) => row.relationships.metric.data.id === metric && row.attributes.datetime >= middle,
    );
    expect(narrowed.map(({ id }) => id).sort()).toEqual(expected.map(({ id }) => id).sort());
  });
});

describe('statistics', () => {
  const window = ['greater-or-equal(datetime,2026-01-01T00:00:00)', 'less-than(datetime,2026-12-01T00:00:00)'];

  async function metrics(): Promise<Map<string, string>> {
    const { rows } = await klaviyo.all('/api/metrics');
    return new Map(rows.map((row) => [row.attributes.name as string, row.id as string]));
  }

  async function aggregate(metric_id: string | undefined, more: object): Promise<Document> {
    const attributes = { metric_id, measurements: ['count', 'unique', 'sum_value'], filter: window, ...more };
    const answer = await klaviyo.send('POST', '/api/metric-aggregates', {
      data: { type: 'metric-aggregate', attributes },
    });
    expect(answer.status).toBe(200);
    return answer.json.data.attributes;
  }

  it('derives reports and aggregates from the same events', async () => {
    await open({ profiles: 400, campaigns: 30, events: 8000 });
    const ids = await metrics();
    const statistics = [
      'delivered',
      'opens',
      'opens_unique',
      'open_rate',
      'recipients',
      'conversions',
      'conversion_value',
    ];
    const attributes = {
      statistics,
      timeframe: { key: 'last_365_days' },
      conversion_metric_id: ids.get('Placed Order'),
    };
    const report = await klaviyo.send('POST', '/api/campaign-values-reports', {
      data: { type: 'campaign-values-report', attributes },
    });
    const rows = report.json.data.attributes.results as Document[];
    const emails = rows.filter((row) => row.groupings.send_channel === 'email');
    expect(emails.length).toBeGreaterThan(3);
    const opened = await aggregate(ids.get('Opened Email'), { by: ['$message'], interval: 'month' });
    for (const row of emails) {
      const group = opened.data.find((found: Document) => found.dimensions[0] === row.groupings.campaign_id);
      const total = (group?.measurements.count ?? []).reduce((sum: number, n: number) => sum + n, 0);
      expect(total).toBe(row.statistics.opens);
      const rate = row.statistics.delivered === 0 ? 0 : row.statistics.opens_unique / row.statistics.delivered;
      expect(row.statistics.open_rate).toBeCloseTo(rate, 10);
      expect(row.statistics.open_rate).toBeLessThanOrEqual(1);
    }
    expect(emails.some((row) => row.statistics.conversion_value > 0)).toBe(true);
  });

  it('tells bucket starts in UTC for the timezone that was asked for', async () => {
    await open({ profiles: 10, events: 100 });
    const ids = await metrics();
    const { dates, data } = await aggregate(ids.get('Received Email'), { interval: 'month', timezone: 'Europe/Paris' });
    expect(dates.slice(0, 4)).toEqual([
      '2025-12-31T23:00:00+00:00',
      '2026-01-31T23:00:00+00:00',
      '2026-02-28T23:00:00+00:00',
      '2026-03-31T22:00:00+00:00',
    ]);
    expect(data[0].measurements.count).toHaveLength(dates.length);
  });

  it('refuses a range beyond a year, a missing conversion metric and one filter too many', async () => {
    await open({ profiles: 2 });
    const ids = await metrics();
    const long = ['greater-or-equal(datetime,2024-01-01T00:00:00)', 'less-than(datetime,2026-12-01T00:00:00)'];
    const wide = { metric_id: ids.get('Opened Email'), measurements: ['count'], filter: long };
    expect(
      (await klaviyo.send('POST', '/api/metric-aggregates', { data: { type: 'metric-aggregate', attributes: wide } }))
        .status,
    ).toBe(400);
    const report = (attributes: object) =>
      klaviyo.send('POST', '/api/campaign-values-reports', { data: { type: 'campaign-values-report', attributes } });
    const base = { statistics: ['opens'], timeframe: { key: 'last_30_days' } };
    expect((await report(base)).json.errors[0].source.pointer).toBe('/data/attributes/conversion_metric_id');
    expect((await report({ ...base, conversion_metric_id: 'NOPE01' })).status).toBe(400);
    const filter = 'equals(send_channel,"email"),equals(send_channel,"sms")';
    expect((await report({ ...base, conversion_metric_id: ids.get('Placed Order'), filter })).status).toBe(400);
  });

  it('allows two reports a minute and 225 a day', async () => {
    await open({ limits: 'klaviyo' });
    const conversion = (await metrics()).get('Placed Order');
    const attributes = { statistics: ['opens'], timeframe: { key: 'last_30_days' }, conversion_metric_id: conversion };
    const ask = () =>
      klaviyo.send('POST', '/api/campaign-values-reports', { data: { type: 'campaign-values-report', attributes } });
    let served = 0;
    for (let minute = 0; minute < 120 && served < 226; minute += 1) {
      for (let n = 0; n < 2; n += 1) {
        const answer = await ask();
        if (answer.status === 200) served += 1;
        await sandbox.clock({ advanceMs: 1000 });
      }
      await sandbox.clock({ advanceMs: 58_000 });
    }
    expect(served).toBe(225);
    const refused = await ask();
    expect(refused.status).toBe(429);
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(3600);
  });

  it('sends a campaign through its states and leaves the events of the send', async () => {
    await open({ profiles: 20, lists: [{ name: 'L', members: 10 }], asyncDelayMs: 1000 });
    const list = (await klaviyo.get('/api/lists')).json.data[0].id as string;
    const audiences = { included: [list], excluded: [] };
    const { id } = await sandbox.control<{ id: string }>('POST', `/accounts/${account.id}/campaigns`, {
      name: 'Envoi',
      audiences,
    });
    const job = { data: { type: 'campaign-send-job', id } };
    expect((await klaviyo.send('POST', '/api/campaign-send-jobs', job)).json.data.id).toBe(id);
    const status = async () => (await klaviyo.get(`/api/campaigns/${id}`)).json.data.attributes.status as string;
    const seen = [await status()];
    for (let n = 0; n < 2; n += 1) {
      await sandbox.clock({ advanceMs: 1000 });
      seen.push(await status());
    }
    expect(seen).toEqual(['Preparing to send', 'Sending', 'Sent']);
    expect((await klaviyo.get(`/api/campaign-send-jobs/${id}`)).json.data.attributes.status).toBe('complete');
    const received = (await metrics()).get('Received Email') ?? '';
    expect((await klaviyo.all(`/api/events?filter=equals(metric_id,"${received}")`)).rows).toHaveLength(10);
  });
});
