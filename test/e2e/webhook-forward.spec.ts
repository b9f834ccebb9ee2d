import { Webhook } from 'standardwebhooks';
import { Target, SECRET } from '../medium/webhook-forward-stage';
import { until } from './reads-stage';
import { CLICKED, OPENED, openWebhooksStage, type Owner, type WebhooksStage } from './webhooks-stage';

/** From Klaviyo to Crealia, through all of the service. */
describe('what Klaviyo records reaches Crealia', () => {
  let stage: WebhooksStage;
  let target: Target;
  let users = 500;
  beforeAll(async () => {
    target = await Target.open();
    const env = {
      EVENT_FORWARD_URL: target.url,
      EVENT_FORWARD_SECRET: SECRET,
      WEBHOOK_POLL_INTERVAL_SECONDS: '5',
    };
    stage = await openWebhooksStage({ env });
  });
  afterAll(async () => {
    await stage.stop();
    await target.close();
  });
  beforeEach(() => {
    target.got.length = 0;
  });

  const happens = async (owner: Owner, metric: string, email: string) => {
    const { id: profileId } = (await owner.seed('profiles', { email })) as { id: string };
    const { id } = (await owner.seed('events', { metric, profileId, properties: { Subject: 'Bonjour é' } })) as {
      id: string;
    };
    return { id, profileId };
  };
  const arrived = ({ userId }: Owner, count: number) =>
    until(
      () => Promise.resolve(target.got.map(({ body }) => body).filter(({ data }) => data['userId'] === userId)),
      (bodies) => bodies.length >= count,
    );

  it('within an interval, from an account whose plan has no webhooks', async () => {
    const owner = await stage.owner((users += 1), { plan: { advancedKdp: false } });
    const webhook = await owner.create({ topics: [OPENED], delivery: 'auto' });
    expect(webhook.delivery).toBe('poll');
    const { id, profileId } = await happens(owner, 'Opened Email', 'polled@example.com');
    const [body] = await arrived(owner, 1);
    expect(body).toMatchObject({
      type: OPENED,
      data: {
        userId: owner.userId,
        connectionId: owner.connectionId,
        externalId: id,
        profile: { id: profileId },
        properties: { Subject: 'Bonjour é' },
      },
    });
    const [got] = target.got;
    expect(() => new Webhook(SECRET).verify(got!.raw, got!.headers as Record<string, string>)).not.toThrow();
    expect(got!.headers['webhook-id']).toBe(body!.data['eventId']);
  });

  it('sent by Klaviyo, once, however often it is delivered, and looks the same', async () => {
    const owner = await stage.owner((users += 1));
    const webhook = await owner.create({ topics: [OPENED, CLICKED], delivery: 'push' });
    const { id } = await happens(owner, 'Clicked Email', 'pushed@example.com');
    const deliver = (more: object) =>
      stage.sandbox.control<{ deliveries: { status: number }[] }>('POST', `/accounts/${owner.account.id}/deliver`, {
        webhookId: webhook.klaviyoWebhookId,
        to: stage.app.url,
        ...more,
      });
    expect((await deliver({ events: [id] })).deliveries.map(({ status }) => status)).toEqual([200]);
    expect((await deliver({ redeliver: true, times: 3 })).deliveries.map(({ status }) => status)).toEqual([
      200, 200, 200,
    ]);
    const [body] = await arrived(owner, 1);
    expect(body).toMatchObject({ type: CLICKED, data: { userId: owner.userId, externalId: id } });
    const shown = await until(
      async () => (await owner.call('get', '/webhooks')).body.webhooks[0]!.stats,
      (stats) => stats['processed'] === 1,
    );
    expect(shown).toMatchObject({ failed: 0 });
    expect(target.got).toHaveLength(1);
  });

  it('signed with the secret before, too, after the secret was renewed', async () => {
    const owner = await stage.owner((users += 1));
    const { id: webhookId, klaviyoWebhookId } = await owner.create({ delivery: 'push' });
    const before = (await owner.kept())[0]!.secret;
    const deliver = async (secret: string) => {
      const { id } = await happens(owner, 'Opened Email', `s${Math.random()}@example.com`);
      const { deliveries } = await stage.sandbox.control<{ deliveries: { status: number }[] }>(
        'POST',
        `/accounts/${owner.account.id}/deliver`,
        { webhookId: klaviyoWebhookId, to: stage.app.url, events: [id], secret },
      );
      return deliveries[0]!.status;
    };
    expect(await deliver(before)).toBe(200);
    expect((await owner.call('post', `/webhooks/${webhookId}/rotate-secret`)).status).toBe(200);
    const after = (await owner.kept())[0]!.secret;
    expect(await deliver(before)).toBe(200);
    expect(await deliver(after)).toBe(200);
    expect(await deliver('0123456789abcdef0123456789abcdef')).toBe(401);
    await arrived(owner, 3);
  });

  it('and can be seen, and sent once more, by the user', async () => {
    const owner = await stage.owner((users += 1), { plan: { advancedKdp: false } });
    await owner.create({ topics: [OPENED] });
    await happens(owner, 'Opened Email', 'seen@example.com');
    const [body] = await arrived(owner, 1);
    const eventId = String(body!.data['eventId']);
    const history = await until(
      async () => (await owner.call('get', `/webhooks/events/${eventId}`)).body['history'] as { what: string }[],
      (entries) => entries.some(({ what }) => what === 'forwarded'),
    );
    expect(history.map(({ what }) => what)).toContain('received');
    expect((await owner.call('post', `/webhooks/events/${eventId}/replay`)).status).toBe(202);
    await arrived(owner, 2);
    expect(new Set(target.ids)).toEqual(new Set([eventId]));
  });
});
