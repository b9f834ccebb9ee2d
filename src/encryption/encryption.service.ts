import { createHmac, hkdfSync, timingSafeEqual } from 'node:crypto';
import { Inject, Injectable } from '@nestjs/common';
import { CompactEncrypt, compactDecrypt, decodeProtectedHeader } from 'jose';
import { ENV, type EncryptionKey, type Env } from '../config/env';

/** Whose a sealed value is and what for. Both are bound into the ciphertext: moved to another row or column it does not open. */
export interface SealContext {
  /** e.g. `user:123/connection:0198…` */
  owner: string;
  /** e.g. `klaviyo-private-key` */
  purpose: string;
}

export interface Mac {
  keyId: string;
  mac: string;
}

/** A sealed value that does not open. Names the key id and the reason, never the value. */
export class SealError extends Error {
  override readonly name = 'SealError';
}

const ALG = 'A256KW';
const ENC = 'A256CBC-HS512';

/**
 * Seals secrets at rest: AES-256-CBC with a key and IV of its own for every value, authenticated by HMAC-SHA-512
 * (JWE `A256CBC-HS512`), the value's key wrapped by a key of the ring. The first key of `ENCRYPTION_KEYS` seals,
 * all of them open.
 */
@Injectable()
export class EncryptionService {
  private readonly ring: ReadonlyMap<string, EncryptionKey>;
  private readonly first: EncryptionKey;
  private readonly macKeys = new Map<string, Buffer>();

  constructor(@Inject(ENV) env: Env) {
    const [first] = env.encryptionKeys;
    if (!first) throw new Error('ENCRYPTION_KEYS is empty');
    this.first = first;
    this.ring = new Map(env.encryptionKeys.map((key) => [key.id, key]));
  }

  /** The id of the key that seals now. */
  get currentKeyId(): string {
    return this.first.id;
  }

  /** @returns a compact JWE. */
  async seal(plain: string, context: SealContext): Promise<string> {
    return new CompactEncrypt(Buffer.from(plain, 'utf8'))
      .setProtectedHeader({ alg: ALG, enc: ENC, kid: this.first.id, own: context.owner, use: context.purpose })
      .encrypt(this.first.key);
  }

  /**
   * @throws SealError when the value was tampered with, belongs to another owner or purpose, or its key is not in the ring.
   */
  async open(sealed: string, context: SealContext): Promise<string> {
    const kid = keyIdOf(sealed);
    const key = this.ring.get(kid);
    if (!key) throw new SealError(`Unknown encryption key "${kid}": add it to ENCRYPTION_KEYS`);
    const opened = await compactDecrypt(sealed, key.key, {
      keyManagementAlgorithms: [ALG],
      contentEncryptionAlgorithms: [ENC],
    }).catch(() => undefined);
    if (!opened) throw new SealError(`A value sealed with key "${kid}" does not open: it was changed, or the key was`);
    const header: Record<string, unknown> = opened.protectedHeader;
    if (header.own !== context.owner || header.use !== context.purpose)
      throw new SealError(`A value sealed with key "${kid}" belongs to another owner or purpose`);
    return Buffer.from(opened.plaintext).toString('utf8');
  }

  /** A keyed fingerprint (HMAC-SHA-256, base64url) to compare by without keeping the data. */
  mac(purpose: string, data: string | Buffer): Mac {
    return { keyId: this.first.id, mac: this.macWith(this.first, purpose, data) };
  }

  /** Whether `data` has this fingerprint, under whichever key of the ring made it. Constant time. */
  macMatches(purpose: string, data: string | Buffer, known: Mac): boolean {
    const key = this.ring.get(known.keyId);
    if (!key) return false;
    const expected = Buffer.from(this.macWith(key, purpose, data));
    const given = Buffer.from(known.mac);
    return expected.length === given.length && timingSafeEqual(expected, given);
  }

  private macWith(key: EncryptionKey, purpose: string, data: string | Buffer): string {
    const id = `${key.id} ${purpose}`;
    let derived = this.macKeys.get(id);
    if (!derived) {
      derived = Buffer.from(hkdfSync('sha256', key.key, Buffer.alloc(0), `mac ${purpose}`, 32));
      this.macKeys.set(id, derived);
    }
    return createHmac('sha256', derived).update(data).digest('base64url');
  }
}

function keyIdOf(sealed: string): string {
  try {
    const kid = decodeProtectedHeader(sealed).kid;
    if (typeof kid === 'string' && /^[A-Za-z0-9_-]{1,32}$/.test(kid)) return kid;
  } catch {
    // Not a JWE at all: said below, without the value.
  }
  throw new SealError('A sealed value is not readable: it carries no key id');
}
