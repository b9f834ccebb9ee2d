import type { Context, Reply } from '../context.ts';
import { pageLinks, pageText, single } from '../context.ts';
import { invalidBody, invalidItems, notFound } from '../errors.ts';
import { satisfies } from '../filter.ts';
import type { JsonObject } from '../json.ts';
import { listPage, sliceRows } from '../paging.ts';
import type { PatchProperties, ProfileAttributes } from '../store/profiles.ts';
import { profileField } from '../store/profiles.ts';
import type { ProfileRow } from '../store/rows.ts';
import { checkProfileSize, identifierFaults, requireIdentifier } from './check-profile.ts';
import { listResource, segmentResource } from './group-view.ts';
import type { ProfileLinks } from './profile-view.ts';
import { profileResource, profileText } from './profile-view.ts';
import { groupsOf } from './membership.ts';

export interface ProfileData {
  id?: string | null;
  attributes: ProfileAttributes;
  meta?: { patch_properties?: PatchProperties };
}

const IDENTIFYING = ['id', 'email', 'phone_number', 'external_id'] as const;

/** The profiles that a filter on identifiers names, or null when the filter has none and must be scanned. */
export function namedProfiles(context: Context): ProfileRow[] | null {
  const { conditions } = context.query;
  const named = conditions.find(({ field }) => (IDENTIFYING as readonly string[]).includes(field));
  if (named === undefined) return null;
  const { profiles } = context.account;
  const rows = new Map<string, ProfileRow>();
  for (const value of named.values) {
    const field = named.field as (typeof IDENTIFYING)[number];
    const row = field === 'id' ? profiles.get(String(value)) : profiles.byValue(field, String(value));
    if (row !== undefined) rows.set(row.id, row);
  }
  const rest = conditions.filter((condition) => condition !== named);
  return [...rows.values()]
    .filter((row) => rest.every((condition) => satisfies(condition, profileField(row, condition.field))))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

export function getProfiles(context: Context): Reply {
  const named = namedProfiles(context);
  const { table } = context.account.profiles;
  const byConsent = context.query.conditions.some(({ field }) => field.startsWith('subscriptions.'));
  const known = (field: string | undefined) => field !== undefined && Object.hasOwn(table.base.orders, field);
  const all =
    named ?? (byConsent || (context.query.sort !== null && !known(context.query.sort.field)) ? byScan(context) : null);
  const { rows, next } = all === null ? listPage(context, table, { order: 'id' }) : sliceRows(context, all);
  const included = context.query.include.size > 0 ? [] : undefined;
  if (included !== undefined) {
    const data = rows.map((row) => profileResource(context, row));
    return { status: 200, document: { data, included, links: pageLinks(context, next) } };
  }
  return {
    status: 200,
    document: pageText(
      context,
      rows.map((row) => profileText(context, row)),
      next,
    ),
  };
}

/** For the rare filters and orders that generated rows have no arithmetic for. */
function byScan(context: Context): ProfileRow[] {
  const { conditions, sort } = context.query;
  const rows = [...context.account.profiles.table.all()].filter((row) =>
    conditions.every((condition) => satisfies(condition, profileField(row, condition.field))),
  );
  const field = sort?.field ?? 'id';
  const key = (row: ProfileRow) => (profileField(row, field) ?? 0) as string | number;
  rows.sort((a, b) => (key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : a.id < b.id ? -1 : 1));
  return sort?.descending === true ? rows.reverse() : rows;
}

export function getProfile(context: Context): Reply {
  const row = requireProfile(context, context.params.id ?? '');
  const links: ProfileLinks = {};
  const included: JsonObject[] = [];
  if (context.query.include.has('lists')) {
    const lists = groupsOf(context.account, context.account.lists, row.id);
    links.lists = lists.map((list) => list.id);
    included.push(...lists.map((list) => listResource(context, list)));
  }
  if (context.query.include.has('segments')) {
    const segments = groupsOf(context.account, context.account.segments, row.id);
    links.segments = segments.map((segment) => segment.id);
    included.push(...segments.map((segment) => segmentResource(context, segment)));
  }
  const asked = context.query.include.size > 0;
  return {
    status: 200,
    document: single(context, profileResource(context, row, undefined, links), asked ? included : undefined),
  };
}

export function createProfile(context: Context): Reply {
  const { data } = context.body as { data: ProfileData };
  check(context, data);
  requireIdentifier(data.attributes, null, '/data/attributes');
  checkSms(context, data);
  const row = context.account.profiles.create(data.attributes, context.now);
  return { status: 201, document: single(context, profileResource(context, row)) };
}

export function updateProfile(context: Context): Reply {
  const { data } = context.body as { data: ProfileData };
  const id = context.params.id ?? '';
  if (data.id !== id) throw invalidBody('The id in the body must match the id in the path.', '/data/id');
  check(context, data);
  const before = requireProfile(context, id);
  const row = context.account.profiles.update(before, data.attributes, data.meta?.patch_properties, context.now);
  return { status: 200, document: single(context, profileResource(context, row)) };
}

export function importProfile(context: Context): Reply {
  const { data } = context.body as { data: ProfileData };
  check(context, data);
  requireIdentifier(data.attributes, data.id, '/data/attributes');
  checkSms(context, data);
  if (typeof data.id === 'string') requireProfile(context, data.id);
  const { profiles } = context.account;
  const { row, created } = profiles.upsert(
    { id: data.id ?? null },
    data.attributes,
    data.meta?.patch_properties,
    context.now,
  );
  return { status: created ? 201 : 200, document: single(context, profileResource(context, row)) };
}

function check(context: Context, data: ProfileData): void {
  const faults = identifierFaults(data.attributes, '/data/attributes');
  if (faults.length > 0) throw invalidItems(faults);
  checkProfileSize(data, context.revision, '/data');
}

/** Where SMS is not set up, a phone number is no identifier of its own. */
function checkSms(context: Context, { id, attributes }: ProfileData): void {
  const { email, external_id: external, phone_number: phone } = attributes;
  const phoneAlone = typeof phone === 'string' && [id, email, external].every((value) => typeof value !== 'string');
  if (phoneAlone && !context.account.switches.smsSetUp)
    throw invalidBody(
      'A phone number alone cannot identify a profile before SMS is set up.',
      '/data/attributes/phone_number',
    );
}

export function requireProfile(context: Context, id: string): ProfileRow {
  const row = context.account.profiles.get(id);
  if (row === undefined) throw notFound('profile', id);
  return row;
}
