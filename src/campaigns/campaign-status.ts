export const CAMPAIGN_STATUSES = ['draft', 'scheduled', 'sending', 'sent', 'cancelled', 'unknown'] as const;
export type CampaignStatus = (typeof CAMPAIGN_STATUSES)[number];

const BY_WORD: ReadonlyMap<string, CampaignStatus> = new Map([
  ['draft', 'draft'],
  ['scheduled', 'scheduled'],
  ['preparing to schedule', 'scheduled'],
  ['adding recipients', 'sending'],
  ['preparing to send', 'sending'],
  ['sending', 'sending'],
  ['sending segments', 'sending'],
  ['queued without recipients', 'sending'],
  ['sent', 'sent'],
  ['variations sent', 'sent'],
]);

/**
 * Our status for Klaviyo's word. Klaviyo adds words at any time (all reasons to cancel begin alike, and are spelled
 * both ways), so one that we do not know is `unknown` and never an error.
 */
export function campaignStatus(word: string | null | undefined): CampaignStatus {
  const text = (word ?? '').trim().toLowerCase();
  if (/^cancell?ed\b/.test(text)) return 'cancelled';
  return BY_WORD.get(text) ?? 'unknown';
}
