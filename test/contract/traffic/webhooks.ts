import { Client } from 'pg';
import { WebhookTickJob } from '../../../src/webhooks/health.job';
import { PollJob } from '../../../src/webhooks/poll.job';
import type { Stage } from './stage';

const OPENED = 'event:klaviyo.opened_email';
const ORDERED = 'event:api.placed_order';

/** Webhooks made, changed, looked after and removed; events read where Klaviyo does not send them. */
export async function managingWebhooks(stage: Stage, userId: number): Promise<void> {
  await stage.call(200, 'get', '/webhooks/topics', { userId });
  const make = async (input: object) => {
    const { body } = await stage.call(201, 'post', '/webhooks', { userId, name: 'Crealia', ...input });
    return body.webhook as { id: string };
  };
  const pushed = await make({ topics: [OPENED, ORDERED], description: 'prod' });
  await stage.call(200, 'patch', `/webhooks/${pushed.id}`, { userId, name: 'New', description: null, topics: 'all' });
  await stage.call(200, 'patch', `/webhooks/${pushed.id}`, { userId, enabled: false });
  await stage.call(200, 'patch', `/webhooks/${pushed.id}`, { userId, enabled: true });
  await stage.call(200, 'post', `/webhooks/${pushed.id}/rotate-secret`, { userId });
  const polled = [await make({ topics: [ORDERED], delivery: 'poll' }), await make({ topics: 'all', delivery: 'poll' })];
  await longAgo(stage, userId);
  await stage.app.app.get(WebhookTickJob).run();
  const { body } = await stage.call(200, 'get', '/connect', { userId });
  const [{ id: connectionId }] = body.connections as [{ id: string }];
  await stage.app.app.get(PollJob).run({ userId, connectionId });
  for (const { id: webhookId } of [pushed, ...polled])
    await stage.call(200, 'delete', '/webhooks', { userId, webhookId });
}

/** So that there are events to read, and a webhook to look at. */
async function longAgo(stage: Stage, userId: number): Promise<void> {
  const client = new Client({ connectionString: stage.app.database.url });
  await client.connect();
  await client.query(
    `UPDATE webhook SET created_at = now() - interval '400 days', read_from = now() - interval '400 days',
       checked_at = now() - interval '1 hour', read_at = now() - interval '1 minute' WHERE user_id = $1`,
    [userId],
  );
  await client.end();
}
