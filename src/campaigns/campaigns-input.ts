import type { CursorBinding } from '../common/page';
import type { Source } from '../common/read.dto';
import type { Campaign, Place } from './campaign';
import type { CampaignStats } from './campaign-stats';
import type { CampaignStatus } from './campaign-status';
import type { CreatedBetween } from './campaigns.klaviyo';
import type { Channel } from './channels';

/** What a caller may ask of campaigns. */
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

/** What a cursor of live pages remembers: the set it walks through, and the last campaign given of it. */
export interface LivePosition {
  created: CreatedBetween;
  last: Place | null;
}

/** What a cursor of mirrored pages remembers: the last campaign given, and how many there were in all. */
export interface MirrorPosition {
  place: Place;
  total: number | null;
}

/** One page. */
export interface CampaignsPage<P> {
  rows: readonly CampaignWithStats[];
  /** Where the next one begins; null on the last. */
  next: P | null;
  /** All of them; null where that is not known, or above what is counted. */
  total: number | null;
  /** When Klaviyo was asked, in epoch milliseconds; null for the mirror. */
  readAt: number | null;
}

/** `total` is exact up to here, and absent above. */
export const MOST_TOTAL = 10_000;

/** To what a cursor belongs; instants as they are, however they were spelled. */
export function bindingOf(userId: number, connectionId: string, input: CampaignsInput): CursorBinding {
  const { status, channel = 'email', archived, from, to, source = 'auto' } = input;
  const instants = [from, to].map((instant) => (instant === undefined ? null : Date.parse(instant)));
  const statuses = status ? [...status].sort() : null;
  const scope = JSON.stringify(['campaign', connectionId, statuses, channel, archived ?? null, ...instants, source]);
  return { userId, scope };
}
