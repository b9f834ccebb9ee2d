import { stamp } from '../clock.ts';
import type { Context, Reply } from '../context.ts';
import { pageLinks, relation, resource, single } from '../context.ts';
import { notFound } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { listPage } from '../paging.ts';
import type { MetricRow } from '../store/rows.ts';

export function metricResource(context: Context, row: MetricRow): JsonObject {
  const { id, key, name, category } = row.integration;
  const triggers = context.query.include.has('flow-triggers') ? [] : undefined;
  return resource(
    context,
    'metric',
    row.id,
    'metrics',
    {
      name: row.name,
      created: stamp(row.created),
      updated: stamp(row.updated),
      integration: { object: 'integration', id, key, name, category },
    },
    context.revision >= '2024-10-15'
      ? { 'flow-triggers': relation(context, `metrics/${row.id}`, 'flow-triggers', triggers) }
      : undefined,
  );
}

export function getMetrics(context: Context): Reply {
  // Recorded: a filter on the category is taken and ignored.
  const conditions = context.query.conditions.filter(({ field }) => field !== 'integration.category');
  const { rows, next } = listPage(context, context.account.metrics, { order: 'created', conditions });
  return {
    status: 200,
    document: {
      data: rows.map((row) => metricResource(context, row)),
      ...(context.query.include.size > 0 ? { included: [] } : {}),
      links: pageLinks(context, next),
    },
  };
}

export function getMetric(context: Context): Reply {
  const id = context.params.id ?? '';
  const row = context.account.metrics.get(id);
  if (row === undefined) throw notFound('metric', id);
  return {
    status: 200,
    document: single(context, metricResource(context, row), context.query.include.size > 0 ? [] : undefined),
  };
}
