import { createServer, type IncomingHttpHeaders, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import { v7 as uuidv7 } from 'uuid';
import { Forwards } from '../../src/webhooks/forwards';
import { startApp, type AppOptions, type RunningApp } from '../support/app';
import type { TestDatabase } from '../support/database';

export const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

export interface Got {
  headers: IncomingHttpHeaders;
  raw: string;
  body: { type: string; timestamp: string; data: Record<string, unknown> };
  eventId: string;
  at: number;
}

/** Who receives what is passed on. */
export class Target {
  readonly got: Got[] = [];
  /** What the next answers do. */
  answer: (got: Got, response: ServerResponse) => void = (_, response) => response.writeHead(204).end();
  lines = 0;
  /** Events of users below it are those of a test that is over, still on their way: acknowledged, nothing else. */
  since = 0;

  private constructor(private readonly server: Server) {
    server.on('connection', () => (this.lines += 1));
    server.on('request', (request, response) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        const raw = Buffer.concat(chunks).toString('utf8');
        const body = JSON.parse(raw) as Got['body'];
        if (Number(body.data['userId']) < this.since) return void response.writeHead(204).end();
        const got = { headers: request.headers, raw, body, eventId: String(body.data['eventId']), at: Date.now() };
        this.got.push(got);
        this.answer(got, response);
      });
    });
  }

  static async open(): Promise<Target> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    return new Target(server);
  }

  get url(): string {
    return `http://127.0.0.1:${(this.server.address() as AddressInfo).port}/events`;
  }

  get ids(): string[] {
    return this.got.map(({ eventId }) => eventId);
  }

  async close(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}

export interface Planned {
  id: string;
  profileId: string | null;
}

/** The service with received events that are to be passed on, written past the receiver. */
export class ForwardStage {
  constructor(
    readonly app: RunningApp,
    readonly client: Client,
  ) {}

  static async open(url: string, options: AppOptions = {}): Promise<ForwardStage> {
    const env = { EVENT_FORWARD_URL: url, EVENT_FORWARD_SECRET: SECRET, SYNC_INTERVAL_MINUTES: '0', ...options.env };
    const app = await startApp({ ...options, env });
    const client = new Client({ connectionString: app.database.url });
    await client.connect();
    return new ForwardStage(app, client);
  }

  /** Another replica on the same database. */
  static second(url: string, database: TestDatabase): Promise<ForwardStage> {
    return ForwardStage.open(url, { database });
  }

  /** Again where the service and this statement waited for each other. */
  async sql<T extends object>(text: string, params: unknown[] = []): Promise<T[]> {
    for (;;)
      try {
        return (await this.client.query<T>(text, params)).rows;
      } catch (error) {
        if ((error as { code?: string }).code !== '40P01') throw error;
      }
  }

  /** A connection, past Klaviyo. */
  async connection(userId: number): Promise<string> {
    const id = uuidv7();
    await this.sql(
      `INSERT INTO connection (user_id, id, account_id, capabilities, masked_key, sealed_key, is_default, status)
       VALUES ($1, $2, $3, '{}', 'pk_', '', true, 'active')`,
      [userId, id, `A${userId}`],
    );
    return id;
  }

  /** Received events, oldest first. */
  async received(userId: number, connectionId: string, profiles: readonly (string | null)[]): Promise<Planned[]> {
    const events = profiles.map((profileId) => ({ id: uuidv7(), profileId }));
    await this.sql(
      `INSERT INTO received_event (user_id, connection_id, id, external_id, webhook_id, delivery_id, topic, metric_id,
         profile_id, properties, occurred_at)
       SELECT $1, $2, e.id, 'x' || e.id, $2, $2, 'event:klaviyo.opened_email', 'Metric', e.profile_id,
         jsonb_build_object('Subject', 'Café', 'place', e.place), timestamptz '2026-11-20T10:00:00Z'
       FROM unnest($3::uuid[], $4::text[]) WITH ORDINALITY AS e(id, profile_id, place)`,
      [userId, connectionId, events.map(({ id }) => id), events.map(({ profileId }) => profileId)],
    );
    return events;
  }

  async plan(userId: number, connectionId: string, events: readonly Planned[]): Promise<void> {
    const occurredAt = new Date('2026-11-20T10:00:00Z');
    await this.app.app.get(Forwards).plan(
      userId,
      connectionId,
      events.map((event) => ({ ...event, occurredAt })),
    );
  }

  async statuses(userId: number): Promise<Record<string, number>> {
    const rows = await this.sql<{ status: string; count: number }>(
      'SELECT status, count(*)::int AS count FROM event_forward WHERE user_id = $1 GROUP BY status',
      [userId],
    );
    return Object.fromEntries(rows.map(({ status, count }) => [status, count]));
  }

  /** Lets time pass for what waits: every time of it is that much earlier. */
  async passes(seconds: number): Promise<void> {
    await this.sql(
      `UPDATE event_forward SET next_at = next_at - make_interval(secs => $1),
         planned_at = planned_at - make_interval(secs => $1),
         first_failed_at = first_failed_at - make_interval(secs => $1)
       WHERE status = 'waiting'`,
      [seconds],
    );
    await this.sql(
      `UPDATE forward_target SET probe_at = probe_at - make_interval(secs => $1),
         failing_since = failing_since - make_interval(secs => $1)`,
      [seconds],
    );
  }

  async stop(): Promise<void> {
    await this.client.end();
    await this.app.stop();
  }
}

/** Looks until it is so. */
export async function until(
  isSo: () => boolean | Promise<boolean>,
  what: () => unknown = () => '',
  ms = 20_000,
): Promise<void> {
  const deadline = Date.now() + ms;
  while (!(await isSo())) {
    if (Date.now() > deadline) throw new Error(`not so within ${ms} ms: ${JSON.stringify(await what())}`);
    await wait(50);
  }
}
