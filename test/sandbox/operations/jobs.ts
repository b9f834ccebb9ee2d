import type { Operation } from '../context.ts';
import { subscribeProfiles, suppressionJob, unsubscribeProfiles } from '../resources/consent-jobs.ts';
import { listJobs, oneJob } from '../resources/job-view.ts';
import * as jobs from '../resources/profile-jobs.ts';
import * as schema from '../schemas/profile.ts';
import { always, ANY_EQUALS, EQUALS, FIRST, narrowed, tier } from './common.ts';

const CONSENT = ['lists:write', 'profiles:write', 'subscriptions:write'];
const IMPORT = '2023-12-15';
const page = { fixed: 20, size: { initial: 20, max: 100 } };
const importFields = narrowed('profile-bulk-import-job');

function suppressions(kind: 'create' | 'delete'): Operation[] {
  const type = `profile-suppression-bulk-${kind}-job` as const;
  const name = kind === 'create' ? 'Suppress' : 'Unsuppress';
  const read = { scopes: ['subscriptions:read'], since: '2024-10-15', tier: tier('L'), method: 'GET' } as const;
  return [
    {
      id: `bulk${name}Profiles`,
      method: 'POST',
      path: `/api/${type}s`,
      scopes: kind === 'create' ? ['profiles:write', 'subscriptions:write'] : ['subscriptions:write'],
      since: FIRST,
      tier: tier('L'),
      query: narrowed(type),
      body: (revision) => schema.suppressionJob(revision, kind),
      handle: suppressionJob(type),
    },
    {
      ...read,
      id: `getBulk${name}ProfilesJobs`,
      path: `/api/${type}s`,
      query: always({
        fields: [type],
        page: { fixed: 20 },
        sort: ['created'],
        filter: { status: EQUALS, list_id: EQUALS, segment_id: EQUALS },
      }),
      handle: listJobs(type),
    },
    {
      ...read,
      id: `getBulk${name}ProfilesJob`,
      path: `/api/${type}s/{id}`,
      query: always({ fields: [type] }),
      handle: oneJob(type),
    },
  ];
}

export const JOB_OPERATIONS: readonly Operation[] = [
  {
    id: 'mergeProfiles',
    method: 'POST',
    path: '/api/profile-merge',
    scopes: ['profiles:write'],
    since: '2023-09-15',
    tier: tier('M'),
    query: always({}),
    body: schema.mergeProfiles,
    handle: jobs.mergeProfiles,
  },
  {
    id: 'requestProfileDeletion',
    method: 'POST',
    path: '/api/data-privacy-deletion-jobs',
    scopes: ['data-privacy:write'],
    since: '2023-02-22',
    tier: tier('S'),
    query: always({}),
    body: schema.deletionJob,
    handle: jobs.requestDeletion,
  },
  {
    id: 'bulkImportProfiles',
    method: 'POST',
    path: '/api/profile-bulk-import-jobs',
    scopes: ['lists:write', 'profiles:write'],
    since: IMPORT,
    tier: tier('M'),
    query: importFields,
    body: schema.bulkImport,
    handle: jobs.bulkImport,
  },
  {
    id: 'getBulkImportProfilesJobs',
    method: 'GET',
    path: '/api/profile-bulk-import-jobs',
    scopes: ['lists:read', 'profiles:read'],
    since: IMPORT,
    tier: tier('M'),
    query: always({ fields: ['profile-bulk-import-job'], page, sort: ['created_at'], filter: { status: ANY_EQUALS } }),
    handle: listJobs('profile-bulk-import-job'),
  },
  {
    id: 'getBulkImportProfilesJob',
    method: 'GET',
    path: '/api/profile-bulk-import-jobs/{id}',
    scopes: ['lists:read', 'profiles:read'],
    since: IMPORT,
    tier: tier('M'),
    query: always({ fields: ['profile-bulk-import-job', 'list'], include: ['lists'] }),
    handle: jobs.getImportJob,
  },
  {
    id: 'getProfilesForBulkImportProfilesJob',
    method: 'GET',
    path: '/api/profile-bulk-import-jobs/{id}/profiles',
    scopes: ['profiles:read'],
    since: IMPORT,
    tier: tier('M'),
    query: always({ fields: ['profile'], additional: { profile: ['subscriptions', 'predictive_analytics'] }, page }),
    handle: jobs.getImportProfiles,
  },
  {
    id: 'getErrorsForBulkImportProfilesJob',
    method: 'GET',
    path: '/api/profile-bulk-import-jobs/{id}/import-errors',
    scopes: ['profiles:read'],
    since: IMPORT,
    tier: tier('M'),
    query: always({ fields: ['import-error'], page }),
    handle: jobs.getImportErrors,
  },
  {
    id: 'getListForBulkImportProfilesJob',
    method: 'GET',
    path: '/api/profile-bulk-import-jobs/{id}/lists',
    scopes: ['lists:read'],
    since: IMPORT,
    tier: tier('M'),
    query: always({ fields: ['list'] }),
    handle: jobs.getImportLists,
  },
  {
    id: 'bulkSubscribeProfiles',
    method: 'POST',
    path: '/api/profile-subscription-bulk-create-jobs',
    scopes: CONSENT,
    since: FIRST,
    tier: tier('L'),
    query: always({}),
    body: schema.subscribeJob,
    handle: subscribeProfiles,
  },
  {
    id: 'bulkUnsubscribeProfiles',
    method: 'POST',
    path: '/api/profile-subscription-bulk-delete-jobs',
    scopes: CONSENT,
    since: FIRST,
    tier: tier('L'),
    query: always({}),
    body: schema.unsubscribeJob,
    handle: unsubscribeProfiles,
  },
  ...suppressions('create'),
  ...suppressions('delete'),
];
