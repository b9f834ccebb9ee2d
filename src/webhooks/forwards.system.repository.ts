import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Db, query } from '../database/scope';
import { tenantsOf } from './forward-retention.system.repository';
import { HELD_BACK } from './forward-targets.system.repository';

/** An event that this process has the lease of passing on. */
export interface DueForward {
  userId: number;
  connectionId: string;
  eventId: string;
  sequence: number;
  attempts: number;
  /** What is told of it; null where the event, or its connection, is gone. */
  event: ForwardedEvent | null;
}

export interface ForwardedEvent {
  externalId: string;
  topic: string;
  metric: { id: string; name: string | null } | null;
  profileId: string | null;
  email: string | null;
  properties: Record<string, unknown>;
  occurredAt: string;
}

/** What became of an attempt. */
export interface ForwardSettlement {
  userId: number;
  connectionId: string;
  eventId: string;
  /** Of the attempt: a replay since then has another. */
  sequence: number;
  lease: string;
  /** `given back`: there was none; `gone`: there is nothing to pass on any more. */
  outcome: 'delivered' | 'failed' | 'given back' | 'gone';
  error: string | null;
  /** Seconds until the next attempt. */
  pause: number;
}

export interface SettledForward {
  userId: number;
  connectionId: string;
  status: 'waiting' | 'delivered' | 'dead';
}

/** A failing event is tried for so long from its first failure on. */
const LIFE = '24 hours';
/** And holds the next ones of its profile back for so long at most. */
const HOLD = '5 minutes';
/** While the address is held back there must be events to try it with. */
const LONGEST_HELD_PAUSE_SECONDS = 300;
/** Rows of one statement that makes events due again. */
const CHUNK = 5000;

const KEYS = 'f.user_id = s.user_id AND f.connection_id = s.connection_id AND f.event_id = s.event_id';

/** While the address of that parameter is held back: since when it fails. The time of events stands still from then on. */
const heldSince = (id: string): string =>
  `(SELECT coalesce(failing_since, now()) FROM forward_target WHERE id = ${id} AND ${HELD_BACK})`;

/** Statements about passing on the events of all users: what is due, and what became of it. */
@Injectable()
export class ForwardsSystemRepository {
  constructor(private readonly db: Db) {}

