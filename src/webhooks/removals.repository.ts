import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import { WebhookRemoval } from './webhook-removal.entity';

/** What may have to be removed at Klaviyo. */
export interface NewRemoval {
  webhookId: string;
  connectionId: string;
  accountId: string;
  klaviyoWebhookId: string | null;
  /** Seconds from now. */
  dueIn: number;
  /** Seconds from now until it is given up. */
  expiresIn: number;
}

/** Rows of `webhook_removal`, each statement bound to its user. */
@Injectable()
export class RemovalsRepository {
  constructor(private readonly db: Db) {}

  async add(userId: number, removal: NewRemoval): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO webhook_removal (user_id, webhook_id, connection_id, account_id, klaviyo_webhook_id, due_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, now() + make_interval(secs => $6), now() + make_interval(secs => $7))
         ON CONFLICT (user_id, webhook_id) DO UPDATE SET klaviyo_webhook_id = excluded.klaviyo_webhook_id,
           due_at = excluded.due_at, lease = NULL`,
        [
          userId,
          removal.webhookId,
          removal.connectionId,
          removal.accountId,
          removal.klaviyoWebhookId,
          removal.dueIn,
          removal.expiresIn,
        ],
      ),
    );
  }

  /** @returns false where somebody is removing it already */
  async withdraw(userId: number, webhookId: string): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        'DELETE FROM webhook_removal WHERE user_id = $1 AND webhook_id = $2 AND lease IS NULL RETURNING webhook_id',
        [userId, webhookId],
      ),
    );
    return rows.length > 0;
  }

  /** It is done, or given up. */
  async end(userId: number, webhookId: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'DELETE FROM webhook_removal WHERE user_id = $1 AND webhook_id = $2', [userId, webhookId]),
    );
  }

  /** Tried in vain. @param seconds until the next attempt */
  async putOff(userId: number, webhookId: string, seconds: number): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook_removal SET lease = NULL, attempts = attempts + 1, due_at = now() + make_interval(secs => $3)
         WHERE user_id = $1 AND webhook_id = $2`,
        [userId, webhookId, seconds],
      ),
    );
  }

  async ofConnection(userId: number, connectionId: string): Promise<WebhookRemoval[]> {
    return this.db.forUser(userId, (manager) =>
      manager.find(WebhookRemoval, { where: { userId: String(userId), connectionId } }),
    );
  }

  /** Gives a removal the key of its connection, which goes. */
  async keepKey(userId: number, webhookId: string, sealedKey: string, expiresIn: number): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook_removal SET sealed_key = $3,
           due_at = CASE WHEN klaviyo_webhook_id IS NULL THEN due_at ELSE now() END, expires_at = now() + make_interval(secs => $4)
         WHERE user_id = $1 AND webhook_id = $2`,
        [userId, webhookId, sealedKey, expiresIn],
      ),
    );
  }
}
