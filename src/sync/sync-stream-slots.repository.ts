import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

/** Streams that a user may have open at once, on all replicas together. */
const SLOTS = 5;
const LEASE_SECONDS = 60;

/** Rows of `sync_stream_slot`, each statement bound to its user. */
@Injectable()
export class SyncStreamSlotsRepository {
  constructor(private readonly db: Db) {}

  /** @returns false when all are taken */
  async claim(userId: number, lease: string): Promise<boolean> {
    // Who claims at the same moment may take the slot that was free: at most all others do.
    for (let attempt = 0; attempt < SLOTS; attempt++) {
      const rows = await this.db.forUser(userId, (manager) =>
        query<{ taken: boolean }>(
          manager,
          `WITH free AS (
             SELECT n FROM generate_series(1, $3::int) AS n
             WHERE NOT EXISTS (
               SELECT 1 FROM sync_stream_slot t WHERE t.user_id = $1 AND t.slot = n AND t.leased_until > now())
             ORDER BY n LIMIT 1
           ), taken AS (
             INSERT INTO sync_stream_slot AS t (user_id, slot, lease, leased_until)
             SELECT $1, n, $2, now() + make_interval(secs => $4) FROM free
             ON CONFLICT (user_id, slot) DO UPDATE SET lease = excluded.lease, leased_until = excluded.leased_until
               WHERE t.leased_until <= now()
             RETURNING 1
           )
           SELECT EXISTS (SELECT 1 FROM taken) AS taken FROM free`,
          [userId, lease, SLOTS, LEASE_SECONDS],
        ),
      );
      if (rows.length === 0) return false;
      if (rows[0]?.taken) return true;
    }
    return false;
  }

  async renew(userId: number, lease: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE sync_stream_slot SET leased_until = now() + make_interval(secs => $3)
         WHERE user_id = $1 AND lease = $2`,
        [userId, lease, LEASE_SECONDS],
      ),
    );
  }

  async release(userId: number, lease: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'DELETE FROM sync_stream_slot WHERE user_id = $1 AND lease = $2', [userId, lease]),
    );
  }
}
