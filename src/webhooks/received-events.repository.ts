import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { invalid } from '../common/errors';
import { DatabaseError } from '../database/errors';
import { Db, query } from '../database/scope';
import type { DeliverySource } from './delivery.entity';
import type { ReceivedStatus, TrailEntry } from './received-event.entity';

export interface ReceivedFilter {
  webhookId?: string | undefined;
  topic?: string | undefined;
  statuses?: readonly ReceivedStatus[] | undefined;
  profileId?: string | undefined;
  /** Only those that could not be passed on. */
  forward?: 'dead' | undefined;
  /** By the time of arrival: inclusive, exclusive. */
  from?: Date | undefined;
  to?: Date | undefined;
}

/** A received event as it stands. */
export interface ReceivedRow {
  id: string;
  /** As it is kept: see `shownExternalId`. */
  externalId: string;
  webhookId: string;
  topic: string;
  metricId: string | null;
  profileId: string | null;
  properties: Record<string, unknown>;
  occurredAt: Date;
  receivedAt: Date;
  late: boolean;
  status: ReceivedStatus;
  attempts: number;
  lastError: string | null;
}

/** One, with what happened to it. */
export interface ReceivedDetail extends ReceivedRow {
  source: DeliverySource | null;
  processedAt: Date | null;
  trail: TrailEntry[] | null;
  nextAt: Date | null;
}

const COUNT_LIMIT = 10_000;
/** Where few of very many events fit, finding them may take so long, counting them so long, and no longer. */
const SEARCH_MS = 8000;
const COUNT_MS = 1000;
/** SQLSTATE of a statement that was ended for its time. */
const ENDED = '57014';
/** An event without a state of its own has that of its delivery, which is forgotten only after it. */
const STATUS = `coalesce(e.status, CASE WHEN d.id IS NULL OR d.processed_at IS NOT NULL THEN 'processed' ELSE 'received' END)`;
const COLUMNS = `e.id, e.external_id AS "externalId", e.webhook_id AS "webhookId", e.topic, e.metric_id AS "metricId",
  e.profile_id AS "profileId", e.properties, e.occurred_at AS "occurredAt", e.received_at AS "receivedAt", e.late,
  ${STATUS} AS status,
  e.attempts + CASE WHEN e.status = 'quarantined' THEN 0
    ELSE coalesce(d.attempts, 0) + CASE WHEN e.status IS NULL AND d.processed_at IS NOT NULL THEN 1 ELSE 0 END END AS attempts,
  coalesce(e.last_error, CASE WHEN e.status IS NULL THEN d.last_error END) AS "lastError"`;
const FROM = `FROM received_event e LEFT JOIN webhook_delivery d
  ON d.user_id = e.user_id AND d.connection_id = e.connection_id AND d.id = e.delivery_id`;
/** Events that take the ordinary way are found by this alone; the others by an index of their own. */
const WHERE = `WHERE e.user_id = $1 AND e.connection_id = $2
  AND ($3::uuid IS NULL OR e.webhook_id = $3) AND ($4::text IS NULL OR e.topic = $4)
  AND ($5::text IS NULL OR e.profile_id = $5)
  AND ($6::timestamptz IS NULL OR e.received_at >= $6) AND ($7::timestamptz IS NULL OR e.received_at < $7)
  AND ($8::uuid IS NULL OR e.id >= $8) AND ($9::uuid IS NULL OR e.id < $9)`;

/** Rows of `received_event` as they are shown, each statement bound to its user. */
@Injectable()
export class ReceivedEventsRepository {
  constructor(private readonly db: Db) {}

  /**
   * Newest first.
   * @param before an id: only what arrived before it
   * @throws AppError VALIDATION_FAILED `from`: too much to look through
   */
  async page(
    userId: number,
    connectionId: string,
    filter: ReceivedFilter,
    before: string | undefined,
    limit: number,
  ): Promise<ReceivedRow[]> {
    return this.search(userId, SEARCH_MS, (manager) =>
      query<ReceivedRow>(
        manager,
        `SELECT ${COLUMNS} ${FROM} ${WHERE} ${statusIs(filter)} AND ($11::uuid IS NULL OR e.id < $11)
         ORDER BY e.id DESC LIMIT $12`,
        [...paramsOf(userId, connectionId, filter), before ?? null, limit],
      ),
    );
  }

  /** @returns all of them; undefined above 10,000, and where counting them takes too long */
  async count(userId: number, connectionId: string, filter: ReceivedFilter): Promise<number | undefined> {
    try {
      const [counted] = await this.within(userId, COUNT_MS, (manager) =>
        query<{ total: number }>(
          manager,
          `SELECT count(*)::int AS total FROM (SELECT 1 ${FROM} ${WHERE} ${statusIs(filter)} LIMIT $11) AS counted`,
          [...paramsOf(userId, connectionId, filter), COUNT_LIMIT + 1],
        ),
      );
      const total = counted?.total ?? 0;
      return total > COUNT_LIMIT ? undefined : total;
    } catch (error) {
      if (isEnded(error)) return undefined;
      throw error;
    }
  }

