import { ALWAYS, type Operation } from './operation';
import {
  L,
  LIST_CREATION,
  M,
  MEMBER_IDS,
  memberCount,
  pageFrom,
  PAGE_OF_100,
  PREDICTIONS,
  PROFILE_INCLUDE,
  REPORTS,
  S,
  XL,
  XS,
} from './tiers';

export type { Operation } from './operation';

/** An append may add its values once more if it arrives twice (Klaviyo does not say), so such a body is sent once. */
const withoutAppend = (body: unknown): boolean =>
  pick(body, 'data', 'meta', 'patch_properties', 'append') === undefined;
/** Klaviyo keeps the first event of a profile, metric and `unique_id`. */
const withUniqueId = (body: unknown): boolean => typeof pick(body, 'data', 'attributes', 'unique_id') === 'string';

const CONSENT = 'lists:write profiles:write subscriptions:write';
const WEBHOOKS = '2024-07-15';

/** Every endpoint that the service calls: the one place that knows paths, scopes, limits and page sizes. */
export const operations = table({
  getAccounts: get('/api/accounts', XS, 'accounts:read', { since: '2023-06-15' }),

  getProfiles: get('/api/profiles', L, 'profiles:read', { pageSize: PAGE_OF_100, extraBudgets: [PREDICTIONS] }),
  getProfile: get('/api/profiles/{id}', L, 'profiles:read', {
    resource: 'PROFILE',
    extraBudgets: [PREDICTIONS, PROFILE_INCLUDE],
  }),
  createProfile: post('/api/profiles', L, 'profiles:write', { repeatable: false, extraBudgets: [PREDICTIONS] }),
  updateProfile: patch('/api/profiles/{id}', L, 'profiles:write', {
    repeatable: withoutAppend,
    resource: 'PROFILE',
    extraBudgets: [PREDICTIONS],
  }),
  /** Creates (201) or updates (200) by any identifier. */
  upsertProfile: post('/api/profile-import', L, 'profiles:write', {
    repeatable: withoutAppend,
    since: '2024-02-15',
    extraBudgets: [PREDICTIONS],
  }),
  getProfileLists: get('/api/profiles/{id}/lists', S, 'lists:read profiles:read', { resource: 'PROFILE' }),
  getProfileSegments: get('/api/profiles/{id}/segments', S, 'profiles:read segments:read', { resource: 'PROFILE' }),
  /** At most 10,000 profiles and 5 MB a job. */
  bulkImportProfiles: post('/api/profile-bulk-import-jobs', M, 'lists:write profiles:write', {
    repeatable: false,
    since: '2023-12-15',
  }),
  getBulkImportJob: get('/api/profile-bulk-import-jobs/{id}', M, 'lists:read profiles:read', {
    since: '2023-12-15',
    resource: 'IMPORT',
  }),
  getBulkImportJobErrors: get('/api/profile-bulk-import-jobs/{id}/import-errors', M, 'profiles:read', {
    since: '2023-12-15',
    resource: 'IMPORT',
    pageSize: PAGE_OF_100,
  }),
  /** Erasure: Klaviyo has no DELETE of a profile. Asking twice erases once. */
  requestProfileDeletion: post('/api/data-privacy-deletion-jobs', S, 'data-privacy:write', {
    repeatable: true,
    since: '2023-01-24',
  }),

  /** Not repeated: a second job may send a person a second confirmation mail. At most 1,000 profiles (100 before 2024-07-15). */
  subscribeProfiles: post('/api/profile-subscription-bulk-create-jobs', L, CONSENT, {
    repeatable: false,
    resource: 'LIST',
  }),
  /** At most 100 profiles. */
  unsubscribeProfiles: post('/api/profile-subscription-bulk-delete-jobs', L, CONSENT, {
    repeatable: true,
    resource: 'LIST',
  }),
  suppressProfiles: post('/api/profile-suppression-bulk-create-jobs', L, 'profiles:write subscriptions:write', {
    repeatable: true,
  }),
  unsuppressProfiles: post('/api/profile-suppression-bulk-delete-jobs', L, 'subscriptions:write', { repeatable: true }),

  /** The jobs that suppressed; the cheapest read of the area of consent. */
  getSuppressionJobs: get('/api/profile-suppression-bulk-create-jobs', L, 'subscriptions:read', {
    since: '2024-10-15',
  }),

  /** Pages of 10, fixed. */
  getLists: get('/api/lists', L, 'lists:read', { pageSize: pageFrom('2026-04-15', 10) }),
  getList: get('/api/lists/{id}', L, 'lists:read', { resource: 'LIST', extraBudgets: [memberCount('list')] }),
  createList: post('/api/lists', LIST_CREATION, 'lists:write', { repeatable: false }),
  getListProfiles: get('/api/lists/{id}/profiles', L, 'lists:read profiles:read', {
    resource: 'LIST',
    pageSize: PAGE_OF_100,
    extraBudgets: [PREDICTIONS],
  }),
  getListProfileIds: get('/api/lists/{id}/relationships/profiles', L, 'lists:read profiles:read', {
    resource: 'LIST',
    pageSize: MEMBER_IDS,
  }),
  /** At most 1,000 ids a call; changes no consent. */
  addProfilesToList: post('/api/lists/{id}/relationships/profiles', M, 'lists:write profiles:write', {
    repeatable: true,
    resource: 'LIST',
  }),
  removeProfilesFromList: remove('/api/lists/{id}/relationships/profiles', M, 'lists:write profiles:write', {
    repeatable: true,
    resource: 'LIST',
  }),

  /** Pages of 10, fixed. */
  getSegments: get('/api/segments', L, 'segments:read', { pageSize: pageFrom('2026-04-15', 10) }),
  getSegment: get('/api/segments/{id}', L, 'segments:read', {
    resource: 'SEGMENT',
    extraBudgets: [memberCount('segment')],
  }),
  getSegmentProfiles: get('/api/segments/{id}/profiles', L, 'profiles:read segments:read', {
    resource: 'SEGMENT',
    pageSize: PAGE_OF_100,
    extraBudgets: [PREDICTIONS],
  }),
  getSegmentProfileIds: get('/api/segments/{id}/relationships/profiles', L, 'profiles:read segments:read', {
    resource: 'SEGMENT',
    pageSize: MEMBER_IDS,
  }),

  /** Needs `equals(messages.channel,"…")` in its filter: one channel a pass. */
  getCampaigns: get('/api/campaigns', M, 'campaigns:read', {
    since: '2023-02-22',
    pageSize: pageFrom('2026-04-15', 100),
  }),
  getCampaign: get('/api/campaigns/{id}', M, 'campaigns:read', { since: '2023-02-22', resource: 'CAMPAIGN' }),
  getCampaignMessages: get('/api/campaigns/{id}/campaign-messages', M, 'campaigns:read', {
    since: '2023-02-22',
    resource: 'CAMPAIGN',
  }),
  /** One report gives all campaigns of its window (at most a year). It reads, though it is a POST. */
  campaignValuesReport: post('/api/campaign-values-reports', REPORTS, 'campaigns:read', {
    repeatable: true,
    since: '2024-02-15',
  }),

  /** Up to 200 a page, cursor only. */
  getMetrics: get('/api/metrics', M, 'metrics:read'),
  /** It reads, though it is a POST. */
  queryMetricAggregates: post('/api/metric-aggregates', S, 'metrics:read', { repeatable: true }),

  /** Pages of 200, fixed, before 2026-01-15. */
  getEvents: get('/api/events', XL, 'events:read', { pageSize: pageFrom('2026-01-15', 1000) }),
  getEvent: get('/api/events/{id}', M, 'events:read', { resource: 'EVENT' }),
  /** 202 without a body; seen by reads only later. */
  createEvent: post('/api/events', XL, 'events:write', { repeatable: withUniqueId }),
  /** Not repeated: one `unique_id` seen before makes Klaviyo refuse the whole request. At most 1,000 events and 5 MB. */
  bulkCreateEvents: post('/api/event-bulk-create-jobs', M, 'events:write', { repeatable: false, since: '2024-05-15' }),

  getWebhookTopics: get('/api/webhook-topics', XS, 'webhooks:read', { since: WEBHOOKS }),
  getWebhooks: get('/api/webhooks', XS, 'webhooks:read', { since: WEBHOOKS }),
  createWebhook: post('/api/webhooks', XS, 'webhooks:write', { repeatable: false, since: WEBHOOKS }),
  updateWebhook: patch('/api/webhooks/{id}', XS, 'webhooks:write', {
    repeatable: true,
    since: WEBHOOKS,
    resource: 'WEBHOOK',
  }),
  deleteWebhook: remove('/api/webhooks/{id}', XS, 'webhooks:write', {
    repeatable: true,
    since: WEBHOOKS,
    resource: 'WEBHOOK',
  }),

  getTags: get('/api/tags', S, 'tags:read', { since: '2023-01-24', pageSize: pageFrom('2026-04-15', 50) }),
});

