import type { Context, Reply } from '../context.ts';
import { pageLinks, single } from '../context.ts';
import { invalidBody, invalidItems, notFound } from '../errors.ts';
import { parseInstant } from '../filter.ts';
import type { Json, JsonObject } from '../json.ts';
import { isObject } from '../json.ts';
import { listPage } from '../paging.ts';
import type { Fault } from '../schemas/validate.ts';
import type { EventRow, ProfileRow } from '../store/rows.ts';
import { identifierFaults, requireIdentifier } from './check-profile.ts';
import { eventResource, includedOf, ownerOf } from './event-view.ts';
import { metricResource } from './metrics.ts';
import type { ProfileData } from './profiles.ts';
import { profileResource } from './profile-view.ts';
import { eventKey, findMetric, recordEvent } from './record-event.ts';

const YEAR_AHEAD = 366 * 86_400_000;
const STRING_BYTES = 100 * 1024;

interface EventAttributes {
  properties: JsonObject;
  time?: string | null;
  value?: number | null;
  value_currency?: string | null;
  unique_id?: string | null;
  metric: { data: { attributes: { name: string } } };
}
type EventProfile = { data: ProfileData & { attributes: { meta?: ProfileData['meta'] } } };

/** Events of profiles that were deleted are gone with them. */
function visible(context: Context) {
  const { profiles } = context.account;
  if (profiles.gone.size === 0) return undefined;
  return (get: (field: string) => unknown) => profiles.current(get('profile_id') as string) !== null;
}

export function getEvents(context: Context): Reply {
  const { account, query } = context;
  const also = visible(context);
  // A merged profile's events answer under the id that it has now.
  const aliases = new Map<string, string[]>();
  for (const [source] of account.profiles.merged) {
    const owner = account.profiles.current(source);
    if (owner !== null) aliases.set(owner, [...(aliases.get(owner) ?? []), source]);
  }
  const conditions = query.conditions.map((condition) => {
    const known = condition.field === 'profile_id' ? aliases.get(String(condition.values[0])) : undefined;
    return known === undefined
      ? condition
      : { ...condition, operator: 'any' as const, values: [...condition.values, ...known] };
  });
  const { rows, next } = listPage(context, account.events, {
    order: 'datetime',
    descending: true,
    orderOf: () => 'datetime',
    conditions: conditions.map((condition) =>
      condition.field === 'timestamp' ? { ...condition, field: 'datetime' } : condition,
    ),
    ...(also === undefined ? {} : { also }),
  });
  return {
    status: 200,
    document: {
      data: rows.map((row) => eventResource(context, row)),
      ...(query.include.size > 0 ? { included: includedOf(context, rows) } : {}),
      links: pageLinks(context, next),
    },
  };
}

function requireEvent(context: Context): EventRow {
  const id = context.params.id ?? '';
  if (!/^[0-9A-Za-z]{11}$/.test(id)) throw invalidBody(`Invalid Event ID: '${id}'`, '/data/id');
  const row = context.account.events.get(id);
  if (row === undefined || context.account.profiles.current(row.profileId) === null) throw notFound('event', id);
  return row;
}

export function getEvent(context: Context): Reply {
  const row = requireEvent(context);
  const included = context.query.include.size > 0 ? includedOf(context, [row]) : undefined;
  return { status: 200, document: single(context, eventResource(context, row), included) };
}

export function getEventMetric(context: Context): Reply {
  const row = requireEvent(context);
  const metric = context.account.metrics.get(row.metricId);
  if (metric === undefined) throw notFound('metric', row.metricId);
  return { status: 200, document: single(context, metricResource(context, metric)) };
}

export function getEventProfile(context: Context): Reply {
  const row = requireEvent(context);
  const profile = context.account.profiles.get(ownerOf(context.account, row));
  if (profile === undefined) throw notFound('profile', row.profileId);
  return { status: 200, document: single(context, profileResource(context, profile)) };
}

/** Takes one event: accepted at once, visible after the account's asynchronous delay. */
export function createEvent(context: Context): Reply {
  const { attributes } = (context.body as { data: { attributes: EventAttributes & { profile: EventProfile } } }).data;
  const faults = eventFaults(attributes, context, '/data/attributes');
  faults.push(...personFaults(attributes.profile, '/data/attributes/profile/data'));
  if (faults.length > 0) throw invalidItems(faults);
  later(context, attributes.profile, [attributes]);
  return { status: 202 };
}

interface BulkBody {
  data: {
    attributes: {
      'events-bulk-create': {
        data: { attributes: { profile: EventProfile; events: { data: { attributes: EventAttributes }[] } } }[];
      };
    };
  };
}

