import { Injectable } from '@nestjs/common';
import type { FetchedPage, PageCall, PageRequest, Part, Pass, Syncer } from '../mirror/syncer';
import { Syncers } from '../mirror/syncers';
import { CampaignMirrorKlaviyo, type WholeCampaign } from './campaign-mirror.klaviyo';
import { CampaignMirrorRepository } from './campaign-mirror.repository';
import { CampaignReportPlans } from './campaign-report-plans';
import type { Pass as Way } from './campaigns.klaviyo';
import { CHANNELS } from './channels';

/** Every way through the campaigns: a channel, archived or not. */
const WAYS: ReadonlyMap<string, Way> = new Map(
  CHANNELS.flatMap((channel) =>
    [false, true].map((archived) => [`${channel}:${String(archived)}`, { channel, archived }] as const),
  ),
);

/** Synchronises campaigns of all channels, archived ones too, with their messages: few enough to be read whole each time. */
@Injectable()
export class CampaignsSyncer implements Syncer<WholeCampaign> {
  readonly resource = 'campaigns';
  readonly after = [];

  constructor(
    syncers: Syncers,
    private readonly atKlaviyo: CampaignMirrorKlaviyo,
    private readonly mirror: CampaignMirrorRepository,
    private readonly plans: CampaignReportPlans,
  ) {
    syncers.register(this);
  }

  parts(): Promise<Part[]> {
    return Promise.resolve([...WAYS.keys()].map((key) => ({ key, divisible: true, span: { from: null, to: null } })));
  }

  fetch({ access }: Pass, { part, span, cursor }: PageRequest, call: PageCall): Promise<FetchedPage<WholeCampaign>> {
    return this.atKlaviyo.page(access, wayOf(part), span, cursor, call);
  }

  newest({ access }: Pass, { key, span }: Part, call: PageCall): Promise<number | null> {
    return this.atKlaviyo.newest(access, wayOf(key), span, call);
  }

  write({ userId, connectionId }: Pass, rows: readonly WholeCampaign[]): Promise<number> {
    return this.mirror.upsert(userId, connectionId, newestOfEach(rows));
  }

  unseen({ userId, connectionId, startedAt }: Pass): Promise<{ live: number; unseen: number }> {
    return this.mirror.unseen(userId, connectionId, startedAt);
  }

  sweep({ userId, connectionId, startedAt }: Pass, limit: number): Promise<number> {
    return this.mirror.sweep(userId, connectionId, startedAt, limit);
  }

  /** New campaigns want figures: the reports are had by a job of their own, whenever their quota allows. */
  async finished({ userId, connectionId }: Pass): Promise<void> {
    await this.plans.soon(userId, connectionId);
  }

  /** The rows went with their connection. */
  erase(): Promise<number> {
    return Promise.resolve(0);
  }
}

function wayOf(part: string): Way {
  const way = WAYS.get(part);
  if (!way) throw new Error(`campaigns have no part ${part}`);
  return way;
}

/** A campaign that came twice counts in its newer version, or as it came last. */
function newestOfEach(rows: readonly WholeCampaign[]): WholeCampaign[] {
  const byId = new Map<string, WholeCampaign>();
  for (const row of rows) {
    const known = byId.get(row.campaign.id);
    if (!known || (row.campaign.updatedAt ?? '') >= (known.campaign.updatedAt ?? '')) byId.set(row.campaign.id, row);
  }
  return [...byId.values()];
}
