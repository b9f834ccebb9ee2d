import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Global, Module, type LoggerService, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { Clock, SystemClock } from '../../src/common/clock';
import { Drain } from '../../src/common/drain';
import { ENV, readEnv } from '../../src/config/env';
import { KlaviyoAccess } from '../../src/klaviyo/klaviyo-access';
import { KlaviyoClient } from '../../src/klaviyo/klaviyo.client';
import { KlaviyoModule } from '../../src/klaviyo/klaviyo.module';
import { DatabaseModule } from '../../src/database/database.module';
import { AlertsModule } from '../../src/observability/alerts.module';
import { Metrics } from '../../src/observability/metrics';
import { createDatabase, type TestDatabase } from '../support/database';

/** Everything that was logged, as objects. */
export class LogLines implements LoggerService {
  readonly lines: { level: string; line: unknown }[] = [];
  log = (line: unknown): void => void this.lines.push({ level: 'info', line });
  error = (line: unknown): void => void this.lines.push({ level: 'error', line });
  warn = (line: unknown): void => void this.lines.push({ level: 'warn', line });
  debug = (line: unknown): void => void this.lines.push({ level: 'debug', line });
  verbose = (line: unknown): void => void this.lines.push({ level: 'trace', line });
}

export interface ClientUnderTest {
  client: KlaviyoClient;
  logs: LogLines;
  metrics: Metrics;
  drain: Drain;
  /** Any other part of the module. */
  get<T>(type: Type<T>): T;
  stop(): Promise<void>;
}

/**
 * The real module with the real clock and a database of its own, speaking to `url`.
 * @param shared a database that several share, as replicas do
 */
export async function startClient(
  url: string,
  env: Record<string, string> = {},
  clock?: Clock,
  shared?: TestDatabase,
): Promise<ClientUnderTest> {
  const database = shared ?? (await createDatabase());
  const variables = readEnv({
    NODE_ENV: 'test',
    DATABASE_URL: database.url,
    DATABASE_POOL_SIZE: '2',
    MIGRATE_ON_START: 'false',
    SERVICE_API_KEYS: `test:${'s'.repeat(40)}`,
    ENCRYPTION_KEYS: `t1:${Buffer.alloc(32, 1).toString('base64')}`,
    KLAVIYO_API_BASE_URL: url,
    ...env,
  });

  @Global()
  @Module({
    providers: [{ provide: ENV, useValue: variables }, { provide: Clock, useClass: SystemClock }, Drain, Metrics],
    exports: [ENV, Clock, Drain, Metrics],
  })
  class HouseModule {}

  const builder = Test.createTestingModule({ imports: [HouseModule, DatabaseModule, AlertsModule, KlaviyoModule] });
  if (clock) builder.overrideProvider(Clock).useValue(clock);
  const module: TestingModule = await builder.compile();
  const logs = new LogLines();
  module.useLogger(logs);
  await module.init();
  return {
    client: module.get(KlaviyoClient),
    logs,
    metrics: module.get(Metrics),
    drain: module.get(Drain),
    get: (type) => module.get(type),
    stop: async () => {
      await module.close();
      if (!shared) await database.drop();
    },
  };
}

export function accessTo(accountId: string, privateKey: string): KlaviyoAccess {
  return new KlaviyoAccess({ userId: 42, connectionId: '0197-test', accountId, privateKey });
}

/** What a call came to: its answer, or the error, and how long it took. */
export async function timed<T>(work: Promise<T>): Promise<{ value?: T; error?: unknown; ms: number }> {
  const from = performance.now();
  try {
    return { value: await work, ms: performance.now() - from };
  } catch (error) {
    return { error, ms: performance.now() - from };
  }
}

/** A server that answers as the spec says: for what Klaviyo never does and a line may bring all the same. */
export class OddServer {
  readonly received: { method: string; url: string; headers: IncomingMessage['headers']; body: string; at: number }[] =
    [];

  private constructor(
    private readonly server: Server,
    readonly url: string,
  ) {}

  static async start(
    answer: (response: ServerResponse, n: number, request: IncomingMessage) => void,
  ): Promise<OddServer> {
    const server = createServer();
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const odd = new OddServer(server, `http://127.0.0.1:${(server.address() as AddressInfo).port}`);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => {
      const chunks: Buffer[] = [];
      request.on('data', (chunk: Buffer) => chunks.push(chunk));
      request.on('end', () => {
        odd.received.push({
          method: request.method ?? '',
          url: request.url ?? '',
          headers: request.headers,
          body: Buffer.concat(chunks).toString('utf8'),
          at: performance.now(),
        });
        answer(response, odd.received.length, request);
      });
    });
    return odd;
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((done) => this.server.close(done));
  }
}

/** A page of Klaviyo's, or any JSON. */
export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/vnd.api+json', ...headers });
  response.end(JSON.stringify(body));
}
