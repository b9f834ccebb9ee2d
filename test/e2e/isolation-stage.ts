import { Client } from 'pg';
import { longRun } from './long-run';
import { receivedRows } from './received-rows';
import { startApp, type RunningApp } from '../support/app';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';
import { API, RouteWalk } from '../support/walk';

/** Somebody who has connected an account, and the names of what is theirs. */
export interface Person {
  userId: number;
  account: SandboxAccount;
  connectionId: string;
  /** A run that goes on all the time. */
  syncId: string;
  /** Of a webhook. */
  webhookId: string;
  /** An event received from Klaviyo. */
  receivedId: string;
  /** A list of the account. */
  listId: string;
  token: string;
}

/** Everything that a caller can name. */
export interface Names {
  connectionId: string;
  eventId: string;
  syncId: string;
  webhookId: string;
  receivedId: string;
  profileId: string;
  email: string;
  externalId: string;
  listId: string;
  segmentId: string;
  campaignId: string;
  cursors: Record<'events' | 'lists' | 'segments' | 'campaigns' | 'logs' | 'profiles' | 'received', string>;
}

export interface Attempt {
  /** `METHOD /template`. */
  route: string;
  /** With the ids in place. */
  path: string;
  query?: Record<string, string | undefined>;
  body?: Record<string, unknown>;
  headers?: Record<string, string>;
}

export interface Answered {
  status: number;
  headers: Headers;
  body: Record<string, unknown>;
}

/** Bob, whose things are wanted; Alice with an account of her own; Carol, connected to Bob's account like him. */
export interface IsolationStage {
  app: RunningApp;
  sandbox: Sandbox;
  walk: RouteWalk;
  bob: Person;
  alice: Person;
  carol: Person;
  /** Bob's. */
  theirs: Names;
  call(who: Person, attempt: Attempt, as?: 'service' | 'user'): Promise<Answered>;
  /** Everything of Bob's that may not change: his rows here, his rows at Klaviyo. */
  picture(): Promise<unknown>;
  stop(): Promise<void>;
}

const ACCOUNT = {
  limits: 'huge',
  profiles: 40,
  lists: 25,
  segments: 25,
  campaigns: 25,
  plan: { advancedKdp: true },
} as const;
export const TOPIC = 'event:klaviyo.opened_email';

export async function openIsolationStage(): Promise<IsolationStage> {
  const sandbox = await startSandbox();
  const walk = new RouteWalk();
  const app = await startApp({
    klaviyoUrl: sandbox.url,
    prepare: walk.prepare,
    env: { PUBLIC_BASE_URL: 'https://hooks.crealia.test' },
  });
  const database = new Client({ connectionString: app.database.url });
  await database.connect();
  const [ofBob, ofAlice] = [
    await sandbox.createAccount({ ...ACCOUNT, seed: 11 }),
    await sandbox.createAccount({ ...ACCOUNT, seed: 22 }),
  ];
  const person = async (userId: number, account: SandboxAccount): Promise<Person> => {
    const none = { connectionId: '', syncId: '', webhookId: '', receivedId: '', listId: '' };
    const made = { userId, account, ...none, token: await app.tokenFor(userId) };
    const { body } = await must(app, made, {
      route: 'POST /connect',
      path: '/connect',
      body: { privateApiKey: account.key },
    });
    const { id: connectionId } = body['connection'] as { id: string };
    const syncId = await longRun(app.database.url, userId, connectionId);
    const receivedId = await receivedRows(app.database.url, userId, connectionId);
    const webhook = await must(app, made, {
      route: 'POST /webhooks',
      path: '/webhooks',
      body: { name: 'Hook', topics: [TOPIC] },
    });
    const { id: webhookId } = webhook.body['webhook'] as { id: string };
    return { ...made, connectionId, syncId, webhookId, receivedId, listId: await firstList(sandbox, account) };
  };
  const bob = await person(2002, ofBob);
  const alice = await person(1001, ofAlice);
  const carol = await person(3003, ofBob);
  const theirs = await namesOf(app, bob);
  return {
    app,
    sandbox,
    walk,
    bob,
    alice,
    carol,
    theirs,
    call: (who, attempt, as = 'service') => send(app, who, attempt, as),
    picture: async () => ({
      rows: await rowsOf(database, bob.userId),
      digest: await sandbox.control('GET', `/accounts/${ofBob.id}/digest`),
    }),
    stop: async () => {
      await database.end();
      await app.stop();
      await sandbox.stop();
    },
  };
}

async function firstList(sandbox: Sandbox, account: SandboxAccount): Promise<string> {
  const { lists } = await sandbox.control<{ lists: { id: string }[] }>('GET', `/accounts/${account.id}/lists`);
  return lists[0]?.id ?? '';
}

