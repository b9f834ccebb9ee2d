import { AppError, invalid } from '../common/errors';
import { emailFault } from '../common/formats';

/** Whom an event is about: Klaviyo's id, or identifiers that Klaviyo finds or makes a profile by. */
export interface EventProfile {
  id: string | null;
  email: string | null;
  phoneNumber: string | null;
  externalId: string | null;
}

export interface FoundProfile {
  profile: EventProfile;
  /** Where the caller wrote each identifier, for what Klaviyo says about it. */
  fields: Partial<Record<keyof EventProfile, string>>;
}

/** What a caller may give in place of an identifier within the data. */
export interface GivenProfile {
  profileId?: string;
  profile?: { email?: string; phoneNumber?: string; externalId?: string };
}

const NOBODY: EventProfile = { id: null, email: null, phoneNumber: null, externalId: null };
const CHOICE = 'event.profileId, event.profile, event.eventData.email';
const MAX_EXTERNAL_ID = 255;
const E164 = /^\+[1-9]\d{6,14}$/;

/** Words for the person, before those for the address: `customerEmail`, `customer_email`, `customer.email`. */
const OWNERS = ['customer', 'user', 'client', 'buyer', 'contact', 'profile', 'person', 'subscriber'];
const EMAIL_WORDS = ['email', 'emailAddress', 'mail'];
const PHONE_WORDS = ['phoneNumber', 'phone', 'mobile', 'tel'];
const EXTERNAL_WORDS = ['externalId'];

/**
 * The profile that a caller names, else the one found in the event's data: the first well-formed e-mail address,
 * else phone number, else external id, under the usual names.
 * @throws AppError VALIDATION_FAILED when both or none are given, or what was found is malformed
 */
export function findProfile(given: GivenProfile, eventData: Readonly<Record<string, unknown>>): FoundProfile {
  const { profileId, profile } = given;
  if (profileId !== undefined && profile !== undefined)
    throw invalid('event.profile', 'onlyOneOf', { fields: 'event.profileId, event.profile' });
  if (profileId !== undefined) return { profile: { ...NOBODY, id: profileId }, fields: { id: 'event.profileId' } };
  if (profile !== undefined) return named(profile);
  return within(eventData);
}

function named(profile: NonNullable<GivenProfile['profile']>): FoundProfile {
  const { email = null, phoneNumber = null, externalId = null } = profile;
  if (email === null && phoneNumber === null && externalId === null)
    throw invalid('event.profile', 'oneOfRequired', { fields: 'email, phoneNumber, externalId' });
  return {
    profile: { ...NOBODY, email, phoneNumber, externalId },
    fields: {
      email: 'event.profile.email',
      phoneNumber: 'event.profile.phoneNumber',
      externalId: 'event.profile.externalId',
    },
  };
}

const SEARCHES: readonly (readonly [keyof EventProfile, readonly string[], (text: string) => boolean])[] = [
  ['email', EMAIL_WORDS, (text) => emailFault(text) === null],
  ['phoneNumber', PHONE_WORDS, (text) => E164.test(text)],
  ['externalId', EXTERNAL_WORDS, (text) => text.length <= MAX_EXTERNAL_ID],
];

function within(eventData: Readonly<Record<string, unknown>>): FoundProfile {
  const malformed: [keyof EventProfile, string][] = [];
  for (const [identifier, words, isWellFormed] of SEARCHES)
    for (const [path, value] of candidates(eventData, words)) {
      const text = typeof value === 'string' ? value.trim() : '';
      if (text === '') continue;
      const field = `event.eventData.${path}`;
      if (isWellFormed(text)) return { profile: { ...NOBODY, [identifier]: text }, fields: { [identifier]: field } };
      malformed.push([identifier, field]);
    }
  const [first] = malformed;
  if (!first) throw invalid('event.profile', 'oneOfRequired', { fields: CHOICE });
  const key = first[0] === 'email' ? 'notEmail' : first[0] === 'phoneNumber' ? 'notPhone' : 'malformed';
  throw new AppError('VALIDATION_FAILED', { errors: [{ field: first[1], key }] });
}

/** Every place where one of the words may stand, with what stands there; the plain names first. */
function* candidates(
  eventData: Readonly<Record<string, unknown>>,
  words: readonly string[],
): Generator<[string, unknown]> {
  const plain = new Set(words.map(simple));
  yield* matching(eventData, (name) => plain.has(name));
  const joined = new Set(OWNERS.flatMap((owner) => [...plain].map((word) => `${owner}${word}`)));
  yield* matching(eventData, (name) => joined.has(name));
  for (const [key, value] of Object.entries(eventData))
    if (OWNERS.includes(simple(key)) && typeof value === 'object' && value !== null && !Array.isArray(value))
      for (const [inner, found] of matching(value, (name) => plain.has(name))) yield [`${key}.${inner}`, found];
}

function* matching(node: object, fits: (name: string) => boolean): Generator<[string, unknown]> {
  for (const [key, value] of Object.entries(node) as [string, unknown][]) if (fits(simple(key))) yield [key, value];
}

/** `customer_email`, `CustomerEmail`, `customer-email` and `$customerEmail` are one name. */
function simple(name: string): string {
  return name.replace(/[^A-Za-z0-9]/g, '').toLowerCase();
}
