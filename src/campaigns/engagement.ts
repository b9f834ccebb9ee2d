/** What people did with a campaign, as events tell it. */
export const ENGAGEMENT_KINDS = ['delivered', 'open', 'click', 'bounce', 'unsubscribe', 'spam'] as const;
export type EngagementKind = (typeof ENGAGEMENT_KINDS)[number];
