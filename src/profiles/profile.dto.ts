import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import type { EmailSubscription, ListName, Location, Profile, SmsSubscription, Subscriptions } from './profile';

const INSTANT = { type: 'string', format: 'date-time', nullable: true } as const;

export class LocationResponse implements Location {
  address1: string | null;
  address2: string | null;
  city: string | null;
  region: string | null;
  country: string | null;
  zip: string | null;
  /** IANA name. */
  timezone: string | null;
  /** Degrees north. */
  latitude: number | null;
  /** Degrees east. */
  longitude: number | null;
  ip: string | null;

  static from(location: Location): LocationResponse {
    const { address1, address2, city, region, country, zip, timezone, latitude, longitude, ip } = location;
    return { address1, address2, city, region, country, zip, timezone, latitude, longitude, ip };
  }
}

class SuppressionResponse {
  /** Klaviyo's word: HARD_BOUNCE, INVALID_EMAIL, SPAM_COMPLAINT, UNSUBSCRIBE, USER_SUPPRESSED. */
  reason: string | null;
  @ApiProperty(INSTANT)
  at: string | null;
}

class SmsSubscriptionResponse implements SmsSubscription {
  /** Klaviyo's word: SUBSCRIBED, UNSUBSCRIBED, NEVER_SUBSCRIBED… */
  consent: string | null;
  canReceive: boolean | null;
  @ApiProperty(INSTANT)
  consentedAt: string | null;
}

class EmailSubscriptionResponse extends SmsSubscriptionResponse implements EmailSubscription {
  /** What keeps mail from being sent, of the whole account (not of one list). */
  suppressions: SuppressionResponse[];
}

class SubscriptionsResponse implements Subscriptions {
  email: EmailSubscriptionResponse;
  sms: SmsSubscriptionResponse;

  static from({ email, sms }: Subscriptions): SubscriptionsResponse {
    return {
      email: {
        consent: email.consent,
        canReceive: email.canReceive,
        consentedAt: email.consentedAt,
        suppressions: email.suppressions.map(({ reason, at }) => ({ reason, at })),
      },
      sms: { consent: sms.consent, canReceive: sms.canReceive, consentedAt: sms.consentedAt },
    };
  }
}

class ProfileListResponse {
  /** Klaviyo's id. */
  id: string;
  name: string | null;
}

/** A person as Klaviyo knows them. */
export class ProfileResponse {
  /** Klaviyo's id. */
  id: string;
  email: string | null;
  /** E.164. */
  phoneNumber: string | null;
  /** The person's id in your own system. */
  externalId: string | null;
  firstName: string | null;
  lastName: string | null;
  organization: string | null;
  title: string | null;
  image: string | null;
  locale: string | null;
  location: LocationResponse;
  /** Klaviyo's `properties` without `tags`. */
  @ApiProperty({ type: 'object', additionalProperties: true })
  customAttributes: Record<string, unknown>;
  tags: string[];
  @ApiProperty({ type: SubscriptionsResponse, nullable: true, description: 'Null where Klaviyo does not say' })
  subscriptions: SubscriptionsResponse | null;
  @ApiProperty(INSTANT)
  createdAt: string | null;
  @ApiProperty(INSTANT)
  updatedAt: string | null;
  /** The lists the person is on, where they were read. */
  @ApiPropertyOptional({ type: [ProfileListResponse] })
  lists?: ProfileListResponse[];

  static from(profile: Profile, lists?: readonly ListName[]): ProfileResponse {
    return {
      id: profile.id,
      email: profile.email,
      phoneNumber: profile.phoneNumber,
      externalId: profile.externalId,
      firstName: profile.firstName,
      lastName: profile.lastName,
      organization: profile.organization,
      title: profile.title,
      image: profile.image,
      locale: profile.locale,
      location: LocationResponse.from(profile.location),
      customAttributes: profile.customAttributes,
      tags: profile.tags,
      subscriptions: profile.subscriptions && SubscriptionsResponse.from(profile.subscriptions),
      createdAt: profile.createdAt,
      updatedAt: profile.updatedAt,
      ...(lists ? { lists: lists.map(({ id, name }) => ({ id, name })) } : {}),
    };
  }
}
