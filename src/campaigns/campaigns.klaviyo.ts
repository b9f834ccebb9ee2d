import { Injectable } from '@nestjs/common';
import { toInstant } from '../common/instants';
import { firstOf, type RemotePage } from '../common/walk';
import { and, equals, greaterThan, lessThan } from '../klaviyo/filter';
import { Included, type Document, type Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';
import type { Campaign } from './campaign';
import { campaignStatus } from './campaign-status';
import { channelOf, klaviyoChannel, PUSH_SINCE, type Channel } from './channels';

export interface CampaignAttributes {
  name?: string | null;
  status?: string | null;
  archived?: boolean | null;
  audiences?: { included?: readonly string[] | null; excluded?: readonly string[] | null } | null;
  created_at?: string | null;
  updated_at?: string | null;
  scheduled_at?: string | null;
  /** Null until sent. */
  send_time?: string | null;
}

/** Flat before revision 2025-01-15, inside `definition` since. */
interface MessageAttributes {
  channel?: string | null;
  definition?: { channel?: string | null } | null;
}

/** One way through the campaigns: Klaviyo reads a channel at a time, and archived ones are asked for by name. */
export interface Pass {
  channel: Channel;
  archived: boolean;
}

/** Times of creation between which a pass goes, in epoch milliseconds. */
export interface CreatedBetween {
  /** Exclusive; null: from the first. */
  after: number | null;
  /** Inclusive; null: to the last. */
  upTo: number | null;
}

/** Campaigns as Klaviyo speaks of them, turned into ours. */
@Injectable()
export class CampaignsKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** One page of a pass, newest created first, from `next` on. */
  async page(
    access: KlaviyoAccess,
    pass: Pass,
    created: CreatedBetween,
    next: string | null,
    deadline?: number,
  ): Promise<RemotePage<Campaign>> {
    const pages = this.klaviyo.pages<CampaignAttributes>(access, operations.getCampaigns, {
      query: { filter: filterOf(pass, created), sort: '-created_at' },
      ...(pass.channel === 'push' ? { needs: PUSH_SINCE } : {}),
      ...(next === null ? {} : { cursor: next }),
      ...(deadline === undefined ? {} : { deadline }),
    });
    const page = await firstOf(pages);
    if (!page) return { items: [], next: null };
    return { items: page.items.map((item) => toCampaign(item, pass.channel, pass.archived)), next: page.next };
  }

  /** @throws AppError CAMPAIGN_NOT_FOUND */
  async one(access: KlaviyoAccess, id: string): Promise<Campaign> {
    const { body } = await this.klaviyo.call<Document<CampaignAttributes>>(access, operations.getCampaign, {
      path: { id },
      // The campaign itself does not say its channel; its messages do.
      query: { include: 'campaign-messages' },
    });
    const [message] = new Included(body.included).related(body.data, 'campaign-messages');
    const attributes = message?.attributes as MessageAttributes | undefined;
    return toCampaign(body.data, channelOf(attributes?.definition?.channel ?? attributes?.channel), false);
  }
}

function filterOf(pass: Pass, created: CreatedBetween): string {
  return and(
    equals('messages.channel', klaviyoChannel(pass.channel)),
    equals('archived', pass.archived),
    // Klaviyo counts microseconds, we milliseconds: one more on this side, so that none falls between.
    created.upTo === null ? undefined : lessThan('created_at', new Date(created.upTo + 1)),
    created.after === null ? undefined : greaterThan('created_at', new Date(created.after)),
  );
}

/** @param archived what the pass asked for, where Klaviyo does not repeat it */
export function toCampaign(
  { id, attributes }: Pick<Resource<CampaignAttributes>, 'id' | 'attributes'>,
  channel: string | null,
  archived: boolean,
): Campaign {
  return {
    id,
    name: attributes.name ?? null,
    status: campaignStatus(attributes.status),
    klaviyoStatus: attributes.status ?? null,
    channel,
    archived: attributes.archived ?? archived,
    audiences: {
      included: [...(attributes.audiences?.included ?? [])],
      excluded: [...(attributes.audiences?.excluded ?? [])],
    },
    createdAt: toInstant(attributes.created_at),
    updatedAt: toInstant(attributes.updated_at),
    scheduledAt: toInstant(attributes.scheduled_at),
    sentAt: toInstant(attributes.send_time),
  };
}
