import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { ForwardStatus } from './event-forward.entity';

/** A received event that is to be passed on. */
export interface Forwardable {
  /** Ours. */
  id: string;
  profileId: string | null;
  occurredAt: Date;
}

/** What became of passing one event on. */
export interface ForwardView {
  status: ForwardStatus;
  attempts: number;
  lastError: string | null;
  /** The receiver sees it in the header `webhook-sequence`. */
  sequence: number;
  plannedAt: Date;
  /** While it waits: not before; null once it is settled. */
  nextAttemptAt: Date | null;
  settledAt: Date | null;
}

/** Rows of `event_forward`, each statement bound to its user. */
@Injectable()
export class ForwardsRepository {
  constructor(private readonly db: Db) {}

  /** In the order of their occurrence; one that is planned already is left as it is. @returns how many are new */
  async plan(userId: number, connectionId: string, events: readonly Forwardable[]): Promise<number> {
    if (events.length === 0) return 0;
    const sorted = [...new Map(events.map((event) => [event.id, event])).values()].sort(
      (a, b) => a.occurredAt.getTime() - b.occurredAt.getTime() || (a.id < b.id ? -1 : 1),
    );
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `INSERT INTO event_forward (user_id, connection_id, event_id, profile_id, sequence, status)
         SELECT $1, $2, e.id, e.profile_id, nextval('event_forward_sequence'), 'waiting'
         FROM unnest($3::uuid[], $4::text[]) WITH ORDINALITY AS e(id, profile_id, place)
         ORDER BY e.place
         ON CONFLICT (user_id, connection_id, event_id) DO NOTHING RETURNING event_id`,
        [userId, connectionId, sorted.map(({ id }) => id), sorted.map(({ profileId }) => profileId)],
      ),
    );
    return rows.length;
  }

  /** Makes events due anew, whatever became of them; those that wait already keep their place. @returns how many */
  async replay(userId: number, connectionId: string, events: readonly Forwardable[]): Promise<number> {
    const planned = await this.plan(userId, connectionId, events);
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE event_forward f SET status = 'waiting', sequence = s.sequence, attempts = 0, last_error = NULL,
           planned_at = now(), first_failed_at = NULL, next_at = now(), lease = NULL, settled_at = NULL
         FROM (SELECT event_id, nextval('event_forward_sequence') AS sequence FROM (
           SELECT event_id FROM event_forward
           WHERE user_id = $1 AND connection_id = $2 AND event_id = ANY($3) AND status <> 'waiting'
           ORDER BY sequence FOR UPDATE) settled) s
         WHERE f.user_id = $1 AND f.connection_id = $2 AND f.event_id = s.event_id RETURNING f.event_id`,
        [userId, connectionId, events.map(({ id }) => id)],
      ),
    );
    return planned + rows.length;
  }

  /** Whether any event of the connection is given up. */
  async hasDead(userId: number, connectionId: string): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `SELECT 1 FROM event_forward WHERE user_id = $1 AND connection_id = $2 AND status = 'dead' LIMIT 1`,
        [userId, connectionId],
      ),
    );
    return rows.length > 0;
  }

  async of(userId: number, connectionId: string, eventId: string): Promise<ForwardView | undefined> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<ForwardView>(
        manager,
        `SELECT status, attempts, last_error AS "lastError", sequence::float8 AS sequence, planned_at AS "plannedAt",
           CASE WHEN status = 'waiting' THEN next_at END AS "nextAttemptAt", settled_at AS "settledAt"
         FROM event_forward WHERE user_id = $1 AND connection_id = $2 AND event_id = $3`,
        [userId, connectionId, eventId],
      ),
    );
    return rows[0];
  }
}