  /**
   * Takes the lease of due events. Of each profile the next one only, unless what comes before it has been failing for
   * minutes while the address was well. Walks from connection to connection, so that each gets its share whatever another
   * has waiting, in a random order where there are more of them than `limit`. What is told of an event is found by the
   * order of its key: by equality alone, PostgreSQL without statistics may read all events of the connection for each.
   */
  async claim(targetId: string, lease: string, seconds: number, limit: number): Promise<DueForward[]> {
    return this.db.system((manager) =>
      query<DueForward>(
        manager,
        `WITH RECURSIVE clock AS MATERIALIZED (SELECT ${heldSince('$4')} AS held), ${tenantsOf("status = 'waiting'")},
         busy AS MATERIALIZED (
           SELECT t.user_id, t.connection_id FROM tenant t CROSS JOIN LATERAL (
             SELECT 1 FROM event_forward e WHERE e.status = 'waiting'
               AND e.user_id = t.user_id AND e.connection_id = t.connection_id AND e.next_at <= now()
             ORDER BY e.next_at, e.sequence LIMIT 1) due
         ), share AS (
           SELECT greatest(1, ceil($3::float8 / greatest(1, count(*))))::int AS each FROM busy
         ), picked AS (
           SELECT d.place FROM (SELECT * FROM busy ORDER BY random()) b CROSS JOIN share CROSS JOIN LATERAL (
             SELECT f.ctid AS place FROM event_forward f
             WHERE f.status = 'waiting' AND f.user_id = b.user_id AND f.connection_id = b.connection_id
               AND f.next_at <= now() AND (f.profile_id IS NULL OR NOT EXISTS (
                 SELECT 1 FROM event_forward e WHERE e.status = 'waiting' AND e.user_id = f.user_id
                   AND e.connection_id = f.connection_id AND e.profile_id = f.profile_id AND e.sequence < f.sequence
                   AND (e.first_failed_at IS NULL OR (e.lease IS NOT NULL AND e.next_at > now())
                     OR e.first_failed_at > coalesce((SELECT held FROM clock), now()) - interval '${HOLD}')))
             ORDER BY f.next_at, f.sequence LIMIT share.each) d
           LIMIT $3
         ), locked AS (
           SELECT f.ctid AS place FROM event_forward f
           WHERE f.ctid = ANY(ARRAY(SELECT place FROM picked)) AND f.status = 'waiting' AND f.next_at <= now()
           FOR UPDATE SKIP LOCKED
         ), taken AS (
           UPDATE event_forward f SET lease = $1, next_at = now() + make_interval(secs => $2)
           WHERE f.ctid = ANY(ARRAY(SELECT place FROM locked))
           RETURNING f.user_id, f.connection_id, f.event_id, f.sequence, f.attempts
         )
         SELECT t.user_id::float8 AS "userId", t.connection_id AS "connectionId", t.event_id AS "eventId",
           t.sequence::float8 AS sequence, t.attempts,
           CASE WHEN r.id IS NOT NULL AND c.id IS NOT NULL THEN jsonb_build_object(
             'externalId', r.external_id, 'topic', r.topic, 'profileId', r.profile_id,
             'metric', CASE WHEN r.metric_id IS NOT NULL THEN jsonb_build_object('id', r.metric_id, 'name', m.name) END,
             'email', p.email, 'properties', r.properties, 'occurredAt', r.occurred_at) END AS event
         FROM taken t
         LEFT JOIN connection c ON c.user_id = t.user_id AND c.id = t.connection_id
         LEFT JOIN LATERAL (
           SELECT * FROM received_event e
           WHERE (e.user_id, e.connection_id, e.id) >= (t.user_id, t.connection_id, t.event_id)
           ORDER BY e.user_id, e.connection_id, e.id LIMIT 1) r
           ON r.user_id = t.user_id AND r.connection_id = t.connection_id AND r.id = t.event_id
         LEFT JOIN mirrored_metric m
           ON m.user_id = t.user_id AND m.connection_id = t.connection_id AND m.klaviyo_id = r.metric_id
         LEFT JOIN mirrored_profile p ON p.user_id = t.user_id AND p.connection_id = t.connection_id
           AND p.klaviyo_id = r.profile_id AND p.deleted_at IS NULL
         ORDER BY t.sequence`,
        [lease, seconds, limit, targetId],
      ),
    );
  }

  /**
   * Writes down what became of attempts. Only the holder of the lease may say so, but for "delivered", which is true
   * whoever says it. What follows a failing event of its profile waits with it, and goes when that goes. An attempt that
   * fails while the address is held back counts, but says nothing about the event. What is gone is removed.
   */
  async settle(targetId: string, settlements: readonly ForwardSettlement[]): Promise<SettledForward[]> {
    const sorted = [...settlements].sort((a, b) => (a.eventId < b.eventId ? -1 : 1));
    const column = <K extends keyof ForwardSettlement>(name: K): ForwardSettlement[K][] =>
      sorted.map((one) => one[name]);
    return this.db.inSystemTransaction(async (manager) => {
      await this.removeGone(
        manager,
        sorted.filter(({ outcome }) => outcome === 'gone'),
      );
      const settled = await query<SettledForward & { eventId: string; failed: boolean }>(
        manager,
        `UPDATE event_forward f SET
           status = CASE WHEN s.outcome = 'delivered' THEN 'delivered'
             WHEN s.outcome = 'failed' AND f.first_failed_at < coalesce(clock.held, now()) - interval '${LIFE}' THEN 'dead'
             ELSE 'waiting' END,
           attempts = f.attempts + CASE WHEN s.outcome IN ('delivered', 'failed') THEN 1 ELSE 0 END,
           last_error = s.error,
           first_failed_at = CASE WHEN s.outcome = 'failed' AND clock.held IS NULL
             THEN coalesce(f.first_failed_at, now()) ELSE f.first_failed_at END,
           next_at = now() + make_interval(secs =>
             CASE WHEN clock.held IS NULL THEN s.pause ELSE least(s.pause, ${LONGEST_HELD_PAUSE_SECONDS}) END),
           lease = NULL,
           settled_at = CASE WHEN s.outcome = 'delivered' OR (s.outcome = 'failed'
             AND f.first_failed_at < coalesce(clock.held, now()) - interval '${LIFE}') THEN now() END
         FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::float8[], $8::bigint[])
           AS s(user_id, connection_id, event_id, lease, outcome, error, pause, sequence),
           (SELECT ${heldSince('$9')} AS held) clock
         WHERE ${KEYS} AND f.sequence = s.sequence AND f.status = 'waiting'
           AND (f.lease = s.lease OR s.outcome = 'delivered')
         RETURNING f.user_id::float8 AS "userId", f.connection_id AS "connectionId", f.event_id AS "eventId", f.status,
           f.first_failed_at IS NOT NULL AS failed`,
        [
          column('userId'),
          column('connectionId'),
          column('eventId'),
          column('lease'),
          column('outcome'),
          column('error'),
          column('pause'),
          column('sequence'),
          targetId,
        ],
      );
      const failed = settled.filter((one) => one.failed);
      if (failed.length > 0) await this.moveFollowers(manager, failed);
      return settled;
    });
  }

