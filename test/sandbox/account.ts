import { DAY } from './clock.ts';
import type { Fault } from './faults.ts';
import { hashText, mix } from './random.ts';
import { IdSource, shortId, uuidOf } from './ids.ts';
import { Quota } from './quota.ts';
import { RequestLog } from './request-log.ts';
import type { RevisionRules } from './revisions.ts';
import { DEFAULT_REVISION_RULES } from './revisions.ts';
import { generatedCampaigns } from './store/generated-campaigns.ts';
import { GeneratedEvents } from './store/generated-events.ts';
import { GeneratedProfiles } from './store/generated-profiles.ts';
import type { Members } from './store/groups.ts';
import { membersOf } from './store/groups.ts';
import { generatedMetrics } from './store/metrics.ts';
import { Profiles } from './store/profiles.ts';
import type {
  CampaignRow,
  EventRow,
  GroupRow,
  ListRow,
  MetricRow,
  SegmentRow,
  TagRow,
  WebhookRow,
} from './store/rows.ts';
import { emptyBase, Table } from './store/table.ts';
import { Tasks } from './store/tasks.ts';
import type { Job } from './store/jobs.ts';
import { DEFAULT_SWITCHES } from './switches.ts';
import type { Switches } from './switches.ts';

export interface Key {
  key: string;
  /** `all`, or scope names as Klaviyo writes them. */
  scopes: 'all' | string[];
  invalid: boolean;
}

/** How many rows a new account begins with, and how it behaves. Times are milliseconds of the sandbox's clock. */
export interface AccountOptions {
  id?: string;
  seed?: number;
  profiles?: number;
  lists?: number | { name: string; optIn?: 'single_opt_in' | 'double_opt_in'; members?: number }[];
  segments?: number | { name: string; members?: number }[];
  campaigns?: number;
  events?: number;
  eventDays?: number;
  /** So many profiles share one `updated` second. */
  sameSecond?: number;
  asOf?: string | number;
  futureStatus?: boolean;
  currency?: string;
  timezone?: string;
  organizationName?: string;
}

const LIST_NAMES = ['Newsletter', 'Clients', 'VIP', 'Boutique Lyon', 'Été 2026', 'B2B', 'Précommandes', 'Salon'];
const SEGMENT_NAMES = ['Actifs 90 jours', 'Gros paniers', 'Inactifs', 'Pro users', 'Anniversaires'];

/** One Klaviyo account: its rows, keys, quota, faults, switches and log. */
export class Account {
  readonly id: string;
  readonly seed: number;
  readonly asOf: number;
  readonly ids: IdSource;
  readonly profiles: Profiles;
  readonly lists: Table<ListRow>;
  readonly segments: Table<SegmentRow>;
  readonly members = new Map<string, Members>();
  readonly campaigns: Table<CampaignRow>;
  readonly metrics: Table<MetricRow>;
  readonly events: Table<EventRow>;
  readonly generatedEvents: GeneratedEvents;
  readonly tags: Table<TagRow>;
  readonly webhooks = new Map<string, WebhookRow>();
  readonly jobs = new Map<string, Job>();
  /** profile|metric|unique_id of every written event: the first one wins. */
  readonly eventKeys = new Map<string, string>();
  readonly keys: Key[] = [];
  readonly quota = new Quota();
  readonly faults: Fault[] = [];
  readonly log = new RequestLog();
  readonly tasks = new Tasks();
  readonly createdAt: number;
  revisions: RevisionRules = { ...DEFAULT_REVISION_RULES };
  switches: Switches;
  latencyMs = 0;
  jitterMs = 0;
  asyncDelayMs = 0;
  advancedKdp = false;
  /** Where automatic deliveries go in place of the registered https hosts. */
  deliverTo: string | null = null;
  /** What the last deliveries met, oldest first. */
  readonly deliveries: { at: string; webhookId: string; status: number; ms: number; events: number; error?: string }[] =
    [];
  organizationName: string;
  currency: string;
  timezone: string;
  /** Told of every event that becomes visible, for webhook deliveries. */
  onEvent: ((event: EventRow) => void) | null = null;

  constructor(options: AccountOptions, ordinal: number, now: number, switches: Partial<Switches> = {}) {
    const seed = (options.seed ?? mix(ordinal, 1)) >>> 0;
    this.seed = seed;
    this.switches = { ...DEFAULT_SWITCHES, ...switches };
    this.id = options.id ?? shortId(mix(seed, ordinal), 9, ordinal);
    this.createdAt = now;
    const asOf = options.asOf === undefined ? Math.floor(now / DAY) * DAY : new Date(options.asOf).getTime();
    this.asOf = asOf;
    this.ids = new IdSource(mix(seed, hashText(this.id)));
    this.organizationName = options.organizationName ?? `Maison ${this.id}`;
    this.currency = options.currency ?? 'EUR';
    this.timezone = options.timezone ?? 'Europe/Paris';
    const base = new GeneratedProfiles({
      seed,
      count: options.profiles ?? 0,
      asOf,
      sameSecond: options.sameSecond ?? 0,
    });
    this.profiles = new Profiles(base, this.ids);
    const birth = asOf - 700 * DAY;
    this.lists = groupTable<ListRow>();
    this.segments = groupTable<SegmentRow>();
    this.addGroups(options, base, birth);
    this.tags = new Table<TagRow>(
      emptyBase(['id', 'name']),
      { id: (row) => row.id, name: (row) => row.name },
      (row, name) => row[name as keyof TagRow],
    );
    for (const [index, name] of ['promo', 'saison', 'interne'].entries())
      this.tags.put({ id: uuidOf(seed, index), name });
    this.metrics = new Table<MetricRow>(emptyBase(['created']), { created: (row) => row.created }, (row, name) =>
      name === 'integration.name'
        ? row.integration.name
        : name === 'integration.category'
          ? row.integration.category
          : row.id,
    );
    for (const metric of generatedMetrics(seed, birth)) this.metrics.put(metric);
    const groups = [...this.lists.written()].map((row) => row.id);
    const campaigns = generatedCampaigns(seed, options.campaigns ?? 0, asOf, groups, options.futureStatus ?? true);
    this.campaigns = campaignTable();
    for (const campaign of campaigns) this.campaigns.put(campaign);
    this.generatedEvents = new GeneratedEvents({
      seed,
      count: options.events ?? 0,
      asOf,
      days: options.eventDays ?? 180,
      profiles: { count: base.count, id: (index) => base.id(index) },
      metrics: [...this.metrics.written()],
      campaigns,
      currency: this.currency,
      messageDimension: this.switches.messageDimension,
    });
    this.events = new Table<EventRow>(this.generatedEvents, { datetime: (row) => row.time }, eventField);
  }

