/** The queues, created by migration (1764000200000-create-queues). A job carries ids, never a key or a person's data. */
export const QUEUES = {
  memberCounts: 'member-counts',
  campaignStats: 'campaign-stats',
  housekeeping: 'housekeeping',
} as const;

export type QueueName = (typeof QUEUES)[keyof typeof QUEUES];
