import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** A delivery that waits to be worked off. */
export interface PendingDelivery {
  id: string;
  webhookId: string;
  /** Events in it, known and malformed ones included. */
  events: number;
  /** Of them, malformed ones. */
  malformed: number;
  firstEventId: string | null;
  lastEventId: string | null;
  attempts: number;
}

/** An event that is to be worked off. */
export interface WorkEvent {
  id: string;
  /** Klaviyo's. */
  externalId: string;
  webhookId: string;
  deliveryId: string;
  topic: string;
  metricId: string | null;
  profileId: string | null;
  properties: Record<string, unknown>;
  occurredAt: Date;
  /** Failures of its own so far. */
  attempts: number;
  /** Whether it was worked off before, and is once more because somebody asked for it. */
  again: boolean;
}

/** What became of an event that failed. */
export interface FailedEvent {
  id: string;
  status: 'failed' | 'dead';
  /** A code. */
  error: string;
  /** Until it is tried again; null for never. */
  pauseSeconds: number | null;
}

const EVENT = `id, external_id AS "externalId", webhook_id AS "webhookId", delivery_id AS "deliveryId", topic,
  metric_id AS "metricId", profile_id AS "profileId", properties, occurred_at AS "occurredAt", attempts,
  coalesce(trail @> '[{"what": "processed"}]', false) AS again`;
/** Entries of a trail beyond which the oldest go. */
const MAX_TRAIL = 50;

/** Rows of what is worked off, each statement bound to its user. */
@Injectable()
export class ProcessRepository {
  constructor(private readonly db: Db) {}

