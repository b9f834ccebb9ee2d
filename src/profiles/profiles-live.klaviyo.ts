import { Injectable } from '@nestjs/common';
import { toInstant } from '../common/instants';
import { firstOf, type RemotePage } from '../common/walk';
import { and, any, equals, greaterThan, lessThan } from '../klaviyo/filter';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { mapPointer } from '../klaviyo/klaviyo-error';
import { KlaviyoClient } from '../klaviyo/klaviyo.client';
import { operations, type Operation } from '../klaviyo/operations';
import type { Profile } from './profile';
import type { ProfileFilters, ProfileSort } from './profile-filters';
import { readProfile } from './profile-reading.klaviyo';

/** A person on a list or in a segment. */
export interface Member extends Profile {
  /** RFC 3339 in UTC; null where Klaviyo does not say. */
  joinedAt: string | null;
}

export interface LivePage {
  next: string | null;
  deadline: number | undefined;
  /** Rows a page. */
  size: number;
}

type Attributes = Readonly<Record<string, unknown>>;

const SECOND_MS = 1000;
/** Consent stands in a profile only when it is asked for. */
const WITH_SUBSCRIPTIONS = { 'additional-fields[profile]': 'subscriptions' };
const ORDERS: Readonly<Record<ProfileSort, string>> = {
  id: 'id',
  '-id': '-id',
  updatedAt: 'updated',
  '-updatedAt': '-updated',
};
const MEMBERS = { list: operations.getListProfiles, segment: operations.getSegmentProfiles };

/** Pages of people as Klaviyo itself filters and orders them. */
@Injectable()
export class ProfilesLiveKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** People of the account. @param filters those of them that `notLive` lets pass */
  async page(
    access: KlaviyoAccess,
    filters: ProfileFilters,
    sort: ProfileSort,
    page: LivePage,
  ): Promise<RemotePage<Profile>> {
    const query = { sort: ORDERS[sort], ...filterOf(filters) };
    return this.read(access, operations.getProfiles, { query }, filters, page, readProfile);
  }

  /** People of a list or segment, who joined last first. @throws AppError LIST_NOT_FOUND, SEGMENT_NOT_FOUND */
  async members(
    access: KlaviyoAccess,
    kind: 'list' | 'segment',
    id: string,
    filters: ProfileFilters,
    page: LivePage,
  ): Promise<RemotePage<Member>> {
    const query = { sort: '-joined_group_at', ...filterOf(filters) };
    return this.read(access, MEMBERS[kind], { query, path: { id } }, filters, page, (resource) => ({
      ...readProfile(resource),
      joinedAt: toInstant(resource.attributes['joined_group_at']),
    }));
  }

  private async read<T>(
    access: KlaviyoAccess,
    operation: Operation,
    call: { query: Readonly<Record<string, string>>; path?: Readonly<Record<string, string>> },
    filters: ProfileFilters,
    { next, deadline, size }: LivePage,
    map: (resource: { id: string; attributes: Attributes }) => T,
  ): Promise<RemotePage<T>> {
    const pages = this.klaviyo.pages<Attributes>(access, operation, {
      ...call,
      query: { ...call.query, ...WITH_SUBSCRIPTIONS },
      pageSize: size,
      ...(next === null ? {} : { cursor: next }),
      ...(deadline === undefined ? {} : { deadline }),
    });
    const page = await firstOf(pages).catch((error: unknown) => {
      throw mapPointer(error, { filter: Object.keys(filters)[0] ?? 'filter' });
    });
    return page ? { items: page.items.map(map), next: page.next } : { items: [], next: null };
  }
}

/** Klaviyo's comparisons are strict: what is inclusive here is one second more there, and its times are whole seconds. */
function filterOf(filters: ProfileFilters): { filter?: string } {
  const { email, phoneNumber, externalId, updatedSince, updatedUntil } = filters;
  const lower = email?.toLowerCase();
  const filter = and(
    email === undefined ? undefined : any('email', [...new Set([email, lower ?? email])]),
    phoneNumber === undefined ? undefined : equals('phone_number', phoneNumber),
    externalId === undefined ? undefined : equals('external_id', externalId),
    updatedSince === undefined ? undefined : greaterThan('updated', new Date(whole(updatedSince) - SECOND_MS)),
    updatedUntil === undefined ? undefined : lessThan('updated', new Date(whole(updatedUntil))),
  );
  return filter === '' ? {} : { filter };
}

/** The whole second that an instant is in or before. */
function whole(instant: string): number {
  return Math.ceil(Date.parse(instant) / SECOND_MS) * SECOND_MS;
}
