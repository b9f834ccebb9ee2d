import { Injectable } from '@nestjs/common';
import { In, LessThan } from 'typeorm';
import { Db, query } from '../database/scope';
import { LIFETIME_SECONDS } from './delivery';
import { SentEvent, type EventStatus } from './sent-event.entity';

export interface NewEvent {
  connectionId: string;
  id: string;
  eventType: string;
  uniqueId: string;
  profileKey: string;
  sealedProfile: string;
  sealedPayload: string;
  time: Date;
  value: number | null;
  currency: string | null;
  /** Of the call that will send it first. */
  lease: string;
  /** How long nobody else may send it. */
  leaseSeconds: number;
}

export interface EventFilter {
  statuses?: readonly EventStatus[];
  /** Only events accepted before this one. */
  before?: string;
  limit: number;
}

/** What the unique constraint goes by. */
export type EventIdentity = Pick<NewEvent, 'connectionId' | 'eventType' | 'profileKey' | 'uniqueId'>;

const COUNT_LIMIT = 10_000;

/** Rows of `sent_event`, each statement bound to its user. */
@Injectable()
export class EventsRepository {
  constructor(private readonly db: Db) {}

  /**
   * Keeps an event, in the place of one that failed for good. @returns when it was accepted; undefined when the same
   * event is there already.
   * @throws DatabaseError 23503 when the connection is gone
   */
  async accept(userId: number, event: NewEvent): Promise<Date | undefined> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ created_at: Date }>(
        manager,
        `INSERT INTO sent_event AS e (user_id, connection_id, id, event_type, unique_id, profile_key, status,
           sealed_profile, sealed_payload, "time", value, currency, lease, next_attempt_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, 'queued', $7, $8, $9, $10, $11, $12,
           now() + make_interval(secs => $13), now() + make_interval(secs => $14))
         ON CONFLICT ON CONSTRAINT sent_event_once DO UPDATE SET
           id = excluded.id, status = 'queued', sealed_profile = excluded.sealed_profile,
           sealed_payload = excluded.sealed_payload, "time" = excluded."time", value = excluded.value,
           currency = excluded.currency, attempts = 0, last_error = NULL, lease = excluded.lease,
           next_attempt_at = excluded.next_attempt_at, created_at = now(), sent_at = NULL,
           expires_at = excluded.expires_at
         WHERE e.user_id = $1 AND e.status IN ('failed', 'dead', 'cancelled')
         RETURNING created_at`,
        [
          userId,
          event.connectionId,
          event.id,
          event.eventType,
          event.uniqueId,
          event.profileKey,
          event.sealedProfile,
          event.sealedPayload,
          event.time,
          event.value,
          event.currency,
          event.lease,
          event.leaseSeconds,
          LIFETIME_SECONDS,
        ],
      ),
    );
    return rows[0]?.created_at;
  }

  async same(userId: number, identity: EventIdentity): Promise<SentEvent | null> {
    const { connectionId, eventType, profileKey, uniqueId } = identity;
    return this.db.forUser(userId, (manager) =>
      manager.findOne(SentEvent, {
        where: { userId: String(userId), connectionId, eventType, profileKey, uniqueId },
      }),
    );
  }

  async one(userId: number, connectionId: string, id: string): Promise<SentEvent | null> {
    return this.db.forUser(userId, (manager) =>
      manager.findOne(SentEvent, { where: { userId: String(userId), connectionId, id } }),
    );
  }

  /** Newest first. */
  async page(userId: number, connectionId: string, filter: EventFilter): Promise<SentEvent[]> {
    const { statuses, before, limit } = filter;
    return this.db.forUser(userId, (manager) =>
      manager.find(SentEvent, {
        where: {
          userId: String(userId),
          connectionId,
          ...(statuses === undefined ? {} : { status: In([...statuses]) }),
          ...(before === undefined ? {} : { id: LessThan(before) }),
        },
        order: { id: 'DESC' },
        take: limit,
      }),
    );
  }

  /** @returns all of them; undefined above 10,000 */
  async count(
    userId: number,
    connectionId: string,
    statuses: readonly EventStatus[] | undefined,
  ): Promise<number | undefined> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ total: number }>(
        manager,
        `SELECT count(*)::int AS total FROM (
           SELECT 1 FROM sent_event
           WHERE user_id = $1 AND connection_id = $2 AND ($3::text[] IS NULL OR status = ANY($3))
           LIMIT $4) AS counted`,
        [userId, connectionId, statuses ?? null, COUNT_LIMIT + 1],
      ),
    );
    const total = rows[0]?.total ?? 0;
    return total > COUNT_LIMIT ? undefined : total;
  }

  /** Takes back an event that was never accepted after all. */
  async withdraw(userId: number, connectionId: string, id: string, lease: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `DELETE FROM sent_event
         WHERE user_id = $1 AND connection_id = $2 AND id = $3 AND lease = $4 AND status = 'queued'`,
        [userId, connectionId, id, lease],
      ),
    );
  }

  /** Drops what waits for these connections. @returns how many */
  async discardWaiting(userId: number, connectionIds: readonly string[]): Promise<number> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `DELETE FROM sent_event
         WHERE user_id = $1 AND connection_id = ANY($2) AND status = 'queued' RETURNING id`,
        [userId, connectionIds],
      ),
    );
    return rows.length;
  }

  /** Makes what waits for a connection due now; the time without a good key does not count against its life. */
  async wake(userId: number, connectionId: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE sent_event
         SET next_attempt_at = least(next_attempt_at, now()),
           expires_at = greatest(expires_at, now() + make_interval(secs => $3))
         WHERE user_id = $1 AND connection_id = $2 AND status = 'queued' AND lease IS NULL`,
        [userId, connectionId, LIFETIME_SECONDS],
      ),
    );
  }
}
