import { createHmac } from 'node:crypto';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Sandbox, SandboxAccount } from '../support/sandbox';
import { startSandbox } from '../support/sandbox';
import type { Document } from './sandbox-harness';
import { Caller } from './sandbox-harness';

interface Delivered {
  path: string;
  headers: IncomingHttpHeaders;
  raw: Buffer;
  json: Document;
}

let sandbox: Sandbox;
let account: SandboxAccount;
let klaviyo: Caller;
let receiver: Server;
let target: string;
let received: Delivered[] = [];
let answerWith = 202;

const SECRET = '0123456789abcdef0123456789abcdef';
const TOPIC = 'event:klaviyo.opened_email';

function webhookBody(more: object = {}, topics: string[] = [TOPIC]) {
  return {
    data: {
      type: 'webhook',
      attributes: { name: 'crm', endpoint_url: 'https://hooks.example.com/in/42', secret_key: SECRET, ...more },
      relationships: { 'webhook-topics': { data: topics.map((id) => ({ type: 'webhook-topic', id })) } },
    },
  };
}

const sign = (secret: string, body: Buffer, timestamp: string) =>
  createHmac('sha256', secret).update(body).update(timestamp, 'utf8').digest('hex');

async function deliver(body: object): Promise<Document[]> {
  return (await sandbox.control<{ deliveries: Document[] }>('POST', `/accounts/${account.id}/deliver`, body))
    .deliveries;
}

/** Waits for a state that time brings, within a bound. */
async function until(what: () => boolean | Promise<boolean>, ms = 5000): Promise<void> {
  for (const end = Date.now() + ms; Date.now() < end; await new Promise((done) => setTimeout(done, 20)))
    if (await what()) return;
  throw new Error('it did not come to pass in time');
}

beforeAll(async () => {
  sandbox = await startSandbox();
  receiver = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const raw = Buffer.concat(chunks);
      received.push({ path: request.url ?? '', headers: request.headers, raw, json: JSON.parse(raw.toString('utf8')) });
      response.writeHead(answerWith).end();
    });
  });
  await new Promise<void>((done) => receiver.listen(0, '127.0.0.1', () => done()));
  target = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
});
afterAll(async () => {
  await sandbox.stop();
  receiver.closeAllConnections();
  await new Promise<void>((done) => receiver.close(() => done()));
});
beforeEach(async () => {
  await sandbox.reset();
  await sandbox.clock({ offsetMs: 0, frozen: false });
  received = [];
  answerWith = 202;
  account = await sandbox.createAccount({
    limits: 'off',
    plan: { advancedKdp: true },
    profiles: 20,
    events: 3000,
    campaigns: 10,
  });
  klaviyo = new Caller(sandbox, account.key);
});

describe('signature', () => {
  const FIRST =
    '{"data":[{"external_id":"4L3cwQae2TX","topic":"event:klaviyo.sent_sms"}],"meta":{"klaviyo_webhook_id":"a8b890458b4bbfaa26d961471b83c101d6de23bd826e7e5173a15310985ec3cb"}}';
  const SECOND =
    '{"data": [{"external_id": "7qWkC6JPz7g", "topic": "event:klaviyo.opened_email", "payload": {"data": {"type": "event", "id": "7qWkC6JPz7g", "attributes": {"timestamp": 1788529135, "event_properties": {"Subject": "Café"}, "datetime": "2026-09-04 13:38:55+00:00", "uuid": "f9204180-a865-11f1-8001-eb4883aa7288"}}}}], "meta": {"timestamp": "2026-09-04T13:40:12.101159+00:00", "klaviyo_webhook_id": "01M1PAC5N9PMXJ7672AC8B75VN", "klaviyo_account_id": "WBhXHN", "version": "2024-06-28"}}';

  it.each([
    [
      'klaviyo-test-secret',
      'Thu, 04 Jan 2024 18:05:25 GMT',
      FIRST,
      '5aa0e720d80b3a04ca04baf3c65cdfe31da57504af69fee8da29c35d45f0596b',
    ],
    [
      SECRET,
      'Fri, 04 Sep 2026 18:40:12 GMT',
      SECOND,
      '228e3c6fa8e6f7eafd2aa1ffeac39bf96bb7b5a2231ec35fc6f177da5339e4b9',
    ],
  ])('signs the known vector of secret %s as it is known', async (secret, timestamp, body, signature) => {
    expect(await sandbox.control('POST', '/sign', { secret, timestamp, body })).toEqual({ signature });
  });
});

