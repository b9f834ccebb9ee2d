import type { Operation } from '../context.ts';
import type { QuerySpec } from '../query.ts';
import * as webhooks from '../resources/webhooks.ts';
import * as schema from '../schemas/other.ts';
import { always, narrowed, tier } from './common.ts';

const common = { since: '2024-07-15', tier: tier('XS'), gated: true } as const;
const read = { ...common, method: 'GET', scopes: ['webhooks:read'] } as const;
const write = { ...common, scopes: ['webhooks:write'] } as const;
const topics = narrowed('webhook-topic');
const withTopics = (revision: string): QuerySpec => ({
  fields: ['webhook', ...(topics(revision).fields ?? [])],
  include: ['webhook-topics'],
});

/** All of them need Advanced KDP. */
export const WEBHOOK_OPERATIONS: readonly Operation[] = [
  { ...read, id: 'getWebhooks', path: '/api/webhooks', query: withTopics, handle: webhooks.getWebhooks },
  {
    ...write,
    id: 'createWebhook',
    method: 'POST',
    path: '/api/webhooks',
    query: narrowed('webhook'),
    body: schema.createWebhook,
    handle: webhooks.createWebhook,
  },
  { ...read, id: 'getWebhook', path: '/api/webhooks/{id}', query: withTopics, handle: webhooks.getWebhook },
  {
    ...write,
    id: 'updateWebhook',
    method: 'PATCH',
    path: '/api/webhooks/{id}',
    query: narrowed('webhook'),
    body: schema.updateWebhook,
    handle: webhooks.updateWebhook,
  },
  {
    ...write,
    id: 'deleteWebhook',
    method: 'DELETE',
    path: '/api/webhooks/{id}',
    query: always({}),
    handle: webhooks.deleteWebhook,
  },
  {
    ...read,
    id: 'getWebhookTopics',
    path: '/api/webhook-topics',
    query: topics,
    handle: webhooks.getWebhookTopics,
  },
  {
    ...read,
    id: 'getWebhookTopic',
    path: '/api/webhook-topics/{id}',
    query: topics,
    handle: webhooks.getWebhookTopic,
  },
];
