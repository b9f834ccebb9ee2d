import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { STATUS_OF, type ErrorCode } from '../common/errors';
import { Exactly, Instant, KlaviyoId, KlaviyoIds, Nested, Optional, Text } from '../common/rules';
import { ScopedRequest } from '../common/scoped.dto';
import type { ListName, Profile } from './profile';
import { ProfileResponse } from './profile.dto';
import { ProfileRequest } from './profile-input.dto';
import { MAX_LISTS } from './profile-lists';
import { SUBSCRIBE_WARNINGS, type PlacedOnList, type Subscribed, type SubscribeWarning } from './subscribe.service';

/** What somebody agreed to. */
export class ConsentRequest {
  /** To mail; `profile.email` is then required. */
  @Optional()
  @Exactly(true)
  email?: true;

  /** To text messages; `profile.phoneNumber` is then required. */
  @Optional()
  @Exactly(true)
  sms?: true;

  /** Where it was given, e.g. the name of a form; kept by Klaviyo with the consent. */
  @Optional()
  @Text({ max: 255 })
  source?: string;

  /**
   * When it was given, for consent of the past that you can prove. Klaviyo then records it as it was and asks for no
   * confirmation, on a list with double opt-in neither. Leave it out for consent that is given now.
   */
  @ApiPropertyOptional({ format: 'date-time' })
  @Optional()
  @Instant()
  consentedAt?: string;
}

export class SubscribeRequest extends ScopedRequest {
  @Nested(() => ProfileRequest)
  profile: ProfileRequest;

  /** One list by its Klaviyo id; or several in `listIds`; or none. */
  @Optional()
  @KlaviyoId()
  listId?: string;

  @Optional()
  @KlaviyoIds({ min: 1, max: MAX_LISTS })
  listIds?: string[];

  /** With it the person joins through Klaviyo's subscribe job (double opt-in is respected), else by membership alone. */
  @Optional()
  @Nested(() => ConsentRequest)
  consent?: ConsentRequest;
}

class PlacedOnListResponse implements PlacedOnList {
  /** Klaviyo's id. */
  id: string;
  name: string | null;
  /** `added` is done; `requested` is done by Klaviyo, after the person's confirmation where the list asks for one. */
  @ApiProperty({ enum: ['added', 'requested', 'failed'] })
  status: 'added' | 'requested' | 'failed';
  /** Why it failed. */
  @ApiPropertyOptional({ enum: Object.keys(STATUS_OF) })
  code?: ErrorCode;
}

class RequestedResponse {
  @ApiPropertyOptional({ enum: ['requested'] })
  email?: 'requested';
  @ApiPropertyOptional({ enum: ['requested'] })
  sms?: 'requested';
}

export class SubscribeResponse {
  profile: ProfileResponse;
  /** Whether Klaviyo did not know the person before. */
  created: boolean;
  lists: PlacedOnListResponse[];
  /** The channels that Klaviyo was asked to subscribe. */
  subscription?: RequestedResponse;
  /** `NO_CONSENT`: on the lists without consent. `DOUBLE_OPT_IN_SKIPPED`: `consentedAt` spared a confirmation. */
  @ApiProperty({ enum: SUBSCRIBE_WARNINGS, isArray: true })
  warnings: SubscribeWarning[];

  static from(result: Subscribed): SubscribeResponse {
    return {
      profile: ProfileResponse.from(result.profile),
      created: result.created,
      lists: result.lists.map(({ id, name, status, code }) => ({ id, name, status, ...(code ? { code } : {}) })),
      ...(result.subscription ? { subscription: result.subscription } : {}),
      warnings: result.warnings,
    };
  }
}

export class OneProfileResponse {
  profile: ProfileResponse;

  static from({ profile, lists }: { profile: Profile; lists: readonly ListName[] }): OneProfileResponse {
    return { profile: ProfileResponse.from(profile, lists) };
  }
}
