import { PollJob } from '../../src/webhooks/poll.job';
import { until } from './reads-stage';
import { CLICKED, OPENED, openWebhooksStage, ORDERED, type Owner, type WebhooksStage } from './webhooks-stage';

interface Row {
  external_id: string;
  topic: string;
  source: string;
  profile_id: string | null;
}

const SECOND = 1000;
const HOUR = 3_600_000;

describe('events that are read from Klaviyo', () => {
  let stage: WebhooksStage;
  let users = 300;
  beforeAll(async () => {
    stage = await openWebhooksStage({ env: { WEBHOOK_POLL_INTERVAL_SECONDS: '3600' } });
  });
  afterAll(async () => {
    await stage.stop();
  });

  const polled = (account: object = {}) =>
    stage.owner((users += 1), { plan: { advancedKdp: false }, profiles: 5, asyncDelayMs: 0, ...account });
  const rowsOf = ({ userId }: Owner, at = stage) =>
    at.sql<Row>(
      `SELECT e.external_id, e.topic, e.profile_id, d.source FROM received_event e
       JOIN webhook_delivery d ON d.user_id = e.user_id AND d.connection_id = e.connection_id AND d.id = e.delivery_id
       WHERE e.user_id = $1 ORDER BY e.occurred_at, e.external_id`,
      [userId],
    );
  /** An event at Klaviyo, recorded there `ago` milliseconds ago. @returns its id */
  const happens = async (owner: Owner, metric: string, ago = 0, more: object = {}) => {
    const profiles = (await owner.seed('profiles', { email: `e${Math.random()}@example.com` })) as { id: string };
    const time = new Date(Date.now() - ago).toISOString();
    const made = (await owner.seed('events', { metric, profileId: profiles.id, time, ...more })) as { id: string };
    return made.id;
  };
  const ids = (rows: Row[]) => rows.map(({ external_id: id }) => id);
  /** Reads as if an interval had passed, once what is being read is read. */
  const readNow = async ({ userId }: Owner) => {
    await until(
      () =>
        stage.sql(
          `UPDATE webhook SET read_at = now() - interval '6 seconds' WHERE user_id = $1 AND read_lease IS NULL
             AND read_at > now() RETURNING id`,
          [userId],
        ),
      (rows) => rows.length > 0,
    );
    await stage.tick();
    await until(
      () => stage.sql('SELECT 1 FROM webhook WHERE user_id = $1 AND read_at > now() AND read_lease IS NULL', [userId]),
      (rows) => rows.length > 0,
    );
  };

  it('are here within an interval, as if Klaviyo had sent them', async () => {
    const quick = await openWebhooksStage({ env: { WEBHOOK_POLL_INTERVAL_SECONDS: '5' } }, stage.sandbox);
    const owner = await quick.owner(1, { plan: { advancedKdp: false } });
    const webhook = await owner.create({ topics: [OPENED, ORDERED], delivery: 'auto' });
    expect(webhook.delivery).toBe('poll');
    const wanted = [await happens(owner, 'Opened Email'), await happens(owner, 'Placed Order')];
    await happens(owner, 'Clicked Email');
    const rows = await until(
      () => rowsOf(owner, quick),
      (seen) => seen.length >= 2,
    );
    await quick.stop();
    expect(ids(rows).sort()).toEqual(wanted.sort());
    expect(rows.map(({ topic }) => topic).sort()).toEqual([ORDERED, OPENED].sort());
    expect(rows.every(({ source, profile_id: profile }) => source === 'poll' && profile !== null)).toBe(true);
  });

  it('are each taken once, though every reading looks back', async () => {
    const owner = await polled();
    await owner.create();
    const first = await happens(owner, 'Opened Email');
    await readNow(owner);
    const second = await happens(owner, 'Opened Email');
    await readNow(owner);
    await readNow(owner);
    expect(ids(await rowsOf(owner)).sort()).toEqual([first, second].sort());
    const deliveries = await stage.sql('SELECT 1 FROM webhook_delivery WHERE user_id = $1', [owner.userId]);
    expect(deliveries).toHaveLength(2);
  });

  it('are taken though Klaviyo shows them minutes after they happened', async () => {
    const owner = await polled();
    await owner.create();
    await stage.sql(`UPDATE webhook SET reads_from = now() - interval '1 hour' WHERE user_id = $1`, [owner.userId]);
    await readNow(owner);
    const late = await happens(owner, 'Opened Email', 8 * 60 * SECOND);
    await readNow(owner);
    expect(ids(await rowsOf(owner))).toEqual([late]);
  });

  it('are taken though Klaviyo shows them days after they happened, once a day', async () => {
    const owner = await polled();
    await owner.create();
    await stage.sql(`UPDATE webhook SET reads_from = now() - interval '30 days' WHERE user_id = $1`, [owner.userId]);
    const late = await happens(owner, 'Opened Email', 100 * HOUR);
    await readNow(owner);
    expect(await rowsOf(owner)).toEqual([]);
    await stage.sql(`UPDATE webhook SET looked_back_at = now() - interval '25 hours' WHERE user_id = $1`, [
      owner.userId,
    ]);
    await readNow(owner);
    expect(ids(await rowsOf(owner))).toEqual([late]);
    const looked = await stage.sql<{ fresh: boolean }>(
      `SELECT looked_back_at > now() - interval '1 minute' AS fresh FROM webhook WHERE user_id = $1`,
      [owner.userId],
    );
    expect(looked).toEqual([{ fresh: true }]);
  });

  it('do not have what happened while the webhook was off, however far a reading looks back', async () => {
    const owner = await polled();
    const { id } = await owner.create();
    await stage.sql(
      `UPDATE webhook SET reads_from = now() - interval '30 days', looked_back_at = now() - interval '25 hours'
       WHERE user_id = $1`,
      [owner.userId],
    );
    await owner.call('patch', `/webhooks/${id}`, { enabled: false });
    await happens(owner, 'Opened Email', 60 * SECOND);
    await happens(owner, 'Opened Email', 30 * HOUR);
    await owner.call('patch', `/webhooks/${id}`, { enabled: true });
    const wanted = await happens(owner, 'Opened Email', -2 * SECOND);
    await until(
      async () => {
        await readNow(owner);
        return rowsOf(owner);
      },
      (rows) => rows.length > 0,
    );
    expect(ids(await rowsOf(owner))).toEqual([wanted]);
  });

  it('begin with the webhook: what happened before is not its', async () => {
    const owner = await polled();
    await happens(owner, 'Opened Email', 60 * SECOND);
    await owner.create();
    const wanted = await happens(owner, 'Opened Email');
    await readNow(owner);
    expect(ids(await rowsOf(owner))).toEqual([wanted]);
  });

  it.each([
    ['one metric', [OPENED]],
    ['more metrics than are asked for one by one', 'all'],
  ])('come all, page after page, however many there are (%s)', async (_, topics) => {
    const owner = await polled({ profiles: 50 });
    await owner.create({ topics });
    await readNow(owner);
    await stage.sql(
      `UPDATE webhook SET reads_from = now() - interval '2 hours', read_from = now() - interval '2 hours' WHERE user_id = $1`,
      [owner.userId],
    );
    const profile = ((await owner.seed('profiles', { email: `many${owner.userId}@example.com` })) as { id: string }).id;
    const events = Array.from({ length: 2500 }, (_none, at) => ({
      metric: 'Opened Email',
      profileId: profile,
      time: new Date(Date.now() - HOUR + at * SECOND).toISOString(),
    }));
    await owner.seed('events', events);
    await owner.quiet();
    await readNow(owner);
    expect((await rowsOf(owner)).length).toBe(2500);
    expect((await owner.requests('getEvents')).length).toBeGreaterThanOrEqual(3);
  });

  it('are named with metric and profile also where Klaviyo says them only when asked', async () => {
    const owner = await polled({ switches: { eventRelationshipData: false } });
    await owner.create({ topics: [OPENED, CLICKED] });
    const wanted = await happens(owner, 'Opened Email');
    await readNow(owner);
    const rows = await rowsOf(owner);
    expect(ids(rows)).toEqual([wanted]);
    expect(rows[0]!.profile_id).toMatch(/^\w+$/);
  });

  it('wait while Klaviyo is down, and come when it answers again', async () => {
    const owner = await polled();
    await owner.create();
    const down = { match: { operation: 'getEvents' }, preset: '503', times: 'forever' as const };
    await stage.sandbox.fault(owner.account.id, down);
    const wanted = await happens(owner, 'Opened Email');
    await readNow(owner);
    expect(await rowsOf(owner)).toEqual([]);
    const failures = await stage.sql<{ n: number }>('SELECT read_failures AS n FROM webhook WHERE user_id = $1', [
      owner.userId,
    ]);
    expect(failures[0]!.n).toBeGreaterThan(0);
    await stage.sandbox.clearFaults(owner.account.id);
    await until(
      async () => {
        await readNow(owner);
        return rowsOf(owner);
      },
      (rows) => rows.length > 0,
    );
    expect(ids(await rowsOf(owner))).toEqual([wanted]);
  });

  it('go on when Klaviyo forgets a cursor, or may not filter by a metric', async () => {
    const owner = await polled();
    await owner.create();
    const fault = { match: { operation: 'getEvents', path: 'metric_id' }, preset: '400', times: 'forever' as const };
    await stage.sandbox.fault(owner.account.id, fault);
    const wanted = await happens(owner, 'Opened Email');
    await happens(owner, 'Clicked Email');
    await readNow(owner);
    expect(ids(await rowsOf(owner))).toEqual([wanted]);
  });

  it('are not read for a webhook that is switched off, nor made up for when it is on again', async () => {
    const owner = await polled();
    const { id } = await owner.create();
    await owner.call('patch', `/webhooks/${id}`, { enabled: false });
    await stage.sql(`UPDATE webhook SET reads_from = now() - interval '3 hours' WHERE user_id = $1`, [owner.userId]);
    await happens(owner, 'Opened Email', 2 * HOUR);
    await owner.quiet();
    await stage.sql(`UPDATE webhook SET read_at = now() - interval '1 minute' WHERE user_id = $1`, [owner.userId]);
    await stage.tick();
    await stage.app.app.get(PollJob).run({ userId: owner.userId, connectionId: owner.connectionId });
    expect(await owner.requests('getEvents')).toEqual([]);
    await owner.call('patch', `/webhooks/${id}`, { enabled: true });
    const wanted = await happens(owner, 'Opened Email');
    await readNow(owner);
    expect(ids(await rowsOf(owner))).toEqual([wanted]);
  });

  it('of all topics hold those of a metric that came later', async () => {
    const owner = await polled();
    const { topics } = await owner.create({ topics: 'all' });
    expect(topics).not.toContain('event:api.a_metric_of_tomorrow');
    const wanted = await happens(owner, 'A Metric Of Tomorrow');
    await readNow(owner);
    const rows = await rowsOf(owner);
    expect(rows).toEqual([expect.objectContaining({ external_id: wanted, topic: 'event:api.a_metric_of_tomorrow' })]);
  });
});