/** What a row may add; what says no `since` was always there. */
type Rest = Partial<Pick<Operation, 'since' | 'resource' | 'pageSize' | 'extraBudgets'>>;
type Change = Rest & Pick<Operation, 'repeatable'>;
type Row = Omit<Operation, 'name'>;
type Tier = Operation['limits'];

function get(path: string, limits: Tier, scopes: string, rest: Rest = {}): Row {
  return row('GET', path, limits, scopes, { ...rest, repeatable: true });
}

function post(path: string, limits: Tier, scopes: string, rest: Change): Row {
  return row('POST', path, limits, scopes, rest);
}

function patch(path: string, limits: Tier, scopes: string, rest: Change): Row {
  return row('PATCH', path, limits, scopes, rest);
}

function remove(path: string, limits: Tier, scopes: string, rest: Change): Row {
  return row('DELETE', path, limits, scopes, rest);
}

function row(method: Row['method'], path: string, limits: Tier, scopes: string, rest: Change): Row {
  return { method, path, limits, scopes: scopes.split(' '), since: ALWAYS, ...rest };
}

function table<K extends string>(rows: Record<K, Row>): Readonly<Record<K, Operation>> {
  const named = Object.entries<Row>(rows).map(([name, entry]): [string, Operation] => [name, { ...entry, name }]);
  return Object.fromEntries(named) as Readonly<Record<K, Operation>>;
}

function pick(value: unknown, ...path: readonly string[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== 'object' || current === null) return undefined;
    current = (current as Record<string, unknown>)[key];
  }
  return current;
}
