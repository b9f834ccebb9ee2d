import { startApp, type RunningApp } from '../support/app';
import {
  startSandbox,
  type Sandbox,
  type SandboxAccount,
  type SandboxFault,
  type SandboxRequest,
} from '../support/sandbox';
import { API } from '../support/walk';

export const DEADLINE_MS = 4500;
/** One attempt, and one more. */
export const MAX_RETRIES = 1;

export interface Told {
  status: number;
  body: Record<string, unknown>;
  retryAfter: number | undefined;
  ms: number;
}

/** What the service does for its caller, and the one operation of Klaviyo's that it hangs on. */
export interface Doing {
  operation: string;
  method: string;
  path: string;
  query?: string;
  body?: (person: Person) => Record<string, unknown>;
  /** The status when Klaviyo does as it is asked. */
  done: number;
}

export const EMAIL = 'someone@example.com';

export const DOINGS = {
  connect: {
    operation: 'getAccounts',
    method: 'POST',
    path: '/connect',
    body: ({ account }) => ({ privateApiKey: account.key }),
    done: 201,
  },
  subscribe: {
    operation: 'createOrUpdateProfile',
    method: 'POST',
    path: '/subscribe',
    body: () => ({ profile: { email: 'new@example.com', tags: ['a', 'b'] } }),
    done: 201,
  },
  find: { operation: 'getProfiles', method: 'GET', path: '/subscribe', query: `email=${EMAIL}`, done: 200 },
  update: {
    operation: 'updateProfile',
    method: 'PATCH',
    path: '/update-contact',
    body: () => ({ email: EMAIL, profile: { title: 'T' }, addTags: ['new'] }),
    done: 200,
  },
  trigger: {
    operation: 'createEvent',
    method: 'POST',
    path: '/trigger-event',
    body: () => ({ event: { eventType: 'Tried', eventData: { email: EMAIL }, uniqueId: 'once' } }),
    done: 202,
  },
  lists: { operation: 'getLists', method: 'GET', path: '/get-lists', done: 200 },
  segments: { operation: 'getSegments', method: 'GET', path: '/get-segments', done: 200 },
  campaigns: { operation: 'getCampaigns', method: 'GET', path: '/get-campaigns', done: 200 },
} satisfies Record<string, Doing>;

export type DoingName = keyof typeof DOINGS;
export const NAMES = Object.keys(DOINGS) as DoingName[];

/** A user with a Klaviyo account of their own, so that faults do not meet. */
export interface Person {
  userId: number;
  account: SandboxAccount;
}

export interface FaultsStage {
  app: RunningApp;
  sandbox: Sandbox;
  /** Somebody new, connected unless connecting is what is tried; Klaviyo knows one person already. */
  person(name: DoingName): Promise<Person>;
  /** Lets Klaviyo fail at what the doing hangs on. */
  spoil(person: Person, name: DoingName, fault: SandboxFault): Promise<void>;
  act(person: Person, name: DoingName): Promise<Told>;
  /** What Klaviyo received of the operation. */
  received(person: Person, name: DoingName): Promise<SandboxRequest[]>;
  get(person: Person, path: string): Promise<Record<string, unknown>>;
  /** What is there at Klaviyo after all of it. */
  atKlaviyo(person: Person): Promise<{ events: number; tagsOfNew: unknown; tagsOfKnown: unknown }>;
  stop(): Promise<void>;
}

export async function openFaultsStage(): Promise<FaultsStage> {
  const sandbox = await startSandbox();
  const app = await startApp({
    klaviyoUrl: sandbox.url,
    env: {
      REQUEST_DEADLINE_MS: String(DEADLINE_MS),
      KLAVIYO_TIMEOUT_MS: '700',
      KLAVIYO_MAX_RETRIES: String(MAX_RETRIES),
      DATABASE_POOL_SIZE: '10',
    },
  });
  let users = 9000;
  const call = async (person: Person, doing: Doing): Promise<Told> => {
    const began = performance.now();
    const hasBody = doing.body !== undefined;
    const query = [hasBody ? '' : `userId=${person.userId}`, doing.query ?? ''].filter((part) => part !== '').join('&');
    const answer = await fetch(`${app.url}${API}${doing.path}?${query}`, {
      method: doing.method,
      headers: {
        ...app.asService,
        'accept-language': 'en',
        ...(hasBody ? { 'content-type': 'application/json' } : {}),
      },
      ...(doing.body ? { body: JSON.stringify({ userId: person.userId, ...doing.body(person) }) } : {}),
    });
    const body = (await answer.json()) as Record<string, unknown>;
    const retryAfter = answer.headers.get('retry-after');
    return {
      status: answer.status,
      body,
      retryAfter: retryAfter === null ? undefined : Number(retryAfter),
      ms: performance.now() - began,
    };
  };
  return {
    app,
    sandbox,
    person: async (name) => {
      const account = await sandbox.createAccount({
        limits: 'huge',
        lists: 3,
        segments: 3,
        campaigns: 3,
        // The unkind reading of what Klaviyo leaves open: an append that arrives twice adds twice.
        switches: { appendDuplicates: true },
      });
      const person = { userId: ++users, account };
      await sandbox.control('POST', `/accounts/${account.id}/profiles`, {
        email: EMAIL,
        properties: { tags: ['old'] },
      });
      if (name !== 'connect') {
        const connected = await call(person, DOINGS.connect);
        if (connected.status !== 201) throw new Error(`connect: ${JSON.stringify(connected)}`);
      }
      await sandbox.clearRequests(account.id);
      return person;
    },
    spoil: async ({ account }, name, fault) => {
      await sandbox.fault(account.id, { match: { operation: DOINGS[name].operation }, ...fault });
    },
    act: (person, name) => call(person, DOINGS[name]),
    received: ({ account }, name) => sandbox.requests(account.id, DOINGS[name].operation),
    get: async (person, path) => (await call(person, { operation: '', method: 'GET', path, done: 200 })).body,
    atKlaviyo: async ({ account }) => {
      const base = `/accounts/${account.id}`;
      const { events } = await sandbox.control<{ events: unknown[] }>('GET', `${base}/events`);
      const tags = async (email: string) => {
        const found = await sandbox.control<{ profiles: { properties: { tags?: unknown } }[] }>(
          'GET',
          `${base}/profiles?email=${encodeURIComponent(email)}`,
        );
        return found.profiles[0]?.properties.tags;
      };
      return { events: events.length, tagsOfNew: await tags('new@example.com'), tagsOfKnown: await tags(EMAIL) };
    },
    stop: async () => {
      await app.stop();
      await sandbox.stop();
    },
  };
}
