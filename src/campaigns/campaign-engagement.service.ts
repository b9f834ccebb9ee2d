import { Injectable } from '@nestjs/common';
import type { Connection } from '../connection/connection.entity';
import { CampaignEngagementRepository, type EngagementRow, type Heard } from './campaign-engagement.repository';
import { CampaignReportPlans } from './campaign-report-plans';
import type { CampaignWithStats } from './campaigns-input';

/** What events told of a campaign since its figures were computed: what the next report will add, in all likelihood. */
export interface Engagement {
  /** When the figures were computed, to the minute; null where there are none yet. */
  since: string | null;
  delivered: number;
  opens: number;
  clicks: number;
  bounces: number;
  unsubscribes: number;
  spamComplaints: number;
}

/** Hears of what people do with campaigns, between the reports. */
@Injectable()
export class CampaignEngagementService {
  constructor(
    private readonly heard: CampaignEngagementRepository,
    private readonly plans: CampaignReportPlans,
  ) {}

  /**
   * Counts events of engagement, and has the report of what they are about asked for soon (never within ten minutes of
   * the last). What names no mirrored campaign, or is older than its figures, is left out. Joins the transaction under
   * way; each event is to be given once.
   * @param items `message` is what events carry as `$message`: the id of a campaign or of one of its messages
   */
  async noteEngagement(userId: number, connectionId: string, items: readonly EngagementRow[]): Promise<void> {
    if (items.length === 0) return;
    await this.heard.add(userId, connectionId, items, () => this.plans.soon(userId, connectionId));
  }

  /** What was heard of a campaign since its figures; null: nothing. */
  async of(connection: Connection, { id, stats }: CampaignWithStats): Promise<Engagement | null> {
    const since = stats ? new Date(stats.computedAt) : null;
    const heard = await this.heard.since(Number(connection.userId), connection.id, id, since);
    return heard ? engagementOf(heard, since) : null;
  }
}

function engagementOf(heard: Heard, since: Date | null): Engagement {
  return {
    since: since ? since.toISOString() : null,
    delivered: heard.delivered ?? 0,
    opens: heard.open ?? 0,
    clicks: heard.click ?? 0,
    bounces: heard.bounce ?? 0,
    unsubscribes: heard.unsubscribe ?? 0,
    spamComplaints: heard.spam ?? 0,
  };
}
