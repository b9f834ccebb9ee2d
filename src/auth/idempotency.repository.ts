import { Injectable } from '@nestjs/common';
import { EncryptionService, type Mac } from '../encryption/encryption.service';
import { Db, query } from '../database/scope';

/** One `Idempotency-Key` of one user: where it was used, and with what. */
export interface KeyUse {
  /** SHA-256 of caller, route and key. */
  keyHash: Buffer;
  route: string;
  /** Path parameters, query and body in canonical form. Only its keyed fingerprint is stored. */
  request: string;
}

/** An answer as it went out. */
export interface KeptAnswer {
  status: number;
  contentType: string;
  contentLanguage?: string;
  body: string;
}

/** What is known of a key: ours to work under, answered, being worked on, or used for something else. */
export type KeyState =
  | { state: 'claimed'; leaseToken: string }
  | { state: 'answered'; answer: KeptAnswer }
  | { state: 'in-progress' }
  | { state: 'reused' };

interface Row {
  body_key_id: string;
  body_mac: string;
  answer: string | null;
}

const MAC_PURPOSE = 'idempotency-request';
const KEPT_HOURS = 24;

/** Remembers answers under their `Idempotency-Key`, sealed to their user. */
@Injectable()
export class IdempotencyRepository {
  constructor(
    private readonly db: Db,
    private readonly encryption: EncryptionService,
  ) {}

  /**
   * Takes the key in one statement, or says why it cannot be had.
   * @param leaseMs after which a claim without an answer counts as crashed and may be taken by the next
   */
  async claim(userId: number, use: KeyUse, leaseToken: string, leaseMs: number): Promise<KeyState> {
    const mac = this.encryption.mac(MAC_PURPOSE, use.request);
    const claimed = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO idempotency_key AS known
           (user_id, key_hash, route, body_key_id, body_mac, lease_token, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, now() + $7 * interval '1 millisecond')
         ON CONFLICT (user_id, key_hash) DO UPDATE
           SET route = excluded.route, body_key_id = excluded.body_key_id, body_mac = excluded.body_mac,
               lease_token = excluded.lease_token, answer = NULL, created_at = now(), expires_at = excluded.expires_at
           WHERE known.expires_at <= now()
         RETURNING lease_token`,
        [userId, use.keyHash, use.route, mac.keyId, mac.mac, leaseToken, leaseMs],
      ),
    );
    return claimed.length > 0 ? { state: 'claimed', leaseToken } : this.stateOf(userId, use);
  }

  private async stateOf(userId: number, use: KeyUse): Promise<KeyState> {
    const [row] = await this.db.forUser(userId, (manager) =>
      query<Row>(
        manager,
        `SELECT body_key_id, body_mac, answer FROM idempotency_key
         WHERE user_id = $1 AND key_hash = $2 AND expires_at > now()`,
        [userId, use.keyHash],
      ),
    );
    // Freed between the two statements: the next try has it.
    if (!row) return { state: 'in-progress' };
    const mac: Mac = { keyId: row.body_key_id, mac: row.body_mac };
    if (!this.encryption.macMatches(MAC_PURPOSE, use.request, mac)) return { state: 'reused' };
    if (row.answer === null) return { state: 'in-progress' };
    const answer = await this.encryption.open(row.answer, sealOf(userId));
    return { state: 'answered', answer: JSON.parse(answer) as KeptAnswer };
  }

  /** Keeps the answer for 24 hours, unless the claim has been lost meanwhile. */
  async keep(userId: number, keyHash: Buffer, leaseToken: string, answer: KeptAnswer): Promise<void> {
    const sealed = await this.encryption.seal(JSON.stringify(answer), sealOf(userId));
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE idempotency_key SET answer = $4, expires_at = now() + interval '${KEPT_HOURS} hours'
         WHERE user_id = $1 AND key_hash = $2 AND lease_token = $3 AND answer IS NULL`,
        [userId, keyHash, leaseToken, sealed],
      ),
    );
  }

  /** Gives the key back: nothing was done that a repetition would do twice. */
  async release(userId: number, keyHash: Buffer, leaseToken: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        'DELETE FROM idempotency_key WHERE user_id = $1 AND key_hash = $2 AND lease_token = $3 AND answer IS NULL',
        [userId, keyHash, leaseToken],
      ),
    );
  }

  /** Forgets every answer of a user; joins the transaction under way. For disconnect and erasure. */
  async removeAll(userId: number): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'DELETE FROM idempotency_key WHERE user_id = $1', [userId]),
    );
  }
}

function sealOf(userId: number): { owner: string; purpose: string } {
  return { owner: `user:${userId}`, purpose: 'idempotency-answer' };
}
