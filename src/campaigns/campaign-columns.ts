const FIGURES = [
  'recipients',
  'delivered',
  'opens',
  'uniqueOpens',
  'openRate',
  'clicks',
  'uniqueClicks',
  'clickRate',
  'bounces',
  'bounceRate',
  'unsubscribes',
  'unsubscribeRate',
  'spamComplaints',
  'conversions',
  'revenue',
  'currency',
  'computedAt',
] as const;

/** The columns of campaigns as CSV. */
export const CAMPAIGN_COLUMNS: readonly string[] = [
  'id',
  'name',
  'status',
  'klaviyoStatus',
  'channel',
  'archived',
  'audiences.included',
  'audiences.excluded',
  'createdAt',
  'updatedAt',
  'scheduledAt',
  'sentAt',
  ...FIGURES.map((name) => `stats.${name}`),
];

/** The columns of a campaign's history as CSV. */
export const CAMPAIGN_HISTORY_COLUMNS: readonly string[] = [
  'at',
  'status',
  'klaviyoStatus',
  'scheduledAt',
  'sentAt',
  ...FIGURES.map((name) => `stats.${name}`),
];
