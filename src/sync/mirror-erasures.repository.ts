import { Injectable } from '@nestjs/common';
import type { EntityManager } from 'typeorm';
import { Db, query } from '../database/scope';

/** Connections that are gone and whose mirror is still to be removed; each statement bound to its user. */
@Injectable()
export class MirrorErasuresRepository {
  constructor(private readonly db: Db) {}

  /** @param also runs in the same transaction, to enqueue the work */
  async request(
    userId: number,
    connectionIds: readonly string[],
    also: (manager: EntityManager) => Promise<void>,
  ): Promise<void> {
    await this.db.inTransaction(userId, async (manager) => {
      await query(
        manager,
        `INSERT INTO mirror_erasure (user_id, connection_id) SELECT $1, id FROM unnest($2::uuid[]) AS id
         ON CONFLICT DO NOTHING`,
        [userId, connectionIds],
      );
      await also(manager);
    });
  }

  /** It goes on, and is not to be taken for left lying. */
  async goesOn(userId: number, connectionId: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'UPDATE mirror_erasure SET requested_at = now() WHERE user_id = $1 AND connection_id = $2', [
        userId,
        connectionId,
      ]),
    );
  }

  /** Nothing of it is left. */
  async done(userId: number, connectionId: string): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(manager, 'DELETE FROM mirror_erasure WHERE user_id = $1 AND connection_id = $2', [userId, connectionId]),
    );
  }
}
