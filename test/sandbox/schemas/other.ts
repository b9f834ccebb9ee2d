import type { Schema } from './dsl.ts';
import {
  document,
  either,
  flagOrNull,
  free,
  instantOrNull,
  linkTo,
  list,
  numberOrNull,
  object,
  one,
  orNull,
  text,
  textOrNull,
} from './dsl.ts';
import { eventProfile } from './profile.ts';
import { AGGREGATE_DIMENSIONS, REPORT_GROUPS, STATISTICS, TIMEFRAMES } from './words.ts';

const optIn = orNull(one('double_opt_in', 'single_opt_in'));

export function createList(revision: string): Schema {
  const attributes = object({ 'name!': text, opt_in_process: revision >= '2025-10-15' ? optIn : undefined });
  return document({ 'type!': one('list'), 'attributes!': attributes });
}

export function updateList(revision: string): Schema {
  const attributes =
    revision >= '2025-10-15' ? object({ name: textOrNull, opt_in_process: optIn }) : object({ 'name!': text });
  return document({ 'type!': one('list'), 'id!': text, 'attributes!': attributes });
}

/** Members to add or remove: at most 1,000 a call. */
export function memberIds(): Schema {
  return object({ 'data!': list(linkTo('profile'), 1000) });
}

/** Conditions are checked for their frame only: Klaviyo's own grammar of conditions is not played here. */
const definition = object({ 'condition_groups!': list(object({ 'conditions!': list(free) })) });

export function createSegment(): Schema {
  const attributes = object({
    'name!': text,
    'definition!': definition,
    is_starred: flagOrNull,
  });
  return document({ 'type!': one('segment'), 'attributes!': attributes });
}

export function updateSegment(revision: string): Schema {
  const attributes =
    revision < '2024-06-15'
      ? object({ 'name!': text })
      : object({
          name: textOrNull,
          definition,
          is_starred: flagOrNull,
          is_active: revision >= '2026-01-15' ? flagOrNull : undefined,
        });
  return document({ 'type!': one('segment'), 'id!': text, 'attributes!': attributes });
}

export function sendJob(): Schema {
  return document({ 'type!': one('campaign-send-job'), 'id!': text });
}

export function cancelSend(): Schema {
  return document({
    'type!': one('campaign-send-job'),
    'id!': text,
    'attributes!': object({ 'action!': one('cancel', 'revert') }),
  });
}

const metric = object({
  'data!': object({
    'type!': one('metric'),
    'attributes!': object({ 'name!': { kind: 'string', max: 127, min: 1 }, service: textOrNull }),
  }),
});

function eventFields(revision: string): Record<string, Schema | undefined> {
  return {
    'properties!': free,
    time: instantOrNull,
    value: numberOrNull,
    value_currency: revision >= '2024-02-15' ? textOrNull : undefined,
    unique_id: textOrNull,
    backfill: revision >= '2026-04-15' ? flagOrNull : undefined,
    'metric!': metric,
  };
}

export function createEvent(revision: string): Schema {
  const attributes = object({ ...eventFields(revision), 'profile!': eventProfile(revision, true) });
  return document({ 'type!': one('event'), 'attributes!': attributes });
}

export function bulkEvents(revision: string): Schema {
  const event = object({ 'type!': one('event'), 'attributes!': object(eventFields(revision)) });
  const person = object({
    'type!': one('event-bulk-create'),
    'attributes!': object({
      backfill: revision >= '2026-04-15' ? flagOrNull : undefined,
      'profile!': eventProfile(revision, false),
      'events!': object({ 'data!': list(event, 1000) }),
    }),
  });
  return document({
    'type!': one('event-bulk-create-job'),
    'attributes!': object({ 'events-bulk-create!': object({ 'data!': list(person, 1000) }) }),
  });
}

export function metricAggregate(revision: string): Schema {
  const dimensions = AGGREGATE_DIMENSIONS.filter(([since]) => since <= revision).map(([, name]) => name);
  return document({
    'type!': one('metric-aggregate'),
    'attributes!': object({
      'metric_id!': text,
      page_cursor: text,
      'measurements!': list(one('count', 'sum_value', 'unique')),
      interval: orNull(one('day', 'hour', 'month', 'week')),
      page_size: { kind: 'integer', nullable: true },
      by: orNull(list(one(...dimensions))),
      return_fields: orNull(list(text)),
      'filter!': list(text),
      timezone: textOrNull,
      sort: one(...[...dimensions, 'count', 'sum_value', 'unique'].flatMap((name) => [name, `-${name}`])),
    }),
  });
}

export function campaignValuesReport(revision: string): Schema {
  const statistics = STATISTICS.filter(([since]) => since <= revision).map(([, name]) => name);
  const instant: Schema = { kind: 'string', format: 'date-time' };
  return document({
    'type!': one('campaign-values-report'),
    'attributes!': object({
      'statistics!': list(one(...statistics)),
      'timeframe!': either(object({ 'key!': one(...TIMEFRAMES) }), object({ 'start!': instant, 'end!': instant })),
      'conversion_metric_id!': text,
      group_by: revision >= '2025-10-15' ? orNull(list(one(...REPORT_GROUPS))) : undefined,
      filter: textOrNull,
    }),
  });
}

const topics = object({ data: list(linkTo('webhook-topic')) });

export function createWebhook(revision: string): Schema {
  const required = revision >= '2025-01-15';
  return document({
    'type!': one('webhook'),
    'attributes!': object({ 'name!': text, description: textOrNull, 'endpoint_url!': text, 'secret_key!': text }),
    [required ? 'relationships!' : 'relationships']: object({
      [required ? 'webhook-topics!' : 'webhook-topics']: topics,
    }),
  });
}

export function updateWebhook(): Schema {
  return document({
    'type!': one('webhook'),
    'id!': text,
    'attributes!': object({
      name: textOrNull,
      description: textOrNull,
      endpoint_url: textOrNull,
      secret_key: textOrNull,
      enabled: flagOrNull,
    }),
    relationships: object({ 'webhook-topics': topics }),
  });
}
