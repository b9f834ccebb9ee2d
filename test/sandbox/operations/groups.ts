import type { Account } from '../account.ts';
import type { Operation } from '../context.ts';
import type { QuerySpec } from '../query.ts';
import * as groups from '../resources/groups.ts';
import { changeMembers, groupProfileIds, groupProfiles } from '../resources/membership.ts';
import * as schema from '../schemas/other.ts';
import type { GroupRow } from '../store/rows.ts';
import type { Table } from '../store/table.ts';
import { always, ANY_EQUALS, dates, EQUALS, FIRST, narrowed, texts, tier } from './common.ts';

type Kind = 'list' | 'segment';

const includes = (revision: string) => ['tags', ...(revision >= '2024-10-15' ? ['flow-triggers'] : [])];
const fieldTypes = (kind: Kind, revision: string) => [kind, 'tag', ...(revision >= '2024-10-15' ? ['flow'] : [])];

/** Ten rows a page, fixed; `page[size]` only since 2026-04-15, sorting since 2024-05-15. */
const listQuery =
  (kind: Kind) =>
  (revision: string): QuerySpec => ({
    fields: fieldTypes(kind, revision),
    include: includes(revision),
    page: revision >= '2026-04-15' ? { fixed: 10, size: { initial: 10, max: 10 } } : { fixed: 10 },
    ...(revision >= '2024-05-15' ? { sort: ['created', 'id', 'name', 'updated'] } : {}),
    filter: {
      name: ANY_EQUALS,
      id: ANY_EQUALS,
      created: dates('greater-than'),
      updated: dates('greater-than'),
      ...(kind === 'segment' && revision >= '2024-02-15'
        ? {
            is_active: { type: 'boolean', operators: ['any', 'equals'] },
            is_starred: { type: 'boolean', operators: ['equals'] },
          }
        : {}),
    },
  });

const oneQuery =
  (kind: Kind) =>
  (revision: string): QuerySpec => ({
    fields: fieldTypes(kind, revision),
    include: includes(revision),
    additional: { [kind]: ['profile_count'] },
  });

const memberFilter = (kind: Kind, revision: string) => ({
  ...(kind === 'segment' && revision >= '2026-01-15' ? { profile_id: ANY_EQUALS } : {}),
  email: ANY_EQUALS,
  phone_number: ANY_EQUALS,
  push_token: ANY_EQUALS,
  _kx: EQUALS,
  joined_group_at: dates(),
});

const membersQuery =
  (kind: Kind) =>
  (revision: string): QuerySpec => ({
    fields: ['profile'],
    own: { profile: ['joined_group_at'] },
    additional: { profile: ['subscriptions', 'predictive_analytics'] },
    page: { fixed: 20, size: { initial: 20, max: 100 } },
    sort: ['joined_group_at'],
    filter: memberFilter(kind, revision),
  });

/** Ids came 1,000 a page until 2024-10-15. */
const idsQuery =
  (kind: Kind) =>
  (revision: string): QuerySpec => ({
    page: { fixed: 20, size: { initial: 20, max: revision < '2024-10-15' ? 1000 : 100 } },
    sort: ['joined_group_at'],
    filter: memberFilter(kind, revision),
  });

function reads(kind: Kind, table: (account: Account) => Table<GroupRow>): Operation[] {
  const plural = `${kind}s`;
  const scope = `${plural}:read`;
  const name = kind === 'list' ? 'List' : 'Segment';
  const both = [scope, 'profiles:read'].sort();
  return [
    {
      id: `get${name}s`,
      method: 'GET',
      path: `/api/${plural}`,
      scopes: [scope],
      since: FIRST,
      tier: tier('L'),
      query: listQuery(kind),
      handle: kind === 'list' ? groups.getLists : groups.getSegments,
    },
    {
      id: `get${name}`,
      method: 'GET',
      path: `/api/${plural}/{id}`,
      scopes: [scope],
      since: FIRST,
      tier: tier('L'),
      query: oneQuery(kind),
      handle: kind === 'list' ? groups.getList : groups.getSegment,
    },
    {
      id: `getProfilesFor${name}`,
      method: 'GET',
      path: `/api/${plural}/{id}/profiles`,
      scopes: both,
      since: FIRST,
      tier: tier('L'),
      query: membersQuery(kind),
      handle: groupProfiles(table, kind),
    },
    {
      id: `getProfileIdsFor${name}`,
      method: 'GET',
      path: `/api/${plural}/{id}/relationships/profiles`,
      scopes: both,
      since: FIRST,
      tier: tier('L'),
      query: idsQuery(kind),
      handle: groupProfileIds(table, kind),
    },
    {
      id: `getTagsFor${name}`,
      method: 'GET',
      path: `/api/${plural}/{id}/tags`,
      scopes: [scope, 'tags:read'],
      since: '2023-01-24',
      tier: tier('S'),
      query: always({ fields: ['tag'] }),
      handle: groups.tagsOfGroup(kind === 'list' ? 'lists' : 'segments'),
    },
  ];
}

