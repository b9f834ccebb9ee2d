import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { AppError } from '../common/errors';
import { Cursors, DEFAULT_LIMIT, type CursorBinding } from '../common/page';
import { ALL_ROWS, type ReadPage, type Source } from '../common/read.dto';
import { currentContext } from '../common/request-context';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { MirrorService, type Provenance } from '../mirror/mirror.service';
import { toDocument, type GivenGroup } from './groups.klaviyo';
import { GroupPagesRepository, type GroupRow } from './group-pages.repository';
import { GroupReader, type GroupPosition, type GroupReads, type GroupRows, type NamedGroup } from './group-reader';
import type { GroupKind } from './member-count.entity';
import { MemberCountsService, type MemberCountOf } from './member-counts.service';
import { MembershipsRepository, type MemberChange } from './memberships.repository';
import { MirroredGroupsRepository } from './mirrored-groups.repository';

export type { GroupReads } from './group-reader';
export type { MemberChange } from './memberships.repository';
export type { GroupRow } from './group-pages.repository';

export interface GroupsInput {
  connectionId?: string | undefined;
  name?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
  source?: Source | undefined;
  includeStats?: boolean | undefined;
}

export type OneGroupInput = Pick<GroupsInput, 'connectionId' | 'source' | 'includeStats'>;

/** One group and where it comes from. */
export type OneGroup<T> = Provenance & { group: T & Partial<MemberCountOf> };

const RESOURCES = { list: 'lists', segment: 'segments' } as const;
const NOT_FOUND = { list: 'LIST_NOT_FOUND', segment: 'SEGMENT_NOT_FOUND' } as const;

