import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { invalid } from '../common/errors';
import { liveBudget } from '../common/live-budget';
import { nameFilter } from '../common/name-filter';
import { START, takeRows, type Position, type RemotePage } from '../common/walk';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { isCursorExpired } from '../klaviyo/klaviyo-error';
import { GroupPagesRepository, type FirstPage, type GroupRow } from './group-pages.repository';
import type { GroupKind } from './member-count.entity';

/** What every list and segment has. */
export interface NamedGroup {
  id: string;
  name: string | null;
}

/** Reads one page of Klaviyo's. */
export type ReadGroups<T> = (
  access: KlaviyoAccess,
  next: string | null,
  deadline: number | undefined,
) => Promise<RemotePage<T>>;

/** How one kind of group is read. */
export interface GroupReads<T> {
  page: ReadGroups<T>;
  one: (access: KlaviyoAccess, id: string) => Promise<T>;
  fromMirror: (row: GroupRow) => T;
}

/** Behind the last row that the mirror gave. */
interface MirrorPosition {
  after: { createdAt: string | null; id: string };
}

export type GroupPosition = Position | MirrorPosition;

export interface GroupsWanted {
  kind: GroupKind;
  connection: Connection;
  name: string | undefined;
  limit: number;
  /** Undefined for the first page. */
  from: GroupPosition | undefined;
  /** Whether statistics follow, which need time of their own. */
  patient: boolean;
}

export interface GroupRows<T> {
  rows: T[];
  /** Where the rest begins; null when there is none. */
  rest: GroupPosition | null;
  /** All rows, where that is known or cheap; at most 10,000. */
  total?: number;
}

const MOST_COUNTED = 10_000;

/** Reads pages of lists or segments: keyset by keyset from the mirror, or from Klaviyo's pages of ten, filtered here. */
@Injectable()
export class GroupReader {
  constructor(
    private readonly connections: ConnectionService,
    private readonly groups: GroupPagesRepository,
    private readonly clock: Clock,
  ) {}

  /** The first page of the mirror and whether it may be answered; null where there is no such connection. */
  async first(
    userId: number,
    connectionId: string | undefined,
    wanted: Pick<GroupsWanted, 'kind' | 'name' | 'limit'>,
  ): Promise<FirstPage | null> {
    const { kind, name, limit } = wanted;
    return this.groups.first(userId, connectionId, kind, { name, limit: limit + 1 });
  }

  async mirrored<T>(wanted: GroupsWanted, fromMirror: (row: GroupRow) => T): Promise<GroupRows<T>> {
    const { kind, connection, name, limit, from } = wanted;
    const userId = Number(connection.userId);
    const after = from && 'after' in from ? from.after : undefined;
    const found = await this.groups.page(userId, connection.id, kind, { name, after, limit: limit + 1 });
    return this.rowsOf(userId, connection.id, { kind, name, limit, after }, found, fromMirror);
  }

  /** @param found one more than wanted, where there are more */
  async rowsOf<T>(
    userId: number,
    connectionId: string,
    { kind, name, limit, after }: Pick<GroupsWanted, 'kind' | 'name' | 'limit'> & Partial<MirrorPosition>,
    found: readonly GroupRow[],
    fromMirror: (row: GroupRow) => T,
  ): Promise<GroupRows<T>> {
    const given = found.slice(0, limit);
    const last = given.at(-1);
    const more = found.length > limit && last !== undefined;
    const total =
      more || after !== undefined
        ? await this.groups.count(userId, connectionId, kind, name, MOST_COUNTED + 1)
        : given.length;
    return {
      rows: given.map(fromMirror),
      rest: more ? { after: { createdAt: last.createdAt, id: last.id } } : null,
      ...(total > MOST_COUNTED ? {} : { total }),
    };
  }

  /** @throws AppError KLAVIYO_… of the first page; VALIDATION_FAILED for a cursor that Klaviyo takes no more */
  async live<T extends NamedGroup>(wanted: GroupsWanted, read: ReadGroups<T>): Promise<GroupRows<T>> {
    const { from = START } = wanted;
    // The mirror that it came from is no more.
    if ('after' in from) throw invalid('cursor', 'badCursor');
    const access = await this.connections.accessOf(wanted.connection);
    const { rows, rest } = await takeRows<T>((next, deadline) => read(access, next, deadline), {
      from,
      limit: wanted.limit,
      keep: nameFilter(wanted.name),
      until: liveBudget(this.clock.now(), wanted.patient),
      now: () => this.clock.now(),
    }).catch((error: unknown) => {
      throw wanted.from !== undefined && isCursorExpired(error) ? invalid('cursor', 'badCursor') : error;
    });
    // Known exactly only by having walked from the first row to the last.
    return { rows, rest, ...(wanted.from === undefined && rest === null ? { total: rows.length } : {}) };
  }
}
