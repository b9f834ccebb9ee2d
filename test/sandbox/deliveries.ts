import { Agent, request } from 'node:http';
import type { Account } from './account.ts';
import { HOUR } from './clock.ts';
import type { Json } from './json.ts';
import { deliveredEvent, deliveryBody } from './payload.ts';
import { recordEvent } from './resources/record-event.ts';
import { headerDate, signatureOf, spacedJson } from './signature.ts';
import { topicOf } from './store/metrics.ts';
import type { EventRow, WebhookRow } from './store/rows.ts';

/** What the control address may ask of one round of deliveries. */
export interface DeliveryRequest {
  webhookId?: string;
  /** So many of the account's events, or events by id, or event objects to deliver as they are. */
  events?: number | (string | { [key: string]: Json })[];
  /** Sends the webhook's last delivery again: the same bytes, stamped anew only where the switch says so. */
  redeliver?: boolean;
  headerClockOffsetHours?: number;
  /** Loopback origin (or whole address) in place of the registered host. */
  to?: string;
  times?: number;
  concurrency?: number;
  /** All of `times` carry the same delivery instead of a batch of their own. */
  same?: boolean;
  /** Moves the signed `meta.timestamp`, in seconds. */
  metaOffsetSeconds?: number;
  /** Signs with another secret than the webhook's. */
  secret?: string;
}

export interface DeliveryResult {
  webhookId: string;
  status: number;
  ms: number;
  events: number;
  error?: string;
  body?: string;
}

interface Delivery {
  webhook: WebhookRow;
  body: Buffer;
  timestamp: string;
  signature: string;
  events: number;
}

/** Klaviyo waits five seconds for an answer and sends at most so many events at once. */
const TIMEOUT_MS = 5000;
const BATCH = 1000;
const ACCEPTED = [200, 201, 202];
const DISABLE_AFTER = 48 * HOUR;
const LOOPBACK = ['127.0.0.1', 'localhost', '[::1]'];
const agent = new Agent({ keepAlive: true, maxSockets: 256 });

/** Makes and sends the deliveries of one account's webhooks: on request, and by itself where that is switched on. */
export class Deliverer {
  private readonly account: Account;
  private readonly now: () => number;
  private position = 0;
  private readonly last = new Map<string, Delivery>();
  private readonly queues = new Map<string, EventRow[]>();
  private readonly busy = new Set<string>();

  constructor(account: Account, now: () => number) {
    this.account = account;
    this.now = now;
  }

  /** One round as the control address asks for it; answers what each delivery met. */
  async deliver(wanted: DeliveryRequest): Promise<DeliveryResult[]> {
    const webhooks = [...this.account.webhooks.values()];
    const webhook = wanted.webhookId === undefined ? webhooks[0] : this.account.webhooks.get(wanted.webhookId);
    if (webhook === undefined) throw new Error('webhookId: no such webhook in this account');
    const times = wanted.times ?? 1;
    const first = this.prepare(webhook, wanted);
    const results: DeliveryResult[] = [];
    let started = 0;
    const lane = async () => {
      while (started < times) {
        started += 1;
        const delivery =
          started === 1 || wanted.same === true || wanted.redeliver === true ? first : this.prepare(webhook, wanted);
        this.last.set(webhook.id, delivery);
        results.push(await this.send(delivery, wanted.to));
      }
    };
    await Promise.all(Array.from({ length: Math.min(wanted.concurrency ?? 1, times) }, lane));
    return results;
  }

  /** Queues an event for every enabled webhook that has its topic. */
  enqueue(event: EventRow): void {
    if (!this.account.switches.autoDeliver) return;
    const metric = this.account.metrics.get(event.metricId);
    if (metric === undefined) return;
    const topic = topicOf(metric);
    for (const webhook of this.account.webhooks.values()) {
      if (!webhook.enabled || !webhook.topics.includes(topic)) continue;
      const queue = this.queues.get(webhook.id);
      if (queue === undefined) this.queues.set(webhook.id, [event]);
      else queue.push(event);
    }
  }

  /** Sends what is queued, each webhook's batches one after the other; called as time passes. */
  flush(): void {
    for (const [id, queue] of this.queues) {
      if (queue.length === 0 || this.busy.has(id)) continue;
      this.busy.add(id);
      const batch = queue.splice(0, BATCH);
      void this.sendUntilAccepted(id, batch).finally(() => this.busy.delete(id));
    }
  }

