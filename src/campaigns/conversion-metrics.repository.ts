import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { ConversionMetric } from './campaign-reports.klaviyo';

/** Rows of `conversion_metric`, each statement bound to its user. */
@Injectable()
export class ConversionMetricsRepository {
  constructor(private readonly db: Db) {}

  async of(userId: number, connectionId: string): Promise<(ConversionMetric & { chosenAt: Date }) | undefined> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<ConversionMetric & { chosenAt: Date }>(
        manager,
        `SELECT metric_id AS id, usable, chosen_at AS "chosenAt" FROM conversion_metric
         WHERE user_id = $1 AND connection_id = $2`,
        [userId, connectionId],
      ),
    );
    return rows[0];
  }

  async keep(userId: number, connectionId: string, metric: ConversionMetric, chosenAt: Date): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO conversion_metric (user_id, connection_id, metric_id, usable, chosen_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (user_id, connection_id) DO UPDATE SET metric_id = EXCLUDED.metric_id, usable = EXCLUDED.usable,
           chosen_at = EXCLUDED.chosen_at`,
        [userId, connectionId, metric.id, metric.usable, chosenAt],
      ),
    );
  }

  async remove(userId: number, connectionId: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'DELETE FROM conversion_metric WHERE user_id = $1 AND connection_id = $2', [userId, connectionId]),
    );
  }
}
