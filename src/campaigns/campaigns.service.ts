import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { liveBudget } from '../common/live-budget';
import { Cursors, DEFAULT_LIMIT } from '../common/page';
import { ALL_ROWS, type ReadPage, type Source } from '../common/read.dto';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { comparePlaces, momentOf, placeOf, type Campaign, type Place } from './campaign';
import { CampaignFiguresService } from './campaign-figures.service';
import { CampaignReader, type Assembly } from './campaign-reader';
import { CampaignSnapshots } from './campaign-snapshots';
import type { CampaignStats } from './campaign-stats';
import type { CampaignStatus } from './campaign-status';
import { CampaignsKlaviyo, type CreatedBetween, type Pass } from './campaigns.klaviyo';
import { CHANNELS, type Channel } from './channels';

export interface CampaignsInput {
  connectionId?: string | undefined;
  status?: readonly CampaignStatus[] | undefined;
  channel?: Channel | 'all' | undefined;
  archived?: boolean | undefined;
  /** Inclusive. */
  from?: string | undefined;
  /** Exclusive. */
  to?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
  source?: Source | undefined;
  includeStats?: boolean | undefined;
}

/** A campaign with its figures, where they were asked for; null when they are not known. */
export type CampaignWithStats = Campaign & { stats?: CampaignStats | null };

/** What a cursor remembers: the set it walks through, and the last campaign given of it. */
interface Position {
  created: CreatedBetween;
  last: Place | null;
}

/** `total` is exact up to here, and absent above. */
const MOST_TOTAL = 10_000;
const EVERYTHING: CreatedBetween = { after: null, upTo: null };

/** Campaigns of a connected account, read from Klaviyo; the place where our mirror will answer in Klaviyo's stead. */
@Injectable()
export class CampaignsService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly reader: CampaignReader,
    private readonly snapshots: CampaignSnapshots,
    private readonly atKlaviyo: CampaignsKlaviyo,
    private readonly figures: CampaignFiguresService,
    private readonly cursors: Cursors,
    private readonly clock: Clock,
  ) {}

  /**
   * Newest first, then by id.
   * @throws AppError CONNECTION_NOT_FOUND; VALIDATION_FAILED `cursor`; NOT_SYNCED for `source=mirror`; KLAVIYO_…
   */
  async page(scope: UserScope, input: CampaignsInput): Promise<ReadPage<CampaignWithStats>> {
    const { cursor, source = 'auto' } = input;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = { userId: scope.userId, scope: bindingOf(connection, input) };
    const from = this.cursors.decode(binding, cursor) as Position | undefined;
    if (source === 'mirror') throw new AppError('NOT_SYNCED');
    const access = await this.connections.accessOf(connection);
    const limit = input.limit ?? (cursor === undefined ? ALL_ROWS : DEFAULT_LIMIT);
    const set = await this.set(access, input, from);
    const matching = set.campaigns.filter(matches(input));
    const last = from?.last ?? null;
    const left = last === null ? matching : matching.filter((item) => comparePlaces(placeOf(item), last) > 0);
    const rows = left.slice(0, limit);
    const next = nextOf(set, rows, left.length > rows.length);
    if (next?.created === set.created) this.snapshots.keep(snapshotKey(access, input, set.created), set);
    const whole = set.created.after === null && set.created.upTo === null;
    return {
      rows: input.includeStats === true ? await this.figures.added(connection, access, rows) : rows,
      pagination: {
        limit,
        nextCursor: next === null ? null : this.cursors.encode(binding, next),
        ...(whole && matching.length <= MOST_TOTAL ? { total: matching.length } : {}),
      },
      source: 'live',
      syncedAt: new Date(set.readAt).toISOString(),
      stale: false,
    };
  }

  /** One campaign, read live. @throws AppError CONNECTION_NOT_FOUND, CAMPAIGN_NOT_FOUND, KLAVIYO_… */
  async one(
    scope: UserScope,
    id: string,
    input: Pick<CampaignsInput, 'connectionId' | 'includeStats'>,
  ): Promise<CampaignWithStats> {
    const connection = await this.connections.resolve(scope, input.connectionId);
    const access = await this.connections.accessOf(connection);
    const campaign = await this.atKlaviyo.one(access, id);
    if (input.includeStats !== true) return campaign;
    const [counted] = await this.figures.added(connection, access, [campaign]);
    return counted ?? campaign;
  }

  /** The set that the call is about: read anew at the beginning, else the one the cursor came from while it is at hand. */
  private async set(access: KlaviyoAccess, input: CampaignsInput, from: Position | undefined): Promise<Assembly> {
    const created = from?.created ?? EVERYTHING;
    const kept = from && this.snapshots.get(snapshotKey(access, input, created));
    if (kept) return kept;
    const until = liveBudget(this.clock.now(), input.includeStats === true);
    return this.reader.read(access, passesOf(input), created, until);
  }
}

function passesOf({ channel = 'email', archived }: CampaignsInput): Pass[] {
  const channels = channel === 'all' ? CHANNELS : [channel];
  const states = archived === undefined ? [false, true] : [archived];
  return channels.flatMap((one) => states.map((state) => ({ channel: one, archived: state })));
}

/** Filters on what was read. */
function matches({ status, from, to }: CampaignsInput): (campaign: Campaign) => boolean {
  const first = from === undefined ? -Infinity : Date.parse(from);
  const end = to === undefined ? Infinity : Date.parse(to);
  return (campaign) => {
    const moment = momentOf(campaign);
    return moment >= first && moment < end && (status === undefined || status.includes(campaign.status));
  };
}

/** Where the next page begins: further in this set, in the next one, or nowhere. */
function nextOf(set: Assembly, rows: readonly Campaign[], more: boolean): Position | null {
  const last = rows.at(-1);
  if (more && last) return { created: set.created, last: placeOf(last) };
  return set.created.after === null ? null : { created: { after: null, upTo: set.created.after }, last: null };
}

function snapshotKey(access: KlaviyoAccess, input: CampaignsInput, created: CreatedBetween): string {
  return JSON.stringify([access.userId, access.connectionId, passesOf(input), created.after, created.upTo]);
}

/** To what a cursor belongs; instants as they are, however they were spelled. */
function bindingOf(connection: Connection, input: CampaignsInput): string {
  const { status, channel = 'email', archived, from, to, source = 'auto' } = input;
  const instants = [from, to].map((instant) => (instant === undefined ? null : Date.parse(instant)));
  const statuses = status ? [...status].sort() : null;
  return JSON.stringify(['campaign', connection.id, statuses, channel, archived ?? null, ...instants, source]);
}
