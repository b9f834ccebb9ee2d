/** The queues, created by migrations. A job carries ids, never a key or a person's data. */
export const QUEUES = {
  memberCounts: 'member-counts',
  campaignStats: 'campaign-stats',
  housekeeping: 'housekeeping',
  /** A slice of a synchronisation. */
  sync: 'sync',
  /** Looks, by the clock, what is due: scheduled runs, stranded ones, retention. */
  syncTick: 'sync-tick',
  /** Removes the mirror of connections that are gone, chunk by chunk. */
  mirrorErase: 'mirror-erase',
  /** Removes received events that are over, or whose connection is gone. What is to be worked off waits in its own rows. */
  webhookProcess: 'webhook-process',
  /** Reads events from Klaviyo where it may not push them, or did not. */
  webhookPoll: 'webhook-poll',
  /** Looks, by the clock, after webhooks: polls that are due, hooks that went silent, retention. */
  webhookTick: 'webhook-tick',
} as const;

export type QueueName = (typeof QUEUES)[keyof typeof QUEUES];
