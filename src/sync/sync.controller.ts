import {
  Body,
  Get,
  Header,
  Headers,
  HttpCode,
  HttpStatus,
  Param,
  Post,
  Put,
  Query,
  StreamableFile,
} from '@nestjs/common';
import { ApiAcceptedResponse, ApiHeader, ApiOkResponse, ApiOperation, ApiProduces } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { KnownId } from '../common/known-id.pipe';
import { AlsoCsv } from '../common/table';
import { CancelRequest, LogsQuery, ScheduleRequest, SyncQuery, SyncRequest, SyncsQuery } from './sync-request.dto';
import {
  LOG_COLUMNS,
  LogsResponse,
  OneSyncResponse,
  ScheduleResponse,
  StartSyncResponse,
  SyncsResponse,
} from './sync.dto';
import { SyncService } from './sync.service';
import { SyncStream } from './sync.stream';

/** Synchronisation: what Klaviyo holds is read into our mirror. */
@ApiController('sync')
export class SyncController {
  constructor(
    private readonly syncs: SyncService,
    private readonly streams: SyncStream,
  ) {}

  @Post()
  @HttpCode(HttpStatus.ACCEPTED)
  @ApiOperation({ summary: 'Synchronise now; a run under way that reads as much is answered instead' })
  @ApiAcceptedResponse({ type: StartSyncResponse, description: 'The run, waiting or under way' })
  async start(@Scope() scope: UserScope, @Body() body: SyncRequest): Promise<StartSyncResponse> {
    return StartSyncResponse.from(await this.syncs.start(scope, body));
  }

  @Get()
  @ApiOperation({ summary: 'The latest run, the next one and the history' })
  async overview(@Scope() scope: UserScope, @Query() query: SyncsQuery): Promise<SyncsResponse> {
    return SyncsResponse.from(await this.syncs.overview(scope, query));
  }

  @Put('schedule')
  @ApiOperation({ summary: 'Change when a connection is synchronised by itself' })
  async schedule(@Scope() scope: UserScope, @Body() body: ScheduleRequest): Promise<ScheduleResponse> {
    return ScheduleResponse.from(await this.syncs.schedule(scope, body));
  }

  @Get(':id')
  @ApiOperation({ summary: 'One run' })
  async one(
    @Scope() scope: UserScope,
    @Param('id', KnownId('SYNC_NOT_FOUND')) id: string,
    @Query() query: SyncQuery,
  ): Promise<OneSyncResponse> {
    return OneSyncResponse.from(await this.syncs.one(scope, id, query.connectionId));
  }

  @Get(':id/logs')
  @AlsoCsv('logs', LOG_COLUMNS)
  @ApiOperation({ summary: 'The pages that a run read, kept for 7 days' })
  async logs(
    @Scope() scope: UserScope,
    @Param('id', KnownId('SYNC_NOT_FOUND')) id: string,
    @Query() query: LogsQuery,
  ): Promise<LogsResponse> {
    return LogsResponse.from(await this.syncs.logs(scope, id, query));
  }

  @Get(':id/stream')
  @ApiOperation({ summary: 'A run as it goes: an event `sync` with its shape at each change, and `end`' })
  // Not kept for another call afterwards: a service that stops waits for no line that says nothing.
  @Header('connection', 'close')
  @Header('x-accel-buffering', 'no')
  @Header('cache-control', 'no-store')
  @ApiHeader({ name: 'Last-Event-ID', required: false, description: 'The `id` of the last event seen' })
  @ApiProduces('text/event-stream')
  @ApiOkResponse({ description: 'Server-sent events', schema: { type: 'string' } })
  async stream(
    @Scope() scope: UserScope,
    @Param('id', KnownId('SYNC_NOT_FOUND')) id: string,
    @Query() query: SyncQuery,
    @Headers('last-event-id') lastEventId: string | undefined,
  ): Promise<StreamableFile> {
    return this.streams.open(scope, id, query.connectionId, lastEventId);
  }

  @Post(':id/cancel')
  @HttpCode(HttpStatus.ACCEPTED)
  @ApiOperation({ summary: 'End a run; what it brought so far stays' })
  @ApiAcceptedResponse({ type: OneSyncResponse, description: 'Over, or asked to end' })
  async cancel(
    @Scope() scope: UserScope,
    @Param('id', KnownId('SYNC_NOT_FOUND')) id: string,
    @Body() body: CancelRequest,
  ): Promise<OneSyncResponse> {
    return OneSyncResponse.from(await this.syncs.cancel(scope, id, body.connectionId));
  }
}
