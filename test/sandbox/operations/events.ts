import type { Operation } from '../context.ts';
import type { QuerySpec } from '../query.ts';
import * as events from '../resources/events.ts';
import { getMetric, getMetrics } from '../resources/metrics.ts';
import * as schema from '../schemas/other.ts';
import { always, dates, EQUALS, FIRST, texts, tier } from './common.ts';

const includes = (revision: string) => ['metric', 'profile', ...(revision >= '2024-02-15' ? ['attributions'] : [])];
const types = (revision: string) => [
  'event',
  'metric',
  'profile',
  ...(revision >= '2026-01-15' ? ['attribution'] : []),
];
const EPOCH = { type: 'epoch', operators: ['greater-or-equal', 'greater-than', 'less-or-equal', 'less-than'] } as const;

/** 200 rows a page, fixed; `page[size]` up to 1,000 since 2026-01-15. */
const listQuery = (revision: string): QuerySpec => ({
  fields: types(revision),
  include: includes(revision),
  page: revision >= '2026-01-15' ? { fixed: 200, size: { initial: 200, max: 1000 } } : { fixed: 200 },
  sort: ['datetime', 'timestamp'],
  filter: {
    metric_id: EQUALS,
    profile_id: EQUALS,
    ...(revision >= '2025-01-15' ? { profile: texts('has') } : {}),
    ...(revision >= '2026-04-15' ? { metric: texts('has') } : {}),
    datetime: dates(),
    timestamp: EPOCH,
  },
});

const metricQuery = (revision: string): QuerySpec =>
  revision >= '2024-10-15' ? { fields: ['metric', 'flow'], include: ['flow-triggers'] } : { fields: ['metric'] };

export const EVENT_OPERATIONS: readonly Operation[] = [
  {
    id: 'getMetrics',
    method: 'GET',
    path: '/api/metrics',
    scopes: ['metrics:read'],
    since: FIRST,
    tier: tier('M'),
    query: (revision) => ({
      ...metricQuery(revision),
      page: { fixed: 200 },
      filter: { 'integration.name': EQUALS, 'integration.category': EQUALS },
    }),
    handle: getMetrics,
  },
  {
    id: 'getMetric',
    method: 'GET',
    path: '/api/metrics/{id}',
    scopes: ['metrics:read'],
    since: FIRST,
    tier: tier('M'),
    query: metricQuery,
    handle: getMetric,
  },
  {
    id: 'getEvents',
    method: 'GET',
    path: '/api/events',
    scopes: ['events:read'],
    since: FIRST,
    tier: tier('XL'),
    query: listQuery,
    handle: events.getEvents,
  },
  {
    id: 'createEvent',
    method: 'POST',
    path: '/api/events',
    scopes: ['events:write'],
    since: FIRST,
    tier: tier('XL'),
    query: always({}),
    body: schema.createEvent,
    handle: events.createEvent,
  },
  {
    id: 'getEvent',
    method: 'GET',
    path: '/api/events/{id}',
    scopes: ['events:read'],
    since: FIRST,
    tier: tier('M'),
    query: (revision) => ({ fields: types(revision), include: includes(revision) }),
    handle: events.getEvent,
  },
  {
    id: 'getMetricForEvent',
    method: 'GET',
    path: '/api/events/{id}/metric',
    scopes: ['events:read', 'metrics:read'],
    since: FIRST,
    tier: tier('XL'),
    query: always({ fields: ['metric'] }),
    handle: events.getEventMetric,
  },
  {
    id: 'getProfileForEvent',
    method: 'GET',
    path: '/api/events/{id}/profile',
    scopes: ['events:read', 'profiles:read'],
    since: FIRST,
    tier: tier('XL'),
    query: always({ fields: ['profile'], additional: { profile: ['subscriptions', 'predictive_analytics'] } }),
    handle: events.getEventProfile,
  },
  {
    id: 'bulkCreateEvents',
    method: 'POST',
    path: '/api/event-bulk-create-jobs',
    scopes: ['events:write'],
    since: '2024-05-15',
    tier: tier('M'),
    query: always({}),
    body: schema.bulkEvents,
    handle: events.bulkCreateEvents,
  },
];
