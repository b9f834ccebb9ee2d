import { AppError } from '../common/errors';
import type { CampaignStatus } from './campaign-status';

/** A campaign, without figures: Klaviyo has none in the campaign itself. */
export interface Campaign {
  /** Klaviyo's. */
  id: string;
  name: string | null;
  status: CampaignStatus;
  /** Klaviyo's word for it. */
  klaviyoStatus: string | null;
  /** `email`, `sms`, `push`, or Klaviyo's word for one that is none of them. */
  channel: string | null;
  archived: boolean;
  /** Ids of lists and segments. */
  audiences: { included: string[]; excluded: string[] };
  createdAt: string | null;
  updatedAt: string | null;
  scheduledAt: string | null;
  sentAt: string | null;
}

/** The instant that places a campaign in time: sent, else scheduled, else created. Epoch ms; 0 where Klaviyo says none. */
export function momentOf(campaign: Pick<Campaign, 'sentAt' | 'scheduledAt' | 'createdAt'>): number {
  const instant = campaign.sentAt ?? campaign.scheduledAt ?? campaign.createdAt;
  return instant === null ? 0 : Date.parse(instant);
}

/** A place in the order of campaigns: the moment and id of the last one given. */
export type Place = readonly [moment: number, id: string];

/** Newest first, then by id. */
export function byMoment(a: Campaign, b: Campaign): number {
  return comparePlaces(placeOf(a), placeOf(b));
}

export function placeOf(campaign: Campaign): Place {
  return [momentOf(campaign), campaign.id];
}

/** Negative where `a` comes first. */
export function comparePlaces([momentA, idA]: Place, [momentB, idB]: Place): number {
  if (momentA !== momentB) return momentB - momentA;
  return idA < idB ? -1 : idA > idB ? 1 : 0;
}

/** @throws AppError CAMPAIGN_NOT_FOUND for what can be no id of Klaviyo's: neither Klaviyo nor our rows are asked for it */
export function mustBeId(id: string): void {
  if (!/^[A-Za-z0-9_-]{1,64}$/.test(id)) throw campaignNotFound(id);
}

export function campaignNotFound(id: string): AppError {
  return new AppError('CAMPAIGN_NOT_FOUND', { params: { id } });
}
