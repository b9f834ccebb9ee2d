import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

const root = join(process.cwd(), 'src');

interface Source {
  path: string;
  text: string;
}

function sources(): Source[] {
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.d.ts'))
    .map((name) => ({ path: relative('.', name), text: readFileSync(join(root, name), 'utf8') }));
}

const all = sources();
const offenders = (allowed: (path: string) => boolean, pattern: RegExp) =>
  all.filter(({ path, text }) => !allowed(path) && pattern.test(text)).map(({ path }) => path);

/** Importing dependency rules live in .dependency-cruiser.cjs; here is what paths alone cannot say. */
describe('the house', () => {
  it('reads process.env in config/ only', () => {
    expect(offenders((path) => path.startsWith('config/'), /\bprocess\.env\b/)).toEqual([]);
  });

  it('speaks HTTP to the outside in klaviyo/ only, but for the reader of JWKS and what signs messages to operators', () => {
    // A `fetch` of somebody's own, declared or called on it, is not the runtime's.
    const outside = /from '(axios|@nestjs\/axios|node:https?|undici)'|(?<!^ *(?:async )?|[.\w])fetch\(/m;
    const allowed = (path: string) =>
      path.startsWith('klaviyo/') || path.startsWith('http/') || path === 'observability/signed-post.ts';
    expect(offenders(allowed, outside)).toEqual([]);
    expect(offenders((path) => path === 'auth/user-token.ts', /createRemoteJWKSet/)).toEqual([]);
  });

  it('keeps SQL and TypeORM’s manager in repositories and database/', () => {
    const sql = /\b(SELECT|INSERT INTO|UPDATE|DELETE FROM)\b[^'"]{0,200}\b(FROM|SET|VALUES|WHERE)\b/;
    const allowed = (path: string) => path.startsWith('database/') || path.endsWith('.repository.ts');
    expect(offenders(allowed, sql)).toEqual([]);
    // The health check asks the pool itself; the queue engine hands statements of its own through.
    const manager = /\b(DataSource|EntityManager|createQueryBuilder)\b/;
    const reach = ['jobs/jobs.service.ts', 'health/', 'observability/'];
    expect(offenders((path) => allowed(path) || reach.some((item) => path.startsWith(item)), manager)).toEqual([]);
  });

  it('names every repository that works across users', () => {
    expect(
      all
        .map(({ path }) => path)
        .filter((path) => path.endsWith('.system.repository.ts'))
        .sort(),
    ).toEqual([
      'auth/idempotency.system.repository.ts',
      'events/events.system.repository.ts',
      'klaviyo/circuit.system.repository.ts',
      'klaviyo/quota-taking.system.repository.ts',
      'klaviyo/quota.system.repository.ts',
      'klaviyo/usage.system.repository.ts',
      'observability/incidents.system.repository.ts',
      'sync/stranded-runs.system.repository.ts',
      'sync/sync.system.repository.ts',
      'webhooks/forward-retention.system.repository.ts',
      'webhooks/forward-targets.system.repository.ts',
      'webhooks/forwards.system.repository.ts',
      'webhooks/intake.system.repository.ts',
      'webhooks/process.system.repository.ts',
      'webhooks/webhooks.system.repository.ts',
    ]);
    expect(
      offenders(
        (path) => path.endsWith('.system.repository.ts') || path.startsWith('database/'),
        /\.(system|inSystemTransaction)\(/,
      ),
    ).toEqual([]);
  });

  it('makes userId the first argument of every repository method', () => {
    const repositories = all.filter(({ path }) => path.endsWith('.repository.ts') && !path.includes('.system.'));
    const wrong = repositories.flatMap(({ path, text }) =>
      [...text.matchAll(/^ {2}async (\w+)(?:<[^>]*>)?\(\s*(\w+)/gm)]
        .filter((match) => match[2] !== 'userId')
        .map((match) => `${path}: ${match[1] ?? ''}`),
    );
    expect(repositories.length).toBeGreaterThan(0);
    expect(wrong).toEqual([]);
  });

  it('reads Klaviyo’s documents in *.klaviyo.ts and klaviyo/ only', () => {
    const allowed = (path: string) => path.startsWith('klaviyo/') || path.endsWith('.klaviyo.ts');
    expect(offenders(allowed, /klaviyo\/(json-api|operations?|filter)'/)).toEqual([]);
  });

  it('has files that can be read at once', () => {
    const long = all.filter(({ text }) => text.split('\n').length > 300).map(({ path }) => path);
    expect(long).toEqual([]);
  });
});
