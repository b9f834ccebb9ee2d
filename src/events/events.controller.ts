import { Body, Get, HttpCode, HttpStatus, Param, Post, Query } from '@nestjs/common';
import { ApiAcceptedResponse, ApiOperation } from '@nestjs/swagger';
import { Scope, UserOptional, type OptionalUserScope, type UserScope } from '../auth/user-scope';
import { ApiController } from '../common/controller';
import { AlsoCsv } from '../common/table';
import { KnownId } from '../common/known-id.pipe';
import { EventIntake } from './event-intake';
import {
  CatalogueQuery,
  CatalogueResponse,
  EventQuery,
  EventsQuery,
  EventsResponse,
  OneEventResponse,
  TriggerEventRequest,
  TriggerEventResponse,
} from './events.dto';
import { EventsService } from './events.service';

const EVENT_COLUMNS = [
  'id',
  'eventType',
  'uniqueId',
  'status',
  'profile.id',
  'profile.email',
  'profile.phoneNumber',
  'profile.externalId',
  'time',
  'value',
  'currency',
  'attempts',
  'lastError',
  'createdAt',
  'sentAt',
];

/** Events to Klaviyo: send one, see what can be sent and what was. */
@ApiController()
export class EventsController {
  constructor(
    private readonly intake: EventIntake,
    private readonly events: EventsService,
  ) {}

  @Post('trigger-event')
  @HttpCode(HttpStatus.ACCEPTED)
  @ApiOperation({ summary: 'Send an event; what Klaviyo cannot take now is kept and sent later' })
  @ApiAcceptedResponse({ type: TriggerEventResponse, description: 'Accepted: sent, or queued' })
  async trigger(@Scope() scope: UserScope, @Body() body: TriggerEventRequest): Promise<TriggerEventResponse> {
    return TriggerEventResponse.from(await this.intake.trigger(scope, body.connectionId, body.event));
  }

  @Get('trigger-event')
  @UserOptional()
  @ApiOperation({ summary: 'The predefined event types, and the metrics of the account' })
  async catalogue(@Scope() scope: OptionalUserScope, @Query() query: CatalogueQuery): Promise<CatalogueResponse> {
    return CatalogueResponse.from(await this.events.catalogue(scope, query.connectionId));
  }

  @Get('events')
  @AlsoCsv('events', EVENT_COLUMNS)
  @ApiOperation({ summary: 'The events sent by us, newest first' })
  async index(@Scope() scope: UserScope, @Query() query: EventsQuery): Promise<EventsResponse> {
    return EventsResponse.from(await this.events.page(scope, query));
  }

  @Get('events/:id')
  @ApiOperation({ summary: 'One event sent by us' })
  async one(
    @Scope() scope: UserScope,
    @Param('id', KnownId('EVENT_NOT_FOUND')) id: string,
    @Query() query: EventQuery,
  ): Promise<OneEventResponse> {
    return OneEventResponse.from(await this.events.one(scope, id, query.connectionId));
  }
}
