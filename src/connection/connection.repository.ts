import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { Area, Capabilities, Capability } from './capabilities';
import { Connection } from './connection.entity';

export interface StoredAccount {
  accountId: string;
  accountName: string | null;
  publicApiKey: string | null;
  currency: string | null;
  timezone: string | null;
  capabilities: Capabilities;
}

export interface StoredKey {
  maskedKey: string;
  sealedKey: string;
}

const COLUMNS = `user_id AS "userId", id, account_id AS "accountId", account_name AS "accountName",
  public_api_key AS "publicApiKey", label, is_default AS "isDefault", status, masked_key AS "maskedKey",
  sealed_key AS "sealedKey", key_version AS "keyVersion", capabilities, currency, timezone,
  connected_at AS "connectedAt", last_validated_at AS "lastValidatedAt", validation_started_at AS "validationStartedAt"`;

/** Rows of `connection`, each statement bound to its user. */
@Injectable()
export class ConnectionRepository {
  constructor(private readonly db: Db) {}

  /** Oldest first. */
  async all(userId: number): Promise<Connection[]> {
    return this.db.forUser(userId, (manager) =>
      manager.find(Connection, { where: { userId: String(userId) }, order: { connectedAt: 'ASC', id: 'ASC' } }),
    );
  }

  /** The given connection, else the user's default. Every call begins with it: written out, it costs half. */
  async one(userId: number, connectionId: string | undefined): Promise<Connection | null> {
    const [row] = await this.db.prepared<Connection>(
      userId,
      `SELECT ${COLUMNS} FROM connection WHERE user_id = $1 AND ${connectionId === undefined ? 'is_default' : 'id = $2'}`,
      connectionId === undefined ? [userId] : [userId, connectionId],
    );
    return row ?? null;
  }

  async byAccount(userId: number, accountId: string): Promise<Connection | null> {
    return this.db.forUser(userId, (manager) =>
      manager.findOne(Connection, { where: { userId: String(userId), accountId } }),
    );
  }

  /** Serialises what changes a user's set of connections; held until the transaction ends. */
  async lockUser(userId: number): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, `SELECT pg_advisory_xact_lock(hashtextextended('connection:' || $1, 0))`, [String(userId)]),
    );
  }

  async insert(
    userId: number,
    id: string,
    account: StoredAccount,
    key: StoredKey,
    rest: { label: string | null; isDefault: boolean },
  ): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO connection (user_id, id, account_id, account_name, public_api_key, currency, timezone, capabilities,
           masked_key, sealed_key, label, is_default, status, last_validated_at, validation_started_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, 'active', now(), now())`,
        [
          userId,
          id,
          account.accountId,
          account.accountName,
          account.publicApiKey,
          account.currency,
          account.timezone,
          JSON.stringify(account.capabilities),
          key.maskedKey,
          key.sealedKey,
          rest.label,
          rest.isDefault,
        ],
      ),
    );
  }

  /** A new key of the same account: the connection is active again. */
  async replaceKey(
    userId: number,
    id: string,
    account: StoredAccount,
    key: StoredKey,
    label: string | null | undefined,
  ): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE connection SET account_name = $3, public_api_key = $4, currency = $5, timezone = $6, capabilities = $7,
           masked_key = $8, sealed_key = $9, key_version = key_version + 1, status = 'active',
           label = CASE WHEN $10::boolean THEN $11 ELSE label END, last_validated_at = now(), validation_started_at = now()
         WHERE user_id = $1 AND id = $2`,
        [
          userId,
          id,
          account.accountName,
          account.publicApiKey,
          account.currency,
          account.timezone,
          JSON.stringify(account.capabilities),
          key.maskedKey,
          key.sealedKey,
          label !== undefined,
          label ?? null,
        ],
      ),
    );
  }

  async makeDefault(userId: number, id: string): Promise<void> {
    await this.db.forUser(userId, async (manager) => {
      await query(manager, 'UPDATE connection SET is_default = false WHERE user_id = $1 AND is_default AND id <> $2', [
        userId,
        id,
      ]);
      await query(manager, 'UPDATE connection SET is_default = true WHERE user_id = $1 AND id = $2', [userId, id]);
    });
  }

  /** When the default went, the oldest that is left takes its place. */
  async promoteOldest(userId: number): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE connection SET is_default = true
         WHERE user_id = $1
           AND id = (SELECT id FROM connection WHERE user_id = $1 ORDER BY connected_at, id LIMIT 1)
           AND NOT EXISTS (SELECT 1 FROM connection WHERE user_id = $1 AND is_default)`,
        [userId],
      ),
    );
  }

  async setLabel(userId: number, id: string, label: string | null): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'UPDATE connection SET label = $3 WHERE user_id = $1 AND id = $2', [userId, id, label]),
    );
  }

  /** @returns the ids that were removed. Rows of other tables follow by foreign key. */
  async remove(userId: number, ids: readonly string[]): Promise<string[]> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ id: string }>(manager, 'DELETE FROM connection WHERE user_id = $1 AND id = ANY($2) RETURNING id', [
        userId,
        ids,
      ]),
    );
    return rows.map((row) => row.id);
  }

  /** Takes the right to ask Klaviyo again; false when it was asked within the last minute. */
  async claimValidation(userId: number, id: string): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE connection SET validation_started_at = now()
         WHERE user_id = $1 AND id = $2
           AND (validation_started_at IS NULL OR validation_started_at < now() - interval '1 minute')
         RETURNING id`,
        [userId, id],
      ),
    );
    return rows.length > 0;
  }

  async validated(userId: number, id: string, keyVersion: number, account: StoredAccount): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE connection SET status = 'active', account_name = $4, public_api_key = $5, currency = $6, timezone = $7,
           capabilities = $8, last_validated_at = now()
         WHERE user_id = $1 AND id = $2 AND key_version = $3`,
        [
          userId,
          id,
          keyVersion,
          account.accountName,
          account.publicApiKey,
          account.currency,
          account.timezone,
          JSON.stringify(account.capabilities),
        ],
      ),
    );
  }

  /** Only the key that was refused makes its connection invalid: a newer one is left alone. */
  async markInvalid(userId: number, id: string, keyVersion: number): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE connection SET status = 'invalid'
         WHERE user_id = $1 AND id = $2 AND key_version = $3 AND status = 'active' RETURNING id`,
        [userId, id, keyVersion],
      ),
    );
    return rows.length > 0;
  }

  async setWriteCapability(userId: number, id: string, area: Area, write: Capability): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE connection SET capabilities = jsonb_set(capabilities, ARRAY[$3, 'write'], to_jsonb($4::text))
         WHERE user_id = $1 AND id = $2 AND capabilities #>> ARRAY[$3, 'write'] IS DISTINCT FROM $4`,
        [userId, id, area, write],
      ),
    );
  }
}
