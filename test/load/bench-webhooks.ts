// `npm run bench:webhooks`: deliveries as Klaviyo signs them, to one process of the service: batches of 1,000 events for a
// minute, how fast the backlog is worked off, then single events. PostgreSQL, service and sender share the machine.
import { createHmac, randomBytes } from 'node:crypto';
import { Agent, request } from 'node:http';
import { loadavg } from 'node:os';
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import { percentile, round, setting } from './figures.ts';
import { call, createAccount, runMain, seedOfRun, startBackends, startService, type Backends } from './stack.ts';

const SECONDS = setting('BENCH_SECONDS', 60);
/** Deliveries on their way at once. */
const BATCH_LANES = setting('BENCH_BATCH_LANES', 4);
const SINGLE_LANES = setting('BENCH_SINGLE_LANES', 64);
/** Above this rate the sender waits: what is asked is a rate held, with the time that each answer takes; 0: as fast as it can. */
const RATE = process.env['BENCH_RATE'] === undefined ? 13_000 : Number(process.env['BENCH_RATE']);
const BATCH = 1000;
const USER = 9001;
const BACKLOG_MS = 15 * 60_000;
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

interface Hook {
  url: string;
  klaviyoId: string;
  accountId: string;
  secret: string;
}

interface Load {
  events: number;
  deliveries: number;
  failed: number;
  times: number[];
  seconds: number;
}

/** A webhook made as a user makes it: the sandbox plays Klaviyo and tells the secret that the service gave it. */
async function hookOf(backends: Backends, url: string): Promise<Hook> {
  const headers = { authorization: `Bearer ${backends.serviceKey}` };
  const api = `${url}/api/v1/klaviyo`;
  const account = await createAccount(backends.sandboxUrl, {
    limits: 'huge',
    profiles: 100,
    plan: { advancedKdp: true },
  });
  await call('POST', `${api}/connect`, { userId: USER, privateApiKey: account.key }, headers);
  const wish = { userId: USER, name: 'bench', topics: ['event:klaviyo.opened_email'], delivery: 'push' };
  await call('POST', `${api}/webhooks`, wish, headers);
  const made = await call<{ webhooks: { id: string; secret: string }[] }>(
    'GET',
    `${backends.sandboxUrl}/_sandbox/accounts/${account.accountId}/webhooks`,
  );
  const [webhook] = made.webhooks;
  if (!webhook) throw new Error('The sandbox has no webhook');
  return { url, klaviyoId: webhook.id, accountId: account.accountId, secret: webhook.secret };
}

/** About 700 bytes, as real ones have. */
function eventText(id: string, at: string, n: number): string {
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

function bodyOf(hook: Hook, prefix: string, first: number, count: number): Buffer {
  const now = new Date().toISOString();
  const events = Array.from({ length: count }, (_, n) => eventText(`${prefix}${first + n}`, now, first + n));
  const meta = `{"timestamp": "${now}", "klaviyo_webhook_id": "${hook.klaviyoId}", "klaviyo_account_id": "${hook.accountId}", "version": "2024-06-28"}`;
  return Buffer.from(`{"data": [${events.join(', ')}], "meta": ${meta}}`);
}

function deliver(hook: Hook, body: Buffer): Promise<{ status: number; ms: number }> {
  const timestamp = new Date(Date.now() + 5 * 3_600_000).toUTCString();
  const began = performance.now();
  return new Promise((done) => {
    const sent = request(
      `${hook.url}/api/v1/klaviyo/webhook-receiver`,
      {
        method: 'POST',
        agent,
        headers: {
          'content-type': 'application/json',
          'content-length': body.length,
          'klaviyo-webhook-id': hook.klaviyoId,
          'klaviyo-timestamp': timestamp,
          'klaviyo-signature': createHmac('sha256', hook.secret).update(body).update(timestamp).digest('hex'),
        },
      },
      (answer) => {
        answer.resume();
        answer.on('end', () => done({ status: answer.statusCode ?? 0, ms: performance.now() - began }));
      },
    );
    sent.on('error', () => done({ status: 0, ms: performance.now() - began }));
    sent.end(body);
  });
}

async function load(hook: Hook, lanes: number, size: number, rate: number): Promise<Load> {
  const prefix = randomBytes(4).toString('hex');
  const begin = performance.now();
  const until = begin + SECONDS * 1000;
  const result: Load = { events: 0, deliveries: 0, failed: 0, times: [], seconds: 0 };
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (performance.now() < until) {
      const first = begun;
      begun += size;
      const due = rate > 0 ? begin + (first / rate) * 1000 : 0;
      if (due > performance.now()) await wait(due - performance.now());
      const { status, ms } = await deliver(hook, bodyOf(hook, prefix, first, size));
      result.deliveries += 1;
      result.times.push(ms);
      if (status === 200) result.events += size;
      else result.failed += 1;
    }
  };
  await Promise.all(Array.from({ length: lanes }, lane));
  result.seconds = (performance.now() - begin) / 1000;
  return result;
}

async function count(database: Client, sql: string): Promise<number> {
  const { rows } = await database.query<{ n: string }>(sql);
  return Number(rows[0]?.n ?? 0);
}

/** Waits until nothing waits. @returns events a second */
async function workedOff(database: Client): Promise<number> {
  const waiting = 'SELECT coalesce(sum(events), 0) AS n FROM webhook_delivery WHERE processed_at IS NULL';
  const left = await count(database, waiting);
  const begin = performance.now();
  while ((await count(database, waiting)) > 0) {
    if (performance.now() - begin > BACKLOG_MS) throw new Error('The backlog is not worked off');
    await wait(100);
  }
  return left === 0 ? 0 : left / ((performance.now() - begin) / 1000);
}

function rowOf(title: string, result: Load, cpuSeconds: number): Record<string, unknown> {
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

async function main(): Promise<void> {
  const seed = seedOfRun();
  const env = { PUBLIC_BASE_URL: 'https://hooks.example.com', SYNC_INTERVAL_MINUTES: '0' };
  const backends = await startBackends({ seed, env });
  const database = new Client({ connectionString: backends.databaseUrl });
  try {
    const service = await startService(backends);
    await database.connect();
    const hook = await hookOf(backends, service.url);
    await deliver(hook, bodyOf(hook, 'warm', 0, BATCH));
    const before = await count(database, 'SELECT count(*) AS n FROM received_event');
    const cpu = [service.cpuSeconds()];
    const batches = await load(hook, BATCH_LANES, BATCH, RATE);
    cpu.push(service.cpuSeconds());
    const kept = (await count(database, 'SELECT count(*) AS n FROM received_event')) - before;
    const rate = await workedOff(database);
    cpu.push(service.cpuSeconds());
    const singles = await load(hook, SINGLE_LANES, 1, 0);
    cpu.push(service.cpuSeconds());
    const spent = (from: number) => (cpu[from + 1] ?? 0) - (cpu[from] ?? 0);
    console.log(
      `${SECONDS} s a load; load average ${loadavg()
        .map((value) => round(value, 1))
        .join(' ')}`,
    );
    console.table([
      rowOf('1,000 events a delivery', batches, spent(0)),
      rowOf('1 event a delivery', singles, spent(2)),
    ]);
    console.log(`backlog worked off at ${round(rate, 0)} events/s; service ${round(service.residentMb(), 0)} MB`);
    if (kept < batches.events) throw new Error(`Only ${kept} of ${batches.events} acknowledged events are there`);
    if (batches.events === 0 || singles.events === 0) throw new Error('Nothing was taken');
  } finally {
    await database.end();
    await backends.stop();
  }
}

runMain(main);