const TAG_INCLUDE = { include: ['tag-group'], fields: ['tag', 'tag-group'] };

export const GROUP_OPERATIONS: readonly Operation[] = [
  ...reads('list', (account) => account.lists as unknown as Table<GroupRow>),
  {
    id: 'createList',
    method: 'POST',
    path: '/api/lists',
    scopes: ['lists:write'],
    since: FIRST,
    tier: (revision) => (revision >= '2024-07-15' ? 'listCreate' : 'M'),
    query: narrowed('list'),
    body: schema.createList,
    handle: groups.createList,
  },
  {
    id: 'updateList',
    method: 'PATCH',
    path: '/api/lists/{id}',
    scopes: ['lists:write'],
    since: FIRST,
    tier: tier('M'),
    query: narrowed('list'),
    body: schema.updateList,
    handle: groups.updateList,
  },
  {
    id: 'deleteList',
    method: 'DELETE',
    path: '/api/lists/{id}',
    scopes: ['lists:write'],
    since: FIRST,
    tier: tier('M'),
    query: always({}),
    handle: groups.deleteList,
  },
  {
    id: 'addProfilesToList',
    method: 'POST',
    path: '/api/lists/{id}/relationships/profiles',
    scopes: ['lists:write', 'profiles:write'],
    since: FIRST,
    tier: tier('M'),
    query: always({}),
    body: schema.memberIds,
    handle: changeMembers(true),
  },
  {
    id: 'removeProfilesFromList',
    method: 'DELETE',
    path: '/api/lists/{id}/relationships/profiles',
    scopes: ['lists:write', 'profiles:write'],
    since: FIRST,
    tier: tier('M'),
    query: always({}),
    body: schema.memberIds,
    handle: changeMembers(false),
  },
  ...reads('segment', (account) => account.segments as unknown as Table<GroupRow>),
  {
    id: 'createSegment',
    method: 'POST',
    path: '/api/segments',
    scopes: ['segments:write'],
    since: '2024-06-15',
    tier: tier('segmentWrite'),
    query: narrowed('segment'),
    body: schema.createSegment,
    handle: groups.createSegment,
  },
  {
    id: 'updateSegment',
    method: 'PATCH',
    path: '/api/segments/{id}',
    scopes: ['segments:write'],
    since: FIRST,
    tier: (revision) => (revision >= '2024-06-15' ? 'segmentWrite' : 'M'),
    query: narrowed('segment'),
    body: schema.updateSegment,
    handle: groups.updateSegment,
  },
  {
    id: 'deleteSegment',
    method: 'DELETE',
    path: '/api/segments/{id}',
    scopes: ['segments:write'],
    since: '2024-06-15',
    tier: tier('S'),
    query: always({}),
    handle: groups.deleteSegment,
  },
  {
    id: 'getTags',
    method: 'GET',
    path: '/api/tags',
    scopes: ['tags:read'],
    since: '2023-01-24',
    tier: tier('S'),
    query: (revision) => ({
      ...TAG_INCLUDE,
      page: revision >= '2026-04-15' ? { fixed: 50, size: { initial: 50, max: 50 } } : { fixed: 50 },
      sort: ['id', 'name'],
      filter: { name: texts('contains', 'ends-with', 'equals', 'starts-with') },
    }),
    handle: groups.getTags,
  },
  {
    id: 'getTag',
    method: 'GET',
    path: '/api/tags/{id}',
    scopes: ['tags:read'],
    since: '2023-01-24',
    tier: tier('S'),
    query: always(TAG_INCLUDE),
    handle: groups.getTag,
  },
];
