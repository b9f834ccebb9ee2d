import { parseCidrs, type Cidr } from './cidr';
import { EnvReader, type RawEnv } from './env-reader';
import { refuseExamples } from './env-examples';

export const ENVIRONMENTS = ['development', 'test', 'staging', 'production'] as const;
export const REVISIONS = ['2023-10-15', '2025-01-15', '2026-07-15'] as const;
export type Revision = (typeof REVISIONS)[number];

export interface ServiceKey {
  name: string;
  secret: string;
}

export interface EncryptionKey {
  id: string;
  key: Buffer;
}

/** The whole environment, read once and typed. Every name, default and meaning stands in `.env.example`. */
export interface Env {
  nodeEnv: (typeof ENVIRONMENTS)[number];
  /** staging and production: no conveniences, https required, examples refused. */
  strict: boolean;
  port: number;
  host: string;
  role: 'api' | 'worker' | 'all';
  databaseUrl: string;
  databaseDirectUrl: string;
  databasePoolSize: number;
  migrateOnStart: boolean;
  serviceApiKeys: readonly ServiceKey[];
  jwtSecret: string | undefined;
  jwtJwksUrl: string | undefined;
  jwtIssuer: string | undefined;
  jwtAudience: string | undefined;
  encryptionKeys: readonly EncryptionKey[];
  requestDeadlineMs: number;
  klaviyoApiBaseUrl: string;
  klaviyoApiRevision: Revision;
  klaviyoTimeoutMs: number;
  klaviyoMaxRetries: number;
  klaviyoRateLimitShare: number;
  publicBaseUrl: string | undefined;
  webhookToleranceSeconds: number;
  webhookRetryHorizonHours: number;
  webhookPollIntervalSeconds: number;
  eventForwardUrl: string | undefined;
  eventForwardSecret: string | undefined;
  syncIntervalMinutes: number;
  mirrorMaxAgeSeconds: number;
  throttleLimit: number;
  throttleTtlSeconds: number;
  redisUrl: string | undefined;
  allowedOrigins: readonly string[];
  /** `false`, a number of hops, or the addresses of the proxies. `true` in development and test only. */
  trustProxy: boolean | number | readonly string[];
  requireHttps: boolean;
  internalCidrs: readonly Cidr[];
  metricsToken: string | undefined;
  docsEnabled: boolean;
  logLevel: (typeof LOG_LEVELS)[number];
  logPretty: boolean;
  logFile: string | undefined;
  logFileMaxSize: string;
  logFileKeep: number;
  alertWebhookUrl: string | undefined;
  alertWebhookSecret: string | undefined;
  otelExporterOtlpEndpoint: string | undefined;
  /** Things that work but deserve the operator's eye; logged once at start. Sentences without values. */
  warnings: readonly string[];
}

export const LOG_LEVELS = ['fatal', 'error', 'warn', 'info', 'debug', 'trace', 'silent'] as const;
const PRIVATE_RANGES = '127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1/128,fc00::/7,fe80::/10';

/** The injection token of the typed environment. */
export const ENV = Symbol('ENV');

/**
 * Reads and checks the environment.
 * @throws EnvError with every fault at once, one line each; no line holds a value.
 */
