import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { PageQuery } from '../common/page';
import { ReadPageResponse, SOURCES, type ReadPage, type Source } from '../common/read.dto';
import { Instant, KlaviyoId, OneOf, Optional, Text } from '../common/rules';
import type { TimelineEvent } from './timeline';

export class TimelineQuery extends PageQuery {
  /** Only events of the metrics of this name, whatever its case, e.g. `Placed Order`. */
  @ApiPropertyOptional({ maxLength: 255 })
  @Optional()
  @Text({ max: 255 })
  metric?: string;

  /** Only events of this metric: Klaviyo's id. */
  @Optional()
  @KlaviyoId()
  metricId?: string;

  /** Happened then or later. */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  from?: string;

  /** Happened before. */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  to?: string;

  @ApiPropertyOptional({
    enum: SOURCES,
    default: 'auto',
    description: 'Our mirror while it is fresh, else Klaviyo (`auto`); Klaviyo (`live`); our mirror (`mirror`)',
  })
  @Optional()
  @OneOf(SOURCES)
  source?: Source;
}

class TimelineMetricResponse {
  /** Klaviyo's id. */
  id: string | null;
  name: string | null;
}

class TimelineEventResponse {
  /** Klaviyo's id. */
  id: string;
  metric: TimelineMetricResponse;
  /** Klaviyo's id of the person. */
  profileId: string;
  /** RFC 3339, UTC; Klaviyo keeps seconds. */
  occurredAt: string;
  /** Klaviyo's `$value`, e.g. the total of an order; null where the event has none. */
  value: number | null;
  @ApiProperty({ type: 'object', additionalProperties: true })
  properties: Readonly<Record<string, unknown>>;

  static from({ id, metric, profileId, occurredAt, value, properties }: TimelineEvent): TimelineEventResponse {
    return { id, metric: { id: metric.id, name: metric.name }, profileId, occurredAt, value, properties };
  }
}

export class TimelineResponse extends ReadPageResponse {
  events: TimelineEventResponse[];

  static from({ rows, pagination, source, syncedAt, stale }: ReadPage<TimelineEvent>): TimelineResponse {
    return { events: rows.map((row) => TimelineEventResponse.from(row)), pagination, source, syncedAt, stale };
  }
}