describe('management', () => {
  it('is closed to accounts without Advanced KDP, in the recorded words', async () => {
    await sandbox.patchAccount(account.id, { plan: { advancedKdp: false } });
    for (const path of ['/api/webhooks', '/api/webhook-topics']) {
      const refused = await klaviyo.get(path);
      expect(refused.status).toBe(403);
      expect(refused.json.errors[0]).toMatchObject({
        code: 'permission_denied',
        detail: 'You must have Advanced KDP enabled to use this endpoint.',
      });
    }
  });

  it('creates, masks the address, never tells the secret, and ends at ten', async () => {
    const made = await klaviyo.send('POST', '/api/webhooks', webhookBody());
    expect(made.status).toBe(201);
    expect(made.json.data.attributes.endpoint_url).toBe('https://hooks.example.com/*****');
    expect(made.text).not.toContain(SECRET);
    const kept = await sandbox.control<{ webhooks: Document[] }>('GET', `/accounts/${account.id}/webhooks`);
    expect(kept.webhooks[0]).toMatchObject({ secret: SECRET, endpointUrl: 'https://hooks.example.com/in/42' });
    for (let n = 1; n < 10; n += 1) await klaviyo.send('POST', '/api/webhooks', webhookBody());
    expect((await klaviyo.send('POST', '/api/webhooks', webhookBody())).status).toBe(400);
    expect((await klaviyo.get('/api/webhooks')).json.data).toHaveLength(10);
  });

  it.each([
    ['an http address', { endpoint_url: 'http://hooks.example.com/' }, [TOPIC], '/data/attributes/endpoint_url'],
    ['a short secret', { secret_key: 'short' }, [TOPIC], '/data/attributes/secret_key'],
    ['a topic of no metric', {}, ['event:klaviyo.nothing'], '/data/relationships/webhook-topics/data/0/id'],
  ])('refuses %s', async (_what, attributes, topics, pointer) => {
    const refused = await klaviyo.send('POST', '/api/webhooks', webhookBody(attributes, topics));
    expect([refused.status, refused.json.errors[0].source.pointer]).toEqual([400, pointer]);
  });

  it('reads topics from the account: a new metric is a new topic', async () => {
    const topics = async () => (await klaviyo.get('/api/webhook-topics')).json.data.map((row: Document) => row.id);
    expect(await topics()).not.toContain('event:api.quiz_finished');
    await sandbox.control('POST', `/accounts/${account.id}/metrics`, { name: 'Quiz finished' });
    expect(await topics()).toContain('event:api.quiz_finished');
  });
});

