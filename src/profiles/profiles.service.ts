import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { AppError } from '../common/errors';
import type { Source } from '../common/read.dto';
import { AccountsService } from '../connection/accounts.service';
import { ConnectionService } from '../connection/connection.service';
import { GroupsService } from '../groups/groups.service';
import { MirrorService, type Provenance } from '../mirror/mirror.service';
import type { IdentifierField, ListName, Profile } from './profile';
import { ProfileHistory, type HistoryEntry } from './profile-history';
import { readProfile } from './profile-reading.klaviyo';
import { identifierOf, optionalIdentifier } from './profile-rules';
import { ProfileSearchRepository } from './profile-search.repository';
import { ProfilesKlaviyo } from './profiles.klaviyo';

export interface FindInput extends Partial<Record<IdentifierField, string>> {
  connectionId?: string;
}

/** A person and the lists they are on. */
interface Found {
  profile: Profile;
  lists: ListName[];
}

const KLAVIYO_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** Finds single people, at Klaviyo or in the mirror. */
@Injectable()
export class ProfilesService {
  constructor(
    private readonly accounts: AccountsService,
    private readonly history: ProfileHistory,
    private readonly atKlaviyo: ProfilesKlaviyo,
    private readonly connections: ConnectionService,
    private readonly mirror: MirrorService,
    private readonly groups: GroupsService,
    private readonly mirrored: ProfileSearchRepository,
  ) {}

  /** The person and their lists. @throws AppError PROFILE_NOT_FOUND; VALIDATION_FAILED for none or several identifiers */
  async find(scope: UserScope, input: FindInput): Promise<Found> {
    const by = identifierOf(input);
    const { klaviyo } = await this.accounts.open(scope, input.connectionId);
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
      // A connection that is named is always resolved.
      if (input.connectionId !== undefined) await this.connections.resolve(scope, input.connectionId);
      return undefined;
    }
    const { klaviyo, connectionId } = await this.accounts.open(scope, input.connectionId);
    const profile = await this.atKlaviyo.require(klaviyo, by);
    return { profile, history: await this.history.newest(scope.userId, connectionId, profile.id) };
  }

  /**
   * One person with their lists. What a fresh mirror does not know yet is asked of Klaviyo, unless `source` is `mirror`.
   * @throws AppError CONNECTION_NOT_FOUND, PROFILE_NOT_FOUND, NOT_SYNCED, KLAVIYO_…
   */
  async one(
    scope: UserScope,
    id: string,
    { connectionId, source = 'auto' }: { connectionId?: string; source?: Source },
  ): Promise<Provenance & Found> {
    const connection = await this.connections.resolve(scope, connectionId);
    if (!KLAVIYO_ID.test(id)) throw new AppError('PROFILE_NOT_FOUND');
    const read = (from: Source) =>
      this.mirror.read<Found | null>(connection, ['profiles', 'lists', 'memberships'], from, {
        mirror: async () => {
          const row = await this.mirrored.one(scope.userId, connection.id, id);
          if (!row) return null;
          const profile = readProfile({ id, attributes: row.document.attributes });
          return { profile, lists: await this.groups.listsOf(scope.userId, connection.id, id) };
        },
        live: async () => {
          const access = await this.connections.accessOf(connection);
          const profile = await this.atKlaviyo.require(access, { field: 'profileId', value: id });
          return { profile, lists: await this.atKlaviyo.listsOf(access, profile.id) };
        },
      });
    let { value, ...provenance } = await read(source);
    if (value === null && source === 'auto') ({ value, ...provenance } = await read('live'));
    if (value === null) throw new AppError('PROFILE_NOT_FOUND');
    return { ...value, ...provenance };
  }
}
