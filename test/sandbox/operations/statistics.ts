import type { Operation } from '../context.ts';
import { metricAggregate } from '../resources/aggregates.ts';
import { campaignValues } from '../resources/reports.ts';
import * as schema from '../schemas/other.ts';
import { FIRST, narrowed, tier } from './common.ts';

export const STATISTICS_OPERATIONS: readonly Operation[] = [
  {
    id: 'queryMetricAggregates',
    method: 'POST',
    path: '/api/metric-aggregates',
    scopes: ['metrics:read'],
    since: FIRST,
    tier: tier('S'),
    query: narrowed('metric-aggregate'),
    body: schema.metricAggregate,
    handle: metricAggregate,
  },
  {
    id: 'queryCampaignValues',
    method: 'POST',
    path: '/api/campaign-values-reports',
    scopes: ['campaigns:read'],
    since: '2024-02-15',
    tier: tier('report'),
    query: (revision) => ({ ...narrowed('campaign-values-report')(revision), extra: ['page_cursor'] }),
    body: schema.campaignValuesReport,
    handle: campaignValues,
  },
];
