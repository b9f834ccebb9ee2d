import type { Operation } from '../context.ts';
import type { QuerySpec } from '../query.ts';
import * as campaigns from '../resources/campaigns.ts';
import * as schema from '../schemas/other.ts';
import { always, ANY_EQUALS, dates, EQUALS, narrowed, texts, tier } from './common.ts';

const SINCE = '2023-02-22';

const listQuery = (revision: string): QuerySpec => ({
  fields: ['campaign', 'campaign-message', 'tag'],
  include: ['campaign-messages', 'tags'],
  page: revision >= '2026-04-15' ? { fixed: 100, size: { initial: 100, max: 100 } } : { fixed: 100 },
  sort: ['created_at', 'id', 'name', 'scheduled_at', 'updated_at'],
  filterRequired: 'messages.channel',
  filter: {
    ...(revision >= '2025-07-15' ? { id: texts('any') } : {}),
    'messages.channel': EQUALS,
    name: texts('contains'),
    status: ANY_EQUALS,
    archived: { type: 'boolean', operators: ['equals'] },
    created_at: dates(),
    scheduled_at: dates(),
    updated_at: dates(),
  },
});

const messageQuery = (revision: string): QuerySpec => ({
  fields: ['campaign-message', 'campaign', 'template', ...(revision >= '2025-01-15' ? ['image'] : [])],
  include: ['campaign', 'template', ...(revision >= '2025-01-15' ? ['image'] : [])],
});

export const CAMPAIGN_OPERATIONS: readonly Operation[] = [
  {
    id: 'getCampaigns',
    method: 'GET',
    path: '/api/campaigns',
    scopes: ['campaigns:read'],
    since: SINCE,
    tier: tier('M'),
    query: listQuery,
    handle: campaigns.getCampaigns,
  },
  {
    id: 'getCampaign',
    method: 'GET',
    path: '/api/campaigns/{id}',
    scopes: ['campaigns:read'],
    since: SINCE,
    tier: tier('M'),
    query: always({ fields: ['campaign', 'campaign-message', 'tag'], include: ['campaign-messages', 'tags'] }),
    handle: campaigns.getCampaign,
  },
  {
    id: 'getMessagesForCampaign',
    method: 'GET',
    path: '/api/campaigns/{id}/campaign-messages',
    scopes: ['campaigns:read'],
    since: SINCE,
    tier: tier('M'),
    query: messageQuery,
    handle: campaigns.getCampaignMessages,
  },
  {
    id: 'getCampaignMessage',
    method: 'GET',
    path: '/api/campaign-messages/{id}',
    scopes: ['campaigns:read'],
    since: SINCE,
    tier: tier('M'),
    query: messageQuery,
    handle: campaigns.getCampaignMessage,
  },
  {
    id: 'sendCampaign',
    method: 'POST',
    path: '/api/campaign-send-jobs',
    scopes: ['campaigns:write'],
    since: SINCE,
    tier: tier('M'),
    query: narrowed('campaign-send-job'),
    body: schema.sendJob,
    handle: campaigns.sendCampaign,
  },
  {
    id: 'getCampaignSendJob',
    method: 'GET',
    path: '/api/campaign-send-jobs/{id}',
    scopes: ['campaigns:read'],
    since: SINCE,
    tier: tier('M'),
    query: always({ fields: ['campaign-send-job'] }),
    handle: campaigns.getSendJob,
  },
  {
    id: 'cancelCampaignSend',
    method: 'PATCH',
    path: '/api/campaign-send-jobs/{id}',
    scopes: ['campaigns:write'],
    since: SINCE,
    tier: tier('M'),
    query: always({}),
    body: schema.cancelSend,
    handle: campaigns.cancelSend,
  },
];
