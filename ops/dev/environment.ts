import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { LauncherError, messageOf } from './launcher-error.ts';
import type { DevelopmentSecrets } from './state.ts';

/** Variables of a shell that would bend the service's connection to the embedded database. */
const LIBPQ = ['PGHOST', 'PGPORT', 'PGUSER', 'PGPASSWORD', 'PGDATABASE', 'PGSSLMODE', 'PGOPTIONS', 'PGAPPNAME'];

/** Whether a variable has a value; an empty one counts as unset. */
export function isSet(name: string): boolean {
  return (process.env[name] ?? '') !== '';
}

/** Whether conveniences are allowed: in development and test only, and by default. */
export function isConvenient(): boolean {
  return !isSet('NODE_ENV') || process.env['NODE_ENV'] === 'development' || process.env['NODE_ENV'] === 'test';
}

/** Reads `.env` into the environment; what is set already wins. @throws LauncherError when it cannot be read */
export function loadEnvFile(project: string): void {
  const path = join(project, '.env');
  if (!existsSync(path)) return;
  try {
    process.loadEnvFile(path);
  } catch (error) {
    throw new LauncherError(`${path} cannot be read (${messageOf(error)}): put it right or remove it.`);
  }
}

/** The secret of a key that was generated here: one that the operator configured is never shown. */
export function shownServiceKey(secrets: DevelopmentSecrets): string | undefined {
  return isSet('SERVICE_API_KEYS') ? undefined : secrets.serviceKey;
}

/** The first configured or generated service key, for the demo, which runs as the same person on this machine. */
export function firstServiceKey(secrets: DevelopmentSecrets): string | null {
  if (!isSet('SERVICE_API_KEYS')) return secrets.serviceKey;
  const first = process.env['SERVICE_API_KEYS']?.split(',')[0]?.trim() ?? '';
  return first.includes(':') ? first.slice(first.indexOf(':') + 1) : null;
}

/**
 * The service's environment: ours, with what is unset filled in.
 *
 * @param filled addresses of what the launcher started; undefined leaves the variable as it is
 */
export function serviceEnvironment(
  secrets: DevelopmentSecrets,
  filled: { databaseUrl: string | undefined; klaviyoUrl: string | undefined },
): NodeJS.ProcessEnv {
  const env: NodeJS.ProcessEnv = { ...process.env };
  const fill = (name: string, value: string | undefined): void => {
    if (!isSet(name) && value !== undefined) env[name] = value;
  };
  fill('NODE_ENV', 'development');
  fill('DATABASE_URL', filled.databaseUrl);
  fill('KLAVIYO_API_BASE_URL', filled.klaviyoUrl);
  fill('SERVICE_API_KEYS', `dev:${secrets.serviceKey}`);
  fill('ENCRYPTION_KEYS', `dev1:${secrets.encryptionKey}`);
  if (!isSet('JWT_JWKS_URL')) fill('JWT_SECRET', secrets.jwtSecret);
  if (filled.databaseUrl !== undefined) for (const name of LIBPQ) Reflect.deleteProperty(env, name);
  return env;
}