/** Named groups of people (lists, segments) and who is in them: from our mirror or from Klaviyo, as `source` says. */
@Injectable()
export class GroupsService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly mirror: MirrorService,
    private readonly reader: GroupReader,
    private readonly pages: GroupPagesRepository,
    private readonly groups: MirroredGroupsRepository,
    private readonly memberships: MembershipsRepository,
    private readonly counts: MemberCountsService,
    private readonly cursors: Cursors,
  ) {}

  /**
   * Oldest first, by creation and then by id, from either source.
   * @throws AppError CONNECTION_NOT_FOUND; VALIDATION_FAILED `cursor`; NOT_SYNCED for `source=mirror`; and what
   * Klaviyo's first page may end with
   */
  async page<T extends NamedGroup>(
    scope: UserScope,
    kind: GroupKind,
    input: GroupsInput,
    reads: Pick<GroupReads<T>, 'page' | 'fromMirror'>,
  ): Promise<ReadPage<T & Partial<MemberCountOf>>> {
    const { cursor } = input;
    const limit = input.limit ?? (cursor === undefined ? ALL_ROWS : DEFAULT_LIMIT);
    const quick = await this.firstPage(scope, kind, { ...input, limit }, reads.fromMirror);
    if (quick) return quick;
    const { source = 'auto', name } = input;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = bindingOf(scope.userId, connection.id, kind, input);
    const from = this.cursors.decode(binding, cursor) as GroupPosition | undefined;
    const wanted = { kind, connection, name, limit, from, patient: input.includeStats === true };
    const { value, ...provenance } = await this.mirror.read(connection, [RESOURCES[kind]], source, {
      begunOn: from && ('after' in from ? 'mirror' : 'live'),
      mirror: () => this.reader.mirrored(wanted, reads.fromMirror),
      live: () => this.reader.live(wanted, reads.page),
    });
    const { rows, ...place } = value;
    return {
      rows: input.includeStats === true ? await this.counted(connection, kind, rows, source, provenance) : rows,
      pagination: this.pagination(binding, limit, place),
      ...provenance,
    };
  }

  /**
   * One group. What a fresh mirror does not know yet is asked of Klaviyo, unless `source` is `mirror`.
   * @throws AppError CONNECTION_NOT_FOUND, LIST_NOT_FOUND or SEGMENT_NOT_FOUND, NOT_SYNCED, KLAVIYO_…
   */
  async one<T extends NamedGroup>(
    scope: UserScope,
    kind: GroupKind,
    id: string,
    input: OneGroupInput,
    reads: Pick<GroupReads<T>, 'one' | 'fromMirror'>,
  ): Promise<OneGroup<T>> {
    const { source = 'auto' } = input;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const read = (from: Source) =>
      this.mirror.read<T | null>(connection, [RESOURCES[kind]], from, {
        mirror: async () => {
          const row = await this.pages.one(scope.userId, connection.id, kind, id);
          return row && reads.fromMirror(row);
        },
        live: async () => reads.one(await this.connections.accessOf(connection), id),
      });
    let found = await read(source);
    if (found.value === null && source === 'auto') found = await read('live');
    const { value: group, ...provenance } = found;
    if (group === null) throw new AppError(NOT_FOUND[kind], { params: { id } });
    if (input.includeStats !== true) return { group, ...provenance };
    const [counted] = await this.counted(connection, kind, [group], source, provenance);
    return { group: counted ?? group, ...provenance };
  }

  /** Whether the mirror holds a list or segment that is not gone. */
  async exists(userId: number, connectionId: string, kind: GroupKind, id: string): Promise<boolean> {
    return (await this.pages.one(userId, connectionId, kind, id)) !== null;
  }

  /** The lists that somebody is on by the mirror, oldest first. */
  async listsOf(
    userId: number,
    connectionId: string,
    profileId: string,
  ): Promise<{ id: string; name: string | null }[]> {
    return this.memberships.listsOf(userId, connectionId, profileId);
  }

  /**
   * Who joined and left, as our own writes and Klaviyo's events tell: each at its own time, in any order, and as often
   * as they like. What is older than what the mirror knows changes nothing; a connection that is gone gets no rows.
   */
  async noteMembers(userId: number, connectionId: string, changes: readonly MemberChange[]): Promise<void> {
    await this.memberships.note(userId, connectionId, changes);
  }

  /** A group that Klaviyo just gave us otherwise than to a pass; a connection that is gone gets no row. */
  async noteGroup(userId: number, connectionId: string, kind: GroupKind, group: GivenGroup): Promise<void> {
    await this.groups.note(userId, connectionId, kind, toDocument(kind, group));
  }

  /** What is asked most, in one statement: a first page that the mirror answers by itself. Else undefined. */
  private async firstPage<T extends NamedGroup>(
    scope: UserScope,
    kind: GroupKind,
    input: GroupsInput & { limit: number },
    fromMirror: (row: GroupRow) => T,
  ): Promise<ReadPage<T> | undefined> {
    const { source = 'auto', name, limit } = input;
    if (source === 'live' || input.cursor !== undefined || input.includeStats === true) return undefined;
    const { userId } = scope;
    const wanted = { kind, name, limit };
    const first = await this.reader.first(userId, input.connectionId, wanted);
    const provenance = first?.syncedAt && this.mirror.knows(first.status, first.syncedAt, source);
    if (!first || !provenance) return undefined;
    const context = currentContext();
    if (context) context.connectionId = first.connectionId;
    const { rows, ...place } = await this.reader.rowsOf(userId, first.connectionId, wanted, first.rows, fromMirror);
    const binding = bindingOf(userId, first.connectionId, kind, input);
    return { rows, pagination: this.pagination(binding, limit, place), ...provenance };
  }

  private pagination(binding: CursorBinding, limit: number, { rest, total }: Omit<GroupRows<unknown>, 'rows'>) {
    return {
      limit,
      nextCursor: rest === null ? null : this.cursors.encode(binding, rest),
      ...(total === undefined ? {} : { total }),
    };
  }

  private async counted<T extends NamedGroup>(
    connection: Connection,
    kind: GroupKind,
    rows: readonly T[],
    source: Source,
    read: Provenance,
  ): Promise<(T & MemberCountOf)[]> {
    const whose = { userId: Number(connection.userId), connectionId: connection.id };
    const ids = rows.map(({ id }) => id);
    const counts = await this.counts.of(whose, kind, ids, {
      asking: askingFor(connection, source, read),
      trustPasses: source !== 'live',
      access: () => this.connections.accessOf(connection),
    });
    return rows.map((row) => ({ ...row, ...(counts.get(row.id) ?? { memberCount: null, memberCountAt: null }) }));
  }
}

/** Who reads the mirror on purpose, or because Klaviyo does not answer, does not wait for Klaviyo's counts. */
function askingFor(connection: Connection, source: Source, read: Provenance): 'now' | 'later' | 'never' {
  if (connection.status === 'invalid') return 'never';
  return source === 'mirror' || read.stale ? 'later' : 'now';
}

function bindingOf(userId: number, connectionId: string, kind: GroupKind, input: GroupsInput): CursorBinding {
  return { userId, scope: JSON.stringify([kind, connectionId, input.name ?? null, input.source ?? 'auto']) };
}
