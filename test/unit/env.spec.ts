import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { readEnv } from '../../src/config/env';
import { EnvError } from '../../src/config/env-reader';
import { EXAMPLE_SECRETS } from '../../src/config/env-examples';

const SECRET = 's'.repeat(40);
const KEY = Buffer.alloc(32, 7).toString('base64');
const base = {
  DATABASE_URL: 'postgres://u:p@db:5432/x',
  SERVICE_API_KEYS: `crealia:${SECRET}`,
  ENCRYPTION_KEYS: `k1:${KEY}`,
};

function faultsOf(raw: Record<string, string>): readonly string[] {
  try {
    readEnv(raw);
  } catch (error) {
    if (error instanceof EnvError) return error.faults;
    throw error;
  }
  return [];
}

const exampleFile = readFileSync(join(process.cwd(), '.env.example'), 'utf8');
const exampleEnv = Object.fromEntries(
  exampleFile
    .split('\n')
    .filter((line) => /^[A-Z_]+=/.test(line))
    .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
);

describe('the environment', () => {
  it('needs a database, a caller and a key, and has a default for all the rest', () => {
    const env = readEnv(base);
    expect(env).toMatchObject({
      nodeEnv: 'development',
      strict: false,
      port: 3000,
      host: '127.0.0.1',
      role: 'all',
      databaseDirectUrl: base.DATABASE_URL,
      requestDeadlineMs: 15_000,
      klaviyoApiBaseUrl: 'https://a.klaviyo.com',
      klaviyoApiRevision: '2026-07-15',
      requireHttps: false,
      trustProxy: false,
      docsEnabled: true,
    });
  });

  it('names every fault at once', () => {
    const faults = faultsOf({ NODE_ENV: 'prod', PORT: '70000', KLAVIYO_RATE_LIMIT_SHARE: '0', TRUST_PROXY: 'maybe' });
    for (const name of [
      'NODE_ENV',
      'PORT',
      'DATABASE_URL',
      'SERVICE_API_KEYS',
      'ENCRYPTION_KEYS',
      'KLAVIYO_RATE_LIMIT_SHARE',
      'TRUST_PROXY',
    ])
      expect(faults.filter((line) => line.startsWith(`${name} `))).toHaveLength(1);
    expect(faults).toHaveLength(7);
  });

  it.each([
    ['SERVICE_API_KEYS', 'crealia:hunter2hunter2', 'hunter2'],
    ['JWT_SECRET', 'tooshortsecretvalue', 'tooshort'],
    ['ENCRYPTION_KEYS', 'k1:bm90LTMyLWJ5dGVz', 'bm90'],
    ['DATABASE_URL', 'mysql://root:topsecret@db/x', 'topsecret'],
    ['KLAVIYO_API_BASE_URL', 'https://user:topsecret@a.klaviyo.com', 'topsecret'],
    ['EVENT_FORWARD_SECRET', 'whsec_c2hvcnQ=', 'c2hvcnQ'],
  ])('never prints a value of %s', (name, value, part) => {
    const faults = faultsOf({ ...base, [name]: value });
    expect(faults).toHaveLength(1);
    expect(faults[0]).toContain(name);
    expect(faults.join()).not.toContain(part);
  });

  it('listens everywhere and asks for https in staging and production', () => {
    for (const NODE_ENV of ['staging', 'production'])
      expect(readEnv({ ...base, NODE_ENV })).toMatchObject({ strict: true, host: '0.0.0.0', requireHttps: true });
    expect(readEnv({ ...base, NODE_ENV: 'production' }).docsEnabled).toBe(false);
    expect(readEnv({ ...base, NODE_ENV: 'staging' }).docsEnabled).toBe(true);
  });

  it.each([
    [{ TRUST_PROXY: 'true' }, 'TRUST_PROXY'],
    [{ KLAVIYO_API_BASE_URL: 'http://klaviyo.example.com' }, 'KLAVIYO_API_BASE_URL'],
    [{ JWT_JWKS_URL: 'http://auth.example.com/jwks', JWT_AUDIENCE: 'klaviyo' }, 'JWT_JWKS_URL'],
  ])('refuses %o in production', (change, name) => {
    expect(faultsOf({ ...base, NODE_ENV: 'production', ...change }).map((line) => line.split(' ')[0])).toEqual([name]);
  });

  it('takes plain http to Klaviyo’s stand-in on loopback, with a warning', () => {
    const env = readEnv({ ...base, NODE_ENV: 'production', KLAVIYO_API_BASE_URL: 'http://127.0.0.1:4000/' });
    expect(env.klaviyoApiBaseUrl).toBe('http://127.0.0.1:4000');
    expect(env.warnings.join()).toContain('KLAVIYO_API_BASE_URL');
  });

  it('asks for the audience where tokens are verified by JWKS', () => {
    expect(faultsOf({ ...base, JWT_JWKS_URL: 'https://auth.example.com/jwks' })[0]).toContain('JWT_AUDIENCE');
  });

  it('refuses two keys of one id and one secret under two names', () => {
    expect(faultsOf({ ...base, ENCRYPTION_KEYS: `k1:${KEY},k1:${KEY}` })).toHaveLength(1);
    expect(faultsOf({ ...base, SERVICE_API_KEYS: `a:${SECRET},b:${SECRET}` })).toHaveLength(1);
  });

  it('starts in development with .env.example as it is, and refuses its secrets in production', () => {
    expect(faultsOf(exampleEnv)).toEqual([]);
    const refused = faultsOf({ ...exampleEnv, NODE_ENV: 'production' }).map((line) => line.split(' ')[0]);
    expect(refused.sort()).toEqual(['DATABASE_URL', 'ENCRYPTION_KEYS', 'JWT_SECRET', 'SERVICE_API_KEYS']);
  });

  it('has every variable of the reader in .env.example and nothing else', () => {
    const source = readFileSync(join(process.cwd(), 'src/config/env.ts'), 'utf8');
    const read = new Set([...source.matchAll(/read\.\w+\('([A-Z_]+)'/g)].map((match) => match[1]!));
    expect([...read].sort()).toEqual(Object.keys(exampleEnv).sort());
  });

  it('knows every secret that .env.example prints', () => {
    for (const [name, examples] of Object.entries(EXAMPLE_SECRETS)) {
      const printed = exampleEnv[name];
      if (printed) expect(examples.some((example) => printed.includes(example))).toBe(true);
    }
  });
});
