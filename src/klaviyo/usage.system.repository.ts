import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { UsageRow } from './usage-recorder';

/** Rows that nobody wrote for that long are of processes that are gone. */
const KEEP_DAYS = 2;

/** What each replica tells of everybody's use of Klaviyo's quota. */
@Injectable()
export class UsageSystemRepository {
  private sweptOn = '';

  constructor(private readonly db: Db) {}

  /** One statement for all. What belongs to a connection that is not there (yet, or any more) is left out. */
  async tell(replica: string, rows: readonly UsageRow[]): Promise<void> {
    const column = <K extends keyof UsageRow>(name: K): UsageRow[K][] => rows.map((row) => row[name]);
    await this.db.system((manager) =>
      query(
        manager,
        `INSERT INTO klaviyo_usage AS u (user_id, connection_id, operation, replica, used, waiting, throttled,
           throttled_on, error_code, error_at, told_at)
         SELECT c.user_id, c.id, t.operation, $1, t.used, t.waiting, t.throttled, (now() AT TIME ZONE 'UTC')::date,
           t.error_code, to_timestamp(t.error_at / 1000), now()
         FROM unnest($2::bigint[], $3::uuid[], $4::text[], $5::int[], $6::int[], $7::int[], $8::text[], $9::float8[])
           AS t(user_id, connection_id, operation, used, waiting, throttled, error_code, error_at)
         JOIN connection c ON c.user_id = t.user_id AND c.id = t.connection_id
         ON CONFLICT (user_id, connection_id, operation, replica) DO UPDATE SET
           used = excluded.used, waiting = excluded.waiting, told_at = excluded.told_at,
           throttled = excluded.throttled + CASE WHEN u.throttled_on = excluded.throttled_on THEN u.throttled ELSE 0 END,
           throttled_on = excluded.throttled_on,
           error_code = coalesce(excluded.error_code, u.error_code), error_at = coalesce(excluded.error_at, u.error_at)`,
        [
          replica,
          column('userId'),
          column('connectionId'),
          column('operation'),
          column('used'),
          column('waiting'),
          column('throttled'),
          column('errorCode'),
          column('errorAt'),
        ],
      ),
    );
    await this.sweep();
  }

  /** Once a day and process. */
  private async sweep(): Promise<void> {
    const today = new Date().toISOString().slice(0, 10);
    if (this.sweptOn === today) return;
    this.sweptOn = today;
    await this.db.system((manager) =>
      query(manager, `DELETE FROM klaviyo_usage WHERE told_at < now() - make_interval(days => $1)`, [KEEP_DAYS]),
    );
  }
}
