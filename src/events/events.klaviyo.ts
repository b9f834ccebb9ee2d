import { Injectable } from '@nestjs/common';
import type { AppError } from '../common/errors';
import { mapPointer } from '../klaviyo/klaviyo-error';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';
import type { EventProfile, FoundProfile } from './find-profile';

/** An event ready for Klaviyo. */
export interface OutgoingEvent {
  eventType: string;
  properties: Record<string, unknown>;
  profile: EventProfile;
  time: Date;
  value: number | null;
  currency: string | null;
  uniqueId: string;
  backfill: boolean;
}

export interface SendOptions {
  /** Epoch milliseconds. */
  deadline: number;
  priority: 'interactive' | 'background';
}

/** A metric of the account. */
export interface AccountMetric {
  /** Klaviyo's id. */
  id: string;
  name: string;
  /** The integration that records it, e.g. `Klaviyo` or `API`. */
  integration: string | null;
}

interface MetricAttributes {
  name?: string | null;
  integration?: { name?: string | null } | null;
}

/** The revisions that brought the fields that an event need not have. */
const VALUE_CURRENCY_SINCE = '2024-02-15';
const BACKFILL_SINCE = '2026-04-15';
/** From this revision on, times before 2000 are taken, down to 1990. */
const EARLY_TIMES_SINCE = '2026-04-15';
/** More metrics than an account has; a bound all the same. */
const MAX_METRICS = 2000;

/** Where the fields of a refusal stand in the caller's event. */
const POINTERS = {
  'data.attributes': 'event',
  'data.attributes.properties': 'event.eventData',
  'data.attributes.value_currency': 'event.currency',
  'data.attributes.unique_id': 'event.uniqueId',
  'data.attributes.metric': 'event.eventType',
  'data.attributes.metric.data.attributes.name': 'event.eventType',
  'data.attributes.profile': 'event.profile',
  'data.attributes.profile.data': 'event.profile',
  'data.attributes.profile.data.attributes': 'event.profile',
};

/** Events and metrics at Klaviyo. */
@Injectable()
export class EventsKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /**
   * Offers an event once. Klaviyo keeps the first of a profile, metric and `uniqueId`, so it may come again.
   * @throws AppError as the client's, its fields still Klaviyo's: see `inCallersWords`
   */
  async send(access: KlaviyoAccess, event: OutgoingEvent, options: SendOptions): Promise<void> {
    const needs = needsOf(event);
    await this.klaviyo.call(access, operations.createEvent, {
      body: documentOf(event),
      deadline: options.deadline,
      priority: options.priority,
      maxRetries: 0,
      ...(needs === undefined ? {} : { needs }),
    });
  }

  /** The first instant (epoch milliseconds) that Klaviyo takes for such an event. */
  earliestTime(event: Pick<OutgoingEvent, 'currency' | 'backfill'>): number {
    const { served } = this.klaviyo.revisionFor(operations.createEvent, needsOf(event));
    return Date.UTC(served >= EARLY_TIMES_SINCE ? 1990 : 2000, 0, 1);
  }

  /** The account's metrics in Klaviyo's order. @throws AppError as the client's */
  async metrics(access: KlaviyoAccess, deadline: number): Promise<AccountMetric[]> {
    const found: AccountMetric[] = [];
    const call = { deadline, maxRetries: 1 };
    for await (const page of this.klaviyo.pages<MetricAttributes>(access, operations.getMetrics, call)) {
      for (const { id, attributes } of page.items)
        found.push({ id, name: attributes.name ?? '', integration: attributes.integration?.name ?? null });
      if (found.length >= MAX_METRICS) break;
    }
    return found;
  }
}

/** A refusal of Klaviyo's with the fields named as the caller wrote them. */
export function inCallersWords(error: AppError, fields: FoundProfile['fields']): unknown {
  const table: Record<string, string> = { ...POINTERS };
  if (fields.id !== undefined) table['data.attributes.profile.data.id'] = fields.id;
  const person = 'data.attributes.profile.data.attributes';
  if (fields.email !== undefined) table[`${person}.email`] = fields.email;
  if (fields.phoneNumber !== undefined) table[`${person}.phone_number`] = fields.phoneNumber;
  if (fields.externalId !== undefined) table[`${person}.external_id`] = fields.externalId;
  return mapPointer(error, table);
}

function needsOf(event: Pick<OutgoingEvent, 'currency' | 'backfill'>): string | undefined {
  if (event.backfill) return BACKFILL_SINCE;
  return event.currency === null ? undefined : VALUE_CURRENCY_SINCE;
}

function documentOf(event: OutgoingEvent): object {
  const { email, phoneNumber, externalId, id } = event.profile;
  return {
    data: {
      type: 'event',
      attributes: {
        properties: event.properties,
        time: `${event.time.toISOString().slice(0, 19)}Z`,
        unique_id: event.uniqueId,
        ...(event.value === null ? {} : { value: event.value }),
        ...(event.currency === null ? {} : { value_currency: event.currency }),
        ...(event.backfill ? { backfill: true } : {}),
        metric: { data: { type: 'metric', attributes: { name: event.eventType } } },
        profile: {
          data: {
            type: 'profile',
            ...(id === null ? {} : { id }),
            // Demanded even where the id says it all.
            attributes: {
              ...(email === null ? {} : { email }),
              ...(phoneNumber === null ? {} : { phone_number: phoneNumber }),
              ...(externalId === null ? {} : { external_id: externalId }),
            },
          },
        },
      },
    },
  };
}
