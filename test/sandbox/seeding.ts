import type { Account } from './account.ts';
import { DAY } from './clock.ts';
import type { JsonObject } from './json.ts';
import { eventKey, metricNamed } from './resources/record-event.ts';
import { messageOf } from './store/generated-campaigns.ts';
import { API, KLAVIYO } from './store/metrics.ts';
import type { CampaignRow, EventRow, ListRow, MetricRow, ProfileRow, SegmentRow } from './store/rows.ts';
import type { Row, Table } from './store/table.ts';

/** How rows of one kind are read and written through the control address; instants are ISO 8601 in, epoch ms inside. */
export interface Kind {
  list: (account: Account, query: Map<string, string>) => unknown[];
  get: (account: Account, id: string) => unknown;
  create: (account: Account, given: object, now: number) => unknown;
  patch: (account: Account, id: string, given: object, now: number) => unknown;
  remove: (account: Account, id: string) => boolean;
}

const TIMES = ['created', 'updated', 'scheduled', 'sent', 'time', 'processingUntil', 'last_event_date'];

/** Reads ISO instants of a given row into epoch milliseconds. */
function timed<T extends object>(given: T): T {
  const out = { ...given } as Record<string, unknown>;
  for (const name of TIMES) {
    const value = out[name];
    if (typeof value === 'string') {
      const at = Date.parse(value);
      if (Number.isNaN(at)) throw new Error(`${name}: not an instant`);
      out[name] = at;
    }
  }
  return out as T;
}

function firstRows<R extends Row>(table: Table<R>, query: Map<string, string>): R[] {
  const limit = Number(query.get('limit') ?? 1000);
  const out: R[] = [];
  for (const row of table.all()) {
    if (out.length >= limit) break;
    out.push(row);
  }
  return out;
}

function plain<R extends Row>(
  table: (account: Account) => Table<R>,
  fresh: (account: Account, given: object, now: number) => R,
): Kind {
  return {
    list: (account, query) => firstRows(table(account), query),
    get: (account, id) => table(account).get(id),
    create: (account, given, now) => {
      const row = { ...fresh(account, given, now), ...timed(given) };
      table(account).put(row);
      return row;
    },
    patch: (account, id, given, now) => {
      const row = { ...(table(account).get(id) as R), updated: now, ...timed(given), id };
      table(account).put(row);
      return row;
    },
    remove: (account, id) => table(account).remove(id),
  };
}

const whole = (ms: number) => Math.floor(ms / 1000) * 1000;

/** A profile is created by its attributes; `created`, `updated`, `emailConsent` and the like may be set outright. */
const profiles: Kind = {
  list: (account, query) => {
    const email = query.get('email');
    if (email === undefined) return firstRows(account.profiles.table, query);
    const row = account.profiles.byValue('email', email);
    return row === undefined ? [] : [row];
  },
  get: (account, id) => account.profiles.get(id),
  create: (account, given, now) => {
    const row = account.profiles.create(given, now, (given as { id?: string }).id);
    return overwrite(account, row, given);
  },
  patch: (account, id, given, now) => {
    const before = account.profiles.get(id) as ProfileRow;
    return overwrite(account, account.profiles.update(before, given, undefined, now), given);
  },
  remove: (account, id) => account.removeProfile(id),
};

const OUTRIGHT = ['created', 'updated', 'last_event_date', 'emailConsent', 'smsConsent'];

function overwrite(account: Account, row: ProfileRow, given: object): ProfileRow {
  const set = Object.entries(timed(given)).filter(([name]) => OUTRIGHT.includes(name));
  if (set.length === 0) return row;
  const changed = { ...row, ...(Object.fromEntries(set) as Partial<ProfileRow>) };
  account.profiles.store(changed, row);
  return changed;
}

/** An event names its metric by name (`metric`) or id, its profile by `profileId` or `email`, its time freely. */
const events: Kind = {
  list: (account, query) => firstRows(account.events, query),
  get: (account, id) => account.events.get(id),
  create: (account, given, now) => {
    const wanted = timed(given) as Partial<EventRow> & {
      metric?: string;
      own?: boolean;
      email?: string;
      uniqueId?: string;
    };
    const metricId =
      wanted.metricId ??
      metricNamed(account, wanted.metric ?? 'Opened Email', wanted.own ?? knownOwn(account, wanted.metric), now).id;
    const profileId = wanted.profileId ?? account.profiles.byValue('email', wanted.email ?? '')?.id;
    if (profileId === undefined) throw new Error('profileId or email: of a profile that exists');
    const uniqueId = wanted.uniqueId ?? account.ids.event();
    const row: EventRow = {
      id: wanted.id ?? account.ids.event(),
      uuid: wanted.uuid ?? account.ids.uuid(),
      time: whole(wanted.time ?? now),
      metricId,
      profileId,
      properties: { $event_id: uniqueId, ...(wanted.properties ?? {}) },
    };
    account.eventKeys.set(eventKey(profileId, metricId, uniqueId), row.id);
    account.events.put(row);
    account.onEvent?.(row);
    return row;
  },
  patch: (account, id, given) => {
    const row = { ...(account.events.get(id) as EventRow), ...timed(given), id };
    account.events.put(row);
    return row;
  },
  remove: (account, id) => account.events.remove(id),
};

/** Whether a metric of this name is one of Klaviyo's own in the account. */
function knownOwn(account: Account, name: string | undefined): boolean {
  return [...account.metrics.written()].some(
    (metric) => metric.name === (name ?? 'Opened Email') && metric.integration.key === 'klaviyo',
  );
}

const lists = plain<ListRow>(
  (account) => account.lists,
  (account, _given, now) => ({
    id: account.ids.short(2),
    name: 'Liste',
    created: now,
    updated: now,
    optIn: 'single_opt_in',
    tagIds: [],
  }),
);

const segments = plain<SegmentRow>(
  (account) => account.segments,
  (account, _given, now) => ({
    id: account.ids.short(3),
    name: 'Segment',
    created: now,
    updated: now,
    definition: null,
    isActive: true,
    isStarred: false,
    processingUntil: 0,
    tagIds: [],
  }),
);

const campaigns = plain<CampaignRow>(
  (account) => account.campaigns,
  (account, given, now) => {
    const { channel = 'email', name = 'Campagne' } = given as Partial<CampaignRow>;
    return {
      id: account.ids.ulid(now),
      name,
      status: 'Draft',
      archived: false,
      channel,
      audiences: { included: [], excluded: [] },
      strategy: 'static',
      created: now,
      updated: now,
      scheduled: null,
      sent: null,
      messages: [messageOf(channel, account.ids.ulid(now), name, now)],
      tagIds: [],
    };
  },
);

const metrics = plain<MetricRow>(
  (account) => account.metrics,
  (account, given, now) => {
    const key = (given as JsonObject).integrationKey;
    return {
      id: account.ids.short(4),
      name: 'Metric',
      created: now - DAY,
      updated: now,
      integration: key === 'klaviyo' ? KLAVIYO : API,
    };
  },
);

export const KINDS: Readonly<Record<string, Kind>> = { profiles, events, lists, segments, campaigns, metrics };
