import { ApiProperty } from '@nestjs/swagger';
import { PageQuery, Pagination } from '../common/page';
import { Instant, Optional } from '../common/rules';
import type { HistoryPage } from './group-history.service';

export class HistoryQuery extends PageQuery {
  /** Counts of then or later. */
  @Optional()
  @Instant()
  from?: string;

  /** Counts of before. */
  @Optional()
  @Instant()
  to?: string;
}

export class CountEntryResponse {
  /** When they were counted. RFC 3339, UTC. */
  at: string;

  @ApiProperty({ type: 'integer', description: 'People in it then' })
  memberCount: number;

  @ApiProperty({
    enum: ['pass', 'count'],
    description: 'A complete pass over the members (`pass`), or Klaviyo’s own count (`count`)',
  })
  source: 'pass' | 'count';
}

export class HistoryResponse {
  /** Newest first: at most one an hour where the count changed, else one a day; one a day after a week. */
  history: CountEntryResponse[];

  pagination: Pagination;

  static from({ entries, pagination }: HistoryPage): HistoryResponse {
    const history = entries.map(({ at, memberCount, source }) => ({ at: at.toISOString(), memberCount, source }));
    return { history, pagination };
  }
}
