import { Injectable } from '@nestjs/common';
import { firstOf } from '../common/walk';
import { and, equals, greaterOrEqual, lessThan } from '../klaviyo/filter';
import { Included, type Relationship, type Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient, type PagesCall } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';
import type { FetchedPage, PageCall, Span } from '../mirror/syncer';
import type { Campaign } from './campaign';
import { toCampaign, type CampaignAttributes, type Pass } from './campaigns.klaviyo';
import { klaviyoChannel, PUSH_SINCE } from './channels';

/** A campaign with all that Klaviyo says of it. */
export interface WholeCampaign {
  campaign: Campaign;
  messages: { id: string; attributes: object }[];
  document: { attributes: object; relationships?: object };
}

/** Klaviyo's filters are strict: a second more on either side. */
const OVERLAP_MS = 1_000;

/** Campaigns as they go into the mirror: whole, with their messages, in the order of their creation. */
@Injectable()
export class CampaignMirrorKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** One page of a pass. `last` is when its last campaign was created. */
  async page(
    access: KlaviyoAccess,
    pass: Pass,
    span: Span,
    cursor: string | null,
    call: PageCall,
  ): Promise<FetchedPage<WholeCampaign>> {
    const page = await firstOf(
      this.klaviyo.pages<CampaignAttributes>(access, operations.getCampaigns, {
        ...callOf(pass, call),
        query: { filter: filterOf(pass, span), sort: 'created_at', include: 'campaign-messages' },
        ...(cursor === null ? {} : { cursor }),
      }),
    );
    if (!page) return { rows: [], next: null, last: null };
    const included = new Included(page.included);
    return {
      rows: page.items.map((item) => wholeOf(item, pass, included)),
      next: page.next,
      last: createdOf(page.items.at(-1)),
    };
  }

  /** When the newest campaign of a pass was created; null where there is none. */
  async newest(access: KlaviyoAccess, pass: Pass, span: Span, call: PageCall): Promise<number | null> {
    const page = await firstOf(
      this.klaviyo.pages<CampaignAttributes>(access, operations.getCampaigns, {
        ...callOf(pass, call),
        query: { filter: filterOf(pass, span), sort: '-created_at' },
        pageSize: 1,
      }),
    );
    return createdOf(page?.items[0]);
  }
}

function callOf(pass: Pass, { deadline, tally }: PageCall): PagesCall {
  return {
    deadline,
    tally,
    priority: 'background',
    ...(pass.channel === 'push' ? { needs: PUSH_SINCE } : {}),
  };
}

function filterOf(pass: Pass, { from, to }: Span): string {
  return and(
    equals('messages.channel', klaviyoChannel(pass.channel)),
    equals('archived', pass.archived),
    from === null ? undefined : greaterOrEqual('created_at', new Date(from - OVERLAP_MS)),
    to === null ? undefined : lessThan('created_at', new Date(to + OVERLAP_MS)),
  );
}

function createdOf(item: Resource<CampaignAttributes> | undefined): number | null {
  const time = Date.parse(item?.attributes.created_at ?? '');
  return Number.isNaN(time) ? null : time;
}

function wholeOf(item: Resource<CampaignAttributes>, pass: Pass, included: Included): WholeCampaign {
  const { attributes, relationships } = item;
  return {
    campaign: toCampaign(item, pass.channel, pass.archived),
    messages: included.related(item, 'campaign-messages').map((message) => ({
      id: message.id,
      attributes: message.attributes,
    })),
    document: { attributes, ...(relationships ? { relationships: withoutLinks(relationships) } : {}) },
  };
}

function withoutLinks(relationships: Readonly<Record<string, Relationship>>): object {
  return Object.fromEntries(Object.entries(relationships).map(([name, { data }]) => [name, data ?? null]));
}
