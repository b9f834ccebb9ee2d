import { setTimeout as wait } from 'node:timers/promises';
import { Client } from 'pg';
import type { Response } from 'supertest';
import { startApp, type AppOptions, type RunningApp } from '../support/app';
import {
  startSandbox,
  type Sandbox,
  type SandboxAccount,
  type SandboxAccountOptions,
  type SandboxRequest,
} from '../support/sandbox';

export const API = '/api/v1/klaviyo';

export type Query = Record<string, string | number | boolean | undefined>;

/** A user who has connected an account of the sandbox. */
export interface Reader {
  userId: number;
  account: SandboxAccount;
  connectionId: string;
  /** A call of this user's, by the service, in English. */
  get(path: string, query?: Query): Promise<Response>;
  /** Every row that following the cursor gives, page by page. */
  walk(path: string, noun: string, query: Query): Promise<Row[][]>;
  /** What Klaviyo received of an operation since `quiet` or the start. */
  requests(operation?: string): Promise<SandboxRequest[]>;
  quiet(): Promise<void>;
  /** Writes rows into the account past the service. */
  seed(kind: string, rows: object | object[]): Promise<unknown>;
}

export interface Row extends Record<string, unknown> {
  id: string;
  name: string;
}

/** The service and the sandbox, for as many users as a spec needs. */
export interface ReadsStage {
  app: RunningApp;
  sandbox: Sandbox;
  connect(userId: number, account?: SandboxAccountOptions | SandboxAccount): Promise<Reader>;
  sql<T extends object>(text: string, params?: unknown[]): Promise<T[]>;
  stop(): Promise<void>;
}

export async function openStage(options: AppOptions = {}, shared?: Sandbox): Promise<ReadsStage> {
  const sandbox = shared ?? (await startSandbox());
  const app = await startApp({ klaviyoUrl: sandbox.url, ...options });
  const client = new Client({ connectionString: app.database.url });
  await client.connect();
  return {
    app,
    sandbox,
    connect: (userId, account) => connect(app, sandbox, userId, account ?? {}),
    sql: async <T extends object>(text: string, params: unknown[] = []) => (await client.query<T>(text, params)).rows,
    stop: async () => {
      await client.end();
      await app.stop();
      if (!shared) await sandbox.stop();
    },
  };
}

async function connect(
  app: RunningApp,
  sandbox: Sandbox,
  userId: number,
  wanted: SandboxAccountOptions | SandboxAccount,
): Promise<Reader> {
  const account = 'key' in wanted ? wanted : await sandbox.createAccount({ limits: 'huge', ...wanted });
  const connected = await app.http
    .post(`${API}/connect`)
    .set(app.asService)
    .send({ userId, privateApiKey: account.key });
  if (connected.status >= 300) throw new Error(`connect: ${connected.status} ${connected.text}`);
  await sandbox.clearRequests(account.id);
  const get: Reader['get'] = async (path, query = {}) =>
    app.http
      .get(`${API}${path}`)
      .set({ ...app.asService, 'Accept-Language': 'en' })
      .query({ userId, ...query });
  return {
    userId,
    account,
    connectionId: connected.body.connection.id as string,
    get,
    walk: async (path, noun, query) => {
      const pages: Row[][] = [];
      let cursor: string | undefined;
      do {
        const { status, text, body } = await get(path, { ...query, cursor });
        if (status !== 200) throw new Error(`${path}: ${status} ${text}`);
        pages.push(body[noun] as Row[]);
        cursor = (body.pagination.nextCursor ?? undefined) as string | undefined;
      } while (cursor !== undefined && pages.length < 500);
      return pages;
    },
    requests: (operation) => sandbox.requests(account.id, operation),
    quiet: () => sandbox.clearRequests(account.id),
    seed: (kind, rows) => sandbox.control('POST', `/accounts/${account.id}/${kind}`, rows),
  };
}

/** Looks until it is so; fails with what was seen last. */
export async function until<T>(look: () => Promise<T>, isSo: (seen: T) => boolean, ms = 20_000): Promise<T> {
  const deadline = Date.now() + ms;
  for (;;) {
    const seen = await look();
    if (isSo(seen)) return seen;
    if (Date.now() > deadline) throw new Error(`not so within ${ms} ms: ${JSON.stringify(seen).slice(0, 500)}`);
    await wait(200);
  }
}
