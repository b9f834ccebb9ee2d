import { Body, Get, HttpCode, HttpStatus, Param, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOperation } from '@nestjs/swagger';
import { Scope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { KnownId } from '../common/known-id.pipe';
import { AlsoCsv } from '../common/table';
import {
  OneReceivedEventResponse,
  ReceivedEventQuery,
  ReceivedEventsQuery,
  ReceivedEventsResponse,
  ReplayManyRequest,
  ReplayManyResponse,
  ReplayRequest,
  ReplayResponse,
} from './received-events.dto';
import { ReceivedEventsService } from './received-events.service';

const COLUMNS = [
  'id',
  'externalId',
  'webhookId',
  'topic',
  'metric.id',
  'metric.name',
  'profileId',
  'properties',
  'occurredAt',
  'receivedAt',
  'late',
  'status',
  'attempts',
  'lastError',
];

/** Events that Klaviyo told us of: what came, what became of it, and once more. */
@ApiController('webhooks/events')
export class ReceivedEventsController {
  constructor(private readonly events: ReceivedEventsService) {}

  @Get()
  @AlsoCsv('events', COLUMNS)
  @ApiOperation({ summary: 'The events received from Klaviyo, newest first' })
  async index(@Scope() scope: UserScope, @Query() query: ReceivedEventsQuery): Promise<ReceivedEventsResponse> {
    return ReceivedEventsResponse.from(await this.events.page(scope, query));
  }

  @Post('replay')
  @HttpCode(HttpStatus.ACCEPTED)
  @ApiOperation({ summary: 'Work received events off, and pass them on, once more: all that fit' })
  @ApiAcceptedResponse({ type: ReplayManyResponse })
  async replayMany(@Scope() scope: UserScope, @Body() body: ReplayManyRequest): Promise<ReplayManyResponse> {
    return ReplayManyResponse.from(await this.events.replayMany(scope, body));
  }

  @Get(':id')
  @ApiOperation({ summary: 'One event received from Klaviyo, with its history' })
  async one(
    @Scope() scope: UserScope,
    @Param('id', KnownId('EVENT_NOT_FOUND')) id: string,
    @Query() query: ReceivedEventQuery,
  ): Promise<OneReceivedEventResponse> {
    return OneReceivedEventResponse.from(await this.events.one(scope, id, query.connectionId));
  }

  @Post(':id/replay')
  @HttpCode(HttpStatus.ACCEPTED)
  @ApiOperation({ summary: 'Work one received event off, and pass it on, once more' })
  @ApiAcceptedResponse({ type: ReplayResponse, description: 'It will be, in a moment' })
  async replay(
    @Scope() scope: UserScope,
    @Param('id', KnownId('EVENT_NOT_FOUND')) id: string,
    @Body() body: ReplayRequest,
  ): Promise<ReplayResponse> {
    return ReplayResponse.from(await this.events.replay(scope, id, body.connectionId));
  }
}