/** Takes up to 1,000 events; a unique id repeated within the call, or known already, refuses all of it. */
export function bulkCreateEvents(context: Context): Reply {
  const people = (context.body as BulkBody).data.attributes['events-bulk-create'].data;
  const at = '/data/attributes/events-bulk-create/data';
  const faults: Fault[] = [];
  const seen = new Set<string>();
  let total = 0;
  people.forEach(({ attributes: { profile, events } }, p) => {
    faults.push(...personFaults(profile, `${at}/${p}/attributes/profile/data`));
    const person = JSON.stringify([
      profile.data.id,
      profile.data.attributes.email,
      profile.data.attributes.phone_number,
      profile.data.attributes.external_id,
    ]);
    const known = context.account.profiles.matches({ ...profile.data.attributes, id: profile.data.id ?? null })[0];
    events.data.forEach(({ attributes }, e) => {
      const pointer = `${at}/${p}/attributes/events/data/${e}/attributes`;
      total += 1;
      faults.push(...eventFaults(attributes, context, pointer));
      if (typeof attributes.unique_id !== 'string') return;
      const name = attributes.metric.data.attributes.name;
      const key = `${person}|${name}|${attributes.unique_id}`;
      const metric = findMetric(context.account, name, false);
      if (
        seen.has(key) ||
        (known !== undefined &&
          metric !== undefined &&
          context.account.eventKeys.has(eventKey(known.id, metric.id, attributes.unique_id)))
      )
        faults.push({ detail: `Duplicate unique_id '${attributes.unique_id}'.`, pointer: `${pointer}/unique_id` });
      seen.add(key);
    });
  });
  if (total > 1000) faults.push({ detail: 'A bulk create job may hold at most 1000 events.', pointer: at });
  if (faults.length > 0) throw invalidItems(faults);
  for (const { attributes } of people)
    later(
      context,
      attributes.profile,
      attributes.events.data.map((event) => event.attributes),
    );
  return { status: 202 };
}

function later(context: Context, profile: EventProfile, events: readonly EventAttributes[]): void {
  const { account, now } = context;
  account.tasks.at(now + account.asyncDelayMs, () => {
    const owner = ownerFor(context, profile);
    if (owner === null) return;
    for (const event of events) {
      recordEvent(account, {
        metric: event.metric.data.attributes.name,
        profileId: owner.id,
        time: typeof event.time === 'string' ? parseInstant(event.time) : now,
        uniqueId: event.unique_id ?? null,
        properties: event.properties,
        value: event.value ?? null,
        currency: event.value_currency ?? null,
        now,
      });
    }
  });
}

/** The profile an event is for, created or brought up to date on the way; identifiers of two people take the first. */
function ownerFor(context: Context, profile: EventProfile): ProfileRow | null {
  const { profiles } = context.account;
  const { data } = profile;
  const { meta, ...attributes } = data.attributes;
  const matches = profiles.matches({ ...attributes, id: data.id ?? null });
  const patch = (meta ?? data.meta)?.patch_properties;
  if (matches.length > 1) return matches[0] ?? null;
  if (matches.length === 0 && typeof data.id === 'string' && Object.keys(attributes).length === 0) return null;
  if (matches[0] !== undefined && Object.keys(attributes).length === 0 && patch === undefined) return matches[0];
  return profiles.upsert({ id: matches.length === 0 ? null : (data.id ?? null) }, attributes, patch, context.now).row;
}

function personFaults({ data }: EventProfile, pointer: string): Fault[] {
  requireIdentifier(data.attributes, data.id, `${pointer}/attributes`);
  return identifierFaults(data.attributes, `${pointer}/attributes`);
}

/** Limits of one event: time, properties, depth and sizes as each revision documents them. */
function eventFaults(event: EventAttributes, context: Context, pointer: string): Fault[] {
  const faults: Fault[] = [];
  const { revision, now } = context;
  if (typeof event.time === 'string') {
    const time = parseInstant(event.time);
    const earliest = Date.UTC(revision >= '2026-04-15' ? 1990 : 2000, 0, 1);
    if (Number.isNaN(time) || time < earliest || time > now + YEAR_AHEAD)
      faults.push({ detail: 'Invalid event time.', pointer: `${pointer}/time` });
  }
  if (event.unique_id === '' || (event.unique_id?.length ?? 0) > 255)
    faults.push({ detail: 'unique_id must be 1 to 255 characters.', pointer: `${pointer}/unique_id` });
  const most = revision >= '2025-10-15' ? 400 : 300;
  if (Object.keys(event.properties).length > most)
    faults.push({ detail: `An event may have at most ${most} properties.`, pointer: `${pointer}/properties` });
  const fault = tooBig(event.properties, 1);
  if (fault !== null) faults.push({ detail: fault, pointer: `${pointer}/properties` });
  return faults;
}

function tooBig(value: Json, depth: number): string | null {
  if (typeof value === 'string')
    return Buffer.byteLength(value) > STRING_BYTES ? 'A string may not be larger than 100 KB.' : null;
  if (value === null || typeof value !== 'object') return null;
  if (depth > 10) return 'Properties may be nested at most 10 levels deep.';
  if (Array.isArray(value) && value.length > 4000) return 'A list may hold at most 4000 items.';
  for (const inner of Array.isArray(value) ? value : isObject(value) ? Object.values(value) : []) {
    const fault = tooBig(inner, depth + 1);
    if (fault !== null) return fault;
  }
  return null;
}
