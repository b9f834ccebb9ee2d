import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { Place } from './campaign';
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

/** A campaign of the mirror, with the counts of its last report where they were asked for. */
export interface MirroredRow {
  id: string;
  name: string | null;
  status: CampaignStatus;
  klaviyoStatus: string | null;
  channel: string | null;
  archived: boolean;
  audiences: { included: string[]; excluded: string[] };
  createdAt: Date | null;
  updatedAt: Date | null;
  scheduledAt: Date | null;
  sentAt: Date | null;
  messages?: Record<string, MessageCounts> | null;
  computedAt?: Date | null;
}

const COLUMNS = `c.klaviyo_id AS id, c.name, c.status, c.klaviyo_status AS "klaviyoStatus", c.channel, c.archived,
  c.audiences, c.created_at AS "createdAt", c.updated_at AS "updatedAt", c.scheduled_at AS "scheduledAt",
  c.sent_at AS "sentAt"`;
const COUNTS = ', f.messages, f.computed_at AS "computedAt"';
const WITH_COUNTS = `LEFT JOIN campaign_figure f ON f.user_id = c.user_id AND f.connection_id = c.connection_id
  AND f.klaviyo_id = c.klaviyo_id`;
const MATCHING = `c.user_id = $1 AND c.connection_id = $2 AND c.deleted_at IS NULL
  AND ($3::text IS NULL OR c.channel = $3) AND ($4::text[] IS NULL OR c.status = ANY($4))
  AND ($5::boolean IS NULL OR c.archived = $5)
  AND ($6::timestamptz IS NULL OR c.moment >= $6) AND ($7::timestamptz IS NULL OR c.moment < $7)`;

const TOTAL = `, (SELECT count(*)::int FROM (SELECT 1 FROM mirrored_campaign c WHERE ${MATCHING} LIMIT $11) AS counted)
  AS total`;

/** What is read of `mirrored_campaign`, each statement bound to its user. */
@Injectable()
export class MirroredCampaignsRepository {
  constructor(private readonly db: Db) {}

  /**
   * Newest first, then by id, each with its figures where those are wanted. The rows of the page are chosen before
   * anything is joined to them, along an index.
   * @param which `after` is the place of the last one given; `most` counts all that match, up to it and one more
   */
  async page(
    userId: number,
    connectionId: string,
    filter: CampaignFilter,
    which: { after: Place | null; limit: number; counts: boolean; most: number | null },
  ): Promise<{ rows: MirroredRow[]; total: number | null }> {
    const { after, limit, counts, most } = which;
    const rows = await this.db.forUser(userId, (manager) =>
      query<MirroredRow & { total?: number }>(
        manager,
        `SELECT ${COLUMNS}${counts ? COUNTS : ''}${most === null ? '' : TOTAL}
         FROM (
           SELECT * FROM mirrored_campaign c WHERE ${MATCHING}
             AND ($8::timestamptz IS NULL OR (c.moment <= $8 AND (c.moment < $8 OR c.klaviyo_id > $9)))
           ORDER BY c.moment DESC, c.klaviyo_id LIMIT $10) AS c
         ${counts ? WITH_COUNTS : ''}
         ORDER BY c.moment DESC, c.klaviyo_id`,
        [
          ...params(userId, connectionId, filter),
          after && new Date(after[0]),
          after && after[1],
          limit,
          ...(most === null ? [] : [most + 1]),
        ],
      ),
    );
    return { rows, total: most === null ? null : (rows[0]?.total ?? 0) };
  }

  /** How many match, counted up to `most` and one more. */
  async count(userId: number, connectionId: string, filter: CampaignFilter, most: number): Promise<number> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ count: number }>(
        manager,
        `SELECT count(*)::int AS count FROM (SELECT 1 FROM mirrored_campaign c WHERE ${MATCHING} LIMIT $8) AS counted`,
        [...params(userId, connectionId, filter), most + 1],
      ),
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

function params(userId: number, connectionId: string, filter: CampaignFilter): unknown[] {
  const { channel, statuses, archived, from, to } = filter;
  return [userId, connectionId, channel, statuses, archived, from, to].map((value) => value ?? null);
}
