import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { Campaign, Place } from './campaign';
import type { MessageCounts } from './campaign-stats';
import type { CampaignStatus } from './campaign-status';

/** Which campaigns; what is undefined does not matter. */
export interface CampaignFilter {
  channel: string | undefined;
  statuses: readonly CampaignStatus[] | undefined;
  archived: boolean | undefined;
  /** Inclusive. */
  from: Date | undefined;
  /** Exclusive. */
  to: Date | undefined;
}

/** A campaign of the mirror, instants as they are answered, with the counts of its last report where they were asked for. */
export interface MirroredRow extends Campaign {
  messages?: Record<string, MessageCounts> | null;
  computedAt?: string | null;
}

/** The first page of a connection, with what says whether the mirror may give it. */
export interface FirstPage {
  userId: string;
  id: string;
  status: 'active' | 'invalid';
  currency: string | null;
  timezone: string | null;
  /** Null before the mirror is complete; there are no rows then. */
  syncedAt: Date | null;
  rows: MirroredRow[] | null;
  /** All that match, counted up to what was wanted and one more; null where that was not. */
  total: number | null;
}

/** Said by PostgreSQL as it is answered: cheaper than a Date made and spelled for each. */
const instant = (column: string) => `to_char(${column} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')`;
const COLUMNS = `c.klaviyo_id AS id, c.name, c.status, c.klaviyo_status AS "klaviyoStatus", c.channel, c.archived,
  c.audiences, ${instant('c.created_at')} AS "createdAt", ${instant('c.updated_at')} AS "updatedAt",
  ${instant('c.scheduled_at')} AS "scheduledAt", ${instant('c.sent_at')} AS "sentAt"`;
const COUNTS = `, f.messages, ${instant('f.computed_at')} AS "computedAt"`;
const WITH_COUNTS = `LEFT JOIN campaign_figure f ON f.user_id = c.user_id AND f.connection_id = c.connection_id
  AND f.klaviyo_id = c.klaviyo_id`;
const matching = (connection: '$2' | 'k.id') => `c.user_id = $1 AND c.connection_id = ${connection}
  AND c.deleted_at IS NULL
  AND ($3::text IS NULL OR c.channel = $3) AND ($4::text[] IS NULL OR c.status = ANY($4))
  AND ($5::boolean IS NULL OR c.archived = $5)
  AND ($6::timestamptz IS NULL OR c.moment >= $6) AND ($7::timestamptz IS NULL OR c.moment < $7)`;
/** The rows of a page are chosen along an index before anything is joined to them. */
const page = (connection: '$2' | 'k.id', counts: boolean, after = '') => `
  SELECT ${COLUMNS}${counts ? COUNTS : ''} FROM (
    SELECT * FROM mirrored_campaign c WHERE ${matching(connection)} ${after}
    ORDER BY c.moment DESC, c.klaviyo_id LIMIT $8) AS c
  ${counts ? WITH_COUNTS : ''} ORDER BY c.moment DESC, c.klaviyo_id`;
const counted = (connection: '$2' | 'k.id', most: '$8' | '$9') => `
  SELECT count(*)::int AS count FROM (
    SELECT 1 FROM mirrored_campaign c WHERE ${matching(connection)} LIMIT ${most}) AS counted`;
const AFTER = 'AND ($9::timestamptz IS NULL OR (c.moment <= $9 AND (c.moment < $9 OR c.klaviyo_id > $10)))';

/** What is read of `mirrored_campaign`, each statement bound to its user. */
@Injectable()
export class MirroredCampaignsRepository {
  constructor(private readonly db: Db) {}

  /**
   * Newest first, then by id, each with its figures where those are wanted.
   * @param which `after` is the place of the last one given
   */
  async page(
    userId: number,
    connectionId: string,
    filter: CampaignFilter,
    which: { after: Place | null; limit: number; counts: boolean },
  ): Promise<MirroredRow[]> {
    const { after, limit, counts } = which;
    return this.db.forUser(userId, (manager) =>
      query<MirroredRow>(manager, page('$2', counts, AFTER), [
        ...params(userId, connectionId, filter),
        limit,
        after && new Date(after[0]),
        after && after[1],
      ]),
    );
  }

  /**
   * The first page of a connection (the user's default when undefined) and how old its mirror is: one statement, since
   * it is what is read most. Undefined where there is no such connection.
   * @param which `most` counts all that match, up to it and one more
   */
  async first(
    userId: number,
    connectionId: string | undefined,
    filter: CampaignFilter,
    which: { limit: number; counts: boolean; most: number | null },
  ): Promise<FirstPage | undefined> {
    const { limit, counts, most } = which;
    const rows = await this.db.prepared<FirstPage>(
      userId,
      `SELECT k.user_id AS "userId", k.id, k.status, k.currency, k.timezone, s.synced_at AS "syncedAt",
           CASE WHEN s.synced_at IS NOT NULL
             THEN (SELECT coalesce(json_agg(row), '[]') FROM (${page('k.id', counts)}) AS row) END AS rows,
           ${most === null ? 'NULL::int' : `CASE WHEN s.synced_at IS NOT NULL THEN (${counted('k.id', '$9')}) END`} AS total
         FROM connection k
         LEFT JOIN mirror_state s ON s.user_id = k.user_id AND s.connection_id = k.id AND s.resource = 'campaigns'
         WHERE k.user_id = $1 AND CASE WHEN $2::uuid IS NULL THEN k.is_default ELSE k.id = $2 END`,
      [...params(userId, connectionId, filter), limit, ...(most === null ? [] : [most + 1])],
    );
    return rows[0];
  }

  /** How many match, counted up to `most` and one more. */
  async count(userId: number, connectionId: string, filter: CampaignFilter, most: number): Promise<number> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ count: number }>(manager, counted('$2', '$8'), [...params(userId, connectionId, filter), most + 1]),
    );
    return rows[0]?.count ?? 0;
  }

  /** One campaign, with its counts; `gone` is one that Klaviyo no longer has. */
  async one(userId: number, connectionId: string, id: string): Promise<(MirroredRow & { gone: boolean }) | undefined> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<MirroredRow & { gone: boolean }>(
        manager,
        `SELECT ${COLUMNS}${COUNTS}, c.deleted_at IS NOT NULL AS gone FROM mirrored_campaign c ${WITH_COUNTS}
         WHERE c.user_id = $1 AND c.connection_id = $2 AND c.klaviyo_id = $3`,
        [userId, connectionId, id],
      ),
    );
    return rows[0];
  }

  /** When campaigns were sent, in epoch milliseconds: the first and the last of each hour in which any was. */
  async sentMoments(userId: number, connectionId: string, from: Date, to: Date): Promise<number[]> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ first: Date; last: Date }>(
        manager,
        `SELECT min(moment) AS first, max(moment) AS last FROM mirrored_campaign
         WHERE user_id = $1 AND connection_id = $2 AND deleted_at IS NULL
           AND sent_at IS NOT NULL AND moment >= $3 AND moment <= $4
         GROUP BY date_trunc('hour', moment)`,
        [userId, connectionId, from, to],
      ),
    );
    return rows.flatMap(({ first, last }) => [first.getTime(), last.getTime()]);
  }
}

function params(userId: number, connectionId: string | undefined, filter: CampaignFilter): unknown[] {
  const { channel, statuses, archived, from, to } = filter;
  return [userId, connectionId, channel, statuses, archived, from, to].map((value) => value ?? null);
}
