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
      `UPDATE webhook SET created_at = now() - make_interval(secs => $2), read_from = now() - make_interval(secs => $2),
         checked_at = now() - interval '11 minutes' WHERE user_id = $1`,
      [mine.userId, ago / 1000],
    );
    return webhook;
  };
  const look = async (mine: Owner) => {
    await stage.sql(
      `UPDATE webhook SET checked_at = now() - interval '11 minutes'
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
      `INSERT INTO webhook_figure (user_id, connection_id, webhook_id, last_received_at)
       VALUES ($1, $2, $3, now() - make_interval(secs => $4))
       ON CONFLICT (user_id, connection_id, webhook_id) DO UPDATE SET last_received_at = excluded.last_received_at`,
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

  it('has what it may have missed read after we were away', async () => {
    const mine = await owner();
    const { id } = await made(mine, 10 * HOUR);
    await heard(mine, id);
    const missed = await happened(mine, 4 * HOUR);
    await stage.sql(`UPDATE webhook SET checked_at = now() - interval '5 hours' WHERE user_id = $1`, [mine.userId]);
    await stage.tick();
    const rows = await until(
      () => received(mine),
      (seen) => seen.length > 0,
    );
    expect(rows).toEqual([{ id: missed, source: 'backfill' }]);
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
