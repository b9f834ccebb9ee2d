import { toInstant } from '../common/instants';
import { relatedIds, type Resource } from '../klaviyo/json-api';
import { storedJson, storedText } from '../mirror/stored-json';
import type { EventRow } from './event-mirror.repository';
import type { MetricRow } from './metric-mirror.repository';

export interface EventAttributes {
  /** Seconds. */
  timestamp?: number | null;
  datetime?: string | null;
  event_properties?: Readonly<Record<string, unknown>> | null;
  uuid?: string | null;
}

export interface MetricAttributes {
  name?: string | null;
  created?: string | null;
  updated?: string | null;
  integration?: { key?: string | null; name?: string | null; category?: string | null } | null;
}

/** An event as Klaviyo gave it, ready to be kept. */
export function toEventRow(event: Resource<EventAttributes>): EventRow {
  const { attributes } = event;
  return {
    id: event.id,
    metricId: relatedId(event, 'metric'),
    profileId: relatedId(event, 'profile'),
    occurredAt: secondsOf(attributes),
    value: valueOf(attributes.event_properties),
    document: storedJson({ attributes }),
  };
}

/** A metric as Klaviyo gave it, ready to be kept. */
export function toMetricRow({ id, attributes }: Resource<MetricAttributes>): MetricRow {
  const { integration } = attributes;
  const text = (value: unknown) => (typeof value === 'string' ? storedText(value) : null);
  return {
    id,
    name: text(attributes.name) ?? '',
    integrationKey: text(integration?.key),
    integrationName: text(integration?.name),
    integrationCategory: text(integration?.category),
    createdAt: toInstant(attributes.created),
    updatedAt: toInstant(attributes.updated),
    document: storedJson({ attributes }),
  };
}

/** Whether Klaviyo named metric and person of an event without being asked for them. */
export function saysWhoseAndWhat(event: Resource<EventAttributes>): boolean {
  return relatedId(event, 'metric') !== null && relatedId(event, 'profile') !== null;
}

export function relatedId(event: Pick<Resource, 'relationships'>, name: string): string | null {
  return relatedIds(event, name)[0]?.id ?? null;
}

/** When an event happened, in epoch seconds; 0 where Klaviyo does not say. */
export function secondsOf({ timestamp, datetime }: EventAttributes): number {
  if (typeof timestamp === 'number' && Number.isFinite(timestamp)) return timestamp;
  const time = typeof datetime === 'string' ? Date.parse(datetime) : NaN;
  return Number.isNaN(time) ? 0 : time / 1000;
}

/** The money or quantity of an event; null where it has none. */
export function valueOf(properties: Readonly<Record<string, unknown>> | null | undefined): number | null {
  const value = properties?.['$value'];
  return typeof value === 'number' && Number.isFinite(value) ? value : null;
}
