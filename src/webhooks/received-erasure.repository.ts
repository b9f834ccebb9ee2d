import { Injectable } from '@nestjs/common';
import { eraseRows } from '../database/erase';
import { Db } from '../database/scope';

/** Removes what connections that are gone received, each statement bound to its user. */
@Injectable()
export class ReceivedErasureRepository {
  constructor(private readonly db: Db) {}

  /** At most `limit` rows of each kind. @returns how many of the kind that had most */
  async erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.db.forUser(userId, async (manager) => {
      let most = 0;
      for (const table of ['received_event', 'webhook_delivery', 'profile_refresh'])
        most = Math.max(most, await eraseRows(manager, userId, table, connectionIds, limit));
      return most;
    });
  }
}
