import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { ReadPage } from '../common/read.dto';
import { ReadOneQuery, ReadPageResponse, ReadQuery, SOURCES, type Source } from '../common/read.dto';
import { Label, OneOf, Optional, Text } from '../common/rules';
import { ScopedRequest } from '../common/scoped.dto';
import type { OneGroup } from '../groups/groups.service';
import type { CountedList } from './list';

export class ListsQuery extends ReadQuery {
  /** Only lists whose name holds this, whatever the case. */
  @Optional()
  @Text({ max: 255 })
  name?: string;
}

export class OneListQuery extends ReadOneQuery {
  @ApiPropertyOptional({
    enum: SOURCES,
    default: 'auto',
    description: 'Our mirror while it is fresh and knows it, else Klaviyo (`auto`); Klaviyo; our mirror',
  })
  @Optional()
  @OneOf(SOURCES)
  source?: Source;
}

export class ListResponse implements CountedList {
  /** Klaviyo's id. */
  id: string;
  name: string | null;
  /** `single_opt_in` or `double_opt_in`; null where Klaviyo's revision does not say. */
  optInProcess: string | null;
  /** RFC 3339, UTC. */
  createdAt: string | null;
  updatedAt: string | null;
  /** With `includeStats`: people on the list when it was last counted; null when it never was. */
  memberCount?: number | null;
  /** When that was. */
  memberCountAt?: string | null;

  static from(list: CountedList): ListResponse {
    return {
      id: list.id,
      name: list.name,
      optInProcess: list.optInProcess,
      createdAt: list.createdAt,
      updatedAt: list.updatedAt,
      ...(list.memberCount === undefined ? {} : { memberCount: list.memberCount }),
      ...(list.memberCountAt === undefined ? {} : { memberCountAt: list.memberCountAt }),
    };
  }
}

export class ListsResponse extends ReadPageResponse {
  lists: ListResponse[];

  static from({ rows, pagination, source, syncedAt, stale }: ReadPage<CountedList>): ListsResponse {
    return { lists: rows.map((row) => ListResponse.from(row)), pagination, source, syncedAt, stale };
  }
}

export class OneListResponse {
  list: ListResponse;

  @ApiProperty({ enum: ['live', 'mirror'], description: 'Where it comes from' })
  source: 'live' | 'mirror';

  /** When it was read from Klaviyo. RFC 3339, UTC. */
  syncedAt: string;
  /** Whether it is older than it should be. */
  stale: boolean;

  static from({ group, source, syncedAt, stale }: OneGroup<CountedList>): OneListResponse {
    return { list: ListResponse.from(group), source, syncedAt, stale };
  }
}

const OPT_IN_PROCESSES = ['single_opt_in', 'double_opt_in'] as const;

export class CreateListRequest extends ScopedRequest {
  /** What people call it; Klaviyo allows two of the same name. */
  @Label({ max: 255 })
  name: string;

  @ApiPropertyOptional({
    enum: OPT_IN_PROCESSES,
    description: 'Whether people confirm before they are subscribed; the account’s own setting when unsaid',
  })
  @Optional()
  @OneOf(OPT_IN_PROCESSES)
  optInProcess?: (typeof OPT_IN_PROCESSES)[number];
}

export class CreateListResponse {
  list: ListResponse;

  static from(list: CountedList): CreateListResponse {
    return { list: ListResponse.from(list) };
  }
}
