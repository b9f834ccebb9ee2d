import type { Account } from './account.ts';
import type { ControlCall } from './control.ts';
import { ControlError } from './control.ts';
import { confirmSubscription } from './store/consent.ts';
import * as seed from './seeding.ts';

/** Direct writes and reads of rows, past validation and quota: late events, merged profiles, odd statuses. */
export function changeState(call: ControlCall, account: Account): unknown {
  const { method, parts, body, sandbox } = call;
  const [, , what, id, inner, innerId] = parts;
  const now = sandbox.clock.now();
  const kind = what === undefined ? undefined : seed.KINDS[what];
  if (kind === undefined) throw new ControlError(404, `/_sandbox/accounts/:id/${what ?? ''}: no such control`);
  if (inner === 'members' && (what === 'lists' || what === 'segments') && id !== undefined)
    return members(account, id, method, body, innerId, now);
  if (inner === 'confirm' && what === 'lists' && id !== undefined) {
    const { profileId } = body as { profileId: string };
    confirmSubscription(account, id, profileId, now);
    return { ok: true };
  }
  if (inner === 'merge' && what === 'profiles' && id !== undefined) {
    const { into } = body as { into: string };
    if (!account.profiles.table.has(into)) throw new ControlError(404, `no profile ${into}`);
    return { merged: account.removeProfile(id, into) };
  }
  switch (method) {
    case 'GET': {
      if (id === undefined) return { [what as string]: kind.list(account, call.query) };
      const row = kind.get(account, id);
      if (row === undefined) throw new ControlError(404, `no such row: ${what ?? ''}/${id}`);
      return row;
    }
    case 'POST':
      return Array.isArray(body)
        ? body.map((item) => kind.create(account, item as object, now))
        : kind.create(account, body as object, now);
    case 'PATCH':
    case 'PUT': {
      if (id === undefined || kind.get(account, id) === undefined)
        throw new ControlError(404, `no such row: ${what ?? ''}/${id ?? ''}`);
      return kind.patch(account, id, body as object, now);
    }
    case 'DELETE':
      return { deleted: id !== undefined && kind.remove(account, id) };
    default:
      throw new ControlError(405, `${method} is not known here`);
  }
}

function members(
  account: Account,
  group: string,
  method: string,
  body: unknown,
  profileId: string | undefined,
  now: number,
): unknown {
  if (!account.lists.has(group) && !account.segments.has(group))
    throw new ControlError(404, `no list or segment ${group}`);
  const places = account.membersOf(group);
  if (method === 'GET') return { count: places.size, members: [...places.all()].slice(0, 10_000).map((row) => row.id) };
  if (method === 'DELETE') return { removed: profileId !== undefined && places.remove(profileId) };
  const given = Array.isArray(body)
    ? body
    : ((body as { profileIds?: unknown[]; members?: unknown[] }).profileIds ??
      (body as { members?: unknown[] }).members ??
      []);
  for (const item of given as (string | { id: string; joinedAt?: string })[]) {
    const id = typeof item === 'string' ? item : item.id;
    const joined = typeof item === 'string' || item.joinedAt === undefined ? now : Date.parse(item.joinedAt);
    places.put({ id, joined: Math.floor(joined / 1000) * 1000 });
  }
  return { count: places.size };
}
