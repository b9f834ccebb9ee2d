import { Get, Param, Query } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { AlsoCsv } from '../common/table';
import { SegmentsQuery, SegmentsResponse, OneSegmentQuery, OneSegmentResponse } from './segments.dto';
import { SegmentsService } from './segments.service';

const SEGMENT_COLUMNS = [
  'id',
  'name',
  'isActive',
  'isProcessing',
  'isStarred',
  'createdAt',
  'updatedAt',
  'memberCount',
  'memberCountAt',
];

/** The segments of a Klaviyo account. */
@ApiController()
export class SegmentsController {
  constructor(private readonly segments: SegmentsService) {}

  @Get('get-segments')
  @AlsoCsv('segments', SEGMENT_COLUMNS)
  @ApiOperation({ summary: 'The segments of the account, with member counts where asked for' })
  async index(@Scope() scope: UserScope, @Query() query: SegmentsQuery): Promise<SegmentsResponse> {
    return SegmentsResponse.from(await this.segments.page(scope, query));
  }

  @Get('segments/:id')
  @ApiOperation({ summary: 'One segment, from our mirror or from Klaviyo' })
  async one(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: OneSegmentQuery,
  ): Promise<OneSegmentResponse> {
    return OneSegmentResponse.from(await this.segments.one(scope, id, query));
  }
}