  private async sendUntilAccepted(webhookId: string, batch: readonly EventRow[]): Promise<void> {
    let delivery: Delivery | null = null;
    for (let attempt = 0; ; attempt += 1) {
      const webhook = this.account.webhooks.get(webhookId);
      if (webhook?.enabled !== true) return;
      if (delivery === null || this.account.switches.restampRetries) {
        const events = batch.map((row) => deliveredEvent(this.account, row));
        delivery = this.sign(webhook, events, this.now(), {});
      }
      this.last.set(webhookId, delivery);
      const status = await this.send(delivery, undefined).then(
        (result) => result.status,
        () => 0,
      );
      const current = this.account.webhooks.get(webhookId);
      if (current === undefined) return;
      if (ACCEPTED.includes(status)) {
        this.account.webhooks.set(webhookId, { ...current, failingSince: null });
        return;
      }
      const since = current.failingSince ?? this.now();
      const enabled = this.now() - since < DISABLE_AFTER;
      this.account.webhooks.set(webhookId, { ...current, failingSince: since, enabled });
      if (!enabled) return;
      // Exponential from ten seconds up to an hour, each second scaled to a few milliseconds.
      const seconds = Math.min(10 * 2 ** attempt, 3600);
      await new Promise((done) => setTimeout(done, seconds * this.account.switches.retryScaleMs).unref());
    }
  }

  private prepare(webhook: WebhookRow, wanted: DeliveryRequest): Delivery {
    const known = this.last.get(webhook.id);
    if (wanted.redeliver === true && known !== undefined && !this.account.switches.restampRetries) return known;
    const at = this.now() + (wanted.metaOffsetSeconds ?? 0) * 1000;
    if (wanted.redeliver === true && known !== undefined) {
      const { data } = JSON.parse(known.body.toString('utf8')) as { data: Json[] };
      return this.sign(webhook, data.map(spacedJson), at, wanted);
    }
    const events = wanted.events ?? 1;
    const rows =
      typeof events === 'number'
        ? this.take(events).map((row) => deliveredEvent(this.account, row))
        : events.map((event) => this.given(event));
    return this.sign(webhook, rows, at, wanted);
  }

  private given(event: string | { [key: string]: Json }): string {
    if (typeof event !== 'string') return spacedJson(event);
    const row = this.account.events.get(event);
    if (row === undefined) throw new Error(`events: no event ${event}`);
    return deliveredEvent(this.account, row);
  }

  private sign(webhook: WebhookRow, events: readonly string[], at: number, wanted: DeliveryRequest): Delivery {
    const body = deliveryBody(this.account, webhook.id, events, at);
    const timestamp = headerDate(at, wanted.headerClockOffsetHours ?? 5);
    return {
      webhook,
      body,
      timestamp,
      signature: signatureOf(wanted.secret ?? webhook.secret, body, timestamp),
      events: events.length,
    };
  }

  /** The account's next events: generated ones in order, then fresh ones. */
  private take(count: number): EventRow[] {
    const { account } = this;
    const rows: EventRow[] = [];
    while (rows.length < count && this.position < account.generatedEvents.count) {
      rows.push(account.generatedEvents.row(this.position));
      this.position += 1;
    }
    const { base } = account.profiles.table;
    while (rows.length < count) {
      this.position += 1;
      const profileId = base.count > 0 ? base.id(this.position % base.count) : account.ids.ulid(this.now());
      const unique = {
        metric: 'Opened Email',
        own: true,
        uniqueId: `d-${this.position}`,
        properties: { Subject: 'Café' },
      };
      const row = recordEvent(account, { ...unique, profileId, time: this.now(), now: this.now() });
      if (row !== null) rows.push(row);
    }
    return rows;
  }

  private async send(delivery: Delivery, to: string | undefined): Promise<DeliveryResult> {
    const { webhook, body, events } = delivery;
    const url = target(webhook.endpointUrl, to ?? this.account.deliverTo ?? undefined);
    const started = performance.now();
    const outcome = await post(url, body, {
      'content-type': 'application/json',
      'content-length': String(body.length),
      'user-agent': 'Klaviyo/1.0',
      'klaviyo-webhook-id': webhook.id,
      'klaviyo-signature': delivery.signature,
      'klaviyo-timestamp': delivery.timestamp,
    });
    const result = { webhookId: webhook.id, ms: Math.round(performance.now() - started), events, ...outcome };
    this.account.deliveries.push({ ...result, at: new Date(this.now()).toISOString() });
    if (this.account.deliveries.length > BATCH) this.account.deliveries.shift();
    return result;
  }
}

/** Where a delivery goes: loopback only, whatever host was registered. */
function target(registered: string, to: string | undefined): URL {
  const url = new URL(registered);
  const wanted = to === undefined ? url : new URL(to);
  if (!LOOPBACK.includes(wanted.hostname))
    throw new Error(`to: deliveries leave for loopback only, not ${wanted.hostname}`);
  if (wanted.protocol !== 'http:') throw new Error('to: an http address on loopback');
  if (to !== undefined && wanted.pathname === '/') {
    wanted.pathname = url.pathname;
    wanted.search = url.search;
  }
  return wanted;
}

function post(
  url: URL,
  body: Buffer,
  headers: Record<string, string>,
): Promise<{ status: number; error?: string; body?: string }> {
  return new Promise((done) => {
    const call = request(url, { method: 'POST', headers, agent }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        clearTimeout(timer);
        done({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString('utf8').slice(0, 2000) });
      });
    });
    const timer = setTimeout(() => call.destroy(new Error('no answer within 5 s')), TIMEOUT_MS);
    call.on('error', (error) => {
      clearTimeout(timer);
      done({ status: 0, error: error.message });
    });
    call.end(body);
  });
}
