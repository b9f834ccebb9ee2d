import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { Clock } from '../common/clock';
import { AppError, invalid } from '../common/errors';
import { liveBudget } from '../common/live-budget';
import { nameFilter } from '../common/name-filter';
import { Cursors, DEFAULT_LIMIT } from '../common/page';
import { ALL_ROWS, type ReadPage, type Source } from '../common/read.dto';
import { START, takeRows, type Position, type RemotePage } from '../common/walk';
import { ConnectionService } from '../connection/connection.service';
import { isCursorExpired } from '../klaviyo/klaviyo-error';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import type { GroupKind } from './member-count.entity';
import { MemberCountsService, type MemberCountOf, type Refreshing } from './member-counts.service';

/** What every list and segment has. */
interface Group {
  id: string;
  name: string | null;
}

export interface GroupsInput {
  connectionId?: string | undefined;
  name?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
  source?: Source | undefined;
  includeStats?: boolean | undefined;
}

/** Reads one page of Klaviyo's. */
export type ReadGroups<T> = (
  access: KlaviyoAccess,
  next: string | null,
  deadline: number | undefined,
) => Promise<RemotePage<T>>;

/**
 * Pages of what Klaviyo holds as named groups of people (lists, segments): ten rows a call there, filtered by name
 * here. The place where our mirror will answer in Klaviyo's stead.
 */
@Injectable()
export class GroupsService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly counts: MemberCountsService,
    private readonly cursors: Cursors,
    private readonly clock: Clock,
  ) {}

  /**
   * @throws AppError CONNECTION_NOT_FOUND; VALIDATION_FAILED `cursor`; NOT_SYNCED for `source=mirror`; and what
   * Klaviyo's first page may end with
   */
  async page<T extends Group>(
    scope: UserScope,
    kind: GroupKind,
    input: GroupsInput,
    read: ReadGroups<T>,
  ): Promise<ReadPage<T & Partial<MemberCountOf>>> {
    const { source = 'auto', name, cursor } = input;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = { userId: scope.userId, scope: JSON.stringify([kind, connection.id, name ?? null, source]) };
    const from = (this.cursors.decode(binding, cursor) ?? START) as Position;
    if (source === 'mirror') throw new AppError('NOT_SYNCED');
    const access = await this.connections.accessOf(connection);
    const limit = input.limit ?? (cursor === undefined ? ALL_ROWS : DEFAULT_LIMIT);
    const readAt = new Date(this.clock.now()).toISOString();
    const { rows, rest } = await takeRows<T>((next, deadline) => read(access, next, deadline), {
      from,
      limit,
      keep: nameFilter(name),
      until: liveBudget(this.clock.now(), input.includeStats === true),
      now: () => this.clock.now(),
    }).catch((error: unknown) => {
      throw cursor !== undefined && isCursorExpired(error) ? invalid('cursor', 'badCursor') : error;
    });
    return {
      rows: input.includeStats === true ? await this.counted(access, kind, rows) : rows,
      pagination: {
        limit,
        nextCursor: rest === null ? null : this.cursors.encode(binding, rest),
        // Known exactly only by having walked from the first row to the last.
        ...(cursor === undefined && rest === null ? { total: rows.length } : {}),
      },
      source: 'live',
      syncedAt: readAt,
      stale: false,
    };
  }

  /** One group, read live. @throws AppError CONNECTION_NOT_FOUND, LIST_NOT_FOUND or SEGMENT_NOT_FOUND, KLAVIYO_… */
  async one<T extends Group>(
    scope: UserScope,
    kind: GroupKind,
    input: Pick<GroupsInput, 'connectionId' | 'includeStats'>,
    read: (access: KlaviyoAccess) => Promise<T>,
  ): Promise<T & Partial<MemberCountOf>> {
    const access = await this.connections.accessFor(scope, input.connectionId);
    const group = await read(access);
    if (input.includeStats !== true) return group;
    const counts = await this.counts.of(access, kind, [group.id], live(access));
    return { ...group, ...counts.get(group.id) };
  }

  private async counted<T extends Group>(
    access: KlaviyoAccess,
    kind: GroupKind,
    rows: readonly T[],
  ): Promise<(T & Partial<MemberCountOf>)[]> {
    const counts = await this.counts.of(
      access,
      kind,
      rows.map(({ id }) => id),
      live(access),
    );
    return rows.map((row) => ({ ...row, ...counts.get(row.id) }));
  }
}

function live(access: KlaviyoAccess): Refreshing {
  return { asking: 'now', trustPasses: false, access: () => Promise.resolve(access) };
}
