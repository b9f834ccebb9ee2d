import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import { Webhook, type Delivery, type WebhookStatus } from './webhook.entity';

/** Of one connection, as Klaviyo has it. */
export const MOST_WEBHOOKS = 10;

export interface NewWebhook {
  id: string;
  connectionId: string;
  klaviyoWebhookId: string | null;
  name: string;
  description: string | null;
  topics: readonly string[];
  allTopics: boolean;
  delivery: Delivery;
  endpointUrl: string | null;
  sealedSecret: string | null;
}

export interface WebhookPatch {
  name?: string;
  description?: string | null;
  topics?: readonly string[];
  allTopics?: boolean;
  enabled?: boolean;
}

/** Secrets before the previous one that may hold at once: each delivery is tried with all. */
const MOST_OLDER_SECRETS = 10;
const STILL_HELD = `(SELECT coalesce(jsonb_agg(o ORDER BY n), '[]')
  FROM jsonb_array_elements(older_secrets) WITH ORDINALITY AS e (o, n) WHERE (o->>'until')::timestamptz > now())`;

/** Rows of `webhook`, each statement bound to its user. */
@Injectable()
export class WebhooksRepository {
  constructor(private readonly db: Db) {}

  /** Oldest first. */
  async all(userId: number, connectionId: string): Promise<Webhook[]> {
    return this.db.forUser(userId, (manager) =>
      manager.find(Webhook, { where: { userId: String(userId), connectionId }, order: { id: 'ASC' } }),
    );
  }

  async one(userId: number, connectionId: string, id: string): Promise<Webhook | null> {
    return this.db.forUser(userId, (manager) =>
      manager.findOne(Webhook, { where: { userId: String(userId), connectionId, id } }),
    );
  }

  /**
   * Keeps out who else would take a place at the same time, until the transaction ends. Creations under way count.
   * @returns whether there is room for one more; undefined where the connection is gone
   */
  async lockRoom(userId: number, connectionId: string): Promise<boolean | undefined> {
    return this.db.forUser(userId, async (manager) => {
      const locked = await query(manager, 'SELECT 1 FROM connection WHERE user_id = $1 AND id = $2 FOR NO KEY UPDATE', [
        userId,
        connectionId,
      ]);
      if (locked.length === 0) return undefined;
      const [taken] = await query<{ taken: number }>(
        manager,
        `SELECT ((SELECT count(*) FROM webhook WHERE user_id = $1 AND connection_id = $2)
           + (SELECT count(*) FROM webhook_removal
              WHERE user_id = $1 AND connection_id = $2 AND klaviyo_webhook_id IS NULL AND due_at > now()))::int AS taken`,
        [userId, connectionId],
      );
      return (taken?.taken ?? 0) < MOST_WEBHOOKS;
    });
  }

  /**
   * Holds the connection until the transaction ends: `for` an addition to it, which others may make at the same time, or
   * for its end. @returns false where it is gone
   */
  async lockConnection(userId: number, connectionId: string, what: 'addition' | 'end'): Promise<boolean> {
    const lock = what === 'end' ? 'UPDATE' : 'KEY SHARE';
    const rows = await this.db.forUser(userId, (manager) =>
      query(manager, `SELECT 1 FROM connection WHERE user_id = $1 AND id = $2 FOR ${lock}`, [userId, connectionId]),
    );
    return rows.length > 0;
  }

