import { shortId } from '../ids.ts';
import type { Integration, MetricRow } from './rows.ts';

export const KLAVIYO: Integration = { id: '0rG4eQ', key: 'klaviyo', name: 'Klaviyo', category: 'Internal' };
export const API: Integration = { id: '7FtS4J', key: 'api', name: 'API', category: 'API' };

/** Klaviyo's own metrics that an account with sends has. */
export const KLAVIYO_METRICS = [
  'Received Email',
  'Opened Email',
  'Clicked Email',
  'Bounced Email',
  'Dropped Email',
  'Marked Email as Spam',
  'Unsubscribed from Email Marketing',
  'Subscribed to Email Marketing',
  'Subscribed to List',
  'Unsubscribed from List',
  'Manually Suppressed from Email Marketing',
  'Manually Unsuppressed from Email Marketing',
  'Updated Email Preferences',
  'Merged Profile',
  'Received SMS',
  'Clicked SMS',
  'Sent SMS',
  'Failed to Deliver SMS',
  'Subscribed to SMS Marketing',
  'Unsubscribed from SMS Marketing',
  'Received Push',
  'Opened Push',
  'Bounced Push',
] as const;

/** Metrics that a shop's own integration made through the API. */
export const API_METRICS = [
  'Placed Order',
  'Viewed Product',
  'Added to Cart',
  'Started Checkout',
  'Active on Site',
] as const;

/** The metrics of a generated account; ids are specific to the account, as at Klaviyo. */
export function generatedMetrics(seed: number, created: number): MetricRow[] {
  const make = (name: string, index: number, integration: Integration): MetricRow => ({
    id: shortId(seed, 4, index),
    name,
    created,
    updated: created,
    integration,
  });
  return [
    ...KLAVIYO_METRICS.map((name, index) => make(name, index, KLAVIYO)),
    ...API_METRICS.map((name, index) => make(name, 100 + index, API)),
  ];
}

const topics = new Map<string, string>();

/** Webhook topic of a metric, `event:klaviyo.opened_email`. */
export function topicOf(metric: MetricRow): string {
  const name = `${metric.integration.key}|${metric.name}`;
  const known = topics.get(name);
  if (known !== undefined) return known;
  const slug = metric.name
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '_')
    .replace(/^_|_$/g, '');
  const topic = `event:${metric.integration.key}.${slug}`;
  topics.set(name, topic);
  return topic;
}
