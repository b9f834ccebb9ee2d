// Our Klaviyo client, taken out of the built service's own application: the same parts, settings and quota as in it.
import { createRequire } from 'node:module';
import { randomUUID } from 'node:crypto';
import type { Server } from 'node:http';
import { join } from 'node:path';
import { METRIC, type Peer, type Target } from './peers.ts';
import { builtEntry } from './stack.ts';

/** The parts of the service that are used here, as far as they are used. */
interface Client {
  call(access: object, operation: object, call?: object): Promise<{ status: number; body: { data: { id: string } } }>;
  pages(access: object, operation: object, call?: object): AsyncGenerator<{ items: { id: string }[] }>;
}
type Class<T> = new (...args: never[]) => T;
/** The service's Nest application, as far as it is used. */
export interface App {
  get<T>(token: Class<T>): T;
  init(): Promise<unknown>;
  close(): Promise<void>;
  useLogger(logger: object): void;
  listen(port: number, host: string): Promise<unknown>;
  getHttpServer(): Server;
}

const require = createRequire(import.meta.url);

/** Loads one file of the built service, e.g. `klaviyo/operations`. */
export function built<T>(path: string): T {
  return require(join(builtEntry(), '..', `${path}.js`)) as T;
}

/**
 * The service's application, not listening and without background work. It reads the process's environment, so that
 * must be set before (see `Backends.env`).
 */
export async function openService(): Promise<App> {
  const app = await create();
  await app.init();
  return app;
}

/**
 * The service's application as `main.ts` serves it, on `PORT`.
 * @param prepare is given the HTTP server before it listens
 */
export async function openServer(prepare: (server: Server) => void): Promise<App> {
  const app = await create();
  const { configure } = built<{ configure(app: App): Promise<void> }>('configure');
  await configure(app);
  prepare(app.getHttpServer());
  await app.listen(Number(process.env['PORT']), '127.0.0.1');
  return app;
}

async function create(): Promise<App> {
  require('reflect-metadata');
  const { NestFactory } = require('@nestjs/core') as {
    NestFactory: { create(module: object, adapter: object, options: object): Promise<App> };
  };
  const { AppModule } = built<{ AppModule: object }>('app.module');
  const { createAdapter } = built<{ createAdapter(env: object): object }>('http/adapter');
  const { readProcessEnv } = built<{ readProcessEnv(): object }>('config/process-env');
  const { ServiceLogger } = built<{ ServiceLogger: Class<object> }>('observability/logger');
  const options = { bodyParser: false, logger: false, abortOnError: false };
  const app = await NestFactory.create(AppModule, createAdapter(readProcessEnv()), options);
  app.useLogger(app.get(ServiceLogger));
  return app;
}

/** Our client, bound to one account. Closing it leaves the application open. */
export function ours(app: App, target: Target): Peer {
  const { KlaviyoClient } = built<{ KlaviyoClient: Class<Client> }>('klaviyo/klaviyo.client');
  const { KlaviyoAccess } = built<{ KlaviyoAccess: new (init: object) => object }>('klaviyo/klaviyo-access');
  const { operations } = built<{ operations: Record<string, object> }>('klaviyo/operations');
  const client = app.get(KlaviyoClient);
  const access = new KlaviyoAccess({
    userId: 1,
    connectionId: randomUUID(),
    accountId: target.accountId,
    privateKey: target.key,
  });
  const operation = (name: string): object => {
    const found = operations[name];
    if (!found) throw new Error(`The service has no operation ${name}`);
    return found;
  };
  const write = async (name: string, body: object): Promise<string> => {
    const { status } = await client.call(access, operation(name), { body });
    return `done (${status})`;
  };
  return {
    name: 'ours',
    async *profilePages() {
      for await (const { items } of client.pages(access, operation('getProfiles'))) yield items.length;
    },
    async list(id) {
      const { body } = await client.call(access, operation('getList'), { path: { id } });
      return body.data.id === id ? 1 : 0;
    },
    async lists() {
      for await (const { items } of client.pages(access, operation('getLists'))) return items.length;
      return 0;
    },
    createProfile: (email) => write('createProfile', { data: { type: 'profile', attributes: { email } } }),
    upsertProfile: (email) => write('upsertProfile', { data: { type: 'profile', attributes: { email } } }),
    createEvent: (email, uniqueId) =>
      write('createEvent', {
        data: {
          type: 'event',
          attributes: {
            properties: {},
            ...(uniqueId === undefined ? {} : { unique_id: uniqueId }),
            metric: { data: { type: 'metric', attributes: { name: METRIC } } },
            profile: { data: { type: 'profile', attributes: { email } } },
          },
        },
      }),
    say: (error) => (error instanceof Error ? error.message.split(':', 1).join('') : String(error)),
    close: () => Promise.resolve(),
  };
}

/** Times every attempt that the application sends from now on; asked for by the account's key, in milliseconds. */
export function timeAttempts(app: App): (key: string) => readonly number[] {
  interface Transport {
    send(request: { headers: Record<string, string> }): Promise<object>;
  }
  const { KlaviyoTransport } = built<{ KlaviyoTransport: Class<Transport> }>('klaviyo/transport');
  const transport = app.get(KlaviyoTransport);
  const send = transport.send.bind(transport);
  const attempts = new Map<string, number[]>();
  transport.send = async (request) => {
    const begin = performance.now();
    const result = await send(request);
    const header = request.headers['Authorization'] ?? '';
    attempts.set(header, [...(attempts.get(header) ?? []), performance.now() - begin]);
    return result;
  };
  return (key) => attempts.get(`Klaviyo-API-Key ${key}`) ?? [];
}
