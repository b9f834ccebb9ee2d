import { createHash } from 'node:crypto';
import { setImmediate as breathe } from 'node:timers/promises';
import type { Account } from './account.ts';
import type { Context } from './context.ts';
import type { JsonObject } from './json.ts';
import { canonical } from './json.ts';
import { campaignResource } from './resources/campaign-view.ts';
import { eventResource, ownerOf } from './resources/event-view.ts';
import { listResource, segmentResource } from './resources/group-view.ts';
import { metricResource } from './resources/metrics.ts';
import { profileResource } from './resources/profile-view.ts';
import { OPERATIONS } from './operations.ts';
import { NEWEST } from './revisions.ts';

const SPACE = 2 ** 48;
const BATCH = 2000;

/**
 * An order-independent digest: for every row the first 48 bits of sha256(id + "\n" + canonical JSON), summed modulo
 * 2^48. A mirror that hashes its own rows the same way, in any order, must come to the same number.
 */
export class Digest {
  count = 0;
  private sum = 0;

  /** @returns what the row adds to the sum */
  add(id: string, value: unknown): number {
    const hash = createHash('sha256')
      .update(`${id}\n${canonical(value)}`)
      .digest()
      .readUIntBE(0, 6);
    this.sum = (this.sum + hash) % SPACE;
    this.count += 1;
    return hash;
  }

  result(): { count: number; digest: string } {
    return { count: this.count, digest: this.sum.toString(16).padStart(12, '0') };
  }
}

/** A context that renders rows as the newest revision shows them, consent included. */
export function viewContext(account: Account, now: number): Context {
  return {
    account,
    operation: OPERATIONS[0] as Context['operation'],
    revision: NEWEST,
    params: {},
    query: {
      fields: new Map(),
      include: new Set(),
      additional: new Map([['profile', new Set(['subscriptions'])]]),
      conditions: [],
      sort: null,
      cursor: null,
      size: 0,
      extra: new Map(),
      pairs: [],
    },
    body: null,
    now,
    origin: '',
    path: '',
  };
}

/**
 * Digests per resource over id and attributes as the newest revision answers them. `resource` narrows to one;
 * `attributes` (comma-separated) narrows what is hashed; `rows=true` names what each row adds to the sum.
 */
export async function digests(account: Account, now: number, query: Map<string, string>): Promise<object> {
  const context = viewContext(account, now);
  const names = query.get('attributes')?.split(',');
  const chosen = (resource: JsonObject): JsonObject => {
    const attributes = resource.attributes as JsonObject;
    return names === undefined ? attributes : Object.fromEntries(names.map((name) => [name, attributes[name] ?? null]));
  };
  const sources: Record<string, () => Generator<[string, unknown]>> = {
    *profiles() {
      for (const row of account.profiles.table.all()) yield [row.id, chosen(profileResource(context, row))];
    },
    *lists() {
      for (const row of account.lists.all()) yield [row.id, chosen(listResource(context, row))];
    },
    *segments() {
      for (const row of account.segments.all()) yield [row.id, chosen(segmentResource(context, row))];
    },
    *memberships() {
      for (const group of [...account.lists.all(), ...account.segments.all()])
        for (const member of account.membersOf(group.id).all()) yield [`${group.id}:${member.id}`, null];
    },
    *campaigns() {
      for (const row of account.campaigns.all()) yield [row.id, chosen(campaignResource(context, row))];
    },
    *metrics() {
      for (const row of account.metrics.all()) yield [row.id, chosen(metricResource(context, row))];
    },
    *events() {
      for (const row of account.events.all()) {
        if (account.profiles.current(row.profileId) === null) continue;
        const links = { profile: ownerOf(account, row), metric: row.metricId };
        yield [row.id, { ...chosen(eventResource(context, row)), ...(names === undefined ? links : {}) }];
      }
    },
  };
  const out: Record<string, { count: number; digest: string; rows?: Record<string, number> }> = {};
  for (const [name, rows] of Object.entries(sources)) {
    if (query.has('resource') && query.get('resource') !== name) continue;
    const digest = new Digest();
    const named: Record<string, number> = {};
    for (const [id, value] of rows()) {
      const hash = digest.add(id, value);
      if (query.get('rows') === 'true') named[id] = hash;
      if (digest.count % BATCH === 0) await breathe();
    }
    out[name] = { ...digest.result(), ...(query.get('rows') === 'true' ? { rows: named } : {}) };
  }
  return out;
}
