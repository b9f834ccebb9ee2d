import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { PageQuery } from '../common/page';
import { ReadPageResponse, SOURCES, type ReadPage, type Source } from '../common/read.dto';
import { Instant, KlaviyoId, OneOf, Optional, QueryBool, Text } from '../common/rules';
import { ScopedQuery } from '../common/scoped.dto';
import type { ListName, Profile } from './profile';
import { ProfileField } from './profile-fields';
import { MIN_NAME_PART, SORTS, type ProfileSort } from './profile-filters';
import type { TagCount } from './profile-tags.repository';
import { ProfileResponse } from './profile.dto';
import type { Member } from './profiles-live.klaviyo';
import type { Provenance } from '../mirror/mirror.service';

const SOURCE = {
  enum: SOURCES,
  default: 'auto',
  description: 'Our mirror while it is fresh, else Klaviyo (`auto`); Klaviyo (`live`); our mirror (`mirror`)',
};
const TOTAL = { description: 'Adds `pagination.total`, exact up to 10,000, where it is not known anyway' };

/** The columns of people in a table. */
export const PROFILE_COLUMNS: readonly string[] = [
  'id',
  'email',
  'phoneNumber',
  'externalId',
  'firstName',
  'lastName',
  'organization',
  'title',
  'locale',
  'location.address1',
  'location.address2',
  'location.city',
  'location.region',
  'location.country',
  'location.zip',
  'location.timezone',
  'tags',
  'customAttributes',
  'subscriptions.email.consent',
  'subscriptions.email.canReceive',
  'subscriptions.sms.consent',
  'subscriptions.sms.canReceive',
  'createdAt',
  'updatedAt',
];

/** All that is given must hold. `source=live` takes only what Klaviyo itself filters by. */
export class ProfilesQuery extends PageQuery {
  @ProfileField('email')
  email?: string;

  /** E.164. */
  @ProfileField('phoneNumber')
  phoneNumber?: string;

  /** The person's id in your own system. */
  @ProfileField('externalId')
  externalId?: string;

  /** A part of first name, last name or organization, whatever the case. From the mirror only. */
  @ApiPropertyOptional({ minLength: MIN_NAME_PART, maxLength: 100 })
  @Optional()
  @Text({ min: MIN_NAME_PART, max: 100 })
  name?: string;

  /** Exactly this tag. From the mirror only. */
  @ApiPropertyOptional({ minLength: 1, maxLength: 100 })
  @Optional()
  @Text({ max: 100 })
  tag?: string;

  /**
   * `name:value`: a custom attribute of the first level that is exactly this text, number or truth value, or holds it
   * among its items. Texts beyond 500 characters are not found. From the mirror only.
   */
  @ApiPropertyOptional({ example: 'plan:pro', maxLength: 600 })
  @Optional()
  @Text({ max: 600 })
  attribute?: string;

  /** Members of this list. */
  @Optional()
  @KlaviyoId()
  listId?: string;

  /** Members of this segment. */
  @Optional()
  @KlaviyoId()
  segmentId?: string;

  /** RFC 3339, inclusive. */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  updatedSince?: string;

  /** RFC 3339, exclusive. */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  updatedUntil?: string;

  @ApiPropertyOptional({ enum: SORTS, default: 'id', description: 'With `-` the last first' })
  @Optional()
  @OneOf(SORTS)
  sort?: ProfileSort;

  @ApiPropertyOptional(TOTAL)
  @Optional()
  @QueryBool()
  includeTotal?: boolean;

  @ApiPropertyOptional(SOURCE)
  @Optional()
  @OneOf(SOURCES)
  source?: Source;
}

export class ProfilesResponse extends ReadPageResponse {
  profiles: ProfileResponse[];

  static from({ rows, pagination, source, syncedAt, stale }: ReadPage<Profile>): ProfilesResponse {
    return { profiles: rows.map((row) => ProfileResponse.from(row)), pagination, source, syncedAt, stale };
  }
}

export class OneProfileQuery extends ScopedQuery {
  @ApiPropertyOptional(SOURCE)
  @Optional()
  @OneOf(SOURCES)
  source?: Source;
}

export class OneMirroredProfileResponse {
  /** With `lists`. */
  profile: ProfileResponse;
  @ApiProperty({ enum: ['live', 'mirror'], description: 'Where it comes from' })
  source: 'live' | 'mirror';
  @ApiProperty({ type: 'string', format: 'date-time', description: 'When it was read from Klaviyo' })
  syncedAt: string;
  @ApiProperty({ description: 'Whether it is older than it should be' })
  stale: boolean;

  static from(one: Provenance & { profile: Profile; lists: readonly ListName[] }): OneMirroredProfileResponse {
    const { profile, lists, source, syncedAt, stale } = one;
    return { profile: ProfileResponse.from(profile, lists), source, syncedAt, stale };
  }
}

export class TagsQuery extends PageQuery {
  /** A part of the tag, whatever the case. */
  @Optional()
  @Text({ max: 100 })
  name?: string;
}

class TagResponse {
  name: string;
  @ApiProperty({ type: 'integer', description: 'People who had it when the last synchronisation of people ended' })
  count: number;
}

export class TagsResponse extends ReadPageResponse {
  tags: TagResponse[];

  static from({ rows, pagination, source, syncedAt, stale }: ReadPage<TagCount>): TagsResponse {
    return { tags: rows.map(({ name, count }) => ({ name, count })), pagination, source, syncedAt, stale };
  }
}

export class MembersQuery extends PageQuery {
  @ApiPropertyOptional(TOTAL)
  @Optional()
  @QueryBool()
  includeTotal?: boolean;

  @ApiPropertyOptional(SOURCE)
  @Optional()
  @OneOf(SOURCES)
  source?: Source;
}

class MemberResponse extends ProfileResponse {
  /** When they joined; null where Klaviyo does not say. */
  @ApiProperty({ type: 'string', format: 'date-time', nullable: true })
  joinedAt: string | null;

  static override from(member: Member): MemberResponse {
    return Object.assign(ProfileResponse.from(member), { joinedAt: member.joinedAt });
  }
}

export class MembersResponse extends ReadPageResponse {
  profiles: MemberResponse[];

  static from({ rows, pagination, source, syncedAt, stale }: ReadPage<Member>): MembersResponse {
    return { profiles: rows.map((row) => MemberResponse.from(row)), pagination, source, syncedAt, stale };
  }
}
