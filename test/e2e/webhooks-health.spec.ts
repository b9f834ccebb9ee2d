import { until } from './reads-stage';
import {
  CLICKED,
  OPENED,
  openWebhooksStage,
  type Owner,
  type ShownWebhook,
  type WebhooksStage,
} from './webhooks-stage';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('a webhook that is not well', () => {
  let stage: WebhooksStage;
  let users = 400;
  beforeAll(async () => {
    stage = await openWebhooksStage();
  });
  afterAll(async () => {
    await stage.stop();
  });

  const owner = () => stage.owner((users += 1), { profiles: 3, asyncDelayMs: 0 });
  /** A webhook that was made so long ago and last looked at ten minutes ago. */
  const made = async (mine: Owner, ago = 3 * HOUR, more: object = {}): Promise<ShownWebhook> => {
    const webhook = await mine.create(more);
    await stage.sql(
      `UPDATE webhook SET reads_from = now() - make_interval(secs => $2), read_from = now() - make_interval(secs => $2),
         checked_at = now() - interval '11 minutes' WHERE user_id = $1`,
      [mine.userId, ago / 1000],
    );
    return webhook;
  };
  const look = async (mine: Owner) => {
    await stage.sql(
      `UPDATE webhook SET checked_at = now() - interval '11 minutes', check_until = NULL
       WHERE user_id = $1 AND checked_at > now() - interval '11 minutes'`,
      [mine.userId],
    );
    await stage.tick();
  };
  const happened = async (mine: Owner, ago: number, metric = 'Opened Email') => {
    const { id: profileId } = (await mine.seed('profiles', { email: `h${Math.random()}@example.com` })) as {
      id: string;
    };
    const time = new Date(Date.now() - ago).toISOString();
    return ((await mine.seed('events', { metric, profileId, time })) as { id: string }).id;
  };
  const received = async ({ userId }: Owner) =>
    stage.sql<{ id: string; source: string }>(
      `SELECT e.external_id AS id, d.source FROM received_event e JOIN webhook_delivery d ON d.id = e.delivery_id
       WHERE e.user_id = $1 ORDER BY e.occurred_at`,
      [userId],
    );
  const shown = async (mine: Owner) => (await mine.call('get', '/webhooks')).body.webhooks[0]!;
  const alerts = () => stage.app.logs.text;
  /** Somebody has delivered something just now. */
  const heard = ({ userId, connectionId }: Owner, webhookId: string, ago = 0) =>
    stage.sql(
      `INSERT INTO webhook_figure (user_id, connection_id, webhook_id, last_received_at, last_pushed_at)
       VALUES ($1, $2, $3, now() - make_interval(secs => $4), now() - make_interval(secs => $4))
       ON CONFLICT (user_id, connection_id, webhook_id) DO UPDATE SET last_pushed_at = excluded.last_pushed_at`,
      [userId, connectionId, webhookId, ago / 1000],
    );

  it('is switched on again where Klaviyo switched it off, and what it missed is read', async () => {
    const mine = await owner();
    const { id, klaviyoWebhookId } = await made(mine);
    await heard(mine, id, 2 * HOUR);
    const missed = [await happened(mine, 100 * MINUTE), await happened(mine, MINUTE)];
    await happened(mine, 90 * MINUTE, 'Clicked Email');
    await mine.patchKept(klaviyoWebhookId!, { enabled: false });
    await look(mine);
    expect((await mine.kept())[0]!.enabled).toBe(true);
    const rows = await until(
      () => received(mine),
      (seen) => seen.length >= 2,
    );
    expect(rows).toEqual(missed.map((event) => ({ id: event, source: 'backfill' })));
    expect((await shown(mine)).status).toBe('active');
    expect(alerts()).toContain(`Klaviyo had switched webhook ${id} off`);
  });

  it('is left off where its user wants that', async () => {
    const mine = await owner();
    const { id } = await made(mine);
    await mine.call('patch', `/webhooks/${id}`, { enabled: false });
    await happened(mine, 2 * HOUR);
    await look(mine);
    expect((await mine.kept())[0]!.enabled).toBe(false);
    expect((await shown(mine)).status).toBe('disabled');
    expect(await received(mine)).toEqual([]);
  });

  it('has its events read where it is silent though there were some', async () => {
    const mine = await owner();
    const { id } = await made(mine);
    await heard(mine, id, 90 * MINUTE);
    const missed = await happened(mine, 60 * MINUTE);
    // May still be on its way.
    await happened(mine, MINUTE);
    await look(mine);
    const rows = await until(
      () => received(mine),
      (seen) => seen.length > 0,
    );
    expect(rows).toEqual([{ id: missed, source: 'backfill' }]);
    await until(
      () => Promise.resolve(alerts()),
      (text) => text.includes(`Klaviyo had not sent events of webhook ${id}`),
    );
  });

  it('is not taken for silent where there was nothing to send, and Klaviyo is asked once an hour', async () => {
    const mine = await owner();
    const { id } = await made(mine);
    await happened(mine, 60 * MINUTE, 'Clicked Email');
    await mine.quiet();
    await look(mine);
    await until(
      () => stage.sql('SELECT 1 FROM webhook WHERE user_id = $1 AND read_at IS NULL', [mine.userId]),
      (rows) => rows.length > 0,
    );
    const asked = (await mine.requests('getEvents')).length;
    expect(asked).toBeGreaterThan(0);
    await look(mine);
    await look(mine);
    expect(await mine.requests('getEvents')).toHaveLength(asked);
    expect(alerts()).not.toContain(`Klaviyo had not sent events of webhook ${id}`);
    expect(await received(mine)).toEqual([]);
  });

  /** As if nobody had been there for so many hours, until now; whoever was looked at since is not concerned. */
  const away = async (hours: number, mine: Owner) => {
    await stage.tick();
    await stage.sql(
      `UPDATE webhook_watch SET since = now() - interval '20 hours', until = now() - make_interval(hours => $1)`,
      [hours],
    );
    await stage.sql(
      `UPDATE webhook SET checked_at = now() - make_interval(hours => $2), check_until = NULL WHERE user_id = $1`,
      [mine.userId, hours],
    );
  };
  const wasNeverAway = () => stage.sql('DELETE FROM webhook_watch', []);

  it('has what it may have missed read after we were away, also where Klaviyo does not answer at first', async () => {
    const mine = await owner();
    const { id } = await made(mine, 10 * HOUR);
    await heard(mine, id);
    const missed = [await happened(mine, 4 * HOUR), await happened(mine, MINUTE)];
    await away(5, mine);
    const down = { match: { operation: 'getWebhooks' }, preset: '500', times: 2 };
    await stage.sandbox.fault(mine.account.id, down);
    await stage.tick();
    expect(await received(mine)).toEqual([]);
    await stage.sql('UPDATE webhook SET check_until = NULL WHERE user_id = $1', [mine.userId]);
    await stage.tick();
    await wasNeverAway();
    const rows = await until(
      () => received(mine),
      (seen) => seen.length >= 2,
    );
    expect(rows).toEqual(missed.map((event) => ({ id: event, source: 'backfill' })));
    // It was we who were missing, not Klaviyo.
    expect(alerts()).not.toContain(`Klaviyo had not sent events of webhook ${id}`);
  });

  it('has nothing read of the time when its user had it off', async () => {
    const mine = await owner();
    const { id } = await made(mine, 10 * HOUR);
    await mine.call('patch', `/webhooks/${id}`, { enabled: false });
    await happened(mine, 4 * HOUR);
    await mine.call('patch', `/webhooks/${id}`, { enabled: true });
    await away(5, mine);
    await stage.tick();
    await wasNeverAway();
    const [row] = await until(
      () =>
        stage.sql<{ until: Date | null; at: Date }>(
          `SELECT read_until AS until, read_at AS at FROM webhook
           WHERE user_id = $1 AND read_at > now() AND read_lease IS NULL AND read_until > now()`,
          [mine.userId],
        ),
      (rows) => rows.length > 0,
    );
    expect(row).toBeDefined();
    expect(await received(mine)).toEqual([]);
  });

  it('is not taken for well again by what we read ourselves', async () => {
    const mine = await owner();
    const { id } = await made(mine);
    await heard(mine, id, 90 * MINUTE);
    const first = await happened(mine, 60 * MINUTE);
    await look(mine);
    await until(
      () => stage.sql(`SELECT 1 FROM webhook_delivery WHERE user_id = $1 AND processed_at IS NOT NULL`, [mine.userId]),
      (rows) => rows.length > 0,
    );
    // Before that reading, which left out what might be on its way.
    const late = await happened(mine, 19 * MINUTE);
    stage.advance(65 * MINUTE);
    await look(mine);
    stage.advance(-65 * MINUTE);
    const rows = await until(
      () => received(mine),
      (seen) => seen.length >= 2,
    );
    expect(rows.map((row) => row.id)).toEqual([first, late]);
    const pushed = await stage.sql<{ old: boolean }>(
      `SELECT last_pushed_at < now() - interval '80 minutes' AS old FROM webhook_figure WHERE user_id = $1`,
      [mine.userId],
    );
    expect(pushed).toEqual([{ old: true }]);
  });

  it('that was off has also read what happens before Klaviyo really sends again', async () => {
    const mine = await owner();
    const { id, klaviyoWebhookId } = await made(mine);
    await heard(mine, id);
    await mine.patchKept(klaviyoWebhookId!, { enabled: false });
    await look(mine);
    const waiting = () =>
      stage.sql<{ minutes: number }>(
        `SELECT extract(epoch FROM read_at - now())::float8 / 60 AS minutes FROM webhook
         WHERE user_id = $1 AND read_lease IS NULL AND read_until > now() + interval '15 minutes'`,
        [mine.userId],
      );
    const [row] = await until(waiting, ([seen]) => (seen?.minutes ?? 0) > 15);
    expect(row!.minutes).toBeGreaterThan(20);
    const later = await happened(mine, MINUTE);
    await stage.sql(
      `UPDATE webhook SET read_until = now() + interval '1 second', read_at = now() - interval '6 seconds' WHERE user_id = $1`,
      [mine.userId],
    );
    await stage.tick();
    const rows = await until(
      () => received(mine),
      (seen) => seen.length > 0,
    );
    expect(rows).toEqual([{ id: later, source: 'backfill' }]);
  });

  it('has what it missed read also where Klaviyo refuses to switch it on, and does not keep its neighbour off', async () => {
    const mine = await owner();
    const { klaviyoWebhookId } = await made(mine);
    const other = await mine.create({ name: 'Other', topics: [CLICKED] });
    await stage.sql(`UPDATE webhook SET checked_at = now() - interval '11 minutes' WHERE user_id = $1`, [mine.userId]);
    const missed = await happened(mine, 100 * MINUTE);
    await mine.patchKept(klaviyoWebhookId!, { enabled: false });
    await mine.patchKept(other.klaviyoWebhookId!, { enabled: false });
    await stage.sandbox.fault(mine.account.id, {
      match: { operation: 'updateWebhook', path: klaviyoWebhookId! },
      fault: { kind: 'status', status: 400, body: { errors: [{ code: 'invalid', title: 'Invalid', detail: 'No.' }] } },
      times: 'forever',
    });
    await look(mine);
    const rows = await until(
      () => received(mine),
      (seen) => seen.length > 0,
    );
    expect(rows).toEqual([{ id: missed, source: 'backfill' }]);
    const all = (await mine.call('get', '/webhooks')).body.webhooks;
    expect(all.map(({ status }) => status)).toEqual(['error', 'active']);
    expect((await mine.kept()).map(({ enabled }) => enabled)).toEqual([false, true]);
    expect(alerts()).toContain('Klaviyo refuses to have webhook');
  });

  it('is not switched on again where its user switches it off while Klaviyo is slow', async () => {
    const mine = await owner();
    const { id } = await made(mine);
    await heard(mine, id);
    const slow = { match: { operation: 'getWebhooks' }, fault: { kind: 'delay' as const, ms: 3000 }, times: 1 };
    await stage.sandbox.fault(mine.account.id, slow);
    await mine.quiet();
    const looking = look(mine);
    await until(
      () => mine.requests('getWebhooks'),
      (requests) => requests.length > 0,
    );
    expect((await mine.call('patch', `/webhooks/${id}`, { enabled: false })).status).toBe(200);
    await looking;
    expect((await mine.kept())[0]!.enabled).toBe(false);
    expect(await mine.requests('updateWebhook')).toHaveLength(1);
  });

  it('is told anew what Klaviyo has otherwise than we do', async () => {
    const mine = await owner();
    const { id, klaviyoWebhookId } = await made(mine);
    await heard(mine, id);
    await mine.patchKept(klaviyoWebhookId!, { name: 'renamed there', topics: [CLICKED], description: 'mine now' });
    await look(mine);
    const [there] = await mine.kept();
    expect(there).toMatchObject({ name: 'Crealia', topics: [OPENED] });
    expect(there!.description).toContain(id);
  });

  it('gets topics that the account has by now, where it has all', async () => {
    const mine = await owner();
    const { topics, id } = await made(mine, 3 * HOUR, { topics: 'all' });
    await heard(mine, id);
    await happened(mine, MINUTE, 'Something New');
    stage.advance(6 * MINUTE);
    await look(mine);
    const wanted = [...topics, 'event:api.something_new'].sort();
    expect((await shown(mine)).topics).toEqual(wanted);
    expect([...(await mine.kept())[0]!.topics].sort()).toEqual(wanted);
    stage.advance(-6 * MINUTE);
  });

  it('is shown as in error where Klaviyo has it no more, and can be removed', async () => {
    const mine = await owner();
    const { id, klaviyoWebhookId } = await made(mine);
    await stage.sandbox.control('DELETE', `/accounts/${mine.account.id}/webhooks/${klaviyoWebhookId}`);
    await look(mine);
    expect((await shown(mine)).status).toBe('error');
    expect(alerts()).toContain(`Klaviyo does not have webhook ${id} any more`);
    const removed = await mine.call('delete', '/webhooks', { webhookId: id });
    expect(removed.body).toMatchObject({ removed: 1, pendingAtKlaviyo: false });
  });

  it('does not keep the others from being looked at', async () => {
    const [broken, fine] = [await owner(), await owner()];
    await made(broken);
    const { klaviyoWebhookId } = await made(fine);
    await fine.patchKept(klaviyoWebhookId!, { enabled: false });
    const down = { match: { operation: 'getWebhooks' }, preset: '500', times: 'forever' as const };
    await stage.sandbox.fault(broken.account.id, down);
    await look(fine);
    expect((await fine.kept())[0]!.enabled).toBe(true);
  });
});