  /**
   * The address is well again, and about to be held back no more: what waits is due now, and the time since it began to
   * fail does not count for the events that failed then.
   */
  async resume(targetId: string): Promise<void> {
    const tenants = await this.db.system((manager) =>
      query<{ userId: string; connectionId: string; began: Date }>(
        manager,
        `WITH RECURSIVE ${tenantsOf("status = 'waiting'")}
         SELECT user_id AS "userId", connection_id AS "connectionId", now() AS began FROM tenant`,
      ),
    );
    for (const { userId, connectionId, began } of tenants) {
      await this.db.system((manager) =>
        query(
          manager,
          `UPDATE event_forward f
           SET first_failed_at = f.first_failed_at + (now() - greatest(f.first_failed_at, coalesce(clock.held, now())))
           FROM (SELECT ${heldSince('$3')} AS held) clock
           WHERE f.ctid = ANY(ARRAY(SELECT ctid FROM event_forward WHERE user_id = $1 AND connection_id = $2
             AND status = 'waiting' AND first_failed_at IS NOT NULL FOR UPDATE SKIP LOCKED))`,
          [userId, connectionId, targetId],
        ),
      );
      const due = `user_id = $1 AND connection_id = $2 AND status = 'waiting' AND lease IS NULL AND next_at > $3`;
      for (let count = CHUNK; count >= CHUNK;) {
        const rows = await this.db.system((manager) =>
          query(
            manager,
            `UPDATE event_forward SET next_at = $3 WHERE ctid = ANY(ARRAY(
               SELECT ctid FROM event_forward WHERE ${due} LIMIT ${CHUNK} FOR UPDATE SKIP LOCKED)) RETURNING 1`,
            [userId, connectionId, began],
          ),
        );
        count = rows.length;
      }
    }
  }

  async countWaiting(): Promise<number> {
    const rows = await this.db.system((manager) =>
      query<{ waiting: number }>(
        manager,
        `SELECT count(*)::int AS waiting FROM event_forward WHERE status = 'waiting'`,
      ),
    );
    return rows[0]?.waiting ?? 0;
  }

  private async removeGone(manager: EntityManager, gone: readonly ForwardSettlement[]): Promise<void> {
    if (gone.length === 0) return;
    await query(
      manager,
      `DELETE FROM event_forward f
       USING unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::uuid[]) AS s(user_id, connection_id, event_id, lease)
       WHERE ${KEYS} AND f.status = 'waiting' AND f.lease = s.lease`,
      [
        gone.map(({ userId }) => userId),
        gone.map(({ connectionId }) => connectionId),
        gone.map(({ eventId }) => eventId),
        gone.map(({ lease }) => lease),
      ],
    );
  }

  private async moveFollowers(
    manager: EntityManager,
    moved: readonly { userId: number; connectionId: string; eventId: string }[],
  ): Promise<void> {
    await query(
      manager,
      `UPDATE event_forward n SET next_at = CASE WHEN f.status = 'waiting'
           THEN least(f.next_at, f.first_failed_at + interval '${HOLD}') ELSE now() END
       FROM unnest($1::bigint[], $2::uuid[], $3::uuid[]) AS s(user_id, connection_id, event_id)
       JOIN event_forward f ON ${KEYS}
       WHERE n.user_id = f.user_id AND n.connection_id = f.connection_id AND n.profile_id = f.profile_id
         AND n.status = 'waiting' AND n.sequence > f.sequence AND n.lease IS NULL AND n.attempts = 0
         AND (f.status <> 'waiting' OR f.first_failed_at > now() - interval '${HOLD}')`,
      [
        moved.map(({ userId }) => userId),
        moved.map(({ connectionId }) => connectionId),
        moved.map(({ eventId }) => eventId),
      ],
    );
  }
}
