import { Get, Param, Query } from '@nestjs/common';
import { ApiOperation } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { AlsoCsv } from '../common/table';
import { HistoryQuery, HistoryResponse } from './group-history.dto';
import { GroupHistoryService } from './group-history.service';

const HISTORY_COLUMNS = ['at', 'memberCount', 'source'];

/** Member counts of lists and segments over time. */
@ApiController()
export class GroupHistoryController {
  constructor(private readonly history: GroupHistoryService) {}

  @Get('lists/:id/history')
  @AlsoCsv('history', HISTORY_COLUMNS)
  @ApiOperation({ summary: 'How many people were on a list over time' })
  async ofList(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: HistoryQuery,
  ): Promise<HistoryResponse> {
    return HistoryResponse.from(await this.history.page(scope, 'list', id, query));
  }

  @Get('segments/:id/history')
  @AlsoCsv('history', HISTORY_COLUMNS)
  @ApiOperation({ summary: 'How many people were in a segment over time' })
  async ofSegment(
    @Scope() scope: UserScope,
    @Param('id') id: string,
    @Query() query: HistoryQuery,
  ): Promise<HistoryResponse> {
    return HistoryResponse.from(await this.history.page(scope, 'segment', id, query));
  }
}
