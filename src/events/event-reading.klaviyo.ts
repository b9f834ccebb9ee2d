import { Injectable } from '@nestjs/common';
import { firstOf, type RemotePage } from '../common/walk';
import type { CallTally } from '../klaviyo/call-tally';
import { and, equals, greaterOrEqual, lessThan } from '../klaviyo/filter';
import { Included } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient, type KlaviyoPage } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';
import type { FetchedPage, Span } from '../mirror/syncer';
import type { EventRow } from './event-mirror.repository';
import type { MetricRow } from './metric-mirror.repository';
import {
  relatedId,
  saysWhoseAndWhat,
  secondsOf,
  toEventRow,
  toMetricRow,
  valueOf,
  type EventAttributes,
  type MetricAttributes,
} from './event-document.klaviyo';
import type { TimelineEvent } from './timeline';

/** A page of a pass. */
interface Request {
  cursor: string | null;
  /** Epoch milliseconds. */
  deadline: number;
  tally: CallTally;
}

const BACKGROUND = 'background';
/** Klaviyo counts seconds: bounds are a second wider on either side. */
const SECOND_MS = 1000;
/** Names metric and person where the relationships alone do not, with next to nothing of either. */
const WITH_IDS = { include: 'metric,profile', 'fields[metric]': 'name', 'fields[profile]': 'updated' };
const MOST_ACCOUNTS = 10_000;

/** Events and metrics as Klaviyo shows them. */
@Injectable()
export class EventReadingKlaviyo {
  /** Accounts whose events name metric and person only where these are included. */
  private readonly taciturn = new Set<string>();

  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** Events of a span, oldest first, in the largest pages. @throws AppError as the client's */
  async page(access: KlaviyoAccess, span: Span, request: Request): Promise<FetchedPage<EventRow>> {
    let page = await this.ask(access, span, request);
    if (!page.items.every(saysWhoseAndWhat) && !this.taciturn.has(access.accountId)) {
      if (this.taciturn.size >= MOST_ACCOUNTS) this.taciturn.clear();
      this.taciturn.add(access.accountId);
      page = await this.ask(access, span, request);
    }
    const last = page.items.at(-1);
    return {
      rows: page.items.map(toEventRow),
      next: page.next,
      last: last === undefined ? null : secondsOf(last.attributes) * 1000,
    };
  }

  /**
   * When the newest event that is not in the future happened, in epoch milliseconds; where all are, the newest of them;
   * null without any.
   */
  async newest(access: KlaviyoAccess, now: number, call: Omit<Request, 'cursor'>): Promise<number | null> {
    return (
      (await this.newestOf(access, lessThan('datetime', new Date(now + SECOND_MS)), call)) ??
      (await this.newestOf(access, undefined, call))
    );
  }

  /** Metrics, in Klaviyo's order and page size. @throws AppError as the client's */
  async metrics(access: KlaviyoAccess, request: Request): Promise<FetchedPage<MetricRow>> {
    const page = await firstOf(
      this.klaviyo.pages<MetricAttributes>(access, operations.getMetrics, {
        ...callOf(request),
        ...(request.cursor === null ? {} : { cursor: request.cursor }),
      }),
    );
    return { rows: (page?.items ?? []).map(toMetricRow), next: page?.next ?? null, last: null };
  }

  /** A person's events, newest first. @param pageSize as many as are wanted, where the revision can say so */
  async timeline(
    access: KlaviyoAccess,
    of: { profileId: string; from: Date | null; to: Date | null },
    next: string | null,
    options: { pageSize: number; deadline: number | undefined },
  ): Promise<RemotePage<TimelineEvent>> {
    const { pageSize, deadline } = options;
    const page = await firstOf(
      this.klaviyo.pages<EventAttributes>(access, operations.getEvents, {
        query: {
          filter: and(equals('profile_id', of.profileId), ...boundsOf(of.from, of.to)),
          sort: '-datetime',
          include: 'metric',
          'fields[metric]': 'name',
        },
        pageSize,
        ...(next === null ? {} : { cursor: next }),
        ...(deadline === undefined ? {} : { deadline }),
      }),
    );
    if (!page) return { items: [], next: null };
    const included = new Included(page.included);
    const items = page.items.map((event) => {
      const metricId = relatedId(event, 'metric');
      const metric = metricId === null ? undefined : included.get({ type: 'metric', id: metricId });
      const name = metric?.attributes['name'];
      const properties = event.attributes.event_properties ?? {};
      return {
        id: event.id,
        metric: { id: metricId, name: typeof name === 'string' ? name : null },
        profileId: of.profileId,
        occurredAt: new Date(secondsOf(event.attributes) * 1000).toISOString(),
        value: valueOf(properties),
        properties,
      };
    });
    return { items, next: page.next };
  }

  /** @throws AppError PROFILE_NOT_FOUND */
  async requireProfile(access: KlaviyoAccess, id: string): Promise<void> {
    const query = { 'fields[profile]': 'updated' };
    await this.klaviyo.call(access, operations.getProfile, { path: { id }, query });
  }

  private async ask(access: KlaviyoAccess, span: Span, request: Request): Promise<KlaviyoPage<EventAttributes>> {
    const named = this.taciturn.has(access.accountId);
    const { cursor } = request;
    const filter = and(...boundsOf(dateAt(span.from, -SECOND_MS), dateAt(span.to, SECOND_MS)));
    const page = await firstOf(
      this.klaviyo.pages<EventAttributes>(access, operations.getEvents, {
        ...callOf(request),
        query: { sort: 'datetime', ...(filter === '' ? {} : { filter }), ...(named ? WITH_IDS : {}) },
        ...(cursor === null ? {} : { cursor: named ? withIds(cursor) : cursor }),
      }),
    );
    return page ?? { items: [], included: [], next: null };
  }

  private async newestOf(
    access: KlaviyoAccess,
    filter: string | undefined,
    call: Omit<Request, 'cursor'>,
  ): Promise<number | null> {
    const page = await firstOf(
      this.klaviyo.pages<EventAttributes>(access, operations.getEvents, {
        ...callOf(call),
        query: { sort: '-datetime', filter },
        pageSize: 1,
      }),
    );
    const newest = page?.items[0];
    return newest === undefined ? null : secondsOf(newest.attributes) * 1000;
  }
}

function callOf({ deadline, tally }: Omit<Request, 'cursor'>) {
  return { deadline, tally, priority: BACKGROUND } as const;
}

function boundsOf(from: Date | null, to: Date | null): (string | undefined)[] {
  return [
    from === null ? undefined : greaterOrEqual('datetime', from),
    to === null ? undefined : lessThan('datetime', to),
  ];
}

function dateAt(time: number | null, more: number): Date | null {
  return time === null ? null : new Date(time + more);
}

/** A `next` from before it was known that this account's events name nobody unasked. */
function withIds(cursor: string): string {
  const url = new URL(cursor);
  for (const [name, value] of Object.entries(WITH_IDS))
    if (!url.searchParams.has(name)) url.searchParams.set(name, value);
  return url.href;
}