  async one(userId: number, connectionId: string, id: string): Promise<ReceivedDetail | undefined> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<ReceivedDetail>(
        manager,
        `SELECT ${COLUMNS}, d.source, d.processed_at AS "processedAt", e.trail, e.next_at AS "nextAt" ${FROM}
         WHERE e.user_id = $1 AND e.connection_id = $2 AND e.id = $3`,
        [userId, connectionId, id],
      ),
    );
    return rows[0];
  }

  /**
   * Makes events due again, whatever became of them: not those that are malformed, nor those that are yet to be worked
   * off for the first time. Oldest first.
   * @returns how many
   * @throws AppError VALIDATION_FAILED `from`: too much to look through
   */
  async replay(
    userId: number,
    connectionId: string,
    filter: ReceivedFilter & { id?: string },
    limit: number,
  ): Promise<number> {
    const [counted] = await this.search(userId, SEARCH_MS, (manager) =>
      query<{ replayed: number }>(
        manager,
        `WITH wanted AS (
           SELECT e.id, ${STATUS} AS status ${FROM} ${WHERE} ${statusIs(filter)}
             AND ($11::uuid IS NULL OR e.id = $11) AND ${STATUS} IN ('processed', 'failed', 'dead')
           ORDER BY e.id LIMIT $12
         ), moved AS (
           UPDATE received_event e SET status = 'received', attempts = 0, last_error = NULL, next_at = now(),
             trail = CASE WHEN e.trail IS NULL AND w.status = 'processed' THEN '[{"what": "processed"}]'::jsonb
               ELSE coalesce(e.trail, '[]') END || jsonb_build_object('at', now(), 'what', 'replayed')
           FROM wanted w WHERE e.user_id = $1 AND e.connection_id = $2 AND e.id = w.id
           RETURNING 1
         )
         SELECT count(*)::int AS replayed FROM moved`,
        [...paramsOf(userId, connectionId, filter), filter.id ?? null, limit],
      ),
    );
    return counted?.replayed ?? 0;
  }

  private async search<T>(userId: number, ms: number, work: (manager: EntityManager) => Promise<T>): Promise<T> {
    try {
      return await this.within(userId, ms, work);
    } catch (error) {
      throw isEnded(error) ? invalid('from', 'tooWide') : error;
    }
  }

  private async within<T>(userId: number, ms: number, work: (manager: EntityManager) => Promise<T>): Promise<T> {
    return this.db.inTransaction(userId, async (manager) => {
      await query(manager, `SELECT set_config('statement_timeout', $1, true)`, [String(ms)]);
      return work(manager);
    });
  }
}

function isEnded(error: unknown): boolean {
  return error instanceof DatabaseError && error.sqlState === ENDED;
}

/**
 * Those that say themselves what they are have an index, and those that wait for their delivery begin with the oldest
 * delivery that waits; the rest are most of all events.
 */
function statusIs({ statuses, forward }: ReceivedFilter): string {
  const isProcessed = statuses === undefined || statuses.includes('processed');
  const own = !isProcessed && !statuses.includes('received');
  let status = own ? 'AND e.status = ANY($10::text[])' : `AND ($10::text[] IS NULL OR ${STATUS} = ANY($10))`;
  if (!own && !isProcessed)
    status += ` AND e.id >= least(
      (SELECT first_event_id FROM webhook_delivery WHERE user_id = $1 AND connection_id = $2 AND processed_at IS NULL
       AND first_event_id IS NOT NULL ORDER BY first_event_id LIMIT 1),
      (SELECT id FROM received_event WHERE user_id = $1 AND connection_id = $2 AND status = ANY($10)
       ORDER BY id LIMIT 1))`;
  if (forward !== 'dead') return status;
  return `${status} AND e.id = ANY(ARRAY(
    SELECT event_id FROM event_forward WHERE user_id = $1 AND connection_id = $2 AND status = 'dead'))`;
}

function paramsOf(userId: number, connectionId: string, filter: ReceivedFilter): unknown[] {
  const { webhookId, topic, profileId, from, to, statuses } = filter;
  return [
    userId,
    connectionId,
    webhookId ?? null,
    topic ?? null,
    profileId ?? null,
    from ?? null,
    to ?? null,
    from ? idAt(from.getTime() - CLOCKS_APART_MS) : null,
    to ? idAt(to.getTime() + CLOCKS_APART_MS) : null,
    statuses ?? null,
  ];
}

/** Ids are made by our clock, times of arrival by the database's, a little later. */
const CLOCKS_APART_MS = 600_000;

/** The least UUID v7 of a moment: ids sort by time, so that a range of time is a range of the key. */
function idAt(ms: number): string {
  const hex = Math.min(Math.max(0, Math.floor(ms)), 2 ** 48 - 1)
    .toString(16)
    .padStart(12, '0');
  return `${hex.slice(0, 8)}-${hex.slice(8)}-0000-0000-000000000000`;
}
