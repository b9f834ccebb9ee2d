import { ApiPropertyOptional } from '@nestjs/swagger';
import { PageQuery } from '../common/page';
import { Bool, Int, Nullable, OneOf, Optional, SomeOf, Uuid } from '../common/rules';
import { ScopedQuery, ScopedRequest } from '../common/scoped.dto';
import { PASS_KINDS, RESOURCES, type PassKind, type Resource } from '../mirror/resources';

/** A run more often than this would begin before the last one ended. */
const LEAST_MINUTES = 5;
const MOST_MINUTES = 10_080;

export class SyncRequest extends ScopedRequest {
  /** What is read; everything when unsaid. Lists and segments come with `memberships`, which belong to them. */
  @ApiPropertyOptional({ enum: RESOURCES, isArray: true, minItems: 1, uniqueItems: true })
  @Optional()
  @SomeOf(RESOURCES)
  resources?: Resource[];

  /** `full`: everything, and what is gone is marked. `incremental`: what changed; in full what was never read so far. */
  @ApiPropertyOptional({ enum: PASS_KINDS, default: 'full' })
  @Optional()
  @OneOf(PASS_KINDS)
  mode?: PassKind;
}

export class CancelRequest extends ScopedRequest {}

export class SyncsQuery extends ScopedQuery {
  /** The run to show as `sync`; the latest when unsaid. */
  @ApiPropertyOptional({ format: 'uuid' })
  @Optional()
  @Uuid()
  syncId?: string;
}

export class SyncQuery extends ScopedQuery {}

const LOG_ORDERS = ['newest', 'oldest'] as const;

export class LogsQuery extends PageQuery {
  /** Only pages of this resource. */
  @ApiPropertyOptional({ enum: RESOURCES })
  @Optional()
  @OneOf(RESOURCES)
  resource?: Resource;

  /** Which come first. */
  @ApiPropertyOptional({ enum: LOG_ORDERS, default: 'newest' })
  @Optional()
  @OneOf(LOG_ORDERS)
  order?: (typeof LOG_ORDERS)[number];
}

export class ScheduleRequest extends ScopedRequest {
  /** Whether the connection is synchronised by itself. */
  @Optional()
  @Bool()
  enabled?: boolean;

  /** Minutes from one run to the next; `null`: the service's own interval, whatever it is. */
  @ApiPropertyOptional({ type: 'integer', nullable: true, minimum: LEAST_MINUTES, maximum: MOST_MINUTES })
  @Optional()
  @Nullable()
  @Int({ min: LEAST_MINUTES, max: MOST_MINUTES })
  intervalMinutes?: number | null;
}
