import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import { tenantsIn } from '../database/tenants';

/** A connection that has something waiting. */
export interface Tenant {
  userId: number;
  connectionId: string;
}

/** Statements about the received events of all users: whose turn it is, and retention. */
@Injectable()
export class ProcessSystemRepository {
  constructor(private readonly db: Db) {}

  /**
   * Connections of which something is due and that nobody works on, in a random order so that each gets its turn. Walks
   * from connection to connection by the index: its cost does not grow with what waits.
   */
  async due(limit: number): Promise<Tenant[]> {
    return this.db.system((manager) =>
      query<Tenant>(
        manager,
        `WITH RECURSIVE ${tenantsIn('webhook_delivery', 'processed_at IS NULL')},
         ${tenantsIn('received_event', 'next_at IS NOT NULL', 'apart')}, due AS (
           SELECT t.user_id, t.connection_id FROM tenant t WHERE EXISTS (
             SELECT 1 FROM webhook_delivery d WHERE d.user_id = t.user_id AND d.connection_id = t.connection_id
               AND d.processed_at IS NULL AND d.next_at <= now())
           UNION
           SELECT t.user_id, t.connection_id FROM apart t WHERE EXISTS (
             SELECT 1 FROM received_event e WHERE e.user_id = t.user_id AND e.connection_id = t.connection_id
               AND e.next_at <= now())
         )
         SELECT d.user_id::float8 AS "userId", d.connection_id AS "connectionId" FROM due d
         JOIN connection c ON c.user_id = d.user_id AND c.id = d.connection_id
         WHERE NOT EXISTS (SELECT 1 FROM webhook_lane l
           WHERE l.user_id = d.user_id AND l.connection_id = d.connection_id AND l.leased_until > now())
         ORDER BY random() LIMIT $1`,
        [limit],
      ),
    );
  }

  /** Connections of which people are due to be read again, in a random order. */
  async dueRefreshes(limit: number): Promise<Tenant[]> {
    return this.db.system((manager) =>
      query<Tenant>(
        manager,
        `WITH RECURSIVE ${tenantsIn('profile_refresh')}
         SELECT t.user_id::float8 AS "userId", t.connection_id AS "connectionId" FROM tenant t
         WHERE EXISTS (SELECT 1 FROM profile_refresh r
           WHERE r.user_id = t.user_id AND r.connection_id = t.connection_id AND r.next_at <= now())
         ORDER BY random() LIMIT $1`,
        [limit],
      ),
    );
  }

  async countWaiting(): Promise<number> {
    const rows = await this.db.system((manager) =>
      query<{ waiting: number }>(
        manager,
        'SELECT count(*)::int AS waiting FROM webhook_delivery WHERE processed_at IS NULL',
      ),
    );
    return rows[0]?.waiting ?? 0;
  }

  /**
   * Removes events received longer ago than that, at most `limit`: all that are over, or those that were given up or
   * kept apart; none that still waits to be passed on. @returns how many
   */
  async removeEvents(kind: 'over' | 'apart', olderThanDays: number, limit: number): Promise<number> {
    const which = kind === 'over' ? `coalesce(status, 'processed') = 'processed'` : `status IN ('dead', 'quarantined')`;
    const rows = await this.db.system((manager) =>
      query(
        manager,
        `DELETE FROM received_event e WHERE e.ctid = ANY(ARRAY(
           SELECT e.ctid FROM received_event e
           WHERE e.received_at < now() - make_interval(days => $1) AND ${which}
             AND NOT EXISTS (SELECT 1 FROM webhook_delivery d WHERE d.user_id = e.user_id
               AND d.connection_id = e.connection_id AND d.id = e.delivery_id AND d.processed_at IS NULL)
             AND NOT EXISTS (SELECT 1 FROM event_forward f WHERE f.user_id = e.user_id
               AND f.connection_id = e.connection_id AND f.event_id = e.id AND f.status = 'waiting')
           LIMIT $2))
         RETURNING 1`,
        [olderThanDays, limit],
      ),
    );
    return rows.length;
  }

  /** Removes deliveries that were worked off and that arrived longer ago than that, at most `limit`. @returns how many */
  async removeDeliveries(olderThanDays: number, limit: number): Promise<number> {
    const rows = await this.db.system((manager) =>
      query(
        manager,
        `DELETE FROM webhook_delivery WHERE ctid = ANY(ARRAY(
           SELECT ctid FROM webhook_delivery
           WHERE received_at < now() - make_interval(days => $1) AND processed_at IS NOT NULL LIMIT $2))
         RETURNING 1`,
        [olderThanDays, limit],
      ),
    );
    return rows.length;
  }

  /** Connections of which something is left though they are gone. */
  async orphans(): Promise<Tenant[]> {
    return this.db.system((manager) =>
      query<Tenant>(
        manager,
        `WITH RECURSIVE ${tenantsIn('webhook_delivery')},
         ${tenantsIn('received_event', 'true', 'left_behind')}
         SELECT user_id::float8 AS "userId", connection_id AS "connectionId"
         FROM (SELECT * FROM tenant UNION SELECT * FROM left_behind) t
         WHERE NOT EXISTS (SELECT 1 FROM connection c WHERE c.user_id = t.user_id AND c.id = t.connection_id)`,
      ),
    );
  }
}
