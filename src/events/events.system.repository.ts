import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Db, query } from '../database/scope';
import { tenantsIn } from '../database/tenants';
import type { Settlement } from './delivery';
import type { EventStatus } from './sent-event.entity';

/** An event that this process has the lease of. */
export interface ClaimedEvent {
  userId: number;
  connectionId: string;
  id: string;
  eventType: string;
  uniqueId: string;
  sealedProfile: string;
  sealedPayload: string | null;
  time: Date;
  value: number | null;
  currency: string | null;
  attempts: number;
}

export interface Claim {
  lease: string;
  leaseSeconds: number;
  limit: number;
  /** Events of one connection at once. */
  perConnection: number;
  /** Connections that may have fewer just now. */
  rooms: readonly { connectionId: string; room: number }[];
}

/** The status that a row moved to. */
export interface Moved {
  userId: number;
  connectionId: string;
  id: string;
  status: EventStatus;
  sentAt: Date | null;
}

/**
 * Statements about the events of all users: the delivery of what is due, and retention. Every connection gets its
 * turn: the first due event of each goes before the second of any.
 */
@Injectable()
export class EventsSystemRepository {
  constructor(private readonly db: Db) {}

  /**
   * Takes the lease of due events, oldest due first within a connection. Never one that somebody else holds. Walks from
   * connection to connection by the index, so that its cost grows with those that have anything waiting, not with
   * how much waits; what one leaves of its share is taken the next time.
   */
  async claim(claim: Claim): Promise<ClaimedEvent[]> {
    return this.db.system((manager) =>
      query<ClaimedEvent>(
        manager,
        `WITH RECURSIVE ${tenantsIn('sent_event', "status = 'queued'")}, first AS (
           SELECT t.user_id, t.connection_id, least(coalesce(r.room, $2), $2) AS room
           FROM tenant t
           JOIN connection c ON c.user_id = t.user_id AND c.id = t.connection_id AND c.status = 'active'
           LEFT JOIN unnest($3::uuid[], $4::int[]) AS r(connection_id, room) ON r.connection_id = t.connection_id
           WHERE coalesce(r.room, $2) > 0 AND EXISTS (
             SELECT 1 FROM sent_event e
             WHERE e.status = 'queued' AND e.user_id = t.user_id AND e.connection_id = t.connection_id
               AND e.next_attempt_at <= now())
         ), share AS (
           SELECT greatest(1, ceil($1::float8 / greatest(1, count(*))))::int AS each FROM first
         ), ranked AS (
           SELECT d.user_id, d.connection_id, d.id, d.next_attempt_at,
             row_number() OVER (PARTITION BY d.user_id, d.connection_id ORDER BY d.next_attempt_at) AS place
           FROM first f CROSS JOIN share s
           CROSS JOIN LATERAL (
             SELECT e.user_id, e.connection_id, e.id, e.next_attempt_at FROM sent_event e
             WHERE e.status = 'queued' AND e.user_id = f.user_id AND e.connection_id = f.connection_id
               AND e.next_attempt_at <= now()
             ORDER BY e.next_attempt_at LIMIT least(f.room, s.each)) d
         ), picked AS (
           SELECT e.user_id, e.connection_id, e.id FROM sent_event e
           JOIN (SELECT * FROM ranked ORDER BY place, next_attempt_at LIMIT $1) r
             USING (user_id, connection_id, id)
           WHERE e.status = 'queued' AND e.next_attempt_at <= now()
           FOR UPDATE OF e SKIP LOCKED
         )
         UPDATE sent_event e SET lease = $5, next_attempt_at = now() + make_interval(secs => $6)
         FROM picked p
         WHERE e.user_id = p.user_id AND e.connection_id = p.connection_id AND e.id = p.id
         RETURNING e.user_id::float8 AS "userId", e.connection_id AS "connectionId", e.id,
           e.event_type AS "eventType", e.unique_id AS "uniqueId", e.sealed_profile AS "sealedProfile",
           e.sealed_payload AS "sealedPayload", e."time", e.value, e.currency, e.attempts`,
        [
          claim.limit,
          claim.perConnection,
          claim.rooms.map(({ connectionId }) => connectionId),
          claim.rooms.map(({ room }) => room),
          claim.lease,
          claim.leaseSeconds,
        ],
      ),
    );
  }

  /**
   * Writes down what became of events, all in one statement. Only the holder of the lease may say so, but for "sent",
   * which is true whoever says it. @returns the rows that moved
   */
  async settle(settlements: readonly Settlement[]): Promise<Moved[]> {
    const sorted = [...settlements].sort((a, b) => (a.id < b.id ? -1 : 1));
    // One row locks nothing that could make a circle; several are repeated on a deadlock.
    const work = (manager: EntityManager) =>
      query<Moved>(
        manager,
        `UPDATE sent_event e SET
           status = CASE WHEN s.status = 'queued' AND now() + make_interval(secs => s.pause) > e.expires_at
             AND s.counted > 0 THEN 'dead' ELSE s.status END,
           attempts = e.attempts + s.counted,
           last_error = s.error,
           next_attempt_at = now() + make_interval(secs => s.pause),
           lease = NULL,
           sent_at = CASE WHEN s.status = 'sent' THEN now() END,
           sealed_payload = CASE WHEN s.status = 'sent' THEN NULL ELSE e.sealed_payload END
         FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::float8[], $8::int[])
           AS s(user_id, connection_id, id, lease, status, error, pause, counted)
         WHERE e.user_id = s.user_id AND e.connection_id = s.connection_id AND e.id = s.id
           AND e.status = 'queued' AND (e.lease = s.lease OR s.status = 'sent')
         RETURNING e.user_id::float8 AS "userId", e.connection_id AS "connectionId", e.id, e.status,
           e.sent_at AS "sentAt"`,
        [
          sorted.map((item) => item.userId),
          sorted.map((item) => item.connectionId),
          sorted.map((item) => item.id),
          sorted.map((item) => item.lease),
          sorted.map((item) => item.status),
          sorted.map((item) => item.error),
          sorted.map((item) => item.pause),
          sorted.map((item) => item.attempts),
        ],
      );
    return sorted.length > 1 ? this.db.inSystemTransaction(work) : this.db.system(work);
  }

  /** Makes what waits for a Klaviyo account due now, whoever's connection to it it is. */
  async wakeAccount(accountId: string): Promise<void> {
    await this.db.system((manager) =>
      query(
        manager,
        `UPDATE sent_event e SET next_attempt_at = now()
         FROM connection c
         WHERE c.account_id = $1 AND e.user_id = c.user_id AND e.connection_id = c.id
           AND e.status = 'queued' AND e.lease IS NULL AND e.next_attempt_at > now()`,
        [accountId],
      ),
    );
  }

  async countWaiting(): Promise<number> {
    const rows = await this.db.system((manager) =>
      query<{ waiting: number }>(manager, `SELECT count(*)::int AS waiting FROM sent_event WHERE status = 'queued'`),
    );
    return rows[0]?.waiting ?? 0;
  }

  /** Removes events accepted longer ago than that and settled since, at most `limit`. @returns how many */
  async removeSettled(olderThanDays: number, limit: number): Promise<number> {
    const rows = await this.db.system((manager) =>
      query(
        manager,
        `DELETE FROM sent_event WHERE (user_id, connection_id, id) IN (
           SELECT user_id, connection_id, id FROM sent_event
           WHERE created_at < now() - make_interval(days => $1) AND status <> 'queued' LIMIT $2)
         RETURNING id`,
        [olderThanDays, limit],
      ),
    );
    return rows.length;
  }
}
