import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { PageQuery, Pagination } from '../common/page';
import { CommaList, Instant, KlaviyoId, OneOf, Optional, Text, Uuid } from '../common/rules';
import { ScopedQuery, ScopedRequest } from '../common/scoped.dto';
import { RECEIVED_STATUSES, type ReceivedStatus } from './received-event.entity';
import type { HistoryEntry, ReceivedView } from './received-events.service';

export class ReceivedEventsQuery extends PageQuery {
  /** Only what this webhook brought. */
  @Optional()
  @Uuid()
  webhookId?: string;

  /** Only events of this topic, e.g. `event:klaviyo.opened_email`. */
  @Optional()
  @Text({ max: 255 })
  topic?: string;

  /** Only events in these states, comma-separated: received, processed, failed, dead, quarantined. */
  @ApiPropertyOptional({ type: 'string', example: 'failed,dead' })
  @Optional()
  @CommaList(RECEIVED_STATUSES)
  status?: ReceivedStatus[];

  /** Only events of this person, by Klaviyo's id. */
  @Optional()
  @KlaviyoId()
  profileId?: string;

  /** Only those that could not be passed on to `EVENT_FORWARD_URL` within a day. */
  @ApiPropertyOptional({ enum: ['dead'] })
  @Optional()
  @OneOf(['dead'])
  forward?: 'dead';

  /** Only what arrived then or later; RFC 3339. */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  from?: string;

  /** Only what arrived before; RFC 3339. */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  to?: string;
}

export class ReceivedEventQuery extends ScopedQuery {}

export class ReplayRequest extends ScopedRequest {}

/** States that can be worked off again; what is malformed cannot. */
const REPLAYABLE = ['processed', 'failed', 'dead'] as const;

export class ReplayManyRequest extends ScopedRequest {
  /** Of which state: `failed` or `dead`, or `processed` to have all of it once more. */
  @ApiProperty({ enum: REPLAYABLE })
  @OneOf(REPLAYABLE)
  status: (typeof REPLAYABLE)[number];

  /** Only what this webhook brought. */
  @Optional()
  @Uuid()
  webhookId?: string;

  /** Only events of this topic. */
  @Optional()
  @Text({ max: 255 })
  topic?: string;

  /** Only events of this person, by Klaviyo's id. */
  @Optional()
  @KlaviyoId()
  profileId?: string;

  /** Only those that could not be passed on to `EVENT_FORWARD_URL` within a day. */
  @ApiPropertyOptional({ enum: ['dead'] })
  @Optional()
  @OneOf(['dead'])
  forward?: 'dead';

  /** Only what arrived then or later; RFC 3339. */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  from?: string;

  /** Only what arrived before; RFC 3339. */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  to?: string;
}

class ReceivedMetricResponse {
  /** Klaviyo's. */
  id: string;
  /** Null where it is not known (yet). */
  @ApiProperty({ type: 'string', nullable: true })
  name: string | null;
}

export class ReceivedEventResponse {
  /** Ours. */
  id: string;
  /** Klaviyo's; null only for a malformed event that came without. */
  @ApiProperty({ type: 'string', nullable: true })
  externalId: string | null;
  /** Who brought it first. */
  webhookId: string;
  topic: string;
  @ApiProperty({ type: ReceivedMetricResponse, nullable: true })
  metric: ReceivedMetricResponse | null;
  /** Klaviyo's id of the person. */
  @ApiProperty({ type: 'string', nullable: true })
  profileId: string | null;
  /** As Klaviyo gave them; of a malformed event the beginning of its text, as `raw`. */
  @ApiProperty({ type: 'object', additionalProperties: true })
  properties: Record<string, unknown>;
  occurredAt: Date;
  receivedAt: Date;
  /** Whether it came later than its tolerance, as a repetition of Klaviyo's does. */
  late: boolean;
  /** `failed`: tried again by itself; `dead`: given up, see replay; `quarantined`: malformed. */
  @ApiProperty({ enum: RECEIVED_STATUSES })
  status: ReceivedStatus;
  /** Times that it was worked off, or that this was tried. */
  @ApiProperty({ type: 'integer' })
  attempts: number;
  /** A code; null where nothing is wrong. */
  @ApiProperty({ type: 'string', nullable: true })
  lastError: string | null;

  static from(event: ReceivedView): ReceivedEventResponse {
    const { id, externalId, webhookId, topic, metric, profileId, properties, occurredAt, receivedAt } = event;
    const { late, status, attempts, lastError } = event;
    return {
      id,
      externalId,
      webhookId,
      topic,
      metric: metric && { id: metric.id, name: metric.name },
      profileId,
      properties,
      occurredAt,
      receivedAt,
      late,
      status,
      attempts,
      lastError,
    };
  }
}

const WHATS = ['received', 'processed', 'failed', 'dead', 'replayed', 'forwarded', 'forward_failed', 'forward_dead'];

class HistoryEntryResponse {
  /** Of `forward_failed`: when it is tried next. */
  at: Date;
  @ApiProperty({ enum: WHATS })
  what: HistoryEntry['what'];
  /** How it came (push, poll, backfill), or a code. */
  @ApiProperty({ type: 'string', nullable: true })
  detail: string | null;
}

export class OneReceivedEventResponse {
  event: ReceivedEventResponse;
  /** Oldest first. */
  history: HistoryEntryResponse[];

  static from(found: { event: ReceivedView; history: readonly HistoryEntry[] }): OneReceivedEventResponse {
    return {
      event: ReceivedEventResponse.from(found.event),
      history: found.history.map(({ at, what, detail }) => ({ at, what, detail })),
    };
  }
}

export class ReplayResponse {
  event: ReceivedEventResponse;

  static from(event: ReceivedView): ReplayResponse {
    return { event: ReceivedEventResponse.from(event) };
  }
}

export class ReplayManyResponse {
  /** Events that will be worked off again. */
  @ApiProperty({ type: 'integer' })
  replayed: number;
  /** Whether there may be more: 10,000 at once, the oldest first. */
  more: boolean;

  static from({ replayed, more }: { replayed: number; more: boolean }): ReplayManyResponse {
    return { replayed, more };
  }
}

export class ReceivedEventsResponse {
  events: ReceivedEventResponse[];
  pagination: Pagination;

  static from(page: { events: readonly ReceivedView[]; pagination: Pagination }): ReceivedEventsResponse {
    return { events: page.events.map((event) => ReceivedEventResponse.from(event)), pagination: page.pagination };
  }
}
