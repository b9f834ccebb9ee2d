import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import { MirroredRows, type Unseen } from '../mirror/mirrored-rows.repository';
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
  private readonly rows: MirroredRows;

  constructor(private readonly db: Db) {
    this.rows = new MirroredRows(db, { table: 'mirrored_metric' });
  }

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

  /** Rows that are not marked as gone, and those of them that were not seen since a time. */
  unseen(userId: number, connectionId: string, since: Date): Promise<Unseen> {
    return this.rows.unseen(userId, connectionId, since);
  }

  /** Marks rows that were not seen since a time as gone, in the order of their ids. @returns how many */
  async sweep(userId: number, connectionId: string, since: Date, limit: number): Promise<number> {
    const { swept } = await this.rows.sweep(userId, connectionId, since, '', limit);
    return swept;
  }

  /** Removes rows of connections that are gone. @returns how many */
  erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.rows.erase(userId, connectionIds, limit);
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
