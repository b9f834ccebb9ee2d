import type { Account } from '../account.ts';
import type { JsonObject } from '../json.ts';
import { API, KLAVIYO } from '../store/metrics.ts';
import type { EventRow, MetricRow } from '../store/rows.ts';

export interface NewEvent {
  metric: string;
  /** Klaviyo's own metric rather than one made through the API. */
  own?: boolean;
  profileId: string;
  /** Milliseconds; kept to the second. */
  time: number;
  uniqueId?: string | null;
  properties: JsonObject;
  value?: number | null;
  currency?: string | null;
  now: number;
  id?: string;
}

/** The metric of a name, made on the way when the account has none of that integration. */
export function metricNamed(account: Account, name: string, own: boolean, now: number): MetricRow {
  const integration = own ? KLAVIYO : API;
  const known = findMetric(account, name, own);
  if (known !== undefined) return known;
  const made: MetricRow = { id: account.ids.short(4), name, created: now, updated: now, integration };
  account.metrics.put(made);
  return made;
}

export function findMetric(account: Account, name: string, own: boolean): MetricRow | undefined {
  const key = own ? KLAVIYO.key : API.key;
  return [...account.metrics.written()].find((metric) => metric.name === name && metric.integration.key === key);
}

/** Name of the place where an event's repetition is recognised: profile, metric and unique id. */
export function eventKey(profileId: string, metricId: string, uniqueId: string): string {
  return `${profileId}|${metricId}|${uniqueId}`;
}

/**
 * Keeps an event unless the same profile, metric and unique id are there already (the first wins: null).
 * Without a unique id the second of the event stands for it.
 */
export function recordEvent(account: Account, event: NewEvent): EventRow | null {
  const second = Math.floor(event.time / 1000);
  const metric = metricNamed(account, event.metric, event.own === true, event.now);
  const uniqueId = event.uniqueId ?? String(second);
  const key = eventKey(event.profileId, metric.id, uniqueId);
  if (account.eventKeys.has(key)) return null;
  const row: EventRow = {
    id: event.id ?? account.ids.event(),
    uuid: account.ids.uuid(),
    time: second * 1000,
    metricId: metric.id,
    profileId: event.profileId,
    properties: {
      ...event.properties,
      $event_id: uniqueId,
      ...(event.value === undefined || event.value === null ? {} : { $value: event.value }),
      ...(event.currency === undefined || event.currency === null ? {} : { $value_currency: event.currency }),
    },
  };
  account.eventKeys.set(key, row.id);
  account.events.put(row);
  const profile = account.profiles.get(event.profileId);
  if (profile !== undefined && (profile.last_event_date ?? 0) < row.time)
    account.profiles.store(
      { ...profile, last_event_date: row.time, updated: Math.floor(event.now / 1000) * 1000 },
      profile,
    );
  account.onEvent?.(row);
  return row;
}
