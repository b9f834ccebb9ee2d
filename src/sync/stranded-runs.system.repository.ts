import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** A run that somebody should work on. */
export interface StrandedRun {
  userId: number;
  id: string;
}

/** Runs of all users that nobody works on: their worker died, or their job was lost. */
@Injectable()
export class StrandedRunsSystemRepository {
  constructor(private readonly db: Db) {}

  /** Also those that only wait for their turn: a job too many finds nothing to do. Oldest first. */
  async find(limit: number): Promise<StrandedRun[]> {
    return this.db.system((manager) =>
      query<StrandedRun>(
        manager,
        `SELECT r.user_id::float8 AS "userId", r.id FROM sync_run r
         WHERE (r.status = 'running' AND (r.lease IS NULL OR r.leased_until < clock_timestamp()))
           OR (r.status = 'queued' AND NOT EXISTS (
             SELECT 1 FROM sync_run o
             WHERE o.user_id = r.user_id AND o.connection_id = r.connection_id AND o.status = 'running'))
         ORDER BY r.created_at LIMIT $1`,
        [limit],
      ),
    );
  }
}
