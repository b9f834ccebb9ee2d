import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { AccountMetric } from './events.klaviyo';

/** A metric as it is kept. */
export interface MetricRow {
  id: string;
  name: string;
  integrationKey: string | null;
  integrationName: string | null;
  integrationCategory: string | null;
  createdAt: string | null;
  updatedAt: string | null;
  /** `{ attributes }` as Klaviyo gave them, as JSON. */
  document: string;
}

/** Rows of `mirrored_metric`, each statement bound to its user. */
@Injectable()
export class MetricMirrorRepository {
  constructor(private readonly db: Db) {}

  /** Only passes write here, one at a time, so what comes is the newest. @returns how many are new or changed */
  async upsert(userId: number, connectionId: string, rows: readonly MetricRow[]): Promise<number> {
    const all = [...new Map(rows.map((row) => [row.id, row])).values()];
    const [counted] = await this.db.forUser(userId, (manager) =>
      query<{ changed: number }>(
        manager,
        `WITH incoming AS (
           SELECT * FROM unnest($3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::timestamptz[],
             $9::timestamptz[], $10::jsonb[])
             AS row (id, name, key, integration, category, created_at, updated_at, document)),
         kept AS (
           INSERT INTO mirrored_metric (user_id, connection_id, klaviyo_id, name, integration_key, integration_name,
             integration_category, created_at, updated_at, document, synced_at)
           SELECT $1, $2, id, name, key, integration, category, created_at, updated_at, document, now()
           FROM incoming ORDER BY id
           ON CONFLICT (user_id, connection_id, klaviyo_id) DO UPDATE SET
             name = EXCLUDED.name, integration_key = EXCLUDED.integration_key,
             integration_name = EXCLUDED.integration_name, integration_category = EXCLUDED.integration_category,
             created_at = EXCLUDED.created_at, updated_at = EXCLUDED.updated_at, document = EXCLUDED.document,
             synced_at = EXCLUDED.synced_at, deleted_at = NULL)
         SELECT count(*)::int AS changed FROM incoming LEFT JOIN mirrored_metric AS before
           ON before.user_id = $1 AND before.connection_id = $2 AND before.klaviyo_id = incoming.id
         WHERE before.klaviyo_id IS NULL OR before.deleted_at IS NOT NULL OR before.document <> incoming.document`,
        [
          userId,
          connectionId,
          all.map(({ id }) => id),
          all.map(({ name }) => name),
          all.map(({ integrationKey }) => integrationKey),
          all.map(({ integrationName }) => integrationName),
          all.map(({ integrationCategory }) => integrationCategory),
          all.map(({ createdAt }) => createdAt),
          all.map(({ updatedAt }) => updatedAt),
          all.map(({ document }) => document),
        ],
      ),
    );
    return counted?.changed ?? 0;
  }

  async unseen(userId: number, connectionId: string, since: Date): Promise<{ live: number; unseen: number }> {
    const [counted] = await this.db.forUser(userId, (manager) =>
      query<{ live: number; unseen: number }>(
        manager,
        `SELECT count(*)::int AS live, count(*) FILTER (WHERE synced_at < $3)::int AS unseen FROM mirrored_metric
         WHERE user_id = $1 AND connection_id = $2 AND deleted_at IS NULL`,
        [userId, connectionId, since],
      ),
    );
    return counted ?? { live: 0, unseen: 0 };
  }

  /** @returns how many were marked as gone */
  async sweep(userId: number, connectionId: string, since: Date, limit: number): Promise<number> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE mirrored_metric SET deleted_at = now()
         WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id IN (
           SELECT klaviyo_id FROM mirrored_metric
           WHERE user_id = $1 AND connection_id = $2 AND deleted_at IS NULL AND synced_at < $3
           ORDER BY klaviyo_id LIMIT $4)
         RETURNING klaviyo_id`,
        [userId, connectionId, since, limit],
      ),
    );
    return rows.length;
  }

  async erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `DELETE FROM mirrored_metric WHERE user_id = $1 AND (connection_id, klaviyo_id) IN (
           SELECT connection_id, klaviyo_id FROM mirrored_metric
           WHERE user_id = $1 AND connection_id = ANY($2) LIMIT $3)
         RETURNING klaviyo_id`,
        [userId, connectionIds, limit],
      ),
    );
    return rows.length;
  }

  /** Those that Klaviyo still shows, the oldest first. */
  async all(userId: number, connectionId: string): Promise<AccountMetric[]> {
    return this.db.forUser(userId, (manager) =>
      query<AccountMetric>(
        manager,
        `SELECT klaviyo_id AS id, name, integration_name AS integration FROM mirrored_metric
         WHERE user_id = $1 AND connection_id = $2 AND deleted_at IS NULL ORDER BY created_at, klaviyo_id`,
        [userId, connectionId],
      ),
    );
  }
}
