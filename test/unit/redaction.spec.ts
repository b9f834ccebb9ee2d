import fc from 'fast-check';
import { readEnv } from '../../src/config/env';
import { REDACTED, Redactor, secretsOf } from '../../src/observability/redaction';

const redactor = new Redactor(['a-service-secret-of-32-bytes-or-more', 'with"quote and space at the end ']);

describe('Redaction by value', () => {
  it.each([
    ['a private key', 'Klaviyo-API-Key pk_0123456789abcdef0123456789abcdef01', 'pk_0123456789'],
    ['a private key behind a newline', JSON.stringify('x\npk_abcdefgh1234'), 'pk_abcdefgh'],
    ['a bearer token', 'authorization: Bearer abc.def-123_456', 'abc.def'],
    ['a bearer token behind a newline', JSON.stringify('x\nBearer abcdef123456'), 'abcdef123456'],
    ['a URL-encoded bearer token', 'Authorization%3A%20Bearer%20abcdef123456', 'abcdef123456'],
    ['basic credentials', 'Basic dXNlcjpwYXNz', 'dXNlcjpwYXNz'],
    ['a user token', 'token eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl', 'c2lnbmF0dXJl'],
    ['a sealed value', 'eyJhbGciOiJBMjU2S1cifQ.a2V5.aXY.Y2lwaGVy.dGFn was not opened', 'Y2lwaGVy'],
    ['a token that was cut', 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIi', 'eyJzdWIi'],
    ['a webhook secret', 'secret whsec_ZXhhbXBsZQ==', 'ZXhhbXBsZQ'],
    ['the password of an address', 'connect to postgres://me:p%40ss@db:5432/x failed', 'p%40ss'],
    ['the password of an address with signs in it', 'redis://:a/b@c#d@cache:6379', 'a/b@c#d'],
    ['an e-mail address', 'profile bob.smith@example.com was refused', 'bob.smith'],
    ['an address with an apostrophe and a plus', `o'brien+x@y.fr`, `o'brien`],
    ['an address in quotes', JSON.stringify({ x: 'a "bob@example.com" b' }), 'bob@'],
    ['an international address', 'élodie@müller.example', 'élodie'],
    ['a URL-encoded address', '/profiles?filter=equals(email,"bob%40example.com")', 'bob%40'],
    ['an address behind a newline', JSON.stringify('x\nbob@example.com'), 'ob@example'],
    ['an address behind an escape', JSON.stringify('x\u0001bob@example.com'), 'bob@example'],
    ['a second address', 'a@b.fr,c@d.fr', 'c@d'],
    ['a phone', 'sms to +33612345678 refused', '33612345678'],
    ['a URL-encoded phone', 'phone_number=%2B33612345678', '33612345678'],
    ['a secret of the service', 'key a-service-secret-of-32-bytes-or-more is known', 'a-service-secret'],
    ['a secret of the service inside JSON', JSON.stringify('with"quote and space at the end '), 'quote and space'],
  ])('takes out %s', (_, text, secret) => {
    const cleaned = redactor.clean(text);
    expect(cleaned).toContain(REDACTED);
    expect(cleaned).not.toContain(secret);
  });

  it.each([
    'at Object.<anonymous> (/srv/node_modules/@nestjs/core/router.js:10:5)',
    'at f (/srv/node_modules/.pnpm/pg@8.23.1/node_modules/pg/lib/client.js:1:1)',
    '{"time":"2026-11-22T10:00:00.000Z","ms":12.5,"status":200}',
    'connection 01932d5e-7b1a-7c3e-8f00-0123456789ab of user 123',
    'pk_…1f2e is the masked key',
    'GET /api/v1/klaviyo/get-lists 200',
    'listening on http://127.0.0.1:3000/docs',
  ])('leaves what is nobody’s secret: %s', (text) => {
    expect(redactor.clean(text)).toBe(text);
  });

  it('keeps every JSON line valid JSON, whatever stands in it', () => {
    const pieces = fc.constantFrom(
      '\\',
      '"',
      '\n',
      '@',
      'a@b.fr',
      'pk_abcdefgh9',
      '\u0001',
      'é',
      '+33612345678',
      '%40',
      ' ',
    );
    const texts = fc.array(fc.oneof(pieces, fc.string({ maxLength: 4 })), { maxLength: 12 }).map((all) => all.join(''));
    fc.assert(
      fc.property(texts, (text) => {
        const line = JSON.stringify({ msg: text });
        expect(() => JSON.parse(redactor.clean(line)) as unknown).not.toThrow();
        expect(redactor.clean(line)).not.toMatch(/pk_abcdefgh9|33612345678/);
      }),
      { numRuns: 2000 },
    );
  });

  it('stays fast on a text made to slow it down', () => {
    const started = performance.now();
    redactor.clean('a'.repeat(200_000) + '@' + 'b'.repeat(200_000));
    redactor.clean('@'.repeat(100_000));
    redactor.clean('@' + '://'.repeat(30_000));
    redactor.clean('Bearer '.repeat(30_000));
    expect(performance.now() - started).toBeLessThan(5000);
  });

  it('knows every secret of the environment in its encodings', () => {
    const key = Buffer.alloc(32, 0xfb);
    const env = readEnv({
      NODE_ENV: 'test',
      DATABASE_URL: 'postgres://me:a-long%2Fpassword-1@db/x',
      SERVICE_API_KEYS: `crm:${'s'.repeat(40)}`,
      JWT_SECRET: 'j'.repeat(40),
      METRICS_TOKEN: 'm'.repeat(40),
      ENCRYPTION_KEYS: `k1:${key.toString('base64')}`,
      EVENT_FORWARD_SECRET: `whsec_${Buffer.alloc(32, 1).toString('base64')}`,
    });
    const all = new Redactor(secretsOf(env));
    for (const secret of [
      'a-long/password-1',
      'a-long%2Fpassword-1',
      's'.repeat(40),
      'j'.repeat(40),
      'm'.repeat(40),
      key.toString('base64'),
      key.toString('hex'),
      key.toString('base64url'),
      encodeURIComponent(key.toString('base64')),
    ])
      expect(all.clean(`value ${secret} end`)).toBe(`value ${REDACTED} end`);
  });
});
