import type { Operation } from '../../sandbox/context.ts';
import { OPERATIONS } from '../../sandbox/operations.ts';
import type { Stage } from './stage';

interface Row {
  id: string;
}

/** Tells the calls of the sweep from those of the service. */
export const SWEEP_HEADER = 'x-asked-by-the-sweep';

/** Bodies of the calls that make what the reads then show. */
const MAKING: Readonly<Record<string, (ids: Ids) => object>> = {
  bulkImportProfiles: ({ lists }) => ({
    type: 'profile-bulk-import-job',
    attributes: { profiles: { data: [{ type: 'profile', attributes: { email: 'imported@example.com' } }] } },
    relationships: { lists: { data: [{ type: 'list', id: lists }] } },
  }),
  bulkSuppressProfiles: () => suppression('create'),
  bulkUnsuppressProfiles: () => suppression('delete'),
  createWebhook: () => ({
    type: 'webhook',
    attributes: { name: 'w', endpoint_url: 'https://hooks.example.com/k', secret_key: '0123456789abcdef' },
    relationships: { 'webhook-topics': { data: [{ type: 'webhook-topic', id: 'event:klaviyo.opened_email' }] } },
  }),
  createList: () => ({ type: 'list', attributes: { name: 'Made' } }),
  createProfile: () => ({ type: 'profile', attributes: { email: 'made@example.com' } }),
  queryMetricAggregates: ({ metrics }) => ({
    type: 'metric-aggregate',
    attributes: {
      metric_id: metrics,
      measurements: ['count', 'unique', 'sum_value'],
      interval: 'month',
      by: ['$message'],
      filter: ['greater-or-equal(datetime,2026-01-01T00:00:00)', 'less-than(datetime,2026-12-31T00:00:00)'],
      timezone: 'UTC',
    },
  }),
};

/** The first id of each kind of thing, by the first word of its path. */
type Ids = Record<string, string>;

/**
 * Asks the sandbox itself, past the service, all that it plays and no feature asks yet, with everything included: its
 * answers are held against the files before a feature is built on them.
 */
export async function sweep(stage: Stage, revision: string): Promise<void> {
  const account = await stage.account({
    profiles: 12,
    lists: 2,
    segments: 2,
    campaigns: 8,
    futureStatus: false,
    events: 60,
    asyncDelayMs: 0,
    plan: { advancedKdp: true },
  });
  const ask = async (method: string, path: string, body?: object): Promise<unknown> => {
    const answer = await fetch(`${stage.klaviyoUrl}${path}`, {
      method,
      headers: {
        authorization: `Klaviyo-API-Key ${account.key}`,
        revision,
        [SWEEP_HEADER]: 'yes',
        accept: 'application/vnd.api+json',
        'content-type': 'application/vnd.api+json',
      },
      ...(body === undefined ? {} : { body: JSON.stringify({ data: body }) }),
    });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path} under ${revision}: ${answer.status} ${text}`);
    return text === '' ? undefined : JSON.parse(text);
  };
  const there = OPERATIONS.filter(({ since }) => since <= revision);
  const ids: Ids = { accounts: account.id };
  const collections = there.filter(({ method, path }) => method === 'GET' && !path.includes('{'));
  const learn = async (operation: Operation) => {
    const { data } = (await ask('GET', addressOf(operation, revision, ids))) as { data: Row[] };
    if (data[0]) ids[operation.path.split('/')[2] ?? ''] = data[0].id;
  };
  for (const operation of collections) await learn(operation);
  for (const { id, method, path } of there) {
    const body = MAKING[id]?.(ids);
    if (body) await ask(method, path, body);
  }
  // What was made just now is there to be read.
  for (const operation of collections) await learn(operation);
  ids['campaign-send-jobs'] = ids['campaigns'] ?? '';
  const messages = there.find(({ id }) => id === 'getMessagesForCampaign');
  if (messages) {
    const { data } = (await ask('GET', addressOf(messages, revision, ids))) as { data: Row[] };
    ids['campaign-messages'] = data[0]?.id ?? '';
  }
  for (const operation of there)
    if (
      operation.method === 'GET' &&
      operation.path.includes('{') &&
      (ids[operation.path.split('/')[2] ?? ''] ?? '') !== ''
    )
      await ask('GET', addressOf(operation, revision, ids));
}

function suppression(kind: 'create' | 'delete'): object {
  return {
    type: `profile-suppression-bulk-${kind}-job`,
    attributes: { profiles: { data: [{ type: 'profile', attributes: { email: 'ada@example.com' } }] } },
  };
}

/** A read with all that may be included and added. */
function addressOf({ path, query }: Operation, revision: string, ids: Ids): string {
  const { include = [], additional = {}, filterRequired, page } = query(revision);
  const pairs = [
    ...(include.length > 0 ? [['include', include.join(',')]] : []),
    ...Object.entries(additional).map(([type, names]) => [`additional-fields[${type}]`, names.join(',')]),
    ...(filterRequired === undefined ? [] : [['filter', `equals(${filterRequired},"email")`]]),
    ...(page?.size ? [['page[size]', String(Math.min(5, page.size.max))]] : []),
  ];
  const id = ids[path.split('/')[2] ?? ''] ?? '';
  const search = pairs.map(([name = '', value = '']) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`);
  return `${path.replace('{id}', encodeURIComponent(id))}${search.length > 0 ? `?${search.join('&')}` : ''}`;
}
