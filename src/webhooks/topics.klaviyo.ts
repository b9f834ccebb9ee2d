import { Injectable } from '@nestjs/common';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient, type KlaviyoCall } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';

interface MetricAttributes {
  name?: string | null;
  integration?: { key?: string | null; name?: string | null } | null;
}

/** A metric of the account, and the topic that Klaviyo's webhooks know its events by. */
export interface TopicMetric {
  topic: string;
  metricId: string;
  name: string;
}

type Waits = Pick<KlaviyoCall, 'priority' | 'deadline' | 'maxRetries'>;

/** What of an account there are events of. */
@Injectable()
export class TopicsKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /**
   * The topics that webhooks of this account may have. Klaviyo: 15 calls a minute.
   * @throws AppError KLAVIYO_PLAN_REQUIRED or KLAVIYO_SCOPE_MISSING where it may have no webhooks
   */
  async topics(access: KlaviyoAccess, waits: Waits = {}): Promise<string[]> {
    const topics: string[] = [];
    for await (const { items } of this.klaviyo.pages<object>(access, operations.getWebhookTopics, waits))
      topics.push(...items.map(({ id }) => id));
    return topics;
  }

  /** Every metric with the topic that Klaviyo would give it: there are no other topics than those of events. */
  async metrics(access: KlaviyoAccess, waits: Waits = {}): Promise<TopicMetric[]> {
    const metrics: TopicMetric[] = [];
    for await (const { items } of this.klaviyo.pages<MetricAttributes>(access, operations.getMetrics, waits))
      for (const { id, attributes } of items) {
        const topic = topicOf(attributes);
        if (topic !== null) metrics.push({ topic, metricId: id, name: attributes.name ?? '' });
      }
    return metrics;
  }
}

/** `event:<integration>.<slug>`, e.g. `event:klaviyo.opened_email`. */
function topicOf({ name, integration }: MetricAttributes): string | null {
  const slug = slugOf(name ?? '');
  const from = slugOf(integration?.key ?? integration?.name ?? '');
  return slug === '' || from === '' ? null : `event:${from}.${slug}`;
}

function slugOf(text: string): string {
  const lower = text.toLowerCase();
  const slug = lower.replace(/[^a-z0-9]+/g, '_').replace(/^_|_$/g, '');
  // A name without any Latin letter is better told in its own than not at all.
  return slug === '' ? lower.replace(/[^\p{L}\p{N}]+/gu, '_').replace(/^_|_$/g, '') : slug;
}