  /** Takes the connection's lane, unless somebody else has it, or the connection is gone. */
  async takeLane(userId: number, connectionId: string, lease: string, seconds: number): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO webhook_lane AS l (user_id, connection_id, lease, leased_until)
         SELECT user_id, id, $3, now() + make_interval(secs => $4) FROM connection WHERE user_id = $1 AND id = $2
         ON CONFLICT (user_id, connection_id) DO UPDATE SET lease = EXCLUDED.lease, leased_until = EXCLUDED.leased_until
         WHERE l.user_id = $1 AND l.leased_until <= now()
         RETURNING 1`,
        [userId, connectionId, lease, seconds],
      ),
    );
    return rows.length > 0;
  }

  /** Whether the lane is still ours: held to the end of the transaction, and for so long after it. */
  async holdLane(userId: number, connectionId: string, lease: string, seconds: number): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook_lane SET leased_until = now() + make_interval(secs => $4)
         WHERE user_id = $1 AND connection_id = $2 AND lease = $3 RETURNING 1`,
        [userId, connectionId, lease, seconds],
      ),
    );
    return rows.length > 0;
  }

  async releaseLane(userId: number, connectionId: string, lease: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        'UPDATE webhook_lane SET leased_until = now() WHERE user_id = $1 AND connection_id = $2 AND lease = $3',
        [userId, connectionId, lease],
      ),
    );
  }

  /** The oldest first. */
  async pending(userId: number, connectionId: string, limit: number): Promise<PendingDelivery[]> {
    return this.db.forUser(userId, (manager) =>
      query<PendingDelivery>(
        manager,
        `SELECT id, webhook_id AS "webhookId", events, malformed, first_event_id AS "firstEventId",
           last_event_id AS "lastEventId", attempts
         FROM webhook_delivery
         WHERE user_id = $1 AND connection_id = $2 AND processed_at IS NULL AND next_at <= now()
         ORDER BY id LIMIT $3`,
        [userId, connectionId, limit],
      ),
    );
  }

  /** Events of these deliveries that nothing has become of yet, in the order of their arrival. */
  async eventsOf(userId: number, connectionId: string, deliveries: readonly PendingDelivery[]): Promise<WorkEvent[]> {
    const firsts = deliveries.flatMap(({ firstEventId }) => firstEventId ?? []).sort();
    const lasts = deliveries.flatMap(({ lastEventId }) => lastEventId ?? []).sort();
    const [first] = firsts;
    const last = lasts.at(-1);
    if (first === undefined || last === undefined) return [];
    return this.db.forUser(userId, (manager) =>
      query<WorkEvent>(
        manager,
        // Their ids lie between these two, hardly any others do: no index by delivery is needed.
        `SELECT ${EVENT} FROM received_event
         WHERE user_id = $1 AND connection_id = $2 AND id BETWEEN $3 AND $4 AND delivery_id = ANY($5) AND status IS NULL
         ORDER BY id`,
        [userId, connectionId, first, last, deliveries.map(({ id }) => id)],
      ),
    );
  }

  /** Events that are to be tried (again) by themselves. */
  async dueEvents(userId: number, connectionId: string, limit: number): Promise<WorkEvent[]> {
    return this.db.forUser(userId, (manager) =>
      query<WorkEvent>(
        manager,
        `SELECT ${EVENT} FROM received_event
         WHERE user_id = $1 AND connection_id = $2 AND next_at <= now() ORDER BY next_at, id LIMIT $3`,
        [userId, connectionId, limit],
      ),
    );
  }

  /**
   * Deliveries are worked off: so is each of their events that does not say otherwise. Counts them. That Klaviyo
   * sends is shown only by what it sent that was not here yet: not by what we read, nor by what came again.
   */
  async settle(
    userId: number,
    connectionId: string,
    deliveries: readonly PendingDelivery[],
    processed: ReadonlyMap<string, number>,
  ): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `WITH done AS (
           UPDATE webhook_delivery SET processed_at = now(), last_error = NULL
           WHERE user_id = $1 AND connection_id = $2 AND id = ANY($3) AND processed_at IS NULL
           RETURNING id, webhook_id, source, events, received_at
         ), counted AS (
           SELECT d.webhook_id, sum(d.events) AS received, sum(p.processed) AS processed, sum(p.known) AS known,
             max(d.received_at) AS last,
             max(d.received_at) FILTER (WHERE d.source = 'push' AND p.processed > 0) AS pushed
           FROM done d JOIN unnest($3::uuid[], $4::int[], $5::int[]) AS p (id, processed, known) USING (id)
           GROUP BY d.webhook_id
         )
         INSERT INTO webhook_figure AS f (user_id, connection_id, webhook_id, received, processed, duplicates,
           last_received_at, last_pushed_at)
         SELECT $1, $2, c.webhook_id, c.received, c.processed, c.known, c.last, c.pushed FROM counted c
         JOIN connection o ON o.user_id = $1 AND o.id = $2 ORDER BY c.webhook_id
         ON CONFLICT (user_id, connection_id, webhook_id) DO UPDATE SET
           received = f.received + EXCLUDED.received, processed = f.processed + EXCLUDED.processed,
           duplicates = f.duplicates + EXCLUDED.duplicates,
           last_received_at = greatest(f.last_received_at, EXCLUDED.last_received_at),
           last_pushed_at = greatest(f.last_pushed_at, EXCLUDED.last_pushed_at)`,
        [
          userId,
          connectionId,
          deliveries.map(({ id }) => id),
          deliveries.map(({ id }) => processed.get(id) ?? 0),
          deliveries.map(({ id, events, malformed }) => Math.max(0, events - malformed - (processed.get(id) ?? 0))),
        ],
      ),
    );
  }

  /** Deliveries that cannot be worked off now wait. */
  async postpone(
    userId: number,
    connectionId: string,
    ids: readonly string[],
    error: string,
    seconds: number,
  ): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook_delivery SET attempts = attempts + 1, last_error = $4,
           next_at = now() + make_interval(secs => $5)
         WHERE user_id = $1 AND connection_id = $2 AND id = ANY($3) AND processed_at IS NULL`,
        [userId, connectionId, ids, error, seconds],
      ),
    );
  }

  /** Events of which each says itself that it was worked off. */
  async noteProcessed(userId: number, connectionId: string, ids: readonly string[]): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE received_event SET status = 'processed', last_error = NULL, next_at = NULL,
           trail = ${appended("jsonb_build_object('at', now(), 'what', 'processed')")}
         WHERE user_id = $1 AND connection_id = $2 AND id = ANY($3)`,
        [userId, connectionId, ids],
      ),
    );
  }

  async noteFailed(userId: number, connectionId: string, failed: FailedEvent): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE received_event SET status = $4, attempts = attempts + 1, last_error = $5,
           next_at = now() + make_interval(secs => $6),
           trail = ${appended("jsonb_build_object('at', now(), 'what', $4::text, 'error', $5::text)")}
         WHERE user_id = $1 AND connection_id = $2 AND id = $3`,
        [userId, connectionId, failed.id, failed.status, failed.error, failed.pauseSeconds],
      ),
    );
  }

  /** Whether any event of the connection was given up. */
  async hasDead(userId: number, connectionId: string): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `SELECT 1 FROM received_event WHERE user_id = $1 AND connection_id = $2 AND status = 'dead' LIMIT 1`,
        [userId, connectionId],
      ),
    );
    return rows.length > 0;
  }
}

/** The trail with one entry more; never longer than it may be. */
function appended(entry: string): string {
  return `(CASE WHEN jsonb_array_length(trail) >= ${MAX_TRAIL} THEN trail - 0 ELSE coalesce(trail, '[]') END) || ${entry}`;
}
