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
}
