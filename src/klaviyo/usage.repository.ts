import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** What was done on one operation of a Klaviyo account: by the user, and by all others who are connected to it. */
export interface OperationUse {
  operation: string;
  /** Calls of the last minute. */
  used: number;
  usedByOthers: number;
  waiting: number;
  /** 429s of this day (UTC). */
  throttled: number;
  errorCode: string | null;
  errorAt: Date | null;
}

/** What a user's connection did, added up over all replicas. */
@Injectable()
export class UsageRepository {
  constructor(private readonly db: Db) {}

  /**
   * Of others only a sum is told, and only of the account that the user's own connection belongs to. A replica that
   * has not written for a minute has nothing left in the last minute.
   */
  async of(userId: number, connectionId: string): Promise<OperationUse[]> {
    return this.db.forUser(userId, (manager) =>
      query<OperationUse>(
        manager,
        `SELECT u.operation,
           coalesce(sum(u.used) FILTER (WHERE own.here AND fresh), 0)::int AS used,
           coalesce(sum(u.used) FILTER (WHERE NOT own.here AND fresh), 0)::int AS "usedByOthers",
           coalesce(sum(u.waiting) FILTER (WHERE own.here AND fresh), 0)::int AS waiting,
           coalesce(sum(u.throttled) FILTER (WHERE own.here AND u.throttled_on = (now() AT TIME ZONE 'UTC')::date), 0)::int
             AS throttled,
           (array_agg(u.error_code ORDER BY u.error_at DESC) FILTER (WHERE own.here AND u.error_at IS NOT NULL))[1]
             AS "errorCode",
           max(u.error_at) FILTER (WHERE own.here) AS "errorAt"
         FROM connection mine
         JOIN connection c ON c.account_id = mine.account_id
         JOIN klaviyo_usage u ON u.user_id = c.user_id AND u.connection_id = c.id
         CROSS JOIN LATERAL (SELECT u.user_id = $1 AND u.connection_id = $2 AS here) own
         CROSS JOIN LATERAL (SELECT u.told_at > now() - interval '60 seconds' AS fresh) age
         WHERE mine.user_id = $1 AND mine.id = $2
         GROUP BY u.operation`,
        [userId, connectionId],
      ),
    );
  }
}
