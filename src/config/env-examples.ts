import type { EnvReader, RawEnv } from './env-reader';

/**
 * The secrets printed in `.env.example`. They are public, so a strict environment refuses to start with one.
 * A test holds this list against the file.
 */
export const EXAMPLE_SECRETS = {
  DATABASE_URL: ['postgres://klaviyo:change-me@localhost:5432/klaviyo'],
  SERVICE_API_KEYS: ['example-service-secret-change-me-000000000000'],
  JWT_SECRET: ['example-jwt-secret-change-me-0000000000000000'],
  ENCRYPTION_KEYS: ['ZXhhbXBsZS1lbmNyeXB0aW9uLWtleS1jaGFuZ2UtbWU='],
  METRICS_TOKEN: ['example-metrics-token-change-me-0000000000000'],
  EVENT_FORWARD_SECRET: ['whsec_ZXhhbXBsZS1mb3J3YXJkLXNlY3JldC1jaGFuZ2UtbWUtMDA='],
  ALERT_WEBHOOK_SECRET: ['whsec_ZXhhbXBsZS1hbGVydC1zZWNyZXQtY2hhbmdlLW1lLTAwMDA='],
} as const;

/** A value copied from `.env.example` is no secret. */
export function refuseExamples(raw: RawEnv, read: EnvReader): void {
  for (const [name, examples] of Object.entries(EXAMPLE_SECRETS))
    if (examples.some((example) => raw[name]?.includes(example)))
      read.fault(name, 'must not be the value of .env.example: choose your own');
}
