import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import type { ReadPage } from '../common/read.dto';
import { GroupsService, type GroupsInput } from '../groups/groups.service';
import type { CountedList } from './list';
import { ListsKlaviyo } from './lists.klaviyo';

/** Lists of a connected account, read from Klaviyo. */
@Injectable()
export class ListsService {
  constructor(
    private readonly groups: GroupsService,
    private readonly atKlaviyo: ListsKlaviyo,
  ) {}

  /** @throws AppError as `GroupsService.page` */
  page(scope: UserScope, input: GroupsInput): Promise<ReadPage<CountedList>> {
    return this.groups.page(scope, 'list', input, (access, next, deadline) =>
      this.atKlaviyo.page(access, next, deadline),
    );
  }

  /** @throws AppError LIST_NOT_FOUND, and as `GroupsService.one` */
  one(scope: UserScope, id: string, input: Pick<GroupsInput, 'connectionId' | 'includeStats'>): Promise<CountedList> {
    return this.groups.one(scope, 'list', input, (access) => this.atKlaviyo.one(access, id));
  }
}
