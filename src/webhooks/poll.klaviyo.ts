import { Injectable } from '@nestjs/common';
import { and, equals, greaterOrEqual, lessThan } from '../klaviyo/filter';
import { relatedIds, type Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';

interface EventAttributes {
  datetime?: string | null;
  timestamp?: number | null;
}

/** An event as Klaviyo gives it, and what decides about it. */
export interface ReadEvent {
  id: string;
  metricId: string | null;
  /** Epoch milliseconds. */
  occurredAt: number;
  resource: Resource<EventAttributes>;
}

export interface ReadPage {
  events: ReadEvent[];
  next: string | null;
}

export interface EventWindow {
  /** Inclusive, in whole seconds. */
  from: Date;
  /** Exclusive. */
  to: Date;
  /** Null for those of every metric. */
  metricId: string | null;
}

/** Klaviyo names metric and profile of an event of itself, or only when they are included: then as little of them as can be. */
const INCLUDED = { include: 'metric,profile', 'fields[metric]': 'name', 'fields[profile]': 'created' };

/** The events of an account by the time of their occurrence. */
@Injectable()
export class PollKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** One page, oldest first. @param next a `next` seen before; null for the first page */
  async page(
    access: KlaviyoAccess,
    window: EventWindow,
    next: string | null,
    deadline: number,
    included = false,
  ): Promise<ReadPage> {
    const filter = and(
      greaterOrEqual('datetime', seconds(window.from)),
      lessThan('datetime', seconds(window.to)),
      window.metricId === null ? undefined : equals('metric_id', window.metricId),
    );
    const query = { filter, sort: 'datetime', ...(included ? INCLUDED : {}) };
    const pages = this.klaviyo.pages<EventAttributes>(access, operations.getEvents, {
      query,
      deadline,
      priority: 'background',
      ...(next === null ? {} : { cursor: next }),
    });
    for await (const page of pages) {
      const events = page.items.map(toEvent);
      const isTold = events.every(({ metricId, resource }) => metricId !== null && hasProfile(resource));
      if (next === null && !included && !isTold) return this.page(access, window, null, deadline, true);
      return { events, next: page.next };
    }
    return { events: [], next: null };
  }
}

function toEvent(resource: Resource<EventAttributes>): ReadEvent {
  const { datetime, timestamp } = resource.attributes;
  const parsed = typeof datetime === 'string' ? Date.parse(datetime) : NaN;
  const occurredAt = Number.isNaN(parsed) ? (timestamp ?? 0) * 1000 : parsed;
  return { id: resource.id, metricId: relatedIds(resource, 'metric')[0]?.id ?? null, occurredAt, resource };
}

function hasProfile(resource: Pick<Resource, 'relationships'>): boolean {
  return relatedIds(resource, 'profile').length > 0;
}

/** Klaviyo counts whole seconds. */
function seconds(instant: Date): Date {
  return new Date(Math.floor(instant.getTime() / 1000) * 1000);
}
