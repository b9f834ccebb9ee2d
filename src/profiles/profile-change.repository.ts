import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

export interface ChangeRow {
  at: Date;
  requestId: string | null;
  sealedChanges: string;
}

/** Updates of one person that are kept. */
export const KEPT_CHANGES = 100;

/** Rows of `profile_change`, each statement bound to its user. */
@Injectable()
export class ProfileChangeRepository {
  constructor(private readonly db: Db) {}

  /** Adds one and lets the oldest beyond the kept ones of this person go, in one statement. */
  async add(
    userId: number,
    connectionId: string,
    profileId: string,
    change: { id: string; requestId: string | null; sealedChanges: string },
  ): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      query(
        manager,
        // Both parts see the rows as they were before: with the new one, one fewer of the old is kept.
        `WITH added AS (
           INSERT INTO profile_change (user_id, connection_id, id, profile_id, request_id, sealed_changes)
           VALUES ($1, $2, $3, $4, $5, $6)
         )
         DELETE FROM profile_change
         WHERE user_id = $1 AND connection_id = $2 AND id IN (
           SELECT id FROM profile_change WHERE user_id = $1 AND connection_id = $2 AND profile_id = $4
           ORDER BY at DESC, id DESC OFFSET $7
         )`,
        [userId, connectionId, change.id, profileId, change.requestId, change.sealedChanges, KEPT_CHANGES - 1],
      ),
    );
  }

  /** Newest first. */
  async newest(userId: number, connectionId: string, profileId: string): Promise<ChangeRow[]> {
    return this.db.forUser(userId, (manager) =>
      query<ChangeRow>(
        manager,
        `SELECT at, request_id AS "requestId", sealed_changes AS "sealedChanges" FROM profile_change
         WHERE user_id = $1 AND connection_id = $2 AND profile_id = $3
         ORDER BY at DESC, id DESC LIMIT $4`,
        [userId, connectionId, profileId, KEPT_CHANGES],
      ),
    );
  }
}
