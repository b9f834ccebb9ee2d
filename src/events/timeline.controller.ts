import { Get, Param, Query } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { AlsoCsv } from '../common/table';
import { TimelineQuery, TimelineResponse } from './timeline.dto';
import { TimelineService } from './timeline.service';

const COLUMNS = ['id', 'metric.id', 'metric.name', 'profileId', 'occurredAt', 'value', 'properties'];

/** What people did, as Klaviyo recorded it. */
@ApiController()
export class TimelineController {
  constructor(private readonly timeline: TimelineService) {}

  @Get('profiles/:id/events')
  @AlsoCsv('events', COLUMNS)
  @ApiOperation({ summary: 'What a person did and what happened to them at Klaviyo, newest first' })
  async index(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: TimelineQuery,
  ): Promise<TimelineResponse> {
    return TimelineResponse.from(await this.timeline.page(scope, id, query));
  }
}
