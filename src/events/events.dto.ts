import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { Language } from '../common/messages';
import { PageQuery, Pagination } from '../common/page';
import {
  Bool,
  CommaList,
  Currency,
  Email,
  Instant,
  JsonObject,
  KlaviyoId,
  Nested,
  Nullable,
  Num,
  Optional,
  Phone,
  Text,
} from '../common/rules';
import { ScopedQuery, ScopedRequest } from '../common/scoped.dto';
import type { Triggered } from './event-intake';
import type { EventCategory, EventType } from './event-type';
import type { EventView } from './event-view';
import type { AccountMetric } from './events.klaviyo';
import type { Catalogue } from './events.service';
import { EVENT_STATUSES, type EventStatus } from './sent-event.entity';

export class EventProfileRequest {
  /** Klaviyo finds or makes the profile by it. */
  @Optional()
  @Email()
  email?: string;

  /** E.164. As the only identifier it needs an account that has SMS set up. */
  @Optional()
  @Phone()
  phoneNumber?: string;

  /** Your own id of the person. */
  @Optional()
  @Text({ max: 255 })
  externalId?: string;
}

export class EventRequest {
  /** A key or name of the catalogue (`GET /trigger-event`, in whatever case), or any other name. */
  @ApiProperty({ minLength: 1, maxLength: 127 })
  @Text({ max: 127 })
  eventType: string;

  /** What happened: at most 400 properties, 10 levels, texts of 100 KB, arrays of 4,000. */
  @ApiProperty({ type: 'object', additionalProperties: true })
  @JsonObject({ maxKeys: Number.MAX_SAFE_INTEGER })
  eventData: Record<string, unknown>;

  /** Klaviyo's id of the profile. Without it and `profile`, the profile is found in `eventData`. */
  @Optional()
  @KlaviyoId()
  profileId?: string;

  /** Identifiers of the profile; at least one. */
  @Optional()
  @Nested(() => EventProfileRequest)
  profile?: EventProfileRequest;

  /** RFC 3339; now when unsaid. Kept to the second, at most a year ahead. */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  time?: string;

  /** Money; `eventData.total` when unsaid. */
  @Optional()
  @Nullable()
  @Num()
  value?: number | null;

  /** ISO 4217; `eventData.currency` when unsaid. */
  @Optional()
  @Nullable()
  @Currency()
  currency?: string | null;

  /** What a repetition is recognised by, within profile and type; the event's own id when unsaid. */
  @ApiPropertyOptional({ minLength: 1, maxLength: 255 })
  @Optional()
  @Text({ max: 255 })
  uniqueId?: string;

  /** Recorded without starting any flow. */
  @Optional()
  @Bool()
  backfill?: boolean;
}

export class TriggerEventRequest extends ScopedRequest {
  @Nested(() => EventRequest)
  event: EventRequest;
}

export class CatalogueQuery extends ScopedQuery {}

export class EventQuery extends ScopedQuery {}

export class EventsQuery extends PageQuery {
  /** Only events in these states, comma-separated: queued, sent, failed, dead, cancelled. */
  @ApiPropertyOptional({ type: 'string', example: 'queued,failed' })
  @Optional()
  @CommaList(EVENT_STATUSES)
  status?: EventStatus[];
}

class EventProfileResponse {
  /** Klaviyo's id, where the caller gave it. */
  id: string | null;
  email: string | null;
  phoneNumber: string | null;
  externalId: string | null;
}

export class EventResponse {
  /** Ours. */
  id: string;
  /** The name of Klaviyo's metric. */
  eventType: string;
  uniqueId: string;
  /** `queued`: waits for Klaviyo; `failed`: Klaviyo refused it; `dead`: given up after 24 hours. */
  @ApiProperty({ enum: EVENT_STATUSES })
  status: EventStatus;
  profile: EventProfileResponse;
  time: Date;
  value: number | null;
  currency: string | null;
  /** Times it was offered to Klaviyo. */
  @ApiProperty({ type: 'integer' })
  attempts: number;
  /** The code of the last failure; null once sent. */
  lastError: string | null;
  createdAt: Date;
  sentAt: Date | null;

  static from(event: EventView): EventResponse {
    const { id, email, phoneNumber, externalId } = event.profile;
    return {
      id: event.id,
      eventType: event.eventType,
      uniqueId: event.uniqueId,
      status: event.status,
      profile: { id, email, phoneNumber, externalId },
      time: event.time,
      value: event.value,
      currency: event.currency,
      attempts: event.attempts,
      lastError: event.lastError,
      createdAt: event.createdAt,
      sentAt: event.sentAt,
    };
  }
}

export class TriggerEventResponse {
  event: EventResponse;
  /** Present when the same type, profile and `uniqueId` was accepted before: `event` is that first one. */
  @ApiPropertyOptional({ type: 'boolean', enum: [true] })
  duplicate?: true;

  static from(result: Triggered): TriggerEventResponse {
    return { event: EventResponse.from(result.event), ...(result.duplicate ? { duplicate: true } : {}) };
  }
}

export class OneEventResponse {
  event: EventResponse;

  static from(event: EventView): OneEventResponse {
    return { event: EventResponse.from(event) };
  }
}

export class EventsResponse {
  events: EventResponse[];
  pagination: Pagination;

  static from(page: { events: readonly EventView[]; pagination: Pagination }): EventsResponse {
    return { events: page.events.map((event) => EventResponse.from(event)), pagination: page.pagination };
  }
}

class EventTypeResponse {
  /** Taken as `eventType` in place of the name. */
  key: string;
  name: string;
  @ApiProperty({ enum: ['purchase', 'browsing', 'engagement'] })
  category: EventCategory;
  description: string;
  /** Properties of `eventData` that Klaviyo's templates and segments look for. */
  recommendedProperties: string[];
  /** An `event` as `POST /trigger-event` takes it. */
  @ApiProperty({ type: 'object', additionalProperties: true })
  example: Record<string, unknown>;

  static from(type: EventType, language: Language): EventTypeResponse {
    return {
      key: type.key,
      name: type.name,
      category: type.category,
      description: type.description[language],
      recommendedProperties: [...type.recommendedProperties],
      example: { ...type.example },
    };
  }
}

class MetricResponse {
  /** Klaviyo's id. */
  id: string;
  name: string;
  /** Who records it, e.g. `Klaviyo`, `API`. */
  integration: string | null;

  static from({ id, name, integration }: AccountMetric): MetricResponse {
    return { id, name, integration };
  }
}

export class CatalogueResponse {
  eventTypes: EventTypeResponse[];
  /** The account's own, where a user with a connection is given and Klaviyo answers. */
  metrics?: MetricResponse[];

  static from({ eventTypes, language, metrics }: Catalogue): CatalogueResponse {
    return {
      eventTypes: eventTypes.map((type) => EventTypeResponse.from(type, language)),
      ...(metrics === undefined ? {} : { metrics: metrics.map((metric) => MetricResponse.from(metric)) }),
    };
  }
}
