import type { Operation } from '../context.ts';
import type { QuerySpec } from '../query.ts';
import { createProfile, getProfile, getProfiles, importProfile, updateProfile } from '../resources/profiles.ts';
import { groupsOfProfile } from '../resources/groups.ts';
import * as schema from '../schemas/profile.ts';
import { always, ANY_EQUALS, dates, EQUALS, FIRST, narrowed, tier } from './common.ts';

const ADDITIONAL = { profile: ['subscriptions', 'predictive_analytics'] };
const SUPPRESSION = 'subscriptions.email.marketing.suppression';
const LIST_SUPPRESSION = 'subscriptions.email.marketing.list_suppressions';

const listQuery = (revision: string): QuerySpec => ({
  fields: ['profile', ...(revision >= '2026-07-15' ? ['conversation', 'push-token'] : [])],
  additional: ADDITIONAL,
  include: revision >= '2026-07-15' ? ['conversations', 'push-tokens'] : [],
  page: { fixed: 20, size: { initial: 20, max: 100 } },
  sort: ['created', 'email', 'id', 'updated', `${SUPPRESSION}.timestamp`, `${LIST_SUPPRESSION}.timestamp`],
  filter: {
    id: ANY_EQUALS,
    email: ANY_EQUALS,
    phone_number: ANY_EQUALS,
    external_id: ANY_EQUALS,
    _kx: EQUALS,
    created: dates('greater-than', 'less-than'),
    updated: dates('greater-than', 'less-than'),
    [`${LIST_SUPPRESSION}.reason`]: EQUALS,
    [`${LIST_SUPPRESSION}.timestamp`]: dates(),
    [`${LIST_SUPPRESSION}.list_id`]: EQUALS,
    [`${SUPPRESSION}.reason`]: EQUALS,
    [`${SUPPRESSION}.timestamp`]: dates(),
  },
});

const oneQuery = (revision: string): QuerySpec => ({
  fields: [
    'profile',
    'list',
    'segment',
    ...(revision >= '2026-01-15' ? ['push-token'] : []),
    ...(revision >= '2026-07-15' ? ['conversation'] : []),
  ],
  additional: ADDITIONAL,
  include: [
    'lists',
    'segments',
    ...(revision >= '2025-04-15' ? ['push-tokens'] : []),
    ...(revision >= '2026-07-15' ? ['conversations'] : []),
  ],
});

/** Writes take `additional-fields` since 2024-10-15. */
const writeQuery = (revision: string): QuerySpec => ({
  ...narrowed('profile')(revision),
  ...(revision >= '2024-10-15' ? { additional: ADDITIONAL } : {}),
});

export const PROFILE_OPERATIONS: readonly Operation[] = [
  {
    id: 'getProfiles',
    method: 'GET',
    path: '/api/profiles',
    scopes: ['profiles:read'],
    since: FIRST,
    tier: tier('L'),
    query: listQuery,
    handle: getProfiles,
  },
  {
    id: 'createProfile',
    method: 'POST',
    path: '/api/profiles',
    scopes: ['profiles:write'],
    since: FIRST,
    tier: tier('L'),
    query: writeQuery,
    body: schema.createProfile,
    handle: createProfile,
  },
  {
    id: 'getProfile',
    method: 'GET',
    path: '/api/profiles/{id}',
    scopes: ['profiles:read'],
    since: FIRST,
    tier: tier('L'),
    query: oneQuery,
    handle: getProfile,
  },
  {
    id: 'updateProfile',
    method: 'PATCH',
    path: '/api/profiles/{id}',
    scopes: ['profiles:write'],
    since: FIRST,
    tier: tier('L'),
    query: writeQuery,
    body: schema.updateProfile,
    handle: updateProfile,
  },
  {
    id: 'createOrUpdateProfile',
    method: 'POST',
    path: '/api/profile-import',
    scopes: ['profiles:write'],
    since: '2024-02-15',
    tier: tier('L'),
    query: writeQuery,
    body: schema.importProfile,
    handle: importProfile,
  },
  {
    id: 'getListsForProfile',
    method: 'GET',
    path: '/api/profiles/{id}/lists',
    scopes: ['lists:read', 'profiles:read'],
    since: FIRST,
    tier: tier('S'),
    query: always({ fields: ['list'] }),
    handle: groupsOfProfile('lists'),
  },
  {
    id: 'getSegmentsForProfile',
    method: 'GET',
    path: '/api/profiles/{id}/segments',
    scopes: ['profiles:read', 'segments:read'],
    since: FIRST,
    tier: tier('S'),
    query: always({ fields: ['segment'] }),
    handle: groupsOfProfile('segments'),
  },
];