export function readEnv(raw: RawEnv): Env {
  const read = new EnvReader(raw);
  const nodeEnv = read.oneOf('NODE_ENV', ENVIRONMENTS, 'development');
  const strict = nodeEnv === 'staging' || nodeEnv === 'production';
  const serviceApiKeys = read.serviceKeys('SERVICE_API_KEYS');
  const jwtSecret = read.secret('JWT_SECRET');
  const jwtJwksUrl = read.url('JWT_JWKS_URL', { httpsOnly: strict });
  const jwtAudience = read.text('JWT_AUDIENCE');
  const databaseUrl = read.databaseUrl('DATABASE_URL') ?? '';
  const syncIntervalMinutes = read.integer('SYNC_INTERVAL_MINUTES', 60, 0, 10_080);
  const mirrorMaxAgeSeconds = read.integer('MIRROR_MAX_AGE_SECONDS', 5400, 0, 31_536_000);
  const klaviyoApiBaseUrl =
    read.url('KLAVIYO_API_BASE_URL', { httpsOnly: strict, originOnly: true }) ?? 'https://a.klaviyo.com';

  if (databaseUrl === '') read.fault('DATABASE_URL', 'is required: the address of a PostgreSQL, postgres://…');
  if (
    serviceApiKeys.length === 0 &&
    jwtSecret === undefined &&
    jwtJwksUrl === undefined &&
    !read.hasFault('SERVICE_API_KEYS', 'JWT_SECRET', 'JWT_JWKS_URL')
  )
    read.fault('SERVICE_API_KEYS', 'or JWT_SECRET or JWT_JWKS_URL is required: without one nobody can call');
  if (jwtJwksUrl !== undefined && jwtAudience === undefined)
    read.fault('JWT_AUDIENCE', 'is required with JWT_JWKS_URL: the audience that tokens must name');
  const encryptionKeys = read.encryptionKeys('ENCRYPTION_KEYS');
  const warnings: string[] = [];
  if (klaviyoApiBaseUrl !== 'https://a.klaviyo.com')
    warnings.push('KLAVIYO_API_BASE_URL is not Klaviyo’s own address: users’ private keys are sent there');
  if (syncIntervalMinutes > 0 && mirrorMaxAgeSeconds < syncIntervalMinutes * 60)
    warnings.push('MIRROR_MAX_AGE_SECONDS is shorter than SYNC_INTERVAL_MINUTES: the mirror goes stale between syncs');
  const trustProxy = read.trustProxy('TRUST_PROXY', strict);
  const env: Env = {
    nodeEnv,
    strict,
    port: read.integer('PORT', 3000, 0, 65_535),
    host: read.text('HOST') ?? (strict ? '0.0.0.0' : '127.0.0.1'),
    role: read.oneOf('ROLE', ['api', 'worker', 'all'] as const, 'all'),
    databaseUrl,
    databaseDirectUrl: read.databaseUrl('DATABASE_DIRECT_URL') ?? databaseUrl,
    databasePoolSize: read.integer('DATABASE_POOL_SIZE', 10, 2, 1000),
    migrateOnStart: read.boolean('MIGRATE_ON_START', true),
    serviceApiKeys,
    jwtSecret,
    jwtJwksUrl,
    jwtIssuer: read.text('JWT_ISSUER'),
    jwtAudience,
    encryptionKeys,
    requestDeadlineMs: read.integer('REQUEST_DEADLINE_MS', 15_000, 1000, 300_000),
    klaviyoApiBaseUrl,
    klaviyoApiRevision: read.oneOf('KLAVIYO_API_REVISION', REVISIONS, '2026-07-15'),
    klaviyoTimeoutMs: read.integer('KLAVIYO_TIMEOUT_MS', 10_000, 100, 120_000),
    klaviyoMaxRetries: read.integer('KLAVIYO_MAX_RETRIES', 5, 0, 20),
    klaviyoRateLimitShare: read.fraction('KLAVIYO_RATE_LIMIT_SHARE', 1),
    publicBaseUrl: read.url('PUBLIC_BASE_URL', { httpsOnly: true }),
    webhookToleranceSeconds: read.integer('WEBHOOK_TOLERANCE_SECONDS', 300, 1, 86_400),
    webhookRetryHorizonHours: read.integer('WEBHOOK_RETRY_HORIZON_HOURS', 48, 1, 720),
    webhookPollIntervalSeconds: read.integer('WEBHOOK_POLL_INTERVAL_SECONDS', 60, 5, 86_400),
    eventForwardUrl: read.url('EVENT_FORWARD_URL', {}),
    eventForwardSecret: read.webhookSecret('EVENT_FORWARD_SECRET'),
    syncIntervalMinutes,
    mirrorMaxAgeSeconds,
    throttleLimit: read.integer('THROTTLE_LIMIT', 600, 1, 10_000_000),
    throttleTtlSeconds: read.integer('THROTTLE_TTL_SECONDS', 60, 1, 86_400),
    redisUrl: read.redisUrl('REDIS_URL'),
    allowedOrigins: read.origins('ALLOWED_ORIGINS'),
    trustProxy,
    requireHttps: read.boolean('REQUIRE_HTTPS', strict),
    internalCidrs: parseCidrs(read.cidrs('INTERNAL_CIDRS', PRIVATE_RANGES)),
    metricsToken: read.secret('METRICS_TOKEN'),
    docsEnabled: read.boolean('DOCS_ENABLED', nodeEnv !== 'production'),
    logLevel: read.oneOf('LOG_LEVEL', LOG_LEVELS, 'info'),
    logPretty: read.boolean('LOG_PRETTY', false),
    logFile: read.text('LOG_FILE'),
    logFileMaxSize: read.matching('LOG_FILE_MAX_SIZE', /^\d{1,6}[kmg]$/, 'a size such as 20m', '20m'),
    logFileKeep: read.integer('LOG_FILE_KEEP', 14, 1, 1000),
    alertWebhookUrl: read.url('ALERT_WEBHOOK_URL', {}),
    alertWebhookSecret: read.webhookSecret('ALERT_WEBHOOK_SECRET'),
    otelExporterOtlpEndpoint: read.url('OTEL_EXPORTER_OTLP_ENDPOINT', {}),
    warnings,
  };
  if (strict) refuseExamples(raw, read);
  read.throwFaults();
  return env;
}
