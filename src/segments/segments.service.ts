import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import type { ReadPage } from '../common/read.dto';
import {
  GroupsService,
  type GroupReads,
  type GroupsInput,
  type OneGroup,
  type OneGroupInput,
} from '../groups/groups.service';
import { fromSegmentRow, type CountedSegment, type Segment } from './segment';
import { SegmentsKlaviyo } from './segments.klaviyo';

/** Segments of a connected account, from our mirror or from Klaviyo. */
@Injectable()
export class SegmentsService {
  private readonly reads: GroupReads<Segment>;

  constructor(
    private readonly groups: GroupsService,
    atKlaviyo: SegmentsKlaviyo,
  ) {
    this.reads = {
      page: (access, next, deadline) => atKlaviyo.page(access, next, deadline),
      one: (access, id) => atKlaviyo.one(access, id),
      fromMirror: fromSegmentRow,
    };
  }

  /** @throws AppError as `GroupsService.page` */
  page(scope: UserScope, input: GroupsInput): Promise<ReadPage<CountedSegment>> {
    return this.groups.page(scope, 'segment', input, this.reads);
  }

  /** @throws AppError SEGMENT_NOT_FOUND, and as `GroupsService.one` */
  one(scope: UserScope, id: string, input: OneGroupInput): Promise<OneGroup<CountedSegment>> {
    return this.groups.one(scope, 'segment', id, input, this.reads);
  }
}
