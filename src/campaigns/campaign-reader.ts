import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { START, takeRows } from '../common/walk';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { byMoment, type Campaign } from './campaign';
import { CampaignsKlaviyo, type CreatedBetween, type Pass } from './campaigns.klaviyo';

/** Campaigns in order, as far as time allowed. */
export interface Assembly {
  campaigns: readonly Campaign[];
  /** Which campaigns these are, by their creation; older ones than `after` are left. */
  created: CreatedBetween;
  /** Epoch milliseconds. */
  readAt: number;
}

/** What one pass gave. */
interface Passed {
  campaigns: Campaign[];
  /** Campaigns created then or before are not all there; null when the pass came to its end. */
  leftFrom: number | null;
}

/**
 * Reads whole sets of campaigns, pass beside pass, and puts them in order. Klaviyo cannot sort by the moment that
 * counts here, so order is only certain within a set; a set that time does not allow ends at a time of creation, and
 * the next one begins there.
 */
@Injectable()
export class CampaignReader {
  constructor(
    private readonly atKlaviyo: CampaignsKlaviyo,
    private readonly clock: Clock,
  ) {}

  /**
   * @param until epoch milliseconds; the first page of each pass is waited for longer
   * @throws AppError of Klaviyo; KLAVIYO_TIMEOUT when time was not enough for anything
   */
  async read(
    access: KlaviyoAccess,
    passes: readonly Pass[],
    created: CreatedBetween,
    until: number,
  ): Promise<Assembly> {
    const readAt = this.clock.now();
    const passed = await Promise.all(passes.map((pass) => this.pass(access, pass, created, until)));
    const left = passed.flatMap(({ leftFrom }) => leftFrom ?? []);
    const after = left.length === 0 ? created.after : Math.max(...left);
    if (after !== null && after >= (created.upTo ?? Number.MAX_SAFE_INTEGER))
      throw new AppError('KLAVIYO_TIMEOUT', { reason: 'campaigns created at one instant do not fit a call' });
    const byId = new Map<string, Campaign>();
    for (const { campaigns } of passed)
      for (const campaign of campaigns) if (isAfter(campaign, after)) byId.set(campaign.id, campaign);
    return { campaigns: [...byId.values()].sort(byMoment), created: { after, upTo: created.upTo }, readAt };
  }

  private async pass(access: KlaviyoAccess, pass: Pass, created: CreatedBetween, until: number): Promise<Passed> {
    const { rows, rest } = await takeRows(
      (next, deadline) => this.atKlaviyo.page(access, pass, created, next, deadline),
      { from: START, limit: Infinity, keep: () => true, until, now: () => this.clock.now() },
    );
    return { campaigns: rows, leftFrom: rest === null ? null : oldestOf(rows) };
  }
}

/** The creation of the last one read that has one (they come newest first); beyond all times where none has. */
function oldestOf(campaigns: readonly Campaign[]): number {
  const last = campaigns.findLast(({ createdAt }) => createdAt !== null)?.createdAt;
  return last === undefined || last === null ? Number.MAX_SAFE_INTEGER : Date.parse(last);
}

function isAfter({ createdAt }: Campaign, after: number | null): boolean {
  return after === null || createdAt === null || Date.parse(createdAt) > after;
}
