import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Label, Bool, Nullable, OneOf, Optional, Uuid } from '../common/rules';
import { ScopedQuery, ScopedRequest } from '../common/scoped.dto';
import { TopicChoice } from './topics.rule';
import type { TopicsView } from './topics-view';
import { DELIVERIES, WEBHOOK_STATUSES, type Delivery, type WebhookStatus } from './webhook.entity';
import type { RemovedView, RotatedView, WebhookView } from './webhooks.service';

const WANTED_DELIVERIES = ['auto', ...DELIVERIES] as const;
const MAX_NAME = 100;
const MAX_DESCRIPTION = 255;

const TOPICS = {
  oneOf: [
    { type: 'array', items: { type: 'string' }, minItems: 1, maxItems: 1000, uniqueItems: true },
    { type: 'string', enum: ['all'] },
  ],
  description: 'Topics as `GET /webhooks/topics` names them, or `all`: those to come included',
  example: ['event:klaviyo.opened_email'],
};

export class CreateWebhookRequest extends ScopedRequest {
  /** For people; Klaviyo shows it, too. */
  @Label({ max: MAX_NAME })
  name: string;

  @ApiProperty(TOPICS)
  @TopicChoice()
  topics: string[] | 'all';

  /** For people. */
  @ApiPropertyOptional({ type: 'string', nullable: true, maxLength: MAX_DESCRIPTION })
  @Optional()
  @Nullable()
  @Label({ max: MAX_DESCRIPTION })
  description?: string | null;

  @ApiPropertyOptional({
    enum: WANTED_DELIVERIES,
    default: 'auto',
    description:
      'Klaviyo sends the events (`push`), we read them from Klaviyo (`poll`), or the first that is possible (`auto`)',
  })
  @Optional()
  @OneOf(WANTED_DELIVERIES)
  delivery?: 'auto' | Delivery;
}

export class UpdateWebhookRequest extends ScopedRequest {
  @Optional()
  @Label({ max: MAX_NAME })
  name?: string;

  /** `null` clears it. */
  @ApiPropertyOptional({ type: 'string', nullable: true, maxLength: MAX_DESCRIPTION })
  @Optional()
  @Nullable()
  @Label({ max: MAX_DESCRIPTION })
  description?: string | null;

  @ApiPropertyOptional(TOPICS)
  @Optional()
  @TopicChoice()
  topics?: string[] | 'all';

  /** `false` switches it off, `true` on again: from then on, not for what happened meanwhile. */
  @Optional()
  @Bool()
  enabled?: boolean;
}

export class RotateSecretRequest extends ScopedRequest {}

export class WebhooksQuery extends ScopedQuery {}

export class RemoveWebhookQuery extends ScopedQuery {
  @ApiProperty({ format: 'uuid', description: 'The webhook' })
  @Uuid()
  webhookId: string;
}

class WebhookStats {
  @ApiProperty({ type: 'integer', description: 'Events of its deliveries, known ones included' })
  received: number;

  @ApiProperty({ type: 'integer', description: 'Events that were worked off' })
  processed: number;

  @ApiProperty({ type: 'integer', description: 'Events that failed, or are given up' })
  failed: number;

  @ApiProperty({ type: 'integer', description: 'Events that were known already' })
  duplicates: number;

  @ApiProperty({ type: 'string', format: 'date-time', nullable: true })
  lastReceivedAt: string | null;

  @ApiProperty({ type: 'number', nullable: true, description: 'From arrival to worked off, of the last day, in ms' })
  p95ProcessingMs: number | null;
}

export class WebhookResponse {
  /** Ours. */
  id: string;
  /** Klaviyo's; null for `poll`. */
  klaviyoWebhookId: string | null;
  name: string;
  description: string | null;
  topics: string[];
  @ApiProperty({ enum: DELIVERIES })
  delivery: Delivery;
  @ApiProperty({
    enum: WEBHOOK_STATUSES,
    description: '`disabled`: by its user; `error`: Klaviyo has it no more, or cannot be made to send it',
  })
  status: WebhookStatus;
  /** Where Klaviyo sends it; null for `poll`. */
  endpointUrl: string | null;
  /** RFC 3339, UTC. */
  createdAt: string;
  stats: WebhookStats;

  static from({ webhook, stats }: WebhookView): WebhookResponse {
    return {
      id: webhook.id,
      klaviyoWebhookId: webhook.klaviyoWebhookId,
      name: webhook.name,
      description: webhook.description,
      topics: webhook.topics,
      delivery: webhook.delivery,
      status: webhook.status,
      endpointUrl: webhook.endpointUrl,
      createdAt: webhook.createdAt.toISOString(),
      stats: {
        received: stats.received,
        processed: stats.processed,
        failed: stats.failed,
        duplicates: stats.duplicates,
        lastReceivedAt: stats.lastReceivedAt,
        p95ProcessingMs: stats.p95ProcessingMs,
      },
    };
  }
}

export class OneWebhookResponse {
  webhook: WebhookResponse;

  static from(view: WebhookView): OneWebhookResponse {
    return { webhook: WebhookResponse.from(view) };
  }
}

export class WebhooksResponse {
  webhooks: WebhookResponse[];

  static from(views: readonly WebhookView[]): WebhooksResponse {
    return { webhooks: views.map((view) => WebhookResponse.from(view)) };
  }
}

export class RotatedSecretResponse {
  webhook: WebhookResponse;

  @ApiProperty({
    type: 'string',
    format: 'date-time',
    nullable: true,
    description:
      'Until then deliveries signed with the secret before are accepted, too; null: Klaviyo has not confirmed',
  })
  previousSecretUntil: string | null;

  static from({ previousSecretUntil, ...view }: RotatedView): RotatedSecretResponse {
    return { webhook: WebhookResponse.from(view), previousSecretUntil };
  }
}

export class RemovedWebhookResponse {
  @ApiProperty({ type: 'integer', description: 'Webhooks removed here' })
  removed: number;

  @ApiProperty({ description: 'Klaviyo did not answer: it is removed there later, by itself' })
  pendingAtKlaviyo: boolean;

  static from({ removed, pendingAtKlaviyo }: RemovedView): RemovedWebhookResponse {
    return { removed, pendingAtKlaviyo };
  }
}

class TopicResponse {
  /** What a webhook is asked for, e.g. `event:klaviyo.opened_email`. */
  id: string;
  /** Who records it, e.g. `klaviyo`, `api`, `shopify`. */
  integration: string;
  /** e.g. `opened_email`. */
  name: string;
}

export class TopicsResponse {
  topics: TopicResponse[];

  @ApiProperty({ enum: DELIVERIES, description: 'What `delivery: "auto"` gives in this account' })
  delivery: Delivery;

  static from({ topics, delivery }: TopicsView): TopicsResponse {
    return { topics: topics.map(({ id, integration, name }) => ({ id, integration, name })), delivery };
  }
}
