import { Injectable } from '@nestjs/common';
import { any, and, greaterThan, lessThan } from '../klaviyo/filter';
import type { Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient, type KlaviyoPage, type PagesCall } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';
import { firstOf } from '../common/walk';
import type { FetchedPage, PageCall, Span } from '../mirror/syncer';
import { toMirrorRow } from './mirrored-row.klaviyo';
import type { MirrorRow } from './profile-mirror.repository';

/** The time axes by which Klaviyo gives people in order. */
export type ProfileAxis = 'created' | 'updated';

type Attributes = Readonly<Record<string, unknown>>;
/** A person as Klaviyo gives them. */
export type FetchedProfile = Resource<Attributes>;

const SECOND_MS = 1000;
/** Consent stands in a profile only when it is asked for. */
const WITH_SUBSCRIPTIONS = { 'additional-fields[profile]': 'subscriptions' };

/** People by the hundred, as the mirror reads them. */
@Injectable()
export class ProfilesPagesKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** A page of people in the order of an axis, consent included; see `toMirrorRow`. */
  async page(
    access: KlaviyoAccess,
    axis: ProfileAxis,
    span: Span,
    call: PageCall & { cursor: string | null },
  ): Promise<FetchedPage<FetchedProfile>> {
    const filter = and(
      span.from === null ? undefined : greaterThan(axis, new Date(span.from - SECOND_MS)),
      span.to === null ? undefined : lessThan(axis, new Date(span.to + SECOND_MS)),
    );
    const page = await this.first(access, {
      query: { ...WITH_SUBSCRIPTIONS, sort: axis, ...(filter === '' ? {} : { filter }) },
      ...(call.cursor === null ? {} : { cursor: call.cursor }),
      ...background(call),
    });
    if (!page) return { rows: [], next: null, last: null };
    return { rows: page.items, next: page.next, last: timeOf(page.items.at(-1), axis) };
  }

  /** Where the newest person stands on an axis, in epoch milliseconds; null where there is nobody. */
  async newest(access: KlaviyoAccess, axis: ProfileAxis, call: PageCall): Promise<number | null> {
    const query = { sort: `-${axis}`, 'fields[profile]': axis };
    const page = await this.first(access, { query, pageSize: 1, ...background(call) });
    return timeOf(page?.items[0], axis);
  }

  /** Those of at most 100 people whom Klaviyo knows. */
  async byIds(access: KlaviyoAccess, ids: readonly string[], call: Omit<PagesCall, 'query'>): Promise<MirrorRow[]> {
    const page = await this.first(access, { query: { ...WITH_SUBSCRIPTIONS, filter: any('id', ids) }, ...call });
    return (page?.items ?? []).map(toMirrorRow);
  }

  private first(access: KlaviyoAccess, call: PagesCall): Promise<KlaviyoPage<Attributes> | undefined> {
    return firstOf(this.klaviyo.pages<Attributes>(access, operations.getProfiles, call));
  }
}

function background({ deadline, tally }: PageCall): Pick<PagesCall, 'deadline' | 'tally' | 'priority'> {
  return { deadline, tally, priority: 'background' };
}

function timeOf(profile: Resource<Attributes> | undefined, axis: ProfileAxis): number | null {
  const value = profile?.attributes[axis];
  const time = typeof value === 'string' ? Date.parse(value) : NaN;
  return Number.isNaN(time) ? null : time;
}
