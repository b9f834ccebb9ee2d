import { until } from './reads-stage';
import {
  CLICKED,
  OPENED,
  ORDERED,
  openWebhooksStage,
  PUBLIC_URL,
  type Owner,
  type WebhooksStage,
} from './webhooks-stage';

const RECEIVER = `${PUBLIC_URL}/api/v1/klaviyo/webhook-receiver`;
const NOBODYS = '0198f3a2-0000-7000-8000-000000000000';

describe('webhooks', () => {
  let stage: WebhooksStage;
  let users = 100;
  const owner = (account: object = {}) => stage.owner((users += 1), account);
  beforeAll(async () => {
    stage = await openWebhooksStage();
  });
  afterAll(async () => {
    await stage.stop();
  });

  describe('that Klaviyo sends', () => {
    it('are made there with a secret of their own that nobody sees', async () => {
      const { call, kept, userId } = await owner();
      const before = Date.now();
      const answer = await call('post', '/webhooks', {
        name: 'Boutique',
        description: 'prod',
        topics: [OPENED, ORDERED],
        delivery: 'push',
      });
      expect(answer.status).toBe(201);
      const [there] = await kept();
      expect(answer.body).toEqual({
        success: true,
        webhook: {
          id: expect.stringMatching(/^[0-9a-f-]{36}$/),
          klaviyoWebhookId: there!.id,
          name: 'Boutique',
          description: 'prod',
          topics: [OPENED, ORDERED],
          delivery: 'push',
          status: 'active',
          endpointUrl: RECEIVER,
          createdAt: expect.any(String),
          stats: {
            received: 0,
            processed: 0,
            failed: 0,
            duplicates: 0,
            lastReceivedAt: null,
            p95ProcessingMs: null,
          },
        },
      });
      expect(Date.parse(answer.body.webhook.createdAt)).toBeGreaterThan(before - 5000);
      expect(there).toMatchObject({
        name: 'Boutique',
        endpointUrl: RECEIVER,
        enabled: true,
        topics: [OPENED, ORDERED],
      });
      expect(Buffer.from(there!.secret, 'base64url')).toHaveLength(32);
      expect(JSON.stringify(answer.body)).not.toContain(there!.secret);
      const rows = await stage.sql<object>('SELECT w::text AS row FROM webhook w WHERE user_id = $1', [userId]);
      expect(JSON.stringify(rows)).not.toContain(there!.secret);
      expect(stage.app.logs.text).not.toContain(there!.secret);
      const other = await (await owner()).create({ delivery: 'push' });
      expect(other.id).not.toBe(answer.body.webhook.id);
    });

    it('are shown oldest first, to their user alone', async () => {
      const mine = await owner();
      const first = await mine.create({ name: 'first' });
      const second = await mine.create({ name: 'second', topics: [CLICKED] });
      expect((await mine.call('get', '/webhooks')).body.webhooks).toEqual([first, second]);
      const other = await owner();
      expect((await other.call('get', '/webhooks')).body.webhooks).toEqual([]);
    });

    it('of all topics have them all', async () => {
      const { create, kept, call } = await owner();
      const { topics } = await create({ topics: 'all' });
      expect((await kept())[0]!.topics).toEqual(topics);
      const answer = await call('get', '/webhooks/topics');
      expect((answer.body['topics'] as { id: string }[]).map(({ id }) => id)).toEqual(topics);
      expect(topics.length).toBeGreaterThan(10);
    });

    it('need an address that Klaviyo reaches', async () => {
      const without = await openWebhooksStage({ env: { PUBLIC_BASE_URL: undefined } }, stage.sandbox);
      try {
        const { call, create, requests } = await without.owner(1);
        const answer = await call('post', '/webhooks', { name: 'x', topics: [OPENED], delivery: 'push' });
        expect([answer.status, answer.body.code]).toEqual([409, 'PUBLIC_URL_MISSING']);
        expect(await requests('createWebhook')).toEqual([]);
        expect((await create({ delivery: 'auto' })).delivery).toBe('poll');
        expect((await call('get', '/webhooks/topics')).body['delivery']).toBe('poll');
      } finally {
        await without.stop();
      }
    });

    it.each([
      ['what is not a topic', [OPENED, 'event:api.nope', ORDERED, 'x'], ['topics[1]', 'topics[3]']],
      ['a topic of another account', ['event:shopify.placed_order'], ['topics[0]']],
    ])('refuse %s, naming it', async (_, topics, fields) => {
      const { call, kept } = await owner();
      for (const delivery of ['auto', 'push', 'poll']) {
        const answer = await call('post', '/webhooks', { name: 'x', topics, delivery });
        expect([answer.status, answer.body.code]).toEqual([400, 'VALIDATION_FAILED']);
        expect(answer.body.errors!.map(({ field }) => field)).toEqual(fields);
      }
      expect(await kept()).toEqual([]);
    });

    it('are ten at most, whoever made them', async () => {
      const ours = await owner();
      for (let count = 0; count < 10; count += 1) await ours.create({ name: `w${count}` });
      const eleventh = await ours.call('post', '/webhooks', { name: 'w', topics: [OPENED] });
      expect([eleventh.status, eleventh.body.code]).toEqual([409, 'WEBHOOK_LIMIT_REACHED']);
      expect(await ours.requests('createWebhook')).toHaveLength(10);

      const theirs = await owner();
      const stranger = await stage.connect(theirs.userId + 50_000, theirs.account);
      const strangers = stage.ownerOf(stranger);
      for (let count = 0; count < 10; count += 1) await strangers.create();
      const refused = await theirs.call('post', '/webhooks', { name: 'w', topics: [OPENED] });
      expect([refused.status, refused.body.code]).toEqual([409, 'WEBHOOK_LIMIT_REACHED']);
      expect((await theirs.call('get', '/webhooks')).body.webhooks).toEqual([]);
    });

    it('are ten at most when many are asked for at once', async () => {
      const { call, kept } = await owner();
      const all = await Promise.all(
        Array.from({ length: 14 }, () => call('post', '/webhooks', { name: 'w', topics: [OPENED] })),
      );
      expect(all.map(({ status }) => status).sort()).toEqual([...Array(10).fill(201), ...Array(4).fill(409)]);
      expect(await kept()).toHaveLength(10);
    });
  });

  describe('where the plan forbids them', () => {
    it('are refused as such when Klaviyo shall send them', async () => {
      const { call } = await owner({ plan: { advancedKdp: false } });
      const answer = await call('post', '/webhooks', { name: 'x', topics: [OPENED], delivery: 'push' });
      expect([answer.status, answer.body.code]).toEqual([403, 'KLAVIYO_PLAN_REQUIRED']);
    });

    it('are read from Klaviyo instead, their topics those of the account’s metrics', async () => {
      const { call, create } = await owner({ plan: { advancedKdp: false } });
      const webhook = await create({ topics: [OPENED, ORDERED] });
      expect(webhook).toMatchObject({ delivery: 'poll', klaviyoWebhookId: null, endpointUrl: null, status: 'active' });
      const { body } = await call('get', '/webhooks/topics');
      expect(body['delivery']).toBe('poll');
      expect(body['topics']).toContainEqual({ id: ORDERED, integration: 'api', name: 'placed_order' });
      expect(body['topics']).toContainEqual({ id: OPENED, integration: 'klaviyo', name: 'opened_email' });
    });

    it('are read, too, when only the making of one is refused', async () => {
      const mine = await owner();
      await stage.sandbox.fault(mine.account.id, { match: { operation: 'createWebhook' }, preset: '403-plan' });
      expect((await mine.create()).delivery).toBe('poll');
      const rows = await stage.sql('SELECT 1 FROM webhook_removal WHERE user_id = $1', [mine.userId]);
      expect(rows).toEqual([]);
      const connect = await mine.get('/connect');
      expect(connect.body.connections[0].capabilities.webhooks.write).toBe('plan_required');
    });

    it('name the scopes where a key lacks them', async () => {
      const scopes = ['accounts:read', 'metrics:read', 'events:read'];
      const { call, create } = await owner({ keys: [{ scopes }] });
      const answer = await call('post', '/webhooks', { name: 'x', topics: [OPENED], delivery: 'push' });
      expect([answer.status, answer.body.code]).toEqual([403, 'KLAVIYO_SCOPE_MISSING']);
      expect(answer.body['scopes']).toEqual(['webhooks:read', 'webhooks:write']);
      expect((await create()).delivery).toBe('poll');
    });
  });

  describe('whose making is not answered', () => {
    it('are taken as made where Klaviyo has them', async () => {
      const { account, create, kept, requests } = await owner();
      const fault = { kind: 'applyThenReset' };
      await stage.sandbox.fault(account.id, { match: { operation: 'createWebhook' }, fault });
      const webhook = await create();
      const there = await kept();
      expect(there.map(({ id }) => id)).toEqual([webhook.klaviyoWebhookId]);
      expect(await requests('createWebhook')).toHaveLength(1);
    });

    it('leave nothing behind where nobody can say whether Klaviyo has them', async () => {
      const { account, call, kept, userId } = await owner();
      const fault = { kind: 'applyThenReset' };
      await stage.sandbox.fault(account.id, { match: { operation: 'createWebhook' }, fault });
      const silent = { match: { operation: 'getWebhooks' }, preset: '500', times: 'forever' as const };
      await stage.sandbox.fault(account.id, silent);
      const answer = await call('post', '/webhooks', { name: 'x', topics: [OPENED] });
      expect([answer.status, answer.body.code]).toEqual([502, 'KLAVIYO_UNAVAILABLE']);
      expect(await kept()).toHaveLength(1);
      expect((await call('get', '/webhooks')).body.webhooks).toEqual([]);
      await stage.sandbox.clearFaults(account.id);
      await stage.sql('UPDATE webhook_removal SET due_at = now() WHERE user_id = $1', [userId]);
      await stage.tick();
      expect(await kept()).toEqual([]);
      expect(await stage.sql('SELECT 1 FROM webhook_removal WHERE user_id = $1', [userId])).toEqual([]);
    });

    it('and did not happen are simply refused', async () => {
      const { account, call, kept, userId } = await owner();
      await stage.sandbox.fault(account.id, { match: { operation: 'createWebhook' }, preset: '500' });
      const answer = await call('post', '/webhooks', { name: 'x', topics: [OPENED] });
      expect(answer.status).toBe(502);
      await stage.sql('UPDATE webhook_removal SET due_at = now() WHERE user_id = $1', [userId]);
      await stage.tick();
      expect(await kept()).toEqual([]);
      expect(await stage.sql('SELECT 1 FROM webhook_removal WHERE user_id = $1', [userId])).toEqual([]);
    });
  });

  describe('that change', () => {
    it('change at Klaviyo as here', async () => {
      const { create, call, kept } = await owner();
      const { id } = await create({ description: 'before' });
      const changed = await call('patch', `/webhooks/${id}`, { name: 'new', description: null, topics: [CLICKED] });
      expect(changed.status).toBe(200);
      expect(changed.body.webhook).toMatchObject({ id, name: 'new', description: null, topics: [CLICKED] });
      const [there] = await kept();
      expect(there).toMatchObject({ name: 'new', topics: [CLICKED] });
      expect(there!.description).not.toContain('before');
      const off = await call('patch', `/webhooks/${id}`, { enabled: false });
      expect([off.body.webhook.status, (await kept())[0]!.enabled]).toEqual(['disabled', false]);
      const on = await call('patch', `/webhooks/${id}`, { enabled: true });
      expect([on.body.webhook.status, (await kept())[0]!.enabled]).toEqual(['active', true]);
    });

    it('stay as they were where Klaviyo refuses', async () => {
      const { create, call, account } = await owner();
      const before = await create();
      await stage.sandbox.fault(account.id, { match: { operation: 'updateWebhook' }, preset: '400' });
      const refused = await call('patch', `/webhooks/${before.id}`, { name: 'new' });
      expect(refused.status).toBe(400);
      expect((await call('get', '/webhooks')).body.webhooks).toEqual([before]);
    });

    it('need something to change, that the account knows', async () => {
      const { create, call } = await owner();
      const { id } = await create();
      expect((await call('patch', `/webhooks/${id}`)).body.errors).toEqual([
        expect.objectContaining({ field: 'name' }),
      ]);
      const unknown = await call('patch', `/webhooks/${id}`, { topics: [OPENED, 'event:api.nope'] });
      expect(unknown.body.errors!.map(({ field }) => field)).toEqual(['topics[1]']);
    });

    it('say so where Klaviyo has them no more', async () => {
      const { create, call, kept, account } = await owner();
      const { id } = await create();
      await stage.sandbox.control('DELETE', `/accounts/${account.id}/webhooks/${(await kept())[0]!.id}`);
      const answer = await call('patch', `/webhooks/${id}`, { name: 'new' });
      expect([answer.status, answer.body.code]).toEqual([409, 'CONFLICT']);
      expect((await call('get', '/webhooks')).body.webhooks[0]!.status).toBe('error');
    });
  });

  describe('that go', () => {
    const remove = (mine: Owner, webhookId: string) => mine.call('delete', '/webhooks', { webhookId });

    it('go here and at Klaviyo', async () => {
      const mine = await owner();
      const gone = await mine.create();
      const stays = await mine.create();
      expect((await remove(mine, gone.id)).body).toEqual({ success: true, removed: 1, pendingAtKlaviyo: false });
      expect((await mine.kept()).map(({ id }) => id)).toEqual([stays.klaviyoWebhookId]);
      expect((await mine.call('get', '/webhooks')).body.webhooks).toEqual([stays]);
      expect((await remove(mine, gone.id)).body.code).toBe('WEBHOOK_NOT_FOUND');
    });

    it('go here at once and at Klaviyo when it answers again', async () => {
      const mine = await owner();
      const { id } = await mine.create();
      const down = { match: { operation: 'deleteWebhook' }, preset: '500', times: 'forever' as const };
      await stage.sandbox.fault(mine.account.id, down);
      expect((await remove(mine, id)).body).toMatchObject({ removed: 1, pendingAtKlaviyo: true });
      expect((await mine.call('get', '/webhooks')).body.webhooks).toEqual([]);
      await stage.sandbox.clearFaults(mine.account.id);
      await stage.sql('UPDATE webhook_removal SET due_at = now() WHERE user_id = $1', [mine.userId]);
      await stage.tick();
      expect(await mine.kept()).toEqual([]);
    });

    it('go with their connection, at Klaviyo too, its key kept sealed until then and not longer', async () => {
      const mine = await owner();
      await mine.create();
      await mine.create({ delivery: 'poll' });
      const removed = await mine.call('delete', '/connect');
      expect(removed.body['disconnected']).toBe(1);
      expect(await stage.sql('SELECT 1 FROM webhook WHERE user_id = $1', [mine.userId])).toEqual([]);
      const rows = await stage.sql<{ sealed_key: string }>('SELECT * FROM webhook_removal WHERE user_id = $1', [
        mine.userId,
      ]);
      expect(rows).toHaveLength(1);
      expect(rows[0]!.sealed_key).toMatch(/^ey/);
      expect(JSON.stringify(rows)).not.toContain(mine.account.key);
      await stage.tick();
      expect(await mine.kept()).toEqual([]);
      expect(await stage.sql('SELECT 1 FROM webhook_removal WHERE user_id = $1', [mine.userId])).toEqual([]);
    });

    it('go at Klaviyo with their connection also where they are being made as it goes', async () => {
      const mine = await owner();
      const { id } = await mine.create();
      // As the creation has it before its last transaction.
      await stage.sql('CREATE TEMP TABLE held AS SELECT * FROM webhook WHERE user_id = $1', [mine.userId]);
      await stage.sql('DELETE FROM webhook WHERE user_id = $1', [mine.userId]);
      await stage.sql(
        `INSERT INTO webhook_removal (user_id, webhook_id, connection_id, account_id, due_at, expires_at)
         SELECT user_id, $2, id, account_id, now() + interval '1 hour', now() + interval '1 day' FROM connection
         WHERE user_id = $1`,
        [mine.userId, id],
      );
      await stage.sql('BEGIN');
      await stage.sql('SELECT 1 FROM connection WHERE user_id = $1 FOR KEY SHARE', [mine.userId]);
      await stage.sql('DELETE FROM webhook_removal WHERE user_id = $1', [mine.userId]);
      await stage.sql('INSERT INTO webhook SELECT * FROM held');
      const going = mine.call('delete', '/connect');
      await until(
        () => stage.sql('SELECT 1 FROM pg_locks WHERE NOT granted'),
        (rows) => rows.length > 0,
      );
      await stage.sql('COMMIT');
      expect((await going).body['disconnected']).toBe(1);
      await stage.tick();
      expect(await mine.kept()).toEqual([]);
    });

    it('do not keep their connection from going where its key opens no more, or is refused', async () => {
      for (const spoil of [`sealed_key = 'x'`, `status = 'invalid'`]) {
        const mine = await owner();
        await mine.create();
        await stage.sql(`UPDATE connection SET ${spoil}, key_version = key_version + 1 WHERE user_id = $1`, [
          mine.userId,
        ]);
        expect((await mine.call('delete', '/connect')).body['disconnected']).toBe(1);
        expect(await stage.sql('SELECT 1 FROM webhook_removal WHERE user_id = $1', [mine.userId])).toEqual([]);
      }
    });

    it('with their connection are given up in the end, and the key with them', async () => {
      const mine = await owner();
      await mine.create();
      const down = { match: { operation: 'deleteWebhook' }, preset: '500', times: 'forever' as const };
      await stage.sandbox.fault(mine.account.id, down);
      await mine.call('delete', '/connect');
      const hours = await stage.sql<{ hours: number }>(
        'SELECT extract(epoch FROM expires_at - now())::float8 / 3600 AS hours FROM webhook_removal WHERE user_id = $1',
        [mine.userId],
      );
      expect(hours[0]!.hours).toBeLessThanOrEqual(48);
      await stage.sql('UPDATE webhook_removal SET due_at = now(), expires_at = now() WHERE user_id = $1', [
        mine.userId,
      ]);
      await stage.tick();
      expect(await stage.sql('SELECT 1 FROM webhook_removal WHERE user_id = $1', [mine.userId])).toEqual([]);
      expect(await mine.kept()).toHaveLength(1);
    });

    it('are not found by somebody else, or under another connection', async () => {
      const mine = await owner();
      const { id } = await mine.create();
      const other = await owner();
      for (const attempt of [
        () => remove(other, id),
        () => other.call('patch', `/webhooks/${id}`, { name: 'x' }),
        () => other.call('post', `/webhooks/${id}/rotate-secret`),
        () => mine.call('delete', '/webhooks', { webhookId: NOBODYS }),
      ]) {
        const { status, body } = await attempt();
        expect([status, body.code]).toEqual([404, 'WEBHOOK_NOT_FOUND']);
      }
      expect(await mine.kept()).toHaveLength(1);
    });
  });

  describe('with a new secret', () => {
    const secretsOf = async (mine: Owner) =>
      stage.receiving((await mine.call('get', '/webhooks')).body.webhooks[0]!.klaviyoWebhookId!);

    it('are accepted under both while what was signed before is on its way', async () => {
      const mine = await owner();
      const { id } = await mine.create();
      const before = (await mine.kept())[0]!.secret;
      const { status, body } = await mine.call('post', `/webhooks/${id}/rotate-secret`);
      expect(status).toBe(200);
      const after = (await mine.kept())[0]!.secret;
      expect(after).not.toBe(before);
      expect(await secretsOf(mine)).toEqual([after, before]);
      const hours = (Date.parse(String(body['previousSecretUntil'])) - Date.now()) / 3_600_000;
      expect(hours).toBeGreaterThan(48);
      expect(JSON.stringify(body)).not.toContain(after);
      await stage.sql('UPDATE webhook SET previous_until = now() WHERE user_id = $1', [mine.userId]);
      expect(await secretsOf(mine)).toEqual([after]);
    });

    it('are accepted under all those before, too, where they are renewed again and again', async () => {
      const mine = await owner();
      const { id } = await mine.create();
      const had = [(await mine.kept())[0]!.secret];
      for (let times = 0; times < 3; times += 1) {
        expect((await mine.call('post', `/webhooks/${id}/rotate-secret`)).status).toBe(200);
        had.unshift((await mine.kept())[0]!.secret);
      }
      expect(new Set(had).size).toBe(4);
      expect(await secretsOf(mine)).toEqual(had);
      await stage.sql(
        `UPDATE webhook SET older_secrets = jsonb_set(older_secrets, '{0,until}', to_jsonb(now())) WHERE user_id = $1`,
        [mine.userId],
      );
      expect(await secretsOf(mine)).toEqual([had[0], had[1], had[3]]);
    });

    it('keep the one before where Klaviyo refuses the new one', async () => {
      const mine = await owner();
      const { id } = await mine.create();
      const before = (await mine.kept())[0]!.secret;
      await stage.sandbox.fault(mine.account.id, { match: { operation: 'updateWebhook' }, preset: '400' });
      expect((await mine.call('post', `/webhooks/${id}/rotate-secret`)).status).toBe(400);
      expect((await secretsOf(mine))[0]).toBe(before);
      expect((await mine.kept())[0]!.secret).toBe(before);
    });

    it.each(['applyThenReset', 'reset'])('hold under both until Klaviyo has confirmed it (%s)', async (kind) => {
      const mine = await owner();
      const { id } = await mine.create();
      const before = (await mine.kept())[0]!.secret;
      const fault = { match: { operation: 'updateWebhook' }, fault: { kind }, times: 'forever' as const };
      await stage.sandbox.fault(mine.account.id, fault);
      expect((await mine.call('post', `/webhooks/${id}/rotate-secret`)).status).toBe(502);
      await stage.sql('UPDATE webhook SET previous_until = now() WHERE user_id = $1', [mine.userId]);
      const both = await secretsOf(mine);
      expect(both).toContain((await mine.kept())[0]!.secret);
      expect(both).toContain(before);
      await stage.sandbox.clearFaults(mine.account.id);
      await stage.tick();
      expect((await mine.kept())[0]!.secret).toBe(both[0]);
      expect(await secretsOf(mine)).toEqual(both);
      const rows = await stage.sql<object>('SELECT secret_confirmed FROM webhook WHERE user_id = $1', [mine.userId]);
      expect(rows).toEqual([{ secret_confirmed: true }]);
    });

    it('are only those that have one', async () => {
      const mine = await owner({ plan: { advancedKdp: false } });
      const { id } = await mine.create();
      const { status, body } = await mine.call('post', `/webhooks/${id}/rotate-secret`);
      expect([status, body.errors!.map(({ field }) => field)]).toEqual([400, ['id']]);
    });
  });

  it('are topics asked for once in a while, though many ask', async () => {
    const { call, requests, quiet } = await owner();
    await quiet();
    await Promise.all(Array.from({ length: 20 }, () => call('get', '/webhooks/topics')));
    expect(await requests('getWebhookTopics')).toHaveLength(1);
  });

  it('take a topic that is newer than what is remembered', async () => {
    const mine = await owner();
    await mine.call('get', '/webhooks/topics');
    await mine.call('post', '/trigger-event', {
      event: { eventType: 'Brand New', eventData: {}, profile: { email: 'a@example.com' } },
    });
    stage.advance(30_000);
    expect((await mine.create({ topics: ['event:api.brand_new'] })).topics).toEqual(['event:api.brand_new']);
  });

  it('are made once with the same Idempotency-Key', async () => {
    const { call, kept } = await owner();
    const headers = { 'idempotency-key': 'webhook-once-1' };
    const input = { name: 'x', topics: [OPENED] };
    const first = await call('post', '/webhooks', input, headers);
    const again = await call('post', '/webhooks', input, headers);
    expect(again.body).toEqual(first.body);
    expect(await kept()).toHaveLength(1);
  });
});
