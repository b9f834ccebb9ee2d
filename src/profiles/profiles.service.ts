import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import type { IdentifierField, ListName, Profile } from './profile';
import { ProfileAccess } from './profile-access';
import { ProfileHistory, type HistoryEntry } from './profile-history';
import { identifierOf, optionalIdentifier } from './profile-rules';
import { ProfilesKlaviyo } from './profiles.klaviyo';

export interface FindInput extends Partial<Record<IdentifierField, string>> {
  connectionId?: string;
}

/** Finds people at Klaviyo. */
@Injectable()
export class ProfilesService {
  constructor(
    private readonly access: ProfileAccess,
    private readonly history: ProfileHistory,
    private readonly atKlaviyo: ProfilesKlaviyo,
  ) {}

  /** The person and their lists. @throws AppError PROFILE_NOT_FOUND; VALIDATION_FAILED for none or several identifiers */
  async find(scope: UserScope, input: FindInput): Promise<{ profile: Profile; lists: ListName[] }> {
    const by = identifierOf(input);
    const { klaviyo } = await this.access.open(scope, input.connectionId);
    const profile = await this.atKlaviyo.require(klaviyo, by);
    return { profile, lists: await this.atKlaviyo.listsOf(klaviyo, profile.id) };
  }

  /**
   * The person and what this service changed of them, newest first; undefined where no identifier is given.
   * @throws AppError PROFILE_NOT_FOUND
   */
  async findWithHistory(
    scope: UserScope,
    input: FindInput,
  ): Promise<{ profile: Profile; history: HistoryEntry[] } | undefined> {
    const by = optionalIdentifier(input);
    if (!by) {
      await this.access.check(scope, input.connectionId);
      return undefined;
    }
    const { klaviyo, connectionId } = await this.access.open(scope, input.connectionId);
    const profile = await this.atKlaviyo.require(klaviyo, by);
    return { profile, history: await this.history.newest(scope.userId, connectionId, profile.id) };
  }
}