  /** Runs everything that Klaviyo would have finished by now. */
  settle(now: number): void {
    if (this.tasks.size > 0) this.tasks.settle(now);
  }

  membersOf(groupId: string): Members {
    let members = this.members.get(groupId);
    if (members === undefined) {
      members = membersOf({ count: 0, id: String, indexOf: () => -1, created: Number }, 0, 0, 0, 0);
      this.members.set(groupId, members);
    }
    return members;
  }

  /** Removes a profile everywhere: deleted, or (with `into`) merged into another. */
  removeProfile(id: string, into?: string): boolean {
    for (const members of this.members.values()) {
      const place = members.get(id);
      if (place === undefined) continue;
      members.remove(id);
      if (into !== undefined && !members.has(into)) members.put({ id: into, joined: place.joined });
    }
    return this.profiles.remove(id, into);
  }

  private addGroups(options: AccountOptions, base: GeneratedProfiles, birth: number): void {
    const { seed, asOf } = this;
    const lists =
      typeof options.lists === 'object' ? options.lists : Array.from({ length: options.lists ?? 0 }, () => null);
    lists.forEach((given, index) => {
      const at = birth + index * 3 * DAY;
      const row: ListRow = {
        id: shortId(seed, 2, index),
        name: given?.name ?? nameOf(LIST_NAMES, index),
        created: at,
        updated: at + 5 * DAY,
        optIn: given?.optIn ?? (index % 5 === 1 ? 'double_opt_in' : 'single_opt_in'),
        tagIds: index % 4 === 0 ? [uuidOf(seed, index % 3)] : [],
      };
      const size = given === null ? Math.floor((base.count * (mix(seed, 21, index) % 60)) / 100) : (given.members ?? 0);
      this.lists.put(row);
      this.members.set(row.id, membersOf(base, size, mix(seed, 22, index), at, asOf - DAY));
    });
    const segments =
      typeof options.segments === 'object'
        ? options.segments
        : Array.from({ length: options.segments ?? 0 }, () => null);
    segments.forEach((given, index) => {
      const at = birth + index * 4 * DAY;
      const row: SegmentRow = {
        id: shortId(seed, 3, index),
        name: given?.name ?? nameOf(SEGMENT_NAMES, index),
        created: at,
        updated: at + 6 * DAY,
        definition: SAMPLE_DEFINITION,
        isActive: index % 6 !== 5,
        isStarred: index % 4 === 0,
        processingUntil: 0,
        tagIds: [],
      };
      const size = given === null ? Math.floor((base.count * (mix(seed, 23, index) % 40)) / 100) : (given.members ?? 0);
      this.segments.put(row);
      this.members.set(row.id, membersOf(base, size, mix(seed, 24, index), at, asOf - DAY));
    });
  }
}

const SAMPLE_DEFINITION = {
  condition_groups: [
    {
      conditions: [
        {
          type: 'profile-property',
          property: "properties['plan']",
          filter: { type: 'string', operator: 'equals', value: 'pro' },
        },
      ],
    },
  ],
};

function nameOf(names: readonly string[], index: number): string {
  const name = names[index % names.length] as string;
  return index < names.length ? name : `${name} ${String(Math.floor(index / names.length) + 1)}`;
}

function groupTable<R extends GroupRow>(): Table<R> {
  return new Table<R>(
    emptyBase<R>(['created', 'id', 'name', 'updated']),
    { created: (row) => row.created, id: (row) => row.id, name: (row) => row.name, updated: (row) => row.updated },
    (row, name) => {
      const segment = row as unknown as SegmentRow;
      if (name === 'is_active') return segment.isActive;
      return name === 'is_starred' ? segment.isStarred : row[name as keyof GroupRow];
    },
  );
}

function campaignTable(): Table<CampaignRow> {
  return new Table<CampaignRow>(
    emptyBase(['created_at', 'id', 'name', 'scheduled_at', 'updated_at']),
    {
      created_at: (row) => row.created,
      id: (row) => row.id,
      name: (row) => row.name,
      scheduled_at: (row) => row.scheduled ?? 0,
      updated_at: (row) => row.updated,
    },
    (row, name) => {
      switch (name) {
        case 'messages.channel':
          return row.channel;
        case 'created_at':
          return row.created;
        case 'updated_at':
          return row.updated;
        case 'scheduled_at':
          return row.scheduled;
        default:
          return row[name as 'id' | 'name' | 'status' | 'archived'];
      }
    },
  );
}

function eventField(row: EventRow, name: string): unknown {
  switch (name) {
    case 'datetime':
    case 'timestamp':
      return row.time;
    case 'metric_id':
    case 'metric':
      return row.metricId;
    case 'profile_id':
    case 'profile':
      return row.profileId;
    default:
      return row.id;
  }
}
