import { ApiProperty } from '@nestjs/swagger';
import type { ErrorCode } from '../common/errors';
import { Items, Text } from '../common/rules';
import { ScopedQuery, ScopedRequest } from '../common/scoped.dto';
import type { MemberResult } from './list-members.service';

/** What Klaviyo takes in one call. */
const MOST_ADDED = 1000;

export class AddMembersRequest extends ScopedRequest {
  @ApiProperty({
    type: [String],
    minItems: 1,
    maxItems: MOST_ADDED,
    description: 'Klaviyo’s ids of profiles; judged one by one',
  })
  @Items({ min: 1, max: MOST_ADDED })
  profileIds: unknown[];
}

export class RemoveMembersQuery extends ScopedQuery {
  @ApiProperty({ description: 'Klaviyo’s ids of 1 to 100 profiles, comma-separated; judged one by one' })
  @Text({ max: 7000 })
  profileIds: string;
}

export class MemberResultResponse {
  @ApiProperty({ type: 'integer', description: 'The place of the id among those given, from 0' })
  index: number;

  @ApiProperty({ enum: ['added', 'removed', 'failed'] })
  status: 'added' | 'removed' | 'failed';

  /** The profile, where the id given can be one. */
  id?: string;

  @ApiProperty({ type: 'string', required: false, description: 'Why it failed: see the codes of errors' })
  code?: ErrorCode;

  static from({ index, status, id, code }: MemberResult): MemberResultResponse {
    return { index, status, ...(id === undefined ? {} : { id }), ...(code === undefined ? {} : { code }) };
  }
}

export class MembersResponse {
  /** One for each id, in the order given. */
  results: MemberResultResponse[];

  static from(results: readonly MemberResult[]): MembersResponse {
    return { results: results.map((result) => MemberResultResponse.from(result)) };
  }
}
