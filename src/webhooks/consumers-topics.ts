/** What an event of Klaviyo's own metrics says, by the topic that it came under. */
export type EngagementKind = 'delivered' | 'open' | 'click' | 'bounce' | 'unsubscribe' | 'spam';

/** The e-mail, SMS and push metrics of which a campaign's figures are made. */
const ENGAGEMENT: ReadonlyMap<string, EngagementKind> = new Map([
  ['received_email', 'delivered'],
  ['opened_email', 'open'],
  ['clicked_email', 'click'],
  ['bounced_email', 'bounce'],
  ['marked_email_as_spam', 'spam'],
  ['unsubscribed', 'unsubscribe'],
  ['unsubscribed_from_email_marketing', 'unsubscribe'],
  ['received_sms', 'delivered'],
  ['clicked_sms', 'click'],
  ['failed_to_deliver_sms', 'bounce'],
  ['unsubscribed_from_sms_marketing', 'unsubscribe'],
  ['received_push', 'delivered'],
  ['opened_push', 'open'],
  ['bounced_push', 'bounce'],
]);

/** Metrics of Klaviyo's that change nothing of the person but the time of the last event: many, and not worth a call. */
const LEAVES_PROFILE = new Set([
  'received_email',
  'opened_email',
  'clicked_email',
  'clicked_email_to_unsubscribe',
  'dropped_email',
  'skipped_send',
  'sent_sms',
  'received_sms',
  'clicked_sms',
  'received_automated_response_sms',
  'received_push',
  'opened_push',
  'subscribed_to_list',
  'unsubscribed_from_list',
]);

const OWN = 'event:klaviyo.';

/** What it says of the engagement with a campaign; null for nothing. */
export function engagementOf(topic: string): EngagementKind | null {
  return ENGAGEMENT.get(ownMetric(topic) ?? '') ?? null;
}

/** Whether somebody came onto a list or left one; null for neither. */
export function membershipOf(topic: string): 'joined' | 'left' | null {
  const metric = ownMetric(topic);
  if (metric === 'subscribed_to_list') return 'joined';
  return metric === 'unsubscribed_from_list' ? 'left' : null;
}

export function isMerge(topic: string): boolean {
  return ownMetric(topic) === 'merged_profile';
}

/** Whether the person's profile may have changed: consent, suppressions, or whatever an event of others wrote into it. */
export function changesProfile(topic: string): boolean {
  const metric = ownMetric(topic);
  return metric === undefined || !LEAVES_PROFILE.has(metric);
}

/** The slug of a metric of Klaviyo's own; undefined for everybody else's. */
function ownMetric(topic: string): string | undefined {
  return topic.startsWith(OWN) ? topic.slice(OWN.length) : undefined;
}
