import type { Account } from '../account.ts';
import { encodeCursor, decodeCursor } from '../cursor.ts';
import type { Context, Reply } from '../context.ts';
import { pageLinks, pageText } from '../context.ts';
import { notFound } from '../errors.ts';
import { satisfies } from '../filter.ts';
import { listPage } from '../paging.ts';
import type { GroupRow, MemberRow, ProfileRow } from '../store/rows.ts';
import type { Table } from '../store/table.ts';
import { profileText } from './profile-view.ts';

/** The groups that a profile is in, by name of creation. */
export function groupsOf<R extends GroupRow>(account: Account, groups: Table<R>, profileId: string): R[] {
  return [...groups.written()]
    .filter((group) => account.membersOf(group.id).has(profileId))
    .sort((a, b) => a.created - b.created || (a.id < b.id ? -1 : 1));
}

/** One page of a group's members, with the filters that its endpoints take. */
function memberPage(context: Context): { rows: MemberRow[]; next: string | null } {
  const { account, query } = context;
  const members = account.membersOf(context.params.id ?? '');
  const named = query.conditions.filter(({ field }) => field !== 'joined_group_at');
  if (named.length === 0) return listPage(context, members, { order: 'joined_group_at' });
  const rows: MemberRow[] = [];
  for (const condition of named) {
    for (const value of condition.values) {
      const profile = byIdentifier(account, condition.field, String(value));
      const place = profile === undefined ? undefined : members.get(profile.id);
      if (place !== undefined && query.conditions.every((c) => named.includes(c) || satisfies(c, place.joined)))
        rows.push(place);
    }
  }
  rows.sort((a, b) => a.joined - b.joined || (a.id < b.id ? -1 : 1));
  const after = query.cursor === null ? null : decodeCursor(query.cursor);
  const from = after === null ? 0 : rows.findIndex((row) => row.id === after.id) + 1;
  const page = rows.slice(from, from + query.size);
  const last = page.at(-1);
  const more = last !== undefined && from + query.size < rows.length;
  return { rows: page, next: more ? encodeCursor({ key: last.joined, id: last.id, generated: false }) : null };
}

function byIdentifier(account: Account, field: string, value: string): ProfileRow | undefined {
  if (field === 'email' || field === 'phone_number') return account.profiles.byValue(field, value);
  return field === 'profile_id' ? account.profiles.get(value) : undefined;
}

/** GET /lists|segments/{id}/profiles: profiles with the time they joined. */
export function groupProfiles(groups: (account: Account) => Table<GroupRow>, noun: string) {
  return (context: Context): Reply => {
    requireGroup(context, groups(context.account), noun);
    const { rows, next } = memberPage(context);
    const data = rows.flatMap((place) => {
      const profile = context.account.profiles.get(place.id);
      return profile === undefined ? [] : [profileText(context, profile, place.joined)];
    });
    return { status: 200, document: pageText(context, data, next) };
  };
}

/** GET /lists|segments/{id}/relationships/profiles: ids only. */
export function groupProfileIds(groups: (account: Account) => Table<GroupRow>, noun: string) {
  return (context: Context): Reply => {
    requireGroup(context, groups(context.account), noun);
    const { rows, next } = memberPage(context);
    return {
      status: 200,
      document: { data: rows.map(({ id }) => ({ type: 'profile', id })), links: pageLinks(context, next) },
    };
  };
}

/** POST and DELETE /lists/{id}/relationships/profiles: membership alone, never consent. */
export function changeMembers(join: boolean) {
  return (context: Context): Reply => {
    const { account, now } = context;
    requireGroup(context, account.lists, 'list');
    const members = account.membersOf(context.params.id ?? '');
    const { data } = context.body as { data: { id: string }[] };
    const unknown = data.find(({ id }) => !account.profiles.table.has(id));
    if (join && unknown !== undefined) throw notFound('profile', unknown.id);
    for (const { id } of data) {
      if (!join) members.remove(id);
      else if (!members.has(id)) members.put({ id, joined: Math.floor(now / 1000) * 1000 });
    }
    return { status: 204 };
  };
}

export function requireGroup<R extends GroupRow>(context: Context, groups: Table<R>, noun: string): R {
  const id = context.params.id ?? '';
  const group = groups.get(id);
  if (group === undefined) throw notFound(noun, id);
  return group;
}
