import type { Account } from '../account.ts';
import type { CampaignRow } from '../store/rows.ts';
import { recordEvent } from './record-event.ts';

/** How many members of each audience get their "Received" event when a campaign is sent here. */
const RECIPIENTS = 1000;

/** Leaves the events that a send leaves at Klaviyo, so that its statistics are not empty. */
export function recordSend(account: Account, campaign: CampaignRow, now: number): void {
  const name = { email: 'Received Email', sms: 'Received SMS', mobile_push: 'Received Push' }[campaign.channel];
  const message =
    account.switches.messageDimension === 'message' ? (campaign.messages[0]?.id ?? campaign.id) : campaign.id;
  const reached = new Set<string>();
  for (const group of campaign.audiences.included) {
    for (const member of account.membersOf(group).all()) {
      if (reached.size >= RECIPIENTS) return;
      if (reached.has(member.id)) continue;
      reached.add(member.id);
      recordEvent(account, {
        metric: name,
        own: true,
        profileId: member.id,
        time: now,
        uniqueId: `${campaign.id}-${member.id}`,
        properties: { $message: message, 'Campaign Name': campaign.name, $campaign_channel: campaign.channel },
        now,
      });
    }
  }
}
