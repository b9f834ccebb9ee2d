import type { Schema } from './dsl.ts';
import {
  document,
  either,
  flagOrNull,
  free,
  freeOrNull,
  instantOrNull,
  linkTo,
  list,
  object,
  one,
  orNull,
  text,
  textOrNull,
} from './dsl.ts';

const coordinate = orNull(either(text, { kind: 'number' }));

const location = object({
  address1: textOrNull,
  address2: textOrNull,
  city: textOrNull,
  country: textOrNull,
  latitude: coordinate,
  longitude: coordinate,
  region: textOrNull,
  zip: textOrNull,
  timezone: textOrNull,
  ip: textOrNull,
});

/** Which optional parts a place of the API takes. */
interface Parts {
  anonymousId?: boolean;
  kx?: boolean;
  metaInside?: Schema;
}

/** A profile's attributes as they may be written; `locale` came after 2023-10-15. */
function attributes(revision: string, parts: Parts = {}): Schema {
  return object({
    email: textOrNull,
    phone_number: textOrNull,
    external_id: textOrNull,
    anonymous_id: parts.anonymousId === true ? textOrNull : undefined,
    _kx: parts.kx === true ? textOrNull : undefined,
    first_name: textOrNull,
    last_name: textOrNull,
    organization: textOrNull,
    locale: revision >= '2024-05-15' ? textOrNull : undefined,
    title: textOrNull,
    image: textOrNull,
    location,
    properties: freeOrNull,
    meta: parts.metaInside,
  });
}

export function patchMeta(revision: string): Schema {
  return object({
    patch_properties: object({ append: freeOrNull, unappend: freeOrNull, unset: orNull(either(text, list(text))) }),
    patch_identifiers: revision >= '2026-04-15' ? object({ append: free, unappend: free }) : undefined,
  });
}

/** Written profiles kept `anonymous_id` until 2025-10-15. */
const anonymous = (revision: string) => revision < '2025-10-15';

export function createProfile(revision: string): Schema {
  return document({ 'type!': one('profile'), 'attributes!': attributes(revision) });
}

export function updateProfile(revision: string): Schema {
  const changes = attributes(revision, { anonymousId: anonymous(revision) });
  return document({ 'type!': one('profile'), 'id!': text, 'attributes!': changes, meta: patchMeta(revision) });
}

function upsertData(revision: string): Schema & { kind: 'object' } {
  return object({
    'type!': one('profile'),
    id: textOrNull,
    'attributes!': attributes(revision, { anonymousId: anonymous(revision), kx: true }),
    meta: patchMeta(revision),
  });
}

export function importProfile(revision: string): Schema {
  return object({ 'data!': upsertData(revision) });
}

export function bulkImport(revision: string): Schema {
  return document({
    'type!': one('profile-bulk-import-job'),
    'attributes!': object({ 'profiles!': object({ 'data!': list(upsertData(revision), 10_000) }) }),
    relationships: object({ lists: object({ data: list(linkTo('list')) }) }),
  });
}

export function mergeProfiles(revision: string): Schema {
  const data = revision < '2024-05-15' ? 'data!' : 'data';
  return document({
    'type!': one('profile-merge'),
    'id!': text,
    'relationships!': object({ 'profiles!': object({ [data]: list(linkTo('profile')) }) }),
  });
}

export function deletionJob(): Schema {
  const profile = object({
    'type!': one('profile'),
    id: textOrNull,
    'attributes!': object({ email: textOrNull, phone_number: textOrNull }),
  });
  return document({
    'type!': one('data-privacy-deletion-job'),
    'attributes!': object({ 'profile!': object({ 'data!': profile }) }),
  });
}

/** The profile inside an event; 2023-10-15 kept `meta` beside the attributes, later revisions inside them. */
export function eventProfile(revision: string, single: boolean): Schema {
  const early = revision < '2024-02-15';
  return object({
    'data!': object({
      'type!': one('profile'),
      id: textOrNull,
      'attributes!': attributes(revision, {
        anonymousId: true,
        kx: true,
        ...(single && !early ? { metaInside: patchMeta(revision) } : {}),
      }),
      meta: single && !early ? undefined : patchMeta(revision),
    }),
  });
}

