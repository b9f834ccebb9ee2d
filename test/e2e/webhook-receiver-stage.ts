import { createHmac, randomUUID } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { Client } from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { WebhookSecrets } from '../../src/webhooks/webhooks.secrets';
import type { AppOptions, RunningApp } from '../support/app';
import { startApp } from '../support/app';
import type { Sandbox, SandboxAccount } from '../support/sandbox';
import { startSandbox } from '../support/sandbox';
import { API } from '../support/walk';

export const RECEIVER = `${API}/webhook-receiver`;

/** A webhook of a connected user, as it would stand after its creation. */
export interface Hook {
  userId: number;
  connectionId: string;
  account: SandboxAccount;
  id: string;
  klaviyoId: string;
  secret: string;
}

export interface Sent {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
  text: string;
}

/** An event as Klaviyo delivers it. */
export function klaviyoEvent(id: string, more: Record<string, unknown> = {}, topic = 'event:api.placed_order') {
  return {
    external_id: id,
    topic,
    payload: {
      data: {
        type: 'event',
        id,
        attributes: {
          timestamp: 1_788_529_135,
          datetime: '2026-09-04 13:38:55+00:00',
          event_properties: { note: 'Café', ...more },
          uuid: randomUUID(),
        },
        relationships: {
          metric: { data: { type: 'metric', id: 'MetrPO' } },
          profile: { data: { type: 'profile', id: `01PROFILE${id.slice(-6).padStart(6, '0')}` } },
        },
        links: { self: `https://a.klaviyo.com/api/events/${id}/` },
      },
    },
  };
}

/** An HTTP date whose clock is off, as Klaviyo's is. */
export const headerDate = (at: number) => new Date(at + 5 * 3_600_000).toUTCString();

export const sign = (secret: string, body: Buffer | string, timestamp: string) =>
  createHmac('sha256', secret).update(body).update(timestamp, 'utf8').digest('hex');

/** A service with a sandbox, users with webhooks, and the means to deliver to them as Klaviyo does. */
export class ReceiverStage {
  private users = 7000;

  constructor(
    readonly app: RunningApp,
    readonly sandbox: Sandbox,
    readonly database: Client,
  ) {}

  static async open(options: AppOptions = {}): Promise<ReceiverStage> {
    const sandbox = await startSandbox();
    const app = await startApp({ klaviyoUrl: sandbox.url, ...options });
    const database = new Client({ connectionString: app.database.url });
    await database.connect();
    return new ReceiverStage(app, sandbox, database);
  }

  async stop(): Promise<void> {
    await this.database.end();
    await this.app.stop();
    await this.sandbox.stop();
  }

  async hook(given: { account?: SandboxAccount; userId?: number } = {}): Promise<Hook> {
    const account =
      given.account ?? (await this.sandbox.createAccount({ limits: 'huge', profiles: 5, plan: { advancedKdp: true } }));
    const userId = given.userId ?? ++this.users;
    const made = await this.app.http
      .post(`${API}/connect`)
      .set(this.app.asService)
      .send({ userId, privateApiKey: account.key });
    const { id: connectionId } = (made.body as { connection: { id: string } }).connection;
    return this.webhook(userId, connectionId, account);
  }

  async webhook(userId: number, connectionId: string, account: SandboxAccount): Promise<Hook> {
    const secrets = this.app.app.get(WebhookSecrets, { strict: false });
    const id = uuidv7();
    const secret = secrets.make();
    const klaviyoId = `01HOOK${id.replaceAll('-', '').slice(-20).toUpperCase()}`;
    await this.database.query(
      `INSERT INTO webhook (user_id, id, connection_id, klaviyo_webhook_id, name, topics, delivery, status, endpoint_url,
         sealed_secret) VALUES ($1, $2, $3, $4, 'test', '{}', 'push', 'active', 'https://example.com/', $5)`,
      [userId, id, connectionId, klaviyoId, await secrets.seal(userId, id, secret)],
    );
    return { userId, connectionId, account, id, klaviyoId, secret };
  }

  /** The text of a delivery, spaced as Klaviyo spaces it. */
  body(hook: Hook, events: readonly unknown[], meta: Record<string, unknown> = {}): string {
    const all = {
      timestamp: new Date().toISOString().replace('Z', '000+00:00'),
      klaviyo_webhook_id: hook.klaviyoId,
      klaviyo_account_id: hook.account.id,
      version: '2024-06-28',
      ...meta,
    };
    return `{"data": [${events.map((event) => JSON.stringify(event)).join(', ')}], "meta": ${JSON.stringify(all)}}`;
  }

  headers(hook: Hook, body: Buffer | string, over: Record<string, string> = {}): Record<string, string> {
    const timestamp = headerDate(Date.now());
    return {
      'content-type': 'application/json',
      'klaviyo-webhook-id': hook.klaviyoId,
      'klaviyo-signature': sign(hook.secret, body, timestamp),
      'klaviyo-timestamp': timestamp,
      ...over,
    };
  }

  /** A genuine delivery of these events, or what `change` makes of it. */
  async deliver(hook: Hook, events: readonly unknown[], meta: Record<string, unknown> = {}): Promise<Sent> {
    const body = this.body(hook, events, meta);
    return this.send(body, this.headers(hook, body));
  }

  async send(body: Buffer | string, headers: Record<string, string>): Promise<Sent> {
    return this.raw(body, Object.entries(headers));
  }

  /** With headers in pairs, so that one may be given twice. */
  async raw(body: Buffer | string | undefined, headers: readonly (readonly [string, string])[]): Promise<Sent> {
    const url = new URL(`${this.app.url}${RECEIVER}`);
    const all = [['host', url.host], ['content-length', String(Buffer.byteLength(body ?? ''))], ...headers].flat();
    return new Promise((done, fail) => {
      const call = httpRequest(url, { method: 'POST', headers: all, agent: false }, (answer) => {
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('error', fail);
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString('utf8');
          const pairs = Object.entries(answer.headers).flatMap(([name, value]): [string, string][] =>
            typeof value === 'string' ? [[name, value]] : [],
          );
          done({
            status: answer.statusCode ?? 0,
            headers: new Headers(pairs),
            body: (text === '' ? {} : JSON.parse(text)) as Record<string, unknown>,
            text,
          });
        });
      });
      call.on('error', fail);
      call.end(body);
    });
  }

  /** What is kept of a connection's events. */
  async rows(hook: Hook): Promise<Record<string, unknown>[]> {
    const { rows } = await this.database.query<Record<string, unknown>>(
      'SELECT * FROM received_event WHERE user_id = $1 AND connection_id = $2 ORDER BY id',
      [hook.userId, hook.connectionId],
    );
    return rows;
  }

  /** Looks until it is so. */
  async until<T>(look: () => Promise<T | undefined>, ms = 10_000): Promise<T> {
    for (const end = Date.now() + ms; ; await new Promise((done) => setTimeout(done, 25))) {
      const found = await look();
      if (found !== undefined) return found;
      if (Date.now() > end) throw new Error('it did not come to pass in time');
    }
  }

  /** Until nothing that was received waits to be worked off. */
  async settled(hook: Hook): Promise<void> {
    await this.until(async () => {
      const { rows } = await this.database.query(
        `SELECT 1 FROM webhook_delivery WHERE user_id = $1 AND connection_id = $2 AND processed_at IS NULL`,
        [hook.userId, hook.connectionId],
      );
      return rows.length === 0 ? true : undefined;
    });
  }
}
