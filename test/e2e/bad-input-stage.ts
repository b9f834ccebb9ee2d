import { request as httpRequest } from 'node:http';
import { longRun } from './long-run';
import { receivedRows } from './received-rows';
import { startApp, type RunningApp } from '../support/app';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';
import { API, RouteWalk } from '../support/walk';

export interface Sent {
  status: number;
  text: string;
  body: Record<string, unknown> & { code?: string; errors?: { field: string; message: string }[] };
}

export interface RawCall {
  method: string;
  path: string;
  headers?: Record<string, string | string[]>;
  body?: string | Buffer;
}

/** The service with one user who is connected, and a body for each writing route that the service takes. */
export interface BadInputStage {
  app: RunningApp;
  sandbox: Sandbox;
  account: SandboxAccount;
  walk: RouteWalk;
  userId: number;
  connectionId: string;
  /** What each route with a body takes, without `userId`. */
  good: Readonly<Record<string, Record<string, unknown>>>;
  /** The address of a route, its id in place. */
  pathOf(route: string): string;
  /** Sends exactly these bytes and headers. */
  raw(call: RawCall): Promise<Sent>;
  /** Sends a body (as JSON unless it is a text) to a route, by the service. */
  send(route: string, body: unknown, headers?: Record<string, string>): Promise<Sent>;
  /** Method and path of the writes that Klaviyo received since the last look. */
  written(): Promise<string[]>;
  /** Lines of the log, since the last look, that somebody would be woken for. */
  alarms(): Record<string, unknown>[];
  stop(): Promise<void>;
}

const TOPIC = 'event:klaviyo.opened_email';

export async function openBadInputStage(userId = 505): Promise<BadInputStage> {
  const sandbox = await startSandbox();
  const walk = new RouteWalk();
  let heard = 0;
  const app = await startApp({
    klaviyoUrl: sandbox.url,
    prepare: walk.prepare,
    env: { PUBLIC_BASE_URL: 'https://hooks.crealia.test' },
  });
  const account = await sandbox.createAccount({
    limits: 'huge',
    lists: [{ name: 'Newsletter' }],
    plan: { advancedKdp: true },
  });
  const raw = async (call: RawCall) => withoutWebhook(app, userId, call, await exchange(app, call));
  const connected = await raw({
    method: 'POST',
    path: '/connect',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ userId, privateApiKey: account.key }),
  });
  const { id: connectionId } = connected.body['connection'] as { id: string };
  // A run that somebody is at work on: asked for, it is answered; cancelled, it goes on.
  const syncId = await longRun(app.database.url, userId, connectionId);
  const webhookId = await pushedWebhook(app, userId);
  const { lists } = await sandbox.control<{ lists: { id: string }[] }>('GET', `/accounts/${account.id}/lists`);
  const ids: readonly (readonly [string, string])[] = [
    [' /sync/', syncId],
    [' /webhooks/events/', await receivedRows(app.database.url, userId, connectionId)],
    [' /lists/', lists[0]?.id ?? ''],
    [' /webhooks/:id', webhookId],
  ];
  const idIn = (route: string) => ids.find(([part]) => route.includes(part))?.[1] ?? connectionId;
  const pathOf = (route: string) => (route.split(' ')[1] ?? '').replace(':id', idIn(route));
  const subscribed = { profile: { email: 'known@example.com', externalId: 'known' } };
  const send: BadInputStage['send'] = (route, body, headers = {}) =>
    raw({
      method: route.split(' ')[0] ?? '',
      path: pathOf(route),
      headers: { 'content-type': 'application/json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    });
  await send('POST /subscribe', { userId, ...subscribed });
  await sandbox.clearRequests(account.id);
  return {
    app,
    sandbox,
    account,
    walk,
    userId,
    connectionId,
    good: {
      'POST /connect': { privateApiKey: account.key },
      'POST /lists': { name: 'New' },
      'POST /lists/:id/profiles': { profileIds: ['01NOBODY'] },
      'POST /sync': { resources: ['lists'], mode: 'full' },
      'POST /sync/:id/cancel': { connectionId },
      'PUT /sync/schedule': { enabled: false, intervalMinutes: 60 },
      'POST /webhooks/events/:id/replay': { connectionId },
      'POST /webhooks/events/replay': { status: 'dead', topic: 'event:api.none' },
      'PATCH /connections/:id': { label: 'Shop' },
      'POST /webhooks': { name: 'Hook', topics: [TOPIC], delivery: 'poll' },
      'PATCH /webhooks/:id': { name: 'Hook', topics: [TOPIC] },
      'POST /webhooks/:id/rotate-secret': { connectionId },
      'POST /subscribe': subscribed,
      'POST /profiles/search': { externalId: 'known' },
      'PATCH /update-contact': { externalId: 'known', profile: { title: 'T' } },
      'POST /trigger-event': { event: { eventType: 'Tried', eventData: {}, profile: { externalId: 'known' } } },
    },
    pathOf,
    raw,
    send,
    written: async () => {
      const requests = await sandbox.requests(account.id);
      await sandbox.clearRequests(account.id);
      return requests.filter(({ method }) => method !== 'GET').map(({ method, path }) => `${method} ${path}`);
    },
    alarms: () => {
      const lines = app.logs.entries.slice(heard);
      heard += lines.length;
      return lines.filter(({ level }) => level === 'error' || level === 'fatal');
    },
    stop: async () => {
      await app.stop();
      await sandbox.stop();
    },
  };
}

async function pushedWebhook(app: RunningApp, userId: number): Promise<string> {
  const { body } = await exchange(app, {
    method: 'POST',
    path: '/webhooks',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ userId, name: 'Hook', topics: [TOPIC], delivery: 'push' }),
  });
  return (body['webhook'] as { id: string }).id;
}

/** An account has ten at most: one that was made by the way goes again. */
async function withoutWebhook(app: RunningApp, userId: number, { method, path }: RawCall, sent: Sent): Promise<Sent> {
  if (method !== 'POST' || !path.startsWith('/webhooks') || sent.status !== 201) return sent;
  const { id } = sent.body['webhook'] as { id: string };
  await exchange(app, { method: 'DELETE', path: `/webhooks?userId=${userId}&webhookId=${id}` });
  return sent;
}

/** Node's own client, since it sends what it is told: repeated headers, bodies on GET, odd paths. */
function exchange(app: RunningApp, { method, path, headers = {}, body }: RawCall): Promise<Sent> {
  const { hostname, port } = new URL(app.url);
  const target = path.startsWith('//') ? path.slice(1) : `${API}${path}`;
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const sent = httpRequest(
      {
        hostname,
        port,
        method,
        path: target,
        headers: { authorization: app.asService.Authorization, 'accept-language': 'en', ...length, ...headers },
      },
      (answer) => {
        if (answer.headers['content-type']?.startsWith('text/event-stream')) {
          // It goes on as long as the run does.
          answer.destroy();
          resolve({ status: answer.statusCode ?? 0, text: '', body: {} });
          return;
        }
        const chunks: Buffer[] = [];
        answer.on('data', (chunk: Buffer) => chunks.push(chunk));
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          resolve({ status: answer.statusCode ?? 0, text, body: JSON.parse(text || '{}') as Sent['body'] });
        });
      },
    );
    // A refused body may be answered before it was sent whole.
    sent.on('error', reject);
    sent.end(body);
  });
}
