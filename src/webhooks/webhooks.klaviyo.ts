import { Injectable } from '@nestjs/common';
import { relatedIds, type Document, type Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient, type KlaviyoCall } from '../klaviyo/klaviyo.client';
import { mapPointer } from '../klaviyo/klaviyo-error';
import { operations } from '../klaviyo/operations';

interface WebhookAttributes {
  name?: string | null;
  description?: string | null;
  enabled?: boolean | null;
}

/** What Klaviyo knows of a webhook; it shows neither its secret nor its whole address. */
export interface RemoteWebhook {
  id: string;
  name: string | null;
  /** The webhook of ours that it is, by the reference in its description; null for somebody else's. */
  ourId: string | null;
  enabled: boolean;
  /** Null where Klaviyo did not say. */
  topics: string[] | null;
}

export interface WebhookContent {
  name: string;
  description: string | null;
  topics: readonly string[];
}

export type WebhookChange = Partial<WebhookContent & { secret: string; enabled: boolean }>;

type Waits = Pick<KlaviyoCall, 'priority' | 'deadline' | 'maxRetries'>;

const NAMES = {
  'data.attributes.name': 'name',
  'data.attributes.description': 'description',
  'data.relationships.webhook-topics.data[*].id': 'topics[*]',
  'data.relationships.webhook-topics.data[*]': 'topics[*]',
  'data.relationships.webhook-topics.data': 'topics',
};
const REFERENCE = /\[crealia ([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\]$/;

/** Webhooks as Klaviyo speaks of them. */
@Injectable()
export class WebhooksKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** All of the account, whoever made them: Klaviyo allows ten. */
  async all(access: KlaviyoAccess, waits: Waits = {}): Promise<RemoteWebhook[]> {
    const found: RemoteWebhook[] = [];
    const call = { ...waits, query: { include: 'webhook-topics' } };
    for await (const page of this.klaviyo.pages<WebhookAttributes>(access, operations.getWebhooks, call))
      found.push(...page.items.map(toRemote));
    return found;
  }

  /**
   * @param ourId goes into its description, so that it is found again should the answer get lost
   * @returns Klaviyo's id
   * @throws AppError KLAVIYO_PLAN_REQUIRED; KLAVIYO_REJECTED naming `topics[2]`, or for an eleventh
   */
  async create(
    access: KlaviyoAccess,
    ourId: string,
    webhook: WebhookContent & { secret: string; endpointUrl: string },
  ): Promise<string> {
    const { endpointUrl, ...content } = webhook;
    const { attributes, ...relations } = written(ourId, content);
    const body = { data: { type: 'webhook', attributes: { ...attributes, endpoint_url: endpointUrl }, ...relations } };
    try {
      const answer = await this.klaviyo.call<Document>(access, operations.createWebhook, { body });
      return answer.body.data.id;
    } catch (error) {
      throw mapPointer(error, NAMES);
    }
  }

  /** @throws AppError WEBHOOK_NOT_FOUND */
  async update(
    access: KlaviyoAccess,
    ourId: string,
    id: string,
    change: WebhookChange,
    waits: Waits = {},
  ): Promise<void> {
    const body = { data: { type: 'webhook', id, ...written(ourId, change) } };
    try {
      await this.klaviyo.call(access, operations.updateWebhook, { ...waits, path: { id }, body });
    } catch (error) {
      throw mapPointer(error, NAMES);
    }
  }

  /** @throws AppError WEBHOOK_NOT_FOUND */
  async remove(access: KlaviyoAccess, id: string, waits: Waits = {}): Promise<void> {
    await this.klaviyo.call(access, operations.deleteWebhook, { ...waits, path: { id } });
  }
}

/** Klaviyo ignores an empty description, and shows it to whoever looks there: ours always ends with our reference. */
function described(ourId: string, description: string | null): string {
  return `${description === null ? '' : `${description} `}[crealia ${ourId}]`;
}

function written(ourId: string, change: WebhookChange): { attributes: object; relationships?: object } {
  const { name, description, secret, enabled, topics } = change;
  return {
    attributes: {
      ...(name === undefined ? {} : { name }),
      ...(description === undefined ? {} : { description: described(ourId, description) }),
      ...(secret === undefined ? {} : { secret_key: secret }),
      ...(enabled === undefined ? {} : { enabled }),
    },
    ...(topics === undefined
      ? {}
      : { relationships: { 'webhook-topics': { data: topics.map((id) => ({ type: 'webhook-topic', id })) } } }),
  };
}

function toRemote(resource: Resource<WebhookAttributes>): RemoteWebhook {
  const { id, attributes, relationships } = resource;
  const named = relationships?.['webhook-topics']?.data !== undefined;
  return {
    id,
    name: attributes.name ?? null,
    ourId: REFERENCE.exec(attributes.description ?? '')?.[1] ?? null,
    enabled: attributes.enabled !== false,
    topics: named ? relatedIds(resource, 'webhook-topics').map((topic) => topic.id) : null,
  };
}