describe('deliveries', () => {
  it('sends a signed batch to loopback: header clock five hours ahead, meta beside it, spaced raw bytes', async () => {
    const { id } = (await klaviyo.send('POST', '/api/webhooks', webhookBody())).json.data;
    await sandbox.clock({ now: '2026-11-22T13:05:25.000Z', frozen: true });
    const [result] = await deliver({ events: 3, to: target });
    expect(result).toMatchObject({ webhookId: id, status: 202, events: 3 });
    const [got] = received;
    expect(got?.path).toBe('/in/42');
    expect(got?.headers['klaviyo-webhook-id']).toBe(id);
    expect(got?.headers['klaviyo-timestamp']).toBe('Sun, 22 Nov 2026 18:05:25 GMT');
    expect(got?.headers['klaviyo-signature']).toBe(sign(SECRET, got!.raw, 'Sun, 22 Nov 2026 18:05:25 GMT'));
    expect(got?.json.meta).toMatchObject({
      klaviyo_webhook_id: id,
      klaviyo_account_id: account.id,
      version: '2024-06-28',
    });
    expect(got?.json.meta.timestamp).toMatch(/^2026-11-22T13:05:25\.\d{6}\+00:00$/);
    expect(JSON.stringify(got?.json)).not.toBe(got?.raw.toString('utf8'));
    const [event] = got!.json.data;
    expect(event.external_id).toBe(event.payload.data.id);
    expect(event.payload.data.attributes.datetime).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+00:00$/);
    expect((await klaviyo.get(`/api/events/${event.external_id as string}`)).status).toBe(200);
  });

  it('brings the same bytes again on a redelivery, and the same delivery many times at once', async () => {
    await klaviyo.send('POST', '/api/webhooks', webhookBody());
    await deliver({ events: 2, to: target });
    await deliver({ redeliver: true, to: target });
    expect(received[1]?.raw.equals(received[0]!.raw)).toBe(true);
    const many = await deliver({ events: 1000, to: target, times: 5, concurrency: 5, same: true });
    expect(many.map(({ status }) => status)).toEqual([202, 202, 202, 202, 202]);
    expect(new Set(received.slice(2).map(({ raw }) => raw.length)).size).toBe(1);
  });

  it('leaves for loopback only', async () => {
    await klaviyo.send('POST', '/api/webhooks', webhookBody());
    await expect(deliver({ events: 1 })).rejects.toThrow(/loopback/);
    await expect(deliver({ events: 1, to: 'http://192.0.2.1/' })).rejects.toThrow(/loopback/);
  });

  it('delivers real events by itself where that is switched on, and tries again after a refusal', async () => {
    await klaviyo.send('POST', '/api/webhooks', webhookBody({}, ['event:api.placed_order']));
    await sandbox.control('PATCH', `/accounts/${account.id}`, {
      switches: { autoDeliver: true, retryScaleMs: 1 },
      deliverTo: target,
    });
    answerWith = 503;
    const profile = { data: { type: 'profile', attributes: { email: 'ada@example.com' } } };
    const metric = { data: { type: 'metric', attributes: { name: 'Placed Order' } } };
    const event = { data: { type: 'event', attributes: { properties: { a: 'é' }, unique_id: 'o1', metric, profile } } };
    await klaviyo.send('POST', '/api/events', event);
    await until(() => received.length >= 2);
    answerWith = 200;
    const failed = received.length;
    await until(() => received.length > failed);
    expect(received.every(({ raw }) => raw.equals(received[0]!.raw))).toBe(true);
    expect(received[0]?.json.data[0]).toMatchObject({ topic: 'event:api.placed_order' });
  });

  it('switches a hook off after 48 hours of errors, and on again by PATCH', async () => {
    const { id } = (await klaviyo.send('POST', '/api/webhooks', webhookBody())).json.data;
    await sandbox.control('PATCH', `/accounts/${account.id}`, {
      switches: { autoDeliver: true, retryScaleMs: 1 },
      deliverTo: target,
    });
    answerWith = 500;
    const profileId = (await klaviyo.get('/api/profiles')).json.data[0].id as string;
    await sandbox.control('POST', `/accounts/${account.id}/events`, { metric: 'Opened Email', profileId });
    await until(() => received.length >= 1);
    expect((await klaviyo.get(`/api/webhooks/${id}`)).json.data.attributes.enabled).toBe(true);
    await sandbox.clock({ advanceMs: 49 * 3_600_000 });
    await until(async () => (await klaviyo.get(`/api/webhooks/${id}`)).json.data.attributes.enabled === false);
    const on = { data: { type: 'webhook', id, attributes: { enabled: true } } };
    expect((await klaviyo.send('PATCH', `/api/webhooks/${id}`, on)).json.data.attributes.enabled).toBe(true);
  });
});