  /** @throws DatabaseError 23503 when the connection is gone */
  async insert(userId: number, webhook: NewWebhook): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO webhook (user_id, id, connection_id, klaviyo_webhook_id, name, description, topics, all_topics,
           delivery, status, endpoint_url, sealed_secret, read_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'active', $10, $11, CASE WHEN $9 = 'poll' THEN now() END)`,
        [
          userId,
          webhook.id,
          webhook.connectionId,
          webhook.klaviyoWebhookId,
          webhook.name,
          webhook.description,
          webhook.topics,
          webhook.allTopics,
          webhook.delivery,
          webhook.endpointUrl,
          webhook.sealedSecret,
        ],
      ),
    );
  }

  /** A webhook that is switched on reads from then on: what happened while it was off is not made up for. */
  async change(userId: number, id: string, patch: WebhookPatch): Promise<void> {
    const { name, description, topics, allTopics, enabled } = patch;
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook SET name = coalesce($3, name),
           description = CASE WHEN $4::boolean THEN $5 ELSE description END,
           topics = coalesce($6::text[], topics), all_topics = coalesce($7, all_topics),
           enabled = coalesce($8, enabled),
           status = CASE $8 WHEN true THEN 'active' WHEN false THEN 'disabled' ELSE status END,
           read_from = CASE WHEN $8 AND NOT enabled THEN now() ELSE read_from END,
           reads_from = CASE WHEN $8 AND NOT enabled THEN now() ELSE reads_from END,
           looked_back_at = CASE WHEN $8 AND NOT enabled THEN now() ELSE looked_back_at END,
           checked_at = CASE WHEN $8 AND NOT enabled THEN now() ELSE checked_at END,
           read_progress = CASE WHEN $6::text[] IS NOT NULL OR $8 <> enabled THEN NULL ELSE read_progress END,
           read_until = CASE WHEN $8 <> enabled THEN NULL ELSE read_until END,
           read_reason = CASE WHEN $8 <> enabled THEN NULL ELSE read_reason END,
           read_at = CASE WHEN $8 IS NULL OR $8 = enabled THEN read_at WHEN $8 AND delivery = 'poll' THEN now() END,
           read_lease = CASE WHEN coalesce($8, enabled) = enabled AND $6::text[] IS NULL THEN read_lease END
         WHERE user_id = $1 AND id = $2`,
        [
          userId,
          id,
          name ?? null,
          description !== undefined,
          description ?? null,
          topics ?? null,
          allTopics ?? null,
          enabled ?? null,
        ],
      ),
    );
  }

  /** Of one that has all topics: those that the account has by now. */
  async setTopics(userId: number, id: string, topics: readonly string[]): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'UPDATE webhook SET topics = $3 WHERE user_id = $1 AND id = $2 AND all_topics', [
        userId,
        id,
        topics,
      ]),
    );
  }

  /** It was looked at, to the end. */
  async checked(userId: number, id: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'UPDATE webhook SET checked_at = now(), check_until = NULL WHERE user_id = $1 AND id = $2', [
        userId,
        id,
      ]),
    );
  }

  /** @returns false where it is so already */
  async setStatus(userId: number, id: string, status: WebhookStatus): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook SET status = $3 WHERE user_id = $1 AND id = $2 AND status <> $3
           AND (enabled OR $3 = 'disabled') RETURNING id`,
        [userId, id, status],
      ),
    );
    return rows.length > 0;
  }

  /**
   * Puts a new secret before the one that holds; both hold until it is known which one Klaviyo signs with. Those before
   * hold as long as they would have without it.
   * @returns false where another rotation came first, or so many hold that one more is too many
   */
  async rotate(userId: number, id: string, version: number, sealedSecret: string): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook SET sealed_previous_secret = sealed_secret, sealed_secret = $4, previous_until = NULL,
           older_secrets = CASE WHEN previous_until > now() THEN
               jsonb_build_array(jsonb_build_object('sealed', sealed_previous_secret, 'until', previous_until))
             ELSE '[]' END || ${STILL_HELD},
           secret_confirmed = false, secret_version = secret_version + 1
         WHERE user_id = $1 AND id = $2 AND secret_version = $3 AND secret_confirmed
           AND jsonb_array_length(${STILL_HELD}) < ${MOST_OLDER_SECRETS} RETURNING id`,
        [userId, id, version, sealedSecret],
      ),
    );
    return rows.length > 0;
  }

  /** Klaviyo signs with the current secret; the one before holds for what is still on its way. @returns until when */
  async confirmSecret(userId: number, id: string, version: number, overlapHours: number): Promise<Date | undefined> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ until: Date }>(
        manager,
        `UPDATE webhook SET secret_confirmed = true, previous_until = now() + make_interval(hours => $4),
           secret_version = secret_version + 1
         WHERE user_id = $1 AND id = $2 AND secret_version = $3 AND NOT secret_confirmed
         RETURNING previous_until AS until`,
        [userId, id, version, overlapHours],
      ),
    );
    return rows[0]?.until;
  }

  /** Klaviyo refused the new secret: the one before is the current one again. The refused one harms nobody. */
  async takeBackSecret(userId: number, id: string, version: number, overlapHours: number): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook SET sealed_secret = sealed_previous_secret, sealed_previous_secret = sealed_secret,
           previous_until = now() + make_interval(hours => $4), secret_confirmed = true,
           secret_version = secret_version + 1
         WHERE user_id = $1 AND id = $2 AND secret_version = $3 AND NOT secret_confirmed`,
        [userId, id, version, overlapHours],
      ),
    );
  }

  async remove(userId: number, id: string): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(manager, 'DELETE FROM webhook WHERE user_id = $1 AND id = $2 RETURNING id', [userId, id]),
    );
    return rows.length > 0;
  }
}
