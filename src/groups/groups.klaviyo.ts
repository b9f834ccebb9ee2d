import { Injectable } from '@nestjs/common';
import { toInstant } from '../common/instants';
import { firstOf } from '../common/walk';
import { and, greaterOrEqual, greaterThan, lessThan } from '../klaviyo/filter';
import type { Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient, type PagesCall } from '../klaviyo/klaviyo.client';
import { operations, type Operation } from '../klaviyo/operations';
import { storedJson, storedText } from '../mirror/stored-json';
import type { FetchedPage, PageCall, PageRequest } from '../mirror/syncer';
import type { GroupKind } from './member-count.entity';
import type { MemberRow } from './memberships.repository';
import type { GroupDocument } from './mirrored-groups.repository';

interface GroupAttributes {
  name?: string | null;
  created?: string | null;
  updated?: string | null;
  opt_in_process?: string | null;
  is_active?: boolean | null;
  is_processing?: boolean | null;
  is_starred?: boolean | null;
}

/** A list or segment as Klaviyo gives it. */
export type GivenGroup = Pick<Resource<GroupAttributes>, 'id' | 'attributes'>;

interface MemberAttributes {
  joined_group_at?: string | null;
}

const GROUPS: Record<GroupKind, Operation> = { list: operations.getLists, segment: operations.getSegments };
const MEMBERS: Record<GroupKind, Operation> = {
  list: operations.getListProfiles,
  segment: operations.getSegmentProfiles,
};
const ONE: Record<GroupKind, Operation> = { list: operations.getList, segment: operations.getSegment };
/** Lists and segments can be sorted since then. */
const SORTED_SINCE = '2024-05-15';
/** Klaviyo's filters count whole seconds, some of them strictly: that much more is asked for on either side. */
const SECOND = 1000;

/** Reads lists, segments and their members for the mirror, in the background and page by page. */
@Injectable()
export class GroupsKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** Ten groups in the order of their creation. A window has no end at Klaviyo: it ends where its rows pass it. */
  async groups(
    access: KlaviyoAccess,
    kind: GroupKind,
    request: Pick<PageRequest, 'span' | 'cursor'>,
    call: PageCall,
  ): Promise<FetchedPage<GroupDocument>> {
    const { from } = request.span;
    const page = await this.page<GroupAttributes>(access, GROUPS[kind], request.cursor, call, {
      needs: SORTED_SINCE,
      query: { sort: 'created', filter: from === null ? undefined : greaterThan('created', new Date(from - SECOND)) },
    });
    const rows = page.items.map((item) => toDocument(kind, item));
    return { rows, next: page.next, last: timeOf(rows.at(-1)?.createdAt) };
  }

  /** @throws AppError LIST_NOT_FOUND, SEGMENT_NOT_FOUND */
  async require(access: KlaviyoAccess, kind: GroupKind, id: string): Promise<void> {
    await this.klaviyo.call(access, ONE[kind], { path: { id } });
  }

  /** When the newest group was created. */
  async newestGroup(access: KlaviyoAccess, kind: GroupKind, call: PageCall): Promise<number | null> {
    const page = await this.page<GroupAttributes>(access, GROUPS[kind], null, call, {
      needs: SORTED_SINCE,
      query: { sort: '-created' },
    });
    return timeOf(toInstant(page.items[0]?.attributes.created));
  }

  /** A hundred members in the order in which they joined: ids and that time, nothing else of the people. */
  async members(
    access: KlaviyoAccess,
    kind: GroupKind,
    groupId: string,
    request: Pick<PageRequest, 'span' | 'cursor'>,
    call: PageCall,
  ): Promise<FetchedPage<MemberRow>> {
    const { from, to } = request.span;
    const filter = and(
      from === null ? undefined : greaterOrEqual('joined_group_at', new Date(from - SECOND)),
      to === null ? undefined : lessThan('joined_group_at', new Date(to + SECOND)),
    );
    const page = await this.page<MemberAttributes>(access, MEMBERS[kind], request.cursor, call, {
      path: { id: groupId },
      query: { ...JOINED, sort: 'joined_group_at', filter: filter === '' ? undefined : filter },
    });
    const rows = page.items.map(({ id, attributes }) => ({
      kind,
      groupId,
      profileId: id,
      joinedAt: toInstant(attributes.joined_group_at),
    }));
    return { rows, next: page.next, last: timeOf(rows.at(-1)?.joinedAt) };
  }

  /** When the newest member joined. */
  async newestMember(access: KlaviyoAccess, kind: GroupKind, groupId: string, call: PageCall): Promise<number | null> {
    const page = await this.page<MemberAttributes>(access, MEMBERS[kind], null, call, {
      path: { id: groupId },
      query: { ...JOINED, sort: '-joined_group_at' },
      pageSize: 1,
    });
    return timeOf(toInstant(page.items[0]?.attributes.joined_group_at));
  }

  private async page<A>(
    access: KlaviyoAccess,
    operation: Operation,
    cursor: string | null,
    call: PageCall,
    rest: PagesCall,
  ): Promise<{ items: readonly Resource<A>[]; next: string | null }> {
    const pages = this.klaviyo.pages<A>(access, operation, {
      ...rest,
      ...call,
      priority: 'background',
      ...(cursor === null ? {} : { cursor }),
    });
    return (await firstOf(pages)) ?? { items: [], next: null };
  }
}

const JOINED = { 'fields[profile]': 'joined_group_at' };

function timeOf(instant: string | null | undefined): number | null {
  return instant === null || instant === undefined ? null : Date.parse(instant);
}

/** A group as the mirror keeps it. What a revision does not know is null, as what is the other kind's. */
export function toDocument(kind: GroupKind, { id, attributes }: GivenGroup): GroupDocument {
  const text = (value: string | null | undefined) => (typeof value === 'string' ? storedText(value) : null);
  const ofSegment = kind === 'segment';
  return {
    id,
    name: text(attributes.name),
    optInProcess: ofSegment ? null : text(attributes.opt_in_process),
    isActive: ofSegment ? (attributes.is_active ?? null) : null,
    isProcessing: ofSegment ? (attributes.is_processing ?? null) : null,
    isStarred: ofSegment ? (attributes.is_starred ?? null) : null,
    createdAt: toInstant(attributes.created),
    updatedAt: toInstant(attributes.updated),
    document: storedJson(attributes),
  };
}
