import { Nested, Nullable, Optional } from '../common/rules';
import { ClearableField, ProfileField } from './profile-fields';

/** Where a person is. What is left out stays as it is. */
export class LocationRequest {
  @ProfileField('location.address1')
  address1?: string;

  @ProfileField('location.address2')
  address2?: string;

  @ProfileField('location.city')
  city?: string;

  @ProfileField('location.region')
  region?: string;

  @ProfileField('location.country')
  country?: string;

  @ProfileField('location.zip')
  zip?: string;

  /** IANA name, e.g. `Europe/Paris`. */
  @ProfileField('location.timezone')
  timezone?: string;

  /** Degrees north. */
  @ProfileField('location.latitude')
  latitude?: number;

  /** Degrees east. */
  @ProfileField('location.longitude')
  longitude?: number;

  @ProfileField('location.ip')
  ip?: string;
}

/** A person to create or update; at least one of `email`, `phoneNumber` and `externalId`. */
export class ProfileRequest {
  /** Kept in lower case by Klaviyo. */
  @ProfileField('email')
  email?: string;

  /** E.164, e.g. `+33612345678`. */
  @ProfileField('phoneNumber')
  phoneNumber?: string;

  /** The person's id in your own system. */
  @ProfileField('externalId')
  externalId?: string;

  @ProfileField('firstName')
  firstName?: string;

  @ProfileField('lastName')
  lastName?: string;

  @ProfileField('organization')
  organization?: string;

  /** Job title. */
  @ProfileField('title')
  title?: string;

  /** Address of a picture. */
  @ProfileField('image')
  image?: string;

  /** BCP 47, e.g. `fr-FR`. */
  @ProfileField('locale')
  locale?: string;

  @Optional()
  @Nested(() => LocationRequest)
  location?: LocationRequest;

  /** Merged by key with those that are there; a null value removes the key. `tags` is not one of them. */
  @ProfileField('customAttributes')
  customAttributes?: Record<string, unknown>;

  /** Added to those that are there, without duplicates. */
  @ProfileField('tags')
  tags?: string[];
}

/** As `LocationRequest`; null clears. */
export class LocationChange {
  @ClearableField('location.address1')
  address1?: string | null;

  @ClearableField('location.address2')
  address2?: string | null;

  @ClearableField('location.city')
  city?: string | null;

  @ClearableField('location.region')
  region?: string | null;

  @ClearableField('location.country')
  country?: string | null;

  @ClearableField('location.zip')
  zip?: string | null;

  /** IANA name. */
  @ClearableField('location.timezone')
  timezone?: string | null;

  /** Degrees north. */
  @ClearableField('location.latitude')
  latitude?: number | null;

  /** Degrees east. */
  @ClearableField('location.longitude')
  longitude?: number | null;

  @ClearableField('location.ip')
  ip?: string | null;
}

/** What to change of a person: what is left out stays, null clears. */
export class ProfileChangeRequest {
  /** A new address; 409 when somebody else has it. */
  @ClearableField('email')
  email?: string | null;

  /** A new number in E.164; 409 when somebody else has it. */
  @ClearableField('phoneNumber')
  phoneNumber?: string | null;

  /** A new id in your own system; 409 when somebody else has it. */
  @ClearableField('externalId')
  externalId?: string | null;

  @ClearableField('firstName')
  firstName?: string | null;

  @ClearableField('lastName')
  lastName?: string | null;

  @ClearableField('organization')
  organization?: string | null;

  /** Job title. */
  @ClearableField('title')
  title?: string | null;

  /** Address of a picture. */
  @ClearableField('image')
  image?: string | null;

  /** BCP 47, e.g. `fr-FR`. */
  @ClearableField('locale')
  locale?: string | null;

  /** Null clears the whole location. */
  @Optional()
  @Nullable()
  @Nested(() => LocationChange)
  location?: LocationChange | null;

  /** Merged by key; a null value removes the key. `tags` is not one of them. */
  @ProfileField('customAttributes')
  customAttributes?: Record<string, unknown>;

  /** Replaces all tags; null removes them. Not together with `addTags` or `removeTags`. */
  @ClearableField('tags')
  tags?: string[] | null;
}
