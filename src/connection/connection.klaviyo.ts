import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { currentContext } from '../common/request-context';
import type { Collection } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient, type KlaviyoCall } from '../klaviyo/klaviyo.client';
import { operations, type Operation } from '../klaviyo/operations';
import { equals } from '../klaviyo/filter';
import type { Area, Capability } from './capabilities';

interface AccountAttributes {
  contact_information?: { organization_name?: string | null } | null;
  timezone?: string | null;
  preferred_currency?: string | null;
  public_api_key?: string | null;
}

export interface Account {
  accountId: string;
  accountName: string | null;
  publicApiKey: string | null;
  currency: string | null;
  timezone: string | null;
}

/** How long all probes may take together; what has not answered by then stays `unknown`. */
const PROBE_MS = 5000;

/** The cheapest read of each area. Webhook topics double as the probe of the plan. */
const PROBES: Partial<Record<Area, [Operation, KlaviyoCall]>> = {
  profiles: [operations.getProfiles, { query: { 'page[size]': 1, 'fields[profile]': 'created' } }],
  lists: [operations.getLists, { query: { 'fields[list]': 'name' } }],
  segments: [operations.getSegments, { query: { 'fields[segment]': 'name' } }],
  campaigns: [
    operations.getCampaigns,
    { query: { filter: equals('messages.channel', 'email'), 'fields[campaign]': 'name' } },
  ],
  metrics: [operations.getMetrics, { query: { 'fields[metric]': 'name' } }],
  events: [operations.getEvents, { query: { 'fields[event]': 'timestamp' } }],
  webhooks: [operations.getWebhookTopics, {}],
  subscriptions: [operations.getSuppressionJobs, {}],
};

/** What Klaviyo says of an account and of what its key may do. */
@Injectable()
export class ConnectionKlaviyo {
  constructor(
    private readonly klaviyo: KlaviyoClient,
    private readonly clock: Clock,
  ) {}

  /** The account of a key; this is how Klaviyo documents the test of a key. */
  async account(access: KlaviyoAccess): Promise<Account> {
    const { body } = await this.klaviyo.call<Collection<AccountAttributes>>(access, operations.getAccounts);
    const account = body.data[0];
    if (!account) throw new AppError('KLAVIYO_UNAVAILABLE', { reason: 'Klaviyo named no account for this key' });
    const { contact_information: contact, ...attributes } = account.attributes;
    return {
      accountId: account.id,
      accountName: contact?.organization_name ?? null,
      publicApiKey: attributes.public_api_key ?? null,
      currency: attributes.preferred_currency ?? null,
      timezone: attributes.timezone ?? null,
    };
  }

  /** Tries the cheapest read of each area, all at once. */
  async readable(access: KlaviyoAccess): Promise<Partial<Record<Area, Capability>>> {
    const context = currentContext();
    const deadline = Math.min(this.clock.now() + PROBE_MS, context?.deadline ?? Infinity);
    const found = await Promise.all(
      Object.entries(PROBES).map(async ([area, [operation, call]]) => {
        const outcome = await this.klaviyo
          .call(access, operation, { ...call, deadline, maxRetries: 1 })
          .then((): Capability => 'ok', verdictOf);
        return [area, outcome] as const;
      }),
    );
    return Object.fromEntries(found);
  }
}

function verdictOf(error: unknown): Capability {
  if (!(error instanceof AppError)) throw error;
  if (error.code === 'KLAVIYO_SCOPE_MISSING') return 'scope_missing';
  if (error.code === 'KLAVIYO_PLAN_REQUIRED') return 'plan_required';
  return 'unknown';
}