/** What Bob has after some use of the service: each name is proven to work for him by the spec. */
async function namesOf(app: RunningApp, bob: Person): Promise<Names> {
  const email = 'bobs.customer@example.com';
  const externalId = 'bobs-customer';
  const { listId } = bob;
  const subscribed = await must(app, bob, {
    route: 'POST /subscribe',
    path: '/subscribe',
    body: { profile: { email, externalId }, listId },
  });
  await must(app, bob, {
    route: 'PATCH /update-contact',
    path: '/update-contact',
    body: { email, profile: { firstName: 'Original' } },
  });
  const event = (name: string) => ({
    route: 'POST /trigger-event',
    path: '/trigger-event',
    body: { event: { eventType: name, eventData: { email } } },
  });
  const first = await must(app, bob, event('First'));
  await must(app, bob, event('Second'));
  const page = async (path: string, noun: string) => {
    const { body } = await must(app, bob, { route: `GET ${path}`, path, query: { limit: '1' } });
    const { nextCursor } = body['pagination'] as { nextCursor: string };
    return { cursor: nextCursor, id: (body[noun] as { id: string }[])[0]?.id ?? '' };
  };
  const events = await page('/events', 'events');
  const listPage = await page('/get-lists', 'lists');
  const segmentPage = await page('/get-segments', 'segments');
  const campaignPage = await page('/get-campaigns', 'campaigns');
  const profilePage = await page('/profiles', 'profiles');
  const receivedPage = await page('/webhooks/events', 'events');
  const logPage = await page(`/sync/${bob.syncId}/logs`, 'logs');
  return {
    connectionId: bob.connectionId,
    eventId: (first.body['event'] as { id: string }).id,
    syncId: bob.syncId,
    webhookId: bob.webhookId,
    receivedId: bob.receivedId,
    profileId: (subscribed.body['profile'] as { id: string }).id,
    email,
    externalId,
    listId,
    segmentId: segmentPage.id,
    campaignId: campaignPage.id,
    cursors: {
      events: events.cursor,
      lists: listPage.cursor,
      segments: segmentPage.cursor,
      campaigns: campaignPage.cursor,
      logs: logPage.cursor,
      profiles: profilePage.cursor,
      received: receivedPage.cursor,
    },
  };
}

async function must(app: RunningApp, who: Person, attempt: Attempt): Promise<Answered> {
  const answer = await send(app, who, attempt, 'service');
  if (answer.status >= 300) throw new Error(`${attempt.route}: ${answer.status} ${JSON.stringify(answer.body)}`);
  return answer;
}

async function send(app: RunningApp, who: Person, attempt: Attempt, as: 'service' | 'user'): Promise<Answered> {
  const [method = 'GET'] = attempt.route.split(' ');
  const hasBody = method !== 'GET' && method !== 'DELETE';
  const url = new URL(`${app.url}${API}${attempt.path}`);
  const named = as === 'service' ? { userId: who.userId } : {};
  if (!hasBody) for (const [name, value] of Object.entries(named)) url.searchParams.set(name, String(value));
  for (const [name, value] of Object.entries(attempt.query ?? {}))
    if (value !== undefined) url.searchParams.set(name, value);
  const answer = await fetch(url, {
    method,
    headers: {
      authorization: as === 'service' ? app.asService.Authorization : `Bearer ${who.token}`,
      'accept-language': 'en',
      ...(hasBody ? { 'content-type': 'application/json' } : {}),
      ...attempt.headers,
    },
    ...(hasBody ? { body: JSON.stringify({ ...named, ...attempt.body }) } : {}),
  });
  if (answer.headers.get('content-type')?.startsWith('text/event-stream')) {
    // It goes on as long as the run does.
    await answer.body?.cancel();
    return { status: answer.status, headers: answer.headers, body: {} };
  }
  const text = await answer.text();
  return { status: answer.status, headers: answer.headers, body: JSON.parse(text) as Record<string, unknown> };
}

/** Written down some time after the calls that they count, so they change by themselves. */
const LAGGING = ['klaviyo_usage'];

/** Every row of every table that names the user, as text. */
async function rowsOf(database: Client, userId: number): Promise<Record<string, string[]>> {
  const { rows: tables } = await database.query<{ name: string }>(
    `SELECT table_name AS name FROM information_schema.columns
     WHERE table_schema = 'public' AND column_name = 'user_id' AND table_name <> ALL ($1) ORDER BY 1`,
    [LAGGING],
  );
  const found: Record<string, string[]> = {};
  for (const { name } of tables) {
    const { rows } = await database.query<{ row: string }>(
      `SELECT t::text AS row FROM "${name}" t WHERE user_id = $1 ORDER BY 1`,
      [userId],
    );
    found[name] = rows.map(({ row }) => row);
  }
  return found;
}
