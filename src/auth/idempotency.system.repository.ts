import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** Rows of a statement: few enough that nobody waits for the sweep. */
const BATCH = 1000;

/** Forgets what has expired, of whichever user. */
@Injectable()
export class IdempotencySystemRepository {
  constructor(private readonly db: Db) {}

  /** @returns how many were removed. Safe on several replicas at once. */
  async removeExpired(): Promise<number> {
    let removed = 0;
    for (;;) {
      const rows = await this.db.system((manager) =>
        query(
          manager,
          `DELETE FROM idempotency_key WHERE (user_id, key_hash) IN
             (SELECT user_id, key_hash FROM idempotency_key WHERE expires_at <= now() LIMIT $1 FOR UPDATE SKIP LOCKED)
           RETURNING 1`,
          [BATCH],
        ),
      );
      removed += rows.length;
      if (rows.length < BATCH) return removed;
    }
  }
}
