import type { Response } from 'supertest';
import { startApp, type AppOptions, type RunningApp } from '../support/app';
import { startSandbox, type Sandbox, type SandboxAccount, type SandboxAccountOptions } from '../support/sandbox';

export const API = '/api/v1/klaviyo';

type Method = 'get' | 'post' | 'patch' | 'delete';

/** The service, the sandbox and a user who has connected an account with three lists. */
export interface Stage {
  app: RunningApp;
  sandbox: Sandbox;
  account: SandboxAccount;
  userId: number;
  connectionId: string;
  /** The ids of the lists Newsletter, VIP and Confirmed (double opt-in). */
  lists: { newsletter: string; vip: string; confirmed: string };
  /** A call of this user's, by the service, in English. */
  call(method: Method, path: string, input?: object, headers?: Record<string, string>): Promise<Response>;
  /** A profile as the sandbox holds it. */
  atKlaviyo(id: string): Promise<Record<string, unknown>>;
  /** Puts a profile into the account past the service. */
  seed(row: Record<string, unknown>): Promise<string>;
  members(listId: string): Promise<string[]>;
  /** Method and path of what Klaviyo received since the last look. */
  received(): Promise<string[]>;
  stop(): Promise<void>;
}

export async function setStage(
  options: AppOptions = {},
  accountOptions: SandboxAccountOptions = {},
  userId = 71,
): Promise<Stage> {
  const sandbox = await startSandbox();
  const app = await startApp({ klaviyoUrl: sandbox.url, ...options });
  const account = await sandbox.createAccount({
    limits: 'huge',
    lists: [
      { name: 'Newsletter', optIn: 'single_opt_in' },
      { name: 'VIP', optIn: 'single_opt_in' },
      { name: 'Confirmed', optIn: 'double_opt_in' },
    ],
    ...accountOptions,
  });
  const call: Stage['call'] = (method, path, input = {}, headers = {}) =>
    send(app, userId, method, path, input, headers);
  const connected = await call('post', '/connect', { privateApiKey: account.key });
  if (connected.status !== 201) throw new Error(`connect: ${connected.status} ${connected.text}`);
  const base = `/accounts/${account.id}`;
  const { lists } = await sandbox.control<{ lists: { id: string; name: string }[] }>('GET', `${base}/lists`);
  const named = (name: string) => lists.find((list) => list.name === name)?.id ?? '';
  await sandbox.clearRequests(account.id);
  return {
    app,
    sandbox,
    account,
    userId,
    connectionId: connected.body.connection.id as string,
    lists: { newsletter: named('Newsletter'), vip: named('VIP'), confirmed: named('Confirmed') },
    call,
    atKlaviyo: (id) => sandbox.control('GET', `${base}/profiles/${id}`),
    seed: async (row) => (await sandbox.control<{ id: string }>('POST', `${base}/profiles`, row)).id,
    members: async (listId) =>
      (await sandbox.control<{ members: string[] }>('GET', `${base}/lists/${listId}/members`)).members,
    received: async () => {
      const requests = await sandbox.requests(account.id);
      await sandbox.clearRequests(account.id);
      return requests.map(({ method, path }) => `${method} ${path.replace(/\/$/, '')}`);
    },
    stop: async () => {
      await app.stop();
      await sandbox.stop();
    },
  };
}

/** A call by the service for a user: in the query for what has no body, else in the body. */
export function send(
  app: RunningApp,
  userId: number,
  method: Method,
  path: string,
  input: object,
  headers: Record<string, string> = {},
): Promise<Response> {
  const request = app.http[method](`${API}${path}`).set({ ...app.asService, 'Accept-Language': 'en', ...headers });
  const given = { userId, ...input };
  return method === 'get' || method === 'delete' ? request.query(given) : request.send(given);
}
