import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import type { ReadPage } from '../common/read.dto';
import { GroupsService, type GroupsInput } from '../groups/groups.service';
import type { CountedSegment } from './segment';
import { SegmentsKlaviyo } from './segments.klaviyo';

/** Segments of a connected account, read from Klaviyo. */
@Injectable()
export class SegmentsService {
  constructor(
    private readonly groups: GroupsService,
    private readonly atKlaviyo: SegmentsKlaviyo,
  ) {}

  /** @throws AppError as `GroupsService.page` */
  page(scope: UserScope, input: GroupsInput): Promise<ReadPage<CountedSegment>> {
    return this.groups.page(scope, 'segment', input, (access, next, deadline) =>
      this.atKlaviyo.page(access, next, deadline),
    );
  }

  /** @throws AppError SEGMENT_NOT_FOUND, and as `GroupsService.one` */
  one(
    scope: UserScope,
    id: string,
    input: Pick<GroupsInput, 'connectionId' | 'includeStats'>,
  ): Promise<CountedSegment> {
    return this.groups.one(scope, 'segment', input, (access) => this.atKlaviyo.one(access, id));
  }
}