/** Bodies of the four consent jobs; see the table of operations for which job takes which. */
function consent(value: string, dated: boolean): Schema {
  return object({ 'consent!': one(value), consented_at: dated ? instantOrNull : undefined });
}

function pushTokens(): Schema {
  return object({
    'token!': text,
    'platform!': one('android', 'ios'),
    'vendor!': one('apns', 'fcm'),
    enablement_status: orNull(one('AUTHORIZED', 'DENIED', 'NOT_DETERMINED', 'PROVISIONAL', 'UNAUTHORIZED')),
    background: orNull(one('AVAILABLE', 'DENIED', 'RESTRICTED')),
    device_metadata: free,
  });
}

function channels(revision: string, value: string): Schema {
  const subscribe = value === 'SUBSCRIBED';
  const dated = subscribe && revision >= '2023-12-15';
  const newest = revision >= '2026-07-15';
  const one = consent(value, dated);
  const requiredEmail = newest ? 'marketing' : 'marketing!';
  const conversational = subscribe ? undefined : consent(value, false);
  return object({
    email: object({ [requiredEmail]: one, open_tracking: newest ? consent(value, false) : undefined }),
    sms: object(revision < '2024-10-15' ? { 'marketing!': one } : { marketing: one, transactional: one }),
    whatsapp: newest ? object({ marketing: one, transactional: one, conversational }) : undefined,
    push: newest
      ? object({
          'marketing!': one,
          [subscribe ? 'tokens' : 'tokens!']: orNullIf(subscribe, list(pushTokens())),
          anonymous_id: subscribe ? textOrNull : undefined,
        })
      : undefined,
  });
}

function orNullIf(nullable: boolean, schema: Schema): Schema {
  return nullable ? orNull(schema) : schema;
}

/** A to-one link whose data older revisions demanded. */
function toOne(type: string, demanded: boolean): Schema {
  return object({ [demanded ? 'data!' : 'data']: linkTo(type) });
}

export function subscribeJob(revision: string): Schema {
  const required = revision >= '2025-01-15';
  const profile = object({
    'type!': one('profile'),
    id: textOrNull,
    'attributes!': object({
      email: textOrNull,
      phone_number: textOrNull,
      [required ? 'subscriptions!' : 'subscriptions']: channels(revision, 'SUBSCRIBED'),
      age_gated_date_of_birth:
        revision >= '2024-10-15' ? { kind: 'string', format: 'date', nullable: true } : undefined,
    }),
  });
  const listRequired = revision < '2023-12-15';
  return document({
    'type!': one('profile-subscription-bulk-create-job'),
    'attributes!': object({
      custom_source: textOrNull,
      'profiles!': object({ 'data!': list(profile, revision >= '2024-07-15' ? 1000 : 100) }),
      historical_import: revision >= '2024-07-15' ? flagOrNull : undefined,
    }),
    [listRequired ? 'relationships!' : 'relationships']: object({
      [listRequired ? 'list!' : 'list']: toOne('list', listRequired),
    }),
  });
}

export function unsubscribeJob(revision: string): Schema {
  const required = revision >= '2025-01-15';
  const profile = object({
    'type!': one('profile'),
    'attributes!': object({
      email: textOrNull,
      phone_number: textOrNull,
      [required ? 'subscriptions!' : 'subscriptions']:
        revision >= '2024-10-15' ? channels(revision, 'UNSUBSCRIBED') : undefined,
    }),
  });
  return document({
    'type!': one('profile-subscription-bulk-delete-job'),
    'attributes!': object({ 'profiles!': object({ 'data!': list(profile, 100) }) }),
    relationships: object({ list: toOne('list', revision < '2023-12-15') }),
  });
}

export function suppressionJob(revision: string, kind: 'create' | 'delete'): Schema {
  const wide = revision >= '2024-02-15';
  const profiles = object({
    'data!': list(
      object({ 'type!': one('profile'), 'attributes!': object({ [wide ? 'email!' : 'email']: text }) }),
      100,
    ),
  });
  return document({
    'type!': one(`profile-suppression-bulk-${kind}-job`),
    'attributes!': object(wide ? { profiles: orNull(profiles) } : { 'profiles!': profiles }),
    relationships: wide ? object({ list: toOne('list', false), segment: toOne('segment', false) }) : undefined,
  });
}
