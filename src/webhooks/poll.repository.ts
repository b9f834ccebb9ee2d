import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import { Webhook, type ReadProgress, type ReadReason } from './webhook.entity';

/** Events are to be seen, and sent, that much later than they happened: what was read too early is read again. */
const BACK = `interval '20 minutes'`;
/** The end of a gap is read once its last events are to be seen. */
const LATE = `interval '10 minutes'`;

/** Whose events are being read. */
export interface ReadLease {
  id: string;
  lease: string;
}

/** How far the events of webhooks were read from Klaviyo, each statement bound to its user. */
@Injectable()
export class PollRepository {
  constructor(private readonly db: Db) {}

  /** Takes the lease of the connection's webhooks whose events are due to be read. */
  async claim(userId: number, connectionId: string, lease: string, seconds: number): Promise<Webhook[]> {
    return this.db.forUser(userId, async (manager) => {
      await query(
        manager,
        `UPDATE webhook SET read_lease = $3, read_at = now() + make_interval(secs => $4)
         WHERE user_id = $1 AND connection_id = $2 AND enabled AND read_at <= now()`,
        [userId, connectionId, lease, seconds],
      );
      return manager.find(Webhook, {
        where: { userId: String(userId), connectionId, readLease: lease },
        order: { id: 'ASC' },
      });
    });
  }

  /** Where the reading stands; prolongs the lease. @returns false where somebody else reads by now */
  async keep(userId: number, held: ReadLease, progress: ReadProgress, seconds: number): Promise<boolean> {
    const rows = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook SET read_progress = $4, read_at = now() + make_interval(secs => $5), read_failures = 0
         WHERE user_id = $1 AND id = $2 AND read_lease = $3 RETURNING id`,
        [userId, held.id, held.lease, JSON.stringify(progress), seconds],
      ),
    );
    return rows.length > 0;
  }

  /**
   * All of a window was read. Of a gap that ends later, the rest is read then. @param next seconds until there is something to read again; null: there is nothing
   */
  async finish(userId: number, held: ReadLease, progress: ReadProgress, next: number | null): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook SET
           read_from = greatest(read_from, $4::timestamptz - CASE WHEN read_until > $4 THEN ${BACK} ELSE '0' END),
           read_at = CASE WHEN read_until > $4 THEN greatest(read_until + ${LATE}, now() + interval '30 seconds')
             ELSE now() + make_interval(secs => $5::float8) END,
           read_reason = CASE WHEN read_until > $4 THEN read_reason END,
           read_until = CASE WHEN read_until > $4 THEN read_until END,
           read_progress = NULL, read_lease = NULL, read_failures = 0,
           looked_back_at = CASE WHEN $6 THEN now() ELSE looked_back_at END
         WHERE user_id = $1 AND id = $2 AND read_lease = $3`,
        [userId, held.id, held.lease, progress.to, next, progress.deep],
      ),
    );
  }

  /** Not done yet, or not now. @param failed whether it counts as a failure */
  async putOff(userId: number, held: ReadLease, seconds: number, failed: boolean): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook SET read_lease = NULL, read_at = now() + make_interval(secs => $4),
           read_failures = read_failures + $5
         WHERE user_id = $1 AND id = $2 AND read_lease = $3`,
        [userId, held.id, held.lease, seconds, failed ? 1 : 0],
      ),
    );
  }

  /**
   * Has events read that Klaviyo did not send, up to `until`: those up to now at once, the others when they are to be
   * seen. A gap that is being filled is widened, and read anew only where it begins earlier.
   */
  async fill(userId: number, id: string, from: Date, until: Date, reason: ReadReason): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `UPDATE webhook SET read_from = CASE WHEN read_until IS NULL THEN $3 ELSE least(read_from, $3) END,
           read_until = greatest(read_until, $4),
           read_reason = CASE WHEN read_reason IS NULL OR read_reason = 'silent' OR $5 = 'off' THEN $5 ELSE read_reason END,
           read_progress = CASE WHEN read_until IS NOT NULL AND read_from <= $3 THEN read_progress END,
           read_lease = CASE WHEN read_until IS NOT NULL AND read_from <= $3 THEN read_lease END,
           read_at = CASE WHEN read_until IS NOT NULL AND read_from <= $3 THEN read_at ELSE now() END
         WHERE user_id = $1 AND id = $2 AND delivery = 'push'`,
        [userId, id, from, until, reason],
      ),
    );
  }

  /** Seconds until the connection's next reading; null where there is none. */
  async dueIn(userId: number, connectionId: string): Promise<number | null> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ seconds: number | null }>(
        manager,
        `SELECT extract(epoch FROM min(read_at) - now())::float8 AS seconds FROM webhook
         WHERE user_id = $1 AND connection_id = $2 AND enabled`,
        [userId, connectionId],
      ),
    );
    const seconds = rows[0]?.seconds ?? null;
    return seconds === null ? null : Math.max(0, seconds);
  }

  /** Of these events of Klaviyo's, those that are here. */
  async known(userId: number, connectionId: string, externalIds: readonly string[]): Promise<Set<string>> {
    const rows = await this.db.forUser(userId, (manager) =>
      query<{ id: string }>(
        manager,
        `SELECT external_id AS id FROM received_event
         WHERE user_id = $1 AND connection_id = $2 AND external_id = ANY($3)`,
        [userId, connectionId, externalIds],
      ),
    );
    return new Set(rows.map(({ id }) => id));
  }
}
