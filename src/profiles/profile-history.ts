import { Injectable, Logger } from '@nestjs/common';
import { v7 as uuidv7 } from 'uuid';
import { currentContext } from '../common/request-context';
import { EncryptionService, type SealContext } from '../encryption/encryption.service';
import type { Change } from './profile';
import { ProfileChangeRepository } from './profile-change.repository';

export interface HistoryEntry {
  at: Date;
  requestId: string | null;
  changes: Change[];
}

const PURPOSE = 'profile-changes';

/** What the service's own updates changed of a person, sealed at rest. */
@Injectable()
export class ProfileHistory {
  private readonly logger = new Logger('ProfileHistory');

  constructor(
    private readonly rows: ProfileChangeRepository,
    private readonly encryption: EncryptionService,
  ) {}

  /**
   * Keeps what Klaviyo has already changed. The order is Klaviyo first, then the row: a row written before would tell
   * of a change that Klaviyo may refuse, and one transaction around both would hold a database connection while
   * Klaviyo thinks. So the row can be missing, never wrong. A row that cannot be written does not fail the call
   * either: the change stands at Klaviyo, and a caller told of a failure would repeat it, find nothing to change, and
   * the history would still be missing. It is logged as an error and answered as false, for the caller to warn.
   */
  async record(userId: number, connectionId: string, profileId: string, changes: readonly Change[]): Promise<boolean> {
    if (changes.length === 0) return true;
    try {
      const sealedChanges = await this.encryption.seal(
        JSON.stringify(changes),
        sealContext(userId, connectionId, profileId),
      );
      const requestId = currentContext()?.requestId ?? null;
      await this.rows.add(userId, connectionId, profileId, { id: uuidv7(), requestId, sealedChanges });
      return true;
    } catch (error) {
      // Neither the fields nor their values: the door of the database leaves SQLSTATE and constraint only.
      const reason = error instanceof Error ? `${error.name}: ${error.message}` : 'unknown';
      this.logger.error({ msg: 'a change made at Klaviyo is missing in the history', connectionId, profileId, reason });
      return false;
    }
  }

  /** Newest first, at most 100. */
  async newest(userId: number, connectionId: string, profileId: string): Promise<HistoryEntry[]> {
    const rows = await this.rows.newest(userId, connectionId, profileId);
    const context = sealContext(userId, connectionId, profileId);
    return Promise.all(
      rows.map(async ({ at, requestId, sealedChanges }) => ({
        at,
        requestId,
        changes: JSON.parse(await this.encryption.open(sealedChanges, context)) as Change[],
      })),
    );
  }
}

function sealContext(userId: number, connectionId: string, profileId: string): SealContext {
  return { owner: `user:${userId}/connection:${connectionId}/profile:${profileId}`, purpose: PURPOSE };
}
