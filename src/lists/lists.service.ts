import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import type { ReadPage } from '../common/read.dto';
import { AccountsService } from '../connection/accounts.service';
import {
  GroupsService,
  type GroupReads,
  type GroupsInput,
  type OneGroup,
  type OneGroupInput,
} from '../groups/groups.service';
import { fromListRow, type CountedList, type List } from './list';
import { ListsKlaviyo, type NewList } from './lists.klaviyo';

/** Lists of a connected account, from our mirror or from Klaviyo. */
@Injectable()
export class ListsService {
  private readonly reads: GroupReads<List>;

  constructor(
    private readonly groups: GroupsService,
    private readonly accounts: AccountsService,
    private readonly atKlaviyo: ListsKlaviyo,
  ) {
    this.reads = {
      page: (access, next, deadline) => atKlaviyo.page(access, next, deadline),
      one: (access, id) => atKlaviyo.one(access, id),
      fromMirror: fromListRow,
    };
  }

  /** @throws AppError as `GroupsService.page` */
  page(scope: UserScope, input: GroupsInput): Promise<ReadPage<CountedList>> {
    return this.groups.page(scope, 'list', input, this.reads);
  }

  /** @throws AppError LIST_NOT_FOUND, and as `GroupsService.one` */
  one(scope: UserScope, id: string, input: OneGroupInput): Promise<OneGroup<CountedList>> {
    return this.groups.one(scope, 'list', id, input, this.reads);
  }

  /**
   * Makes a list at Klaviyo, which takes 150 a day; our mirror knows it at once.
   * @throws AppError KLAVIYO_REJECTED naming `name` or `optInProcess`; KLAVIYO_RATE_LIMITED once the day's are made
   */
  async create(scope: UserScope, input: NewList & { connectionId?: string | undefined }): Promise<List> {
    const account = await this.accounts.open(scope, input.connectionId);
    const { list, given } = await account.writing('lists', () => this.atKlaviyo.create(account.klaviyo, input));
    await this.accounts.kept('a list', account.connectionId, () =>
      this.groups.noteGroup(scope.userId, account.connectionId, 'list', given),
    );
    return list;
  }
}
