import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { Clock } from '../common/clock';
import { AppError, invalid, type ErrorCode } from '../common/errors';
import { AccountsService, type OpenAccount } from '../connection/accounts.service';
import { GroupsService } from '../groups/groups.service';
import { ListMembersKlaviyo } from './list-members.klaviyo';
import { ListsKlaviyo } from './lists.klaviyo';

/** What became of one id of the caller's. */
export interface MemberResult {
  /** Its place among those given, from 0. */
  index: number;
  status: 'added' | 'removed' | 'failed';
  /** The profile, where the id can be one. */
  id?: string;
  /** Why it failed. */
  code?: ErrorCode;
}

export interface MembersInput {
  connectionId?: string | undefined;
  /** As the caller sent them: judged one by one. */
  profileIds: readonly unknown[];
}

/** What an address has room for. */
const MOST_REMOVED = 100;
const PROFILE_ID = /^[A-Za-z0-9_-]{1,64}$/;
/** Klaviyo refuses the whole call for one id that it does not know. */
const PERHAPS_ONE_UNKNOWN: ReadonlySet<ErrorCode> = new Set([
  'LIST_NOT_FOUND',
  'PROFILE_NOT_FOUND',
  'KLAVIYO_REJECTED',
]);

/** Puts people on a list and takes them off: membership alone, nobody's consent changes. */
@Injectable()
export class ListMembersService {
  constructor(
    private readonly accounts: AccountsService,
    private readonly lists: ListsKlaviyo,
    private readonly members: ListMembersKlaviyo,
    private readonly groups: GroupsService,
    private readonly clock: Clock,
  ) {}

  /**
   * Everybody in one call to Klaviyo, which changes nothing for who is there already.
   * @throws AppError LIST_NOT_FOUND with nothing written; KLAVIYO_… where the call as a whole failed
   */
  async add(scope: UserScope, listId: string, input: MembersInput): Promise<MemberResult[]> {
    return this.change(scope, listId, input, true);
  }

  /**
   * As `add`; who is not on the list is `removed` all the same.
   * @param input.profileIds 1 to 100, comma-separated, as a query holds them
   */
  async remove(
    scope: UserScope,
    listId: string,
    input: { connectionId?: string | undefined; profileIds: string },
  ): Promise<MemberResult[]> {
    const profileIds = input.profileIds.split(',').map((id) => id.trim());
    if (profileIds.length > MOST_REMOVED) throw invalid('profileIds', 'tooManyItems', { max: MOST_REMOVED });
    return this.change(scope, listId, { connectionId: input.connectionId, profileIds }, false);
  }

  private async change(
    scope: UserScope,
    listId: string,
    input: MembersInput,
    joined: boolean,
  ): Promise<MemberResult[]> {
    const account = await this.accounts.open(scope, input.connectionId);
    await this.lists.one(account.klaviyo, listId);
    const ids = [...new Set(input.profileIds.filter(isProfileId))];
    const done = await this.write(account, listId, ids, joined);
    await this.accounts.kept('members of a list', account.connectionId, () =>
      this.note(scope.userId, account, listId, done, joined),
    );
    return input.profileIds.map((given, index) => {
      if (!isProfileId(given)) return { index, status: 'failed', code: 'VALIDATION_FAILED' };
      if (!done.has(given)) return { index, status: 'failed', id: given, code: 'PROFILE_NOT_FOUND' };
      return { index, status: joined ? 'added' : 'removed', id: given };
    });
  }

  /** @returns those for whom it was done; Klaviyo does not know the others */
  private async write(
    account: OpenAccount,
    listId: string,
    ids: readonly string[],
    joined: boolean,
  ): Promise<ReadonlySet<string>> {
    const send = async (some: readonly string[]) => {
      if (some.length > 0)
        await account.writing('lists', () =>
          this.members.change(account.klaviyo, listId, some, joined ? 'add' : 'remove'),
        );
      return new Set(some);
    };
    try {
      return await send(ids);
    } catch (error) {
      if (!(error instanceof AppError) || !PERHAPS_ONE_UNKNOWN.has(error.code)) throw error;
      const known = await this.members.known(account.klaviyo, ids);
      if (known.size === ids.length) throw error;
      return send(ids.filter((id) => known.has(id)));
    }
  }

  private async note(
    userId: number,
    { connectionId }: OpenAccount,
    groupId: string,
    done: ReadonlySet<string>,
    joined: boolean,
  ): Promise<void> {
    const at = new Date(this.clock.now());
    const changes = [...done].map((profileId) => ({ kind: 'list' as const, groupId, profileId, joined, at }));
    await this.groups.noteMembers(userId, connectionId, changes);
  }
}

function isProfileId(given: unknown): given is string {
  return typeof given === 'string' && PROFILE_ID.test(given);
}
