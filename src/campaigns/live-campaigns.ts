import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { liveBudget } from '../common/live-budget';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { comparePlaces, momentOf, placeOf, type Campaign } from './campaign';
import { CampaignFiguresService } from './campaign-figures.service';
import { CampaignReader, type Assembly } from './campaign-reader';
import { CampaignSets } from './campaign-sets';
import {
  MOST_TOTAL,
  type CampaignsInput,
  type CampaignsPage,
  type CampaignWithStats,
  type LivePosition,
} from './campaigns-input';
import { CampaignsKlaviyo, type CreatedBetween, type Pass } from './campaigns.klaviyo';
import { CHANNELS } from './channels';

const EVERYTHING: CreatedBetween = { after: null, upTo: null };

/** Campaigns as Klaviyo has them now. */
@Injectable()
export class LiveCampaigns {
  constructor(
    private readonly connections: ConnectionService,
    private readonly reader: CampaignReader,
    private readonly sets: CampaignSets,
    private readonly atKlaviyo: CampaignsKlaviyo,
    private readonly figures: CampaignFiguresService,
    private readonly clock: Clock,
  ) {}

  /** @throws AppError KLAVIYO_… */
  async page(
    connection: Connection,
    input: CampaignsInput,
    limit: number,
    from: LivePosition | undefined,
  ): Promise<CampaignsPage<LivePosition>> {
    const access = await this.connections.accessOf(connection);
    const set = await this.set(access, input, from);
    const matching = set.campaigns.filter(matches(input));
    const last = from?.last ?? null;
    const left = last === null ? matching : matching.filter((item) => comparePlaces(placeOf(item), last) > 0);
    const rows = left.slice(0, limit);
    const next = nextOf(set, rows, left.length > rows.length);
    if (next?.created === set.created) this.sets.keep(setKey(access, input, set.created), set);
    const whole = set.created.after === null && set.created.upTo === null;
    return {
      rows: input.includeStats === true ? await this.figures.added(connection, access, rows) : rows,
      next,
      total: whole && matching.length <= MOST_TOTAL ? matching.length : null,
      readAt: set.readAt,
    };
  }

  /** @throws AppError CAMPAIGN_NOT_FOUND, KLAVIYO_… */
  async one(connection: Connection, id: string, includeStats: boolean): Promise<CampaignWithStats> {
    const access = await this.connections.accessOf(connection);
    const campaign = await this.atKlaviyo.one(access, id);
    if (!includeStats) return campaign;
    const [counted] = await this.figures.added(connection, access, [campaign]);
    return counted ?? campaign;
  }

  /** The set that the call is about: read anew at the beginning, else the one the cursor came from while it is at hand. */
  private async set(access: KlaviyoAccess, input: CampaignsInput, from: LivePosition | undefined): Promise<Assembly> {
    const created = from?.created ?? EVERYTHING;
    const kept = from && this.sets.get(setKey(access, input, created));
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
function nextOf(set: Assembly, rows: readonly Campaign[], more: boolean): LivePosition | null {
  const last = rows.at(-1);
  if (more && last) return { created: set.created, last: placeOf(last) };
  return set.created.after === null ? null : { created: { after: null, upTo: set.created.after }, last: null };
}

function setKey(access: KlaviyoAccess, input: CampaignsInput, created: CreatedBetween): string {
  return JSON.stringify([access.userId, access.connectionId, passesOf(input), created.after, created.upTo]);
}
