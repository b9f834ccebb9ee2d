import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { TimelineEvent } from './timeline';

/** Where a page of a timeline ended. */
export interface TimelinePlace {
  /** RFC 3339. */
  at: string;
  id: string;
}

export interface TimelineFilter {
  profileId: string;
  /** A name, whatever its case. */
  metric: string | null;
  metricId: string | null;
  /** Inclusive. */
  from: Date | null;
  /** Exclusive. */
  to: Date | null;
}

interface Row extends Omit<TimelineEvent, 'metric' | 'occurredAt'> {
  metricId: string | null;
  metricName: string | null;
  occurredAt: Date;
}

const COUNT_LIMIT = 10_000;
const MATCHING = `
  FROM mirrored_event e LEFT JOIN mirrored_metric m
    ON m.user_id = e.user_id AND m.connection_id = e.connection_id AND m.klaviyo_id = e.metric_id
  WHERE e.user_id = $1 AND e.connection_id = $2 AND e.profile_id = $3 AND e.deleted_at IS NULL
    AND ($4::text IS NULL OR lower(m.name) = lower($4)) AND ($5::text IS NULL OR e.metric_id = $5)
    AND ($6::timestamptz IS NULL OR e.occurred_at >= $6) AND ($7::timestamptz IS NULL OR e.occurred_at < $7)`;

/** Reads `mirrored_event` by person, each statement bound to its user. */
@Injectable()
export class TimelineRepository {
  constructor(private readonly db: Db) {}

  /** Newest first, then by id from the end. */
  async page(
    userId: number,
    connectionId: string,
    filter: TimelineFilter,
    after: TimelinePlace | null,
    limit: number,
  ): Promise<TimelineEvent[]> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<Row>(
        manager,
        `SELECT e.klaviyo_id AS id, e.metric_id AS "metricId", m.name AS "metricName", e.profile_id AS "profileId",
           e.occurred_at AS "occurredAt", e.value,
           coalesce(e.document #> '{attributes,event_properties}', '{}') AS properties ${MATCHING}
           AND ($8::timestamptz IS NULL OR (e.occurred_at, e.klaviyo_id) < ($8, $9))
         ORDER BY e.occurred_at DESC, e.klaviyo_id DESC LIMIT $10`,
        [...paramsOf(userId, connectionId, filter), after?.at ?? null, after?.id ?? null, limit],
      ),
    );
    return rows.map(({ metricId, metricName, occurredAt, ...rest }) => ({
      ...rest,
      metric: { id: metricId, name: metricName },
      occurredAt: occurredAt.toISOString(),
    }));
  }

  /** @returns all of them; undefined above 10,000 */
  async count(userId: number, connectionId: string, filter: TimelineFilter): Promise<number | undefined> {
    const [counted] = await this.db.forUser(userId, (manager) =>
      query<{ total: number }>(
        manager,
        `SELECT count(*)::int AS total FROM (SELECT 1 ${MATCHING} LIMIT $8) AS counted`,
        [...paramsOf(userId, connectionId, filter), COUNT_LIMIT + 1],
      ),
    );
    const total = counted?.total ?? 0;
    return total > COUNT_LIMIT ? undefined : total;
  }

  /** Whether the mirror of profiles is complete and has no such person. */
  async isNobody(userId: number, connectionId: string, profileId: string): Promise<boolean> {
    const [found] = await this.db.forUser(userId, (manager) =>
      query<{ nobody: boolean }>(
        manager,
        `SELECT EXISTS (SELECT 1 FROM mirror_state
             WHERE user_id = $1 AND connection_id = $2 AND resource = 'profiles')
           AND NOT EXISTS (SELECT 1 FROM mirrored_profile
             WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = $3 AND deleted_at IS NULL) AS nobody`,
        [userId, connectionId, profileId],
      ),
    );
    return found?.nobody ?? false;
  }
}

function paramsOf(userId: number, connectionId: string, filter: TimelineFilter): unknown[] {
  return [userId, connectionId, filter.profileId, filter.metric, filter.metricId, filter.from, filter.to];
}
