// Plays Klaviyo as it delivers: a webhook made as a user makes it, signed bodies, and as many of them as are wanted.
import { createHmac, randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import type { Client } from 'pg';
import { percentile, round } from './figures.ts';
import { call, createAccount, type Backends } from './stack.ts';

/** Events of a large delivery. */
export const BATCH = 1000;
const BACKLOG_MS = 15 * 60_000;
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

export interface Hook {
  url: string;
  userId: number;
  klaviyoId: string;
  accountId: string;
  secret: string;
}

/** How deliveries are sent: so many at once, of so many events, at most `rate` events a second (0: as fast as they go). */
export interface Flow {
  seconds: number;
  lanes: number;
  size: number;
  rate: number;
}

export interface Load {
  events: number;
  deliveries: number;
  failed: number;
  times: number[];
  seconds: number;
}

/** A webhook made as a user makes it: the sandbox plays Klaviyo and tells the secret that the service gave it. */
export async function hookOf(backends: Backends, url: string, userId: number, account: object = {}): Promise<Hook> {
  const headers = { authorization: `Bearer ${backends.serviceKey}` };
  const api = `${url}/api/v1/klaviyo`;
  const { accountId, key } = await createAccount(backends.sandboxUrl, {
    limits: 'huge',
    profiles: 100,
    plan: { advancedKdp: true },
    ...account,
  });
  await call('POST', `${api}/connect`, { userId, privateApiKey: key }, headers);
  const wish = { userId, name: 'bench', topics: ['event:klaviyo.opened_email'], delivery: 'push' };
  await call('POST', `${api}/webhooks`, wish, headers);
  const made = await call<{ webhooks: { id: string; secret: string }[] }>(
    'GET',
    `${backends.sandboxUrl}/_sandbox/accounts/${accountId}/webhooks`,
  );
  const [webhook] = made.webhooks;
  if (!webhook) throw new Error('The sandbox has no webhook');
  return { url, userId, klaviyoId: webhook.id, accountId, secret: webhook.secret };
}

/** About 700 bytes, as real ones have. */
export function eventText(id: string, at: string, n: number): string {
  const properties = {
    $message: `01CAMP${String(n % 50).padStart(4, '0')}`,
    'Campaign Name': 'Soldes d’été, premier envoi',
    Subject: 'Dernières heures pour en profiter',
    'Client Type': 'Mobile Email',
    'Client OS Family': 'iOS',
    'Client Name': 'Apple Mail',
    'Email Domain': 'example.com',
    $_cohort$message_send_cohort: '1788529135:01CAMP',
    $event_id: `${id}:${n}`,
  };
  return `{"external_id": "${id}", "topic": "event:klaviyo.opened_email", "payload": {"data": {"type": "event", "id": "${id}", "attributes": {"timestamp": 1788529135, "event_properties": ${JSON.stringify(properties)}, "datetime": "${at}", "uuid": "f9204180-a865-11f1-8001-eb4883aa7288"}, "relationships": {"metric": {"data": {"type": "metric", "id": "MeTr01"}}, "profile": {"data": {"type": "profile", "id": "01PROF${String(n % 40_000).padStart(8, '0')}"}}}, "links": {"self": "https://a.klaviyo.com/api/events/${id}/"}}}}`;
}

export function bodyOf(hook: Hook, prefix: string, first: number, count: number): Buffer {
  const now = new Date().toISOString();
  return deliveryOf(
    hook,
    Array.from({ length: count }, (_, n) => eventText(`${prefix}${first + n}`, now, first + n)),
  );
}

/** A delivery of whatever texts. */
export function deliveryOf(hook: Hook, events: readonly string[]): Buffer {
  const now = new Date().toISOString();
  const meta = `{"timestamp": "${now}", "klaviyo_webhook_id": "${hook.klaviyoId}", "klaviyo_account_id": "${hook.accountId}", "version": "2024-06-28"}`;
  return Buffer.from(`{"data": [${events.join(', ')}], "meta": ${meta}}`);
}

/** The headers of a genuine delivery of that body; its clock is hours off, as Klaviyo's is. */
export function headersOf(hook: Hook, body: Buffer): Record<string, string> {
  const timestamp = new Date(Date.now() + 5 * 3_600_000).toUTCString();
  return {
    'content-type': 'application/json',
    'klaviyo-webhook-id': hook.klaviyoId,
    'klaviyo-timestamp': timestamp,
    'klaviyo-signature': createHmac('sha256', hook.secret).update(body).update(timestamp).digest('hex'),
  };
}

function deliver(hook: Hook, body: Buffer): Promise<{ status: number; ms: number }> {
  const began = performance.now();
  return new Promise((done) => {
    const sent = request(
      `${hook.url}/api/v1/klaviyo/webhook-receiver`,
      { method: 'POST', agent, headers: { ...headersOf(hook, body), 'content-length': body.length } },
      (answer) => {
        answer.resume();
        answer.on('end', () => done({ status: answer.statusCode ?? 0, ms: performance.now() - began }));
      },
    );
    sent.on('error', () => done({ status: 0, ms: performance.now() - began }));
    sent.end(body);
  });
}

/** Delivers for so long. */
export async function load(hook: Hook, { seconds, lanes, size, rate }: Flow): Promise<Load> {
  const begin = performance.now();
  const until = begin + seconds * 1000;
  const result: Load = { events: 0, deliveries: 0, failed: 0, times: [], seconds: 0 };
  const prefix = randomBytes(4).toString('hex');
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < until) {
      const first = begun;
      begun += size;
      const due = rate > 0 ? begin + (first / rate) * 1000 : 0;
      if (due > performance.now()) await wait(due - performance.now());
      note(result, size, await deliver(hook, bodyOf(hook, prefix, first, size)));
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  result.seconds = (performance.now() - begin) / 1000;
  return result;
}

/** Delivers so many events and no more, by the thousand. @throws Error when one delivery is refused */
export async function bring(hook: Hook, events: number, lanes: number): Promise<void> {
  const prefix = randomBytes(4).toString('hex');
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun < events) {
      const first = begun;
      const size = Math.min(BATCH, events - first);
      begun += size;
      const { status } = await deliver(hook, bodyOf(hook, prefix, first, size));
      if (status !== 200) throw new Error(`A delivery was answered ${status}`);
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}

function note(result: Load, size: number, { status, ms }: { status: number; ms: number }): void {
  result.deliveries += 1;
  result.times.push(ms);
  if (status === 200) result.events += size;
  else result.failed += 1;
}

export async function count(database: Client, sql: string): Promise<number> {
  const { rows } = await database.query<{ n: string }>(sql);
  return Number(rows[0]?.n ?? 0);
}

/** Waits until nothing waits. @returns events a second */
export async function workedOff(database: Client): Promise<number> {
  const waiting = 'SELECT coalesce(sum(events), 0) AS n FROM webhook_delivery WHERE processed_at IS NULL';
  const left = await count(database, waiting);
  const begin = performance.now();
  while ((await count(database, waiting)) > 0) {
    if (performance.now() - begin > BACKLOG_MS) throw new Error('The backlog is not worked off');
    await wait(100);
  }
  return left === 0 ? 0 : left / ((performance.now() - begin) / 1000);
}

export function rowOf(title: string, result: Load, cpuSeconds: number): Record<string, unknown> {
  return {
    load: title,
    'deliveries/s': round(result.deliveries / result.seconds, 1),
    'events/s': round(result.events / result.seconds, 0),
    'p50 ms': round(percentile(result.times, 0.5), 1),
    'p99 ms': round(percentile(result.times, 0.99), 1),
    'CPU ms/delivery (service)': round((cpuSeconds * 1000) / result.deliveries, 2),
    failed: result.failed,
  };
}
