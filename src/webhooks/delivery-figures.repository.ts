import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** What a webhook has brought since it was made. */
export interface FigureRow {
  webhookId: string;
  received: number;
  processed: number;
  /** Failed and given up, now. */
  failed: number;
  duplicates: number;
  lastReceivedAt: Date | null;
  p95ProcessingMs: number | null;
}

/** Of so many deliveries, the latest, the time is judged that working off took. */
const JUDGED = 1000;

/** What webhooks have brought, each statement bound to its user. */
@Injectable()
export class DeliveryFiguresRepository {
  constructor(private readonly db: Db) {}

  async of(userId: number, connectionId: string, webhookIds: readonly string[]): Promise<FigureRow[]> {
    return this.db.forUser(userId, (manager) =>
      query<FigureRow>(
        manager,
        `WITH waiting AS (
           SELECT webhook_id, sum(events) AS events, max(received_at) AS last FROM webhook_delivery
           WHERE user_id = $1 AND connection_id = $2 AND processed_at IS NULL GROUP BY webhook_id
         ), failed AS (
           SELECT webhook_id, count(*) AS events FROM received_event
           WHERE user_id = $1 AND connection_id = $2 AND status IN ('failed', 'dead') GROUP BY webhook_id
         )
         SELECT w.id AS "webhookId", (coalesce(f.received, 0) + coalesce(d.events, 0))::float8 AS received,
           greatest(0, coalesce(f.processed, 0) - coalesce(b.events, 0))::float8 AS processed,
           coalesce(b.events, 0)::float8 AS failed, coalesce(f.duplicates, 0)::float8 AS duplicates,
           greatest(f.last_received_at, d.last) AS "lastReceivedAt", p.p95 AS "p95ProcessingMs"
         FROM unnest($3::uuid[]) AS w (id)
         LEFT JOIN webhook_figure f ON f.user_id = $1 AND f.connection_id = $2 AND f.webhook_id = w.id
         LEFT JOIN waiting d ON d.webhook_id = w.id
         LEFT JOIN failed b ON b.webhook_id = w.id
         CROSS JOIN LATERAL (
           SELECT round(1000 * percentile_disc(0.95) WITHIN GROUP (ORDER BY took))::float8 AS p95 FROM (
             SELECT extract(epoch FROM processed_at - received_at) AS took FROM webhook_delivery
             WHERE user_id = $1 AND connection_id = $2 AND webhook_id = w.id AND processed_at IS NOT NULL
             ORDER BY id DESC LIMIT ${JUDGED}) latest) p`,
        [userId, connectionId, webhookIds],
      ),
    );
  }
}
