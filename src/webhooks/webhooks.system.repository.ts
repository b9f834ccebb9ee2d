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

/** A webhook whose health is to be looked at. */
export interface DueCheck {
  userId: number;
  connectionId: string;
  id: string;
  /** Since when we were away, if we were since it was last looked at. */
  awaySince: Date | null;
  /** When Klaviyo last sent something that was not here yet; null where it never did. */
  lastPushedAt: Date | null;
}

/** A connection whose events are to be read. */
export interface DueReading {
  userId: number;
  connectionId: string;
}

/** Statements about the webhooks of all users: the receiver's look-up, and what is due. */
@Injectable()
export class WebhooksSystemRepository {
  constructor(private readonly db: Db) {}

  /**
   * Who has a webhook of this id at Klaviyo; nobody, mostly one. A secret before the current one counts while its
   * overlap lasts, the previous one also for as long as it is not known which of the two Klaviyo signs with.
   */
  async byKlaviyoId(klaviyoWebhookId: string): Promise<ReceivingWebhook[]> {
    return this.db.system((manager) =>
      query<ReceivingWebhook>(
        manager,
        `SELECT w.user_id::float8 AS "userId", w.connection_id AS "connectionId", w.id, c.account_id AS "accountId",
           array_remove(ARRAY[w.sealed_secret,
             CASE WHEN NOT w.secret_confirmed OR w.previous_until > now() THEN w.sealed_previous_secret END], NULL)
             || ARRAY(SELECT o->>'sealed' FROM jsonb_array_elements(w.older_secrets) WITH ORDINALITY AS e (o, n)
                      WHERE (o->>'until')::timestamptz > now() ORDER BY n) AS "sealedSecrets",
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

  /**
   * Takes the webhooks whose health was not looked at for so long, oldest first, for `lease` seconds. One whose secret
   * Klaviyo has not confirmed is looked at with every turn. Each is looked at once `WebhooksRepository.checked` says so.
   */
  async claimChecks(seconds: number, lease: number, limit: number): Promise<DueCheck[]> {
    return this.db.system((manager) =>
      query<DueCheck>(
        manager,
        `UPDATE webhook w SET check_until = now() + make_interval(secs => $2)
         FROM (SELECT w.user_id, w.id FROM webhook w
               JOIN connection c ON c.user_id = w.user_id AND c.id = w.connection_id AND c.status = 'active'
               WHERE (w.delivery = 'push' OR w.all_topics) AND (w.enabled OR NOT w.secret_confirmed)
                 AND (w.check_until IS NULL OR w.check_until <= now())
                 AND (NOT w.secret_confirmed
                   OR coalesce(w.checked_at, w.created_at) < now() - make_interval(secs => $1))
               ORDER BY w.checked_at NULLS FIRST LIMIT $3 FOR UPDATE OF w SKIP LOCKED) due
         LEFT JOIN webhook_figure f ON f.user_id = due.user_id AND f.webhook_id = due.id
         WHERE w.user_id = due.user_id AND w.id = due.id
         RETURNING w.user_id::float8 AS "userId", w.connection_id AS "connectionId", w.id,
           (SELECT min(v.away_since) FROM webhook_watch v WHERE v.since > coalesce(w.checked_at, w.created_at))
             AS "awaySince",
           f.last_pushed_at AS "lastPushedAt"`,
        [seconds, lease, limit],
      ),
    );
  }

  /** Somebody is here now. @param seconds not seen for longer than that, we were away since then */
  async beat(seconds: number): Promise<void> {
    await this.db.system(async (manager) => {
      await query(
        manager,
        `WITH latest AS (SELECT since, until FROM webhook_watch ORDER BY since DESC LIMIT 1 FOR UPDATE),
         kept AS (
           UPDATE webhook_watch w SET until = now() FROM latest l
           WHERE w.since = l.since AND l.until >= now() - make_interval(secs => $1) RETURNING 1)
         INSERT INTO webhook_watch (since, until, away_since) SELECT now(), now(), (SELECT until FROM latest)
         WHERE NOT EXISTS (SELECT 1 FROM kept) ON CONFLICT DO NOTHING`,
        [seconds],
      );
      await query(manager, `DELETE FROM webhook_watch WHERE until < now() - interval '60 days'`);
    });
  }

  /** Connections whose events are due to be read, for which there should have been a job by now. */
  async dueReadings(limit: number): Promise<DueReading[]> {
    return this.db.system((manager) =>
      query<DueReading>(
        manager,
        `SELECT DISTINCT w.user_id::float8 AS "userId", w.connection_id AS "connectionId" FROM webhook w
         JOIN connection c ON c.user_id = w.user_id AND c.id = w.connection_id AND c.status = 'active'
         WHERE w.read_at <= now() - interval '5 seconds' AND w.enabled LIMIT $1`,
        [limit],
      ),
    );
  }
}
