import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { ReadPage } from '../common/read.dto';
import { ReadOneQuery, ReadPageResponse, ReadQuery, SOURCES, type Source } from '../common/read.dto';
import { OneOf, Optional, Text } from '../common/rules';
import type { OneGroup } from '../groups/groups.service';
import type { CountedSegment } from './segment';

export class SegmentsQuery extends ReadQuery {
  /** Only segments whose name holds this, whatever the case. */
  @Optional()
  @Text({ max: 255 })
  name?: string;
}

export class OneSegmentQuery extends ReadOneQuery {
  @ApiPropertyOptional({
    enum: SOURCES,
    default: 'auto',
    description: 'Our mirror while it is fresh and knows it, else Klaviyo (`auto`); Klaviyo; our mirror',
  })
  @Optional()
  @OneOf(SOURCES)
  source?: Source;
}

export class SegmentResponse implements CountedSegment {
  /** Klaviyo's id. */
  id: string;
  name: string | null;
  /** Does Klaviyo keep it up to date? Null, like the two below, where Klaviyo's revision does not say. */
  isActive: boolean | null;
  /** Is it being computed? Its members are not complete then. */
  isProcessing: boolean | null;
  isStarred: boolean | null;
  /** RFC 3339, UTC. */
  createdAt: string | null;
  updatedAt: string | null;
  /** With `includeStats`: people in the segment when it was last counted; null when it never was. */
  memberCount?: number | null;
  /** When that was. */
  memberCountAt?: string | null;

  static from(segment: CountedSegment): SegmentResponse {
    return {
      id: segment.id,
      name: segment.name,
      isActive: segment.isActive,
      isProcessing: segment.isProcessing,
      isStarred: segment.isStarred,
      createdAt: segment.createdAt,
      updatedAt: segment.updatedAt,
      ...(segment.memberCount === undefined ? {} : { memberCount: segment.memberCount }),
      ...(segment.memberCountAt === undefined ? {} : { memberCountAt: segment.memberCountAt }),
    };
  }
}

export class SegmentsResponse extends ReadPageResponse {
  segments: SegmentResponse[];

  static from({ rows, pagination, source, syncedAt, stale }: ReadPage<CountedSegment>): SegmentsResponse {
    return { segments: rows.map((row) => SegmentResponse.from(row)), pagination, source, syncedAt, stale };
  }
}

export class OneSegmentResponse {
  segment: SegmentResponse;

  @ApiProperty({ enum: ['live', 'mirror'], description: 'Where it comes from' })
  source: 'live' | 'mirror';

  /** When it was read from Klaviyo. RFC 3339, UTC. */
  syncedAt: string;
  /** Whether it is older than it should be. */
  stale: boolean;

  static from({ group, source, syncedAt, stale }: OneGroup<CountedSegment>): OneSegmentResponse {
    return { segment: SegmentResponse.from(group), source, syncedAt, stale };
  }
}
