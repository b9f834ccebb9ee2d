import { readEnv } from '../../src/config/env';
import { EncryptionService, SealError } from '../../src/encryption/encryption.service';

const key = (byte: number) => Buffer.alloc(32, byte).toString('base64');
const service = (keys: string) =>
  new EncryptionService(
    readEnv({ DATABASE_URL: 'postgres://db/x', SERVICE_API_KEYS: `a:${'s'.repeat(32)}`, ENCRYPTION_KEYS: keys }),
  );
const context = { owner: 'user:1/connection:a', purpose: 'klaviyo-private-key' };
const secret = 'pk_0123456789abcdefghijklmnop';

async function failure(work: Promise<string>): Promise<string> {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(SealError);
  return (error as Error).message;
}

describe('sealing', () => {
  it('opens what it sealed, and seals the same value differently each time', async () => {
    const crypto = service(`k1:${key(1)}`);
    const [one, two] = await Promise.all([crypto.seal(secret, context), crypto.seal(secret, context)]);
    expect(one).not.toBe(two);
    expect(one).not.toContain(secret.slice(3, 13));
    await expect(crypto.open(one, context)).resolves.toBe(secret);
    await expect(crypto.open(two, context)).resolves.toBe(secret);
  });

  it('uses AES-256-CBC with HMAC-SHA-512 under a wrapped key', async () => {
    const sealed = await service(`k1:${key(1)}`).seal(secret, context);
    const header: unknown = JSON.parse(Buffer.from(sealed.split('.')[0]!, 'base64url').toString());
    expect(header).toMatchObject({ alg: 'A256KW', enc: 'A256CBC-HS512', kid: 'k1' });
  });

  it('opens old values after a new first key, and seals with the new one', async () => {
    const sealed = await service(`k1:${key(1)}`).seal(secret, context);
    const rotated = service(`k2:${key(2)},k1:${key(1)}`);
    await expect(rotated.open(sealed, context)).resolves.toBe(secret);
    const again = await rotated.seal(secret, context);
    expect(await failure(service(`k1:${key(1)}`).open(again, context))).toContain('"k2"');
  });

  it.each([
    ['owner', { ...context, owner: 'user:2/connection:a' }],
    ['purpose', { ...context, purpose: 'webhook-secret' }],
  ])('does not open for another %s', async (_, other) => {
    const crypto = service(`k1:${key(1)}`);
    const message = await failure(crypto.open(await crypto.seal(secret, context), other));
    expect(message).toContain('k1');
    expect(message).not.toContain(secret.slice(3, 13));
  });

  it('does not open once any part was changed', async () => {
    const crypto = service(`k1:${key(1)}`);
    const parts = (await crypto.seal(secret, context)).split('.');
    for (let i = 0; i < parts.length; i++) {
      const bytes = Buffer.from(parts[i]!, 'base64url');
      bytes[bytes.length - 1]! ^= 1;
      const changed = parts.with(i, bytes.toString('base64url')).join('.');
      await failure(crypto.open(changed, context));
    }
  });

  it('does not open with another key under the same id', async () => {
    const sealed = await service(`k1:${key(1)}`).seal(secret, context);
    expect(await failure(service(`k1:${key(9)}`).open(sealed, context))).toContain('"k1"');
  });

  it('does not accept an algorithm that it did not choose', async () => {
    const { CompactEncrypt } = await import('jose');
    const direct = await new CompactEncrypt(Buffer.from(secret))
      .setProtectedHeader({ alg: 'dir', enc: 'A256GCM', kid: 'k1', own: context.owner, use: context.purpose })
      .encrypt(Buffer.alloc(32, 1));
    await failure(service(`k1:${key(1)}`).open(direct, context));
  });

  it('says of garbage only that it is not readable', async () => {
    const message = await failure(service(`k1:${key(1)}`).open(secret, context));
    expect(message).not.toContain(secret.slice(3, 13));
  });
});

describe('fingerprints', () => {
  it('match the same data under the key that made them, also after rotation', () => {
    const mac = service(`k1:${key(1)}`).mac('idempotency', 'body');
    const rotated = service(`k2:${key(2)},k1:${key(1)}`);
    expect(rotated.macMatches('idempotency', 'body', mac)).toBe(true);
    expect(rotated.macMatches('idempotency', 'other', mac)).toBe(false);
    expect(rotated.macMatches('cursor', 'body', mac)).toBe(false);
    expect(service(`k3:${key(3)}`).macMatches('idempotency', 'body', mac)).toBe(false);
  });
});
