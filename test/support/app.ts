import { SignJWT } from 'jose';
import type { DynamicModule, Type } from '@nestjs/common';
import type { NestFastifyApplication } from '@nestjs/platform-fastify';
import { Test } from '@nestjs/testing';
import supertest from 'supertest';
import { AppModule } from '../../src/app.module';
import { Clock } from '../../src/common/clock';
import { ENV, readEnv, type Env } from '../../src/config/env';
import { configure } from '../../src/configure';
import { createAdapter } from '../../src/http/adapter';
import { LogOutput } from '../../src/observability/log-output';
import { ServiceLogger } from '../../src/observability/logger';
import { createDatabase, type TestDatabase } from './database';

export const SERVICE_KEY = 'test-service-key-0123456789abcdef0123456789';
export const OTHER_SERVICE_KEY = 'test-other-service-key-0123456789abcdef0123';
export const JWT_SECRET = 'test-jwt-secret-0123456789abcdef0123456789ab';
/** Two keys, so that rotation is what the tests live with. */
const ENCRYPTION_KEYS = [1, 2].map((id) => `t${id}:${Buffer.alloc(32, id).toString('base64')}`).join(',');
/** A port where nothing answers: a spec without a sandbox must not reach anything by accident. */
const NO_KLAVIYO = 'http://127.0.0.1:9';

/** Keeps the log in memory, for specs that search it. */
export class CapturedLogs extends LogOutput {
  readonly lines: string[] = [];

  override write(line: string): void {
    this.lines.push(line);
  }

  override flush(): void {
    // Nothing is held back.
  }

  /** Everything logged so far. */
  get text(): string {
    return this.lines.join('');
  }

  /** The lines as objects. */
  get entries(): Record<string, unknown>[] {
    return this.lines.map((line) => JSON.parse(line) as Record<string, unknown>);
  }
}

export interface AppOptions {
  /** Variables beside and over those of the tests; undefined removes one. */
  env?: Record<string, string | undefined>;
  /** Where Klaviyo is: the sandbox's address. */
  klaviyoUrl?: string;
  /** Modules of the spec's own, e.g. with a controller to try the edge by. */
  imports?: (Type | DynamicModule)[];
  clock?: Clock;
  /** What is done to the service before its routes exist. */
  prepare?: (app: NestFastifyApplication) => Promise<void>;
  /** A database of the caller's, kept at the end (e.g. shared by two services); else one of its own. */
  database?: TestDatabase;
}

export interface RunningApp {
  url: string;
  http: ReturnType<typeof supertest>;
  app: NestFastifyApplication;
  env: Env;
  database: TestDatabase;
  serviceKey: string;
  /** `Authorization` of the service. */
  asService: { Authorization: string };
  /** A token of the user's own, valid for an hour. */
  tokenFor(userId: number | string, claims?: Record<string, unknown>): Promise<string>;
  /** Every line that the service logged, as text. */
  logs: CapturedLogs;
  stop(): Promise<void>;
}

/** The real service through the same `configure` as `main.ts`, on a migrated database of its own and a free port. */
export async function startApp(options: AppOptions = {}): Promise<RunningApp> {
  const database = options.database ?? (await createDatabase());
  const raw = variables(database.url, options);
  const env = readEnv(raw);
  const logs = new CapturedLogs();
  const app = await underVariables(raw, () => create(env, logs, options));
  await app.listen(0, '127.0.0.1');
  const url = await app.getUrl();
  return {
    url,
    http: supertest(url),
    app,
    env,
    database,
    serviceKey: SERVICE_KEY,
    asService: { Authorization: `Bearer ${SERVICE_KEY}` },
    tokenFor: (userId, claims = {}) =>
      new SignJWT(claims)
        .setProtectedHeader({ alg: 'HS256' })
        .setSubject(String(userId))
        .setExpirationTime('1h')
        .sign(new TextEncoder().encode(JWT_SECRET)),
    logs,
    stop: async () => {
      await app.close();
      if (!options.database) await database.drop();
    },
  };
}

function variables(databaseUrl: string, options: AppOptions): Record<string, string | undefined> {
  return {
    NODE_ENV: 'test',
    DATABASE_URL: databaseUrl,
    DATABASE_POOL_SIZE: '10',
    MIGRATE_ON_START: 'false',
    SERVICE_API_KEYS: `crealia:${SERVICE_KEY},second:${OTHER_SERVICE_KEY}`,
    JWT_SECRET,
    ENCRYPTION_KEYS,
    KLAVIYO_API_BASE_URL: options.klaviyoUrl ?? NO_KLAVIYO,
    LOG_LEVEL: 'debug',
    THROTTLE_LIMIT: '100000',
    // A spec that counts calls at the sandbox says itself when something is synchronised.
    SYNC_INTERVAL_MINUTES: '0',
    ...options.env,
  };
}

/** The configuration module reads the process's variables itself: they are the spec's while the service is made. */
async function underVariables<T>(raw: Record<string, string | undefined>, work: () => Promise<T>): Promise<T> {
  const before = { ...process.env };
  for (const [name, value] of Object.entries(raw))
    if (value === undefined) Reflect.deleteProperty(process.env, name);
    else process.env[name] = value;
  try {
    return await work();
  } finally {
    for (const name of Object.keys(raw))
      if (before[name] === undefined) Reflect.deleteProperty(process.env, name);
      else process.env[name] = before[name];
  }
}

async function create(env: Env, logs: CapturedLogs, options: AppOptions): Promise<NestFastifyApplication> {
  const builder = Test.createTestingModule({ imports: [AppModule, ...(options.imports ?? [])] })
    .overrideProvider(ENV)
    .useValue(env)
    .overrideProvider(LogOutput)
    .useValue(logs);
  if (options.clock) builder.overrideProvider(Clock).useValue(options.clock);
  const module = await builder.compile();
  const app = module.createNestApplication<NestFastifyApplication>(createAdapter(env), {
    bodyParser: false,
    bufferLogs: true,
  });
  app.useLogger(app.get(ServiceLogger));
  await configure(app);
  await options.prepare?.(app);
  return app;
}
