import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** A webhook as the receiver needs it. */
export interface ReceivingWebhook {
  userId: number;
  connectionId: string;
  id: string;
  /** The Klaviyo account that its deliveries must name. */
  accountId: string;
  /** With which a delivery may be signed, the current one first; opened by `WebhookSecrets`. */
  sealedSecrets: string[];
  /** Changes with the secrets. */
  secretVersion: number;
}

/** What this process has the lease of removing at Klaviyo. */
export interface DueRemoval {
  userId: number;
  webhookId: string;
  connectionId: string;
  accountId: string;
  klaviyoWebhookId: string | null;
  sealedKey: string | null;
  attempts: number;
  expired: boolean;
}

/** Statements about the webhooks of all users: the receiver's look-up, and what is due. */
@Injectable()
export class WebhooksSystemRepository {
  constructor(private readonly db: Db) {}

  /**
   * Who has a webhook of this id at Klaviyo; nobody, mostly one. The previous secret counts while its overlap lasts, and
   * for as long as it is not known which of the two Klaviyo signs with.
   */
  async byKlaviyoId(klaviyoWebhookId: string): Promise<ReceivingWebhook[]> {
    return this.db.system((manager) =>
      query<ReceivingWebhook>(
        manager,
        `SELECT w.user_id::float8 AS "userId", w.connection_id AS "connectionId", w.id, c.account_id AS "accountId",
           array_remove(ARRAY[w.sealed_secret,
             CASE WHEN NOT w.secret_confirmed OR w.previous_until > now() THEN w.sealed_previous_secret END], NULL)
             AS "sealedSecrets",
           w.secret_version AS "secretVersion"
         FROM webhook w JOIN connection c ON c.user_id = w.user_id AND c.id = w.connection_id
         WHERE w.klaviyo_webhook_id = $1 AND w.sealed_secret IS NOT NULL`,
        [klaviyoWebhookId],
      ),
    );
  }

  /** Takes the lease of removals that are due, oldest first. */
  async claimRemovals(lease: string, seconds: number, limit: number): Promise<DueRemoval[]> {
    return this.db.system((manager) =>
      query<DueRemoval>(
        manager,
        `UPDATE webhook_removal r SET lease = $1, due_at = now() + make_interval(secs => $2)
         FROM (SELECT user_id, webhook_id FROM webhook_removal WHERE due_at <= now()
               ORDER BY due_at LIMIT $3 FOR UPDATE SKIP LOCKED) due
         WHERE r.user_id = due.user_id AND r.webhook_id = due.webhook_id
         RETURNING r.user_id::float8 AS "userId", r.webhook_id AS "webhookId", r.connection_id AS "connectionId",
           r.account_id AS "accountId", r.klaviyo_webhook_id AS "klaviyoWebhookId", r.sealed_key AS "sealedKey",
           r.attempts, r.expires_at <= now() AS expired`,
        [lease, seconds, limit],
      ),
    );
  }
}
