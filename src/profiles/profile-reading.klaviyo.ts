import { AppError } from '../common/errors';
import type { Resource } from '../klaviyo/json-api';
import type { EmailSubscription, Location, Profile, SmsSubscription, Subscriptions, TextField } from './profile';

/** Klaviyo's names of our text fields. */
export const THEIR_NAMES: Readonly<Record<TextField, string>> = {
  email: 'email',
  phoneNumber: 'phone_number',
  externalId: 'external_id',
  firstName: 'first_name',
  lastName: 'last_name',
  organization: 'organization',
  title: 'title',
  image: 'image',
  locale: 'locale',
};

/** The resource of an answer. @throws AppError KLAVIYO_UNAVAILABLE for an answer without one */
export function resourceOf(body: unknown): Pick<Resource, 'id' | 'attributes'> {
  return resource(record(body)?.['data']);
}

/** The resources of an answer. @throws AppError KLAVIYO_UNAVAILABLE for an answer that is no collection */
export function resourcesOf(body: unknown): Pick<Resource, 'id' | 'attributes'>[] {
  const data = record(body)?.['data'];
  if (!Array.isArray(data)) throw unreadable();
  return data.map(resource);
}

function resource(value: unknown): Pick<Resource, 'id' | 'attributes'> {
  const id = record(value)?.['id'];
  const attributes = record(record(value)?.['attributes']);
  if (typeof id !== 'string' || !attributes) throw unreadable();
  return { id, attributes };
}

function unreadable(): AppError {
  return new AppError('KLAVIYO_UNAVAILABLE', { reason: 'an answer of Klaviyo is not the document it should be' });
}

/**
 * Reads a profile of whatever revision. Every attribute may be null, absent or of another type than documented.
 * Spelled out: a page of the mirror is mapped 300 times a second.
 */
export function readProfile({ id, attributes }: Pick<Resource, 'id' | 'attributes'>): Profile {
  const { tags, ...customAttributes } = record(attributes['properties']) ?? {};
  return {
    id,
    email: text(attributes['email']),
    phoneNumber: text(attributes['phone_number']),
    externalId: text(attributes['external_id']),
    firstName: text(attributes['first_name']),
    lastName: text(attributes['last_name']),
    organization: text(attributes['organization']),
    title: text(attributes['title']),
    image: text(attributes['image']),
    locale: text(attributes['locale']),
    location: readLocation(record(attributes['location']) ?? {}),
    customAttributes,
    tags: readTags(tags),
    subscriptions: readSubscriptions(attributes['subscriptions']),
    createdAt: instant(attributes['created']),
    updatedAt: instant(attributes['updated']),
  };
}

function readLocation(theirs: Readonly<Record<string, unknown>>): Location {
  return {
    address1: text(theirs['address1']),
    address2: text(theirs['address2']),
    city: text(theirs['city']),
    region: text(theirs['region']),
    country: text(theirs['country']),
    zip: text(theirs['zip']),
    timezone: text(theirs['timezone']),
    latitude: number(theirs['latitude']),
    longitude: number(theirs['longitude']),
    ip: text(theirs['ip']),
  };
}

/** `properties.tags` is free: an array as we write it, or one text as others may have left it. Each tag once. */
export function readTags(value: unknown): string[] {
  if (value === undefined || value === null) return [];
  const items: unknown[] = Array.isArray(value) ? value : [value];
  const texts = items.map((item) => (typeof item === 'number' ? String(item) : item));
  return [...new Set(texts.filter((item) => typeof item === 'string' && item.trim() !== ''))] as string[];
}

/** Only an answer that was asked for `subscriptions` has them. */
function readSubscriptions(value: unknown): Subscriptions | null {
  const theirs = record(value);
  return theirs && { email: readEmail(theirs['email']), sms: readChannel(theirs['sms'], 'can_receive_sms_marketing') };
}

function readEmail(channel: unknown): EmailSubscription {
  const suppression = record(record(channel)?.['marketing'])?.['suppression'];
  const suppressions = (Array.isArray(suppression) ? suppression : []).flatMap((item: unknown) => {
    const theirs = record(item);
    return theirs ? [{ reason: text(theirs['reason']), at: instant(theirs['timestamp']) }] : [];
  });
  return { ...readChannel(channel, 'can_receive_email_marketing'), suppressions };
}

function readChannel(channel: unknown, canReceive: string): SmsSubscription {
  const marketing = record(record(channel)?.['marketing']) ?? {};
  const can = marketing[canReceive];
  return {
    consent: text(marketing['consent']),
    canReceive: typeof can === 'boolean' ? can : null,
    consentedAt: instant(marketing['consent_timestamp']),
  };
}

/** A JSON object; null for anything else. */
export function record(value: unknown): Record<string, unknown> | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : null;
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

/** Klaviyo gives coordinates as a number or a text. */
function number(value: unknown): number | null {
  if (typeof value !== 'number' && (typeof value !== 'string' || value.trim() === '')) return null;
  return Number.isFinite(Number(value)) ? Number(value) : null;
}

function instant(value: unknown): string | null {
  const date = typeof value === 'string' ? new Date(value) : null;
  return date && Number.isFinite(date.getTime()) ? date.toISOString() : null;
}
