import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { PageQuery, Pagination } from './page';
import { OneOf, Optional, QueryBool } from './rules';
import { ScopedQuery } from './scoped.dto';

export const SOURCES = ['auto', 'live', 'mirror'] as const;
export type Source = (typeof SOURCES)[number];

/** Rows that `get-lists`, `get-segments` and `get-campaigns` give at most when neither `limit` nor `cursor` is said. */
export const ALL_ROWS = 1000;

const STATS = { description: 'Adds the last known figures with their time; a call refreshes what fits 2 s' };

/** Base of the queries of what Klaviyo holds. */
export abstract class ReadQuery extends PageQuery {
  @ApiPropertyOptional({
    enum: SOURCES,
    default: 'auto',
    description: 'Our mirror while it is fresh, else Klaviyo (`auto`); Klaviyo (`live`); our mirror (`mirror`)',
  })
  @Optional()
  @OneOf(SOURCES)
  source?: Source;

  @ApiPropertyOptional(STATS)
  @Optional()
  @QueryBool()
  includeStats?: boolean;
}

/** Base of the query of one such thing. */
export abstract class ReadOneQuery extends ScopedQuery {
  @ApiPropertyOptional(STATS)
  @Optional()
  @QueryBool()
  includeStats?: boolean;
}

/** What an answer of several such things says beside them. */
export abstract class ReadPageResponse {
  pagination: Pagination;

  @ApiProperty({ enum: ['live', 'mirror'], description: 'Where the rows come from' })
  source: 'live' | 'mirror';

  @ApiProperty({ type: 'string', format: 'date-time', nullable: true, description: 'When they were read from Klaviyo' })
  syncedAt: string | null;

  @ApiProperty({ description: 'Whether they are older than they should be' })
  stale: boolean;
}

/** A page of rows and what is known of it. */
export interface ReadPage<T> extends ReadPageResponse {
  rows: T[];
}
