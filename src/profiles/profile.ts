/** What the service says of a person: the shape `profile` of the API, whatever Klaviyo's revision. */
export interface Profile {
  /** Klaviyo's id. */
  id: string;
  email: string | null;
  phoneNumber: string | null;
  externalId: string | null;
  firstName: string | null;
  lastName: string | null;
  organization: string | null;
  title: string | null;
  image: string | null;
  locale: string | null;
  location: Location;
  /** Klaviyo's `properties` without `tags`. */
  customAttributes: Record<string, unknown>;
  /** `properties.tags`, each once. */
  tags: string[];
  /** Null where Klaviyo was not asked or does not know. */
  subscriptions: Subscriptions | null;
  /** RFC 3339 in UTC. */
  createdAt: string | null;
  updatedAt: string | null;
}

export const TEXT_FIELDS = [
  'email',
  'phoneNumber',
  'externalId',
  'firstName',
  'lastName',
  'organization',
  'title',
  'image',
  'locale',
] as const;
export type TextField = (typeof TEXT_FIELDS)[number];

export const LOCATION_FIELDS = [
  'address1',
  'address2',
  'city',
  'region',
  'country',
  'zip',
  'timezone',
  'latitude',
  'longitude',
  'ip',
] as const;
export type LocationField = (typeof LOCATION_FIELDS)[number];

export interface Location {
  address1: string | null;
  address2: string | null;
  city: string | null;
  region: string | null;
  country: string | null;
  zip: string | null;
  /** IANA. */
  timezone: string | null;
  /** Degrees. */
  latitude: number | null;
  longitude: number | null;
  ip: string | null;
}

export interface Subscriptions {
  email: EmailSubscription;
  sms: SmsSubscription;
}

export interface SmsSubscription {
  /** Klaviyo's word: SUBSCRIBED, UNSUBSCRIBED, NEVER_SUBSCRIBED… */
  consent: string | null;
  canReceive: boolean | null;
  consentedAt: string | null;
}

export interface EmailSubscription extends SmsSubscription {
  /** What keeps mail from being sent, of the whole account (not of one list). */
  suppressions: { reason: string | null; at: string | null }[];
}

/** The names by which a person is found. */
export const IDENTIFIERS = ['profileId', 'email', 'phoneNumber', 'externalId'] as const;
export type IdentifierField = (typeof IDENTIFIERS)[number];

export interface Identifier {
  field: IdentifierField;
  value: string;
}

/** Identifiers that are attributes of the profile itself. */
export const OWN_IDENTIFIERS = ['email', 'phoneNumber', 'externalId'] as const;

/** A list by its name. */
export interface ListName {
  id: string;
  name: string | null;
}

/** What a caller writes of a person: absent is unchanged, null clears. */
export type ProfileInput = Partial<Record<TextField, string | null>> & {
  location?: { [F in LocationField]?: Location[F] } | null;
  /** Merged by key; a null value removes the key. */
  customAttributes?: Record<string, unknown>;
  tags?: readonly string[] | null;
};

/** One field that changed. */
export interface Change {
  /** Dotted: `firstName`, `location.city`, `customAttributes.role`, `tags`, `lists`. */
  field: string;
  from: unknown;
  to: unknown;
}
