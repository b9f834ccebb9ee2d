import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { Clock } from '../common/clock';
import { AppError, invalid, type FieldFault } from '../common/errors';
import { liveBudget } from '../common/live-budget';
import { Cursors, DEFAULT_LIMIT, type CursorBinding, type Pagination } from '../common/page';
import type { ReadPage } from '../common/read.dto';
import { currentContext } from '../common/request-context';
import { START, takeRows, type Position, type RemotePage } from '../common/walk';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { GroupsService } from '../groups/groups.service';
import { isCursorExpired } from '../klaviyo/klaviyo-error';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { MirrorService } from '../mirror/mirror.service';
import type { Profile } from './profile';
import { groupsOf, notLive, type ProfileFilters, type ProfileSort } from './profile-filters';
import { filtersOf, resourcesOf, withinTimes, type ListProfilesInput } from './profile-list-input';
import { readProfile } from './profile-reading.klaviyo';
import { refuse } from './profile-rules';
import { ProfileSearchRepository, type FoundPage, type ProfilePlace } from './profile-search.repository';
import { ProfilesLiveKlaviyo } from './profiles-live.klaviyo';

/** Where a walk stands: behind a row of the mirror, or on a page of Klaviyo's. */
type Place = { mirror: ProfilePlace } | { live: Position };

type Asked = ListProfilesInput & Required<Pick<ListProfilesInput, 'limit' | 'source'>>;

interface Rows {
  rows: Profile[];
  rest: Place | null;
  total?: number;
}

/** Klaviyo's largest page of people. */
const LARGEST_PAGE = 100;

/** Lists people by what is known of them: from our mirror, or as far as Klaviyo itself can. */
@Injectable()
export class ProfileListService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly mirror: MirrorService,
    private readonly groups: GroupsService,
    private readonly found: ProfileSearchRepository,
    private readonly atKlaviyo: ProfilesLiveKlaviyo,
    private readonly cursors: Cursors,
    private readonly clock: Clock,
  ) {}

  /**
   * @throws AppError CONNECTION_NOT_FOUND; VALIDATION_FAILED naming the parameters that `source=live` cannot have, or a
   * `cursor` of another walk; LIST_NOT_FOUND, SEGMENT_NOT_FOUND; NOT_SYNCED where only the mirror could answer
   */
  async page(scope: UserScope, input: ListProfilesInput): Promise<ReadPage<Profile>> {
    const filters = filtersOf(input);
    const { sort, cursor, limit = DEFAULT_LIMIT } = input;
    const impossible = notLive(filters, sort);
    if (input.source === 'live') refuse(impossible.map((field): FieldFault => ({ field, key: 'notLive' })));
    const asked = { ...input, limit, source: impossible.length > 0 ? ('mirror' as const) : (input.source ?? 'auto') };
    const quick = await this.firstPage(scope, filters, asked);
    if (quick) return quick;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = bindingOf(scope, connection.id, filters, asked);
    const from = this.cursors.decode(binding, cursor) as Place | undefined;
    const { value, ...provenance } = await this.mirror.read(connection, resourcesOf(filters), asked.source, {
      begunOn: from && ('mirror' in from ? 'mirror' : 'live'),
      mirror: () => this.mirrored(connection, filters, asked, from),
      live: () => this.live(connection, filters, asked, from),
    });
    return { rows: value.rows, pagination: this.pagination(binding, limit, value), ...provenance };
  }

  /** What is asked most, in one statement: a first page that the mirror answers by itself. Else undefined. */
  private async firstPage(
    scope: UserScope,
    filters: ProfileFilters,
    asked: Asked,
  ): Promise<ReadPage<Profile> | undefined> {
    const { source, cursor, sort = 'id', limit, includeTotal } = asked;
    if (source === 'live' || cursor !== undefined || includeTotal === true || groupsOf(filters).length > 0)
      return undefined;
    const search = { filters, sort, after: null, limit: limit + 1 };
    const first = await this.found.first(scope.userId, asked.connectionId, search);
    const where = first?.syncedAt && this.mirror.knows(first.status, first.syncedAt, source);
    if (!first || !where) return undefined;
    const { connectionId, rows, rare, whole } = first;
    const context = currentContext();
    if (context) context.connectionId = connectionId;
    const found = whole ? { rows, rare } : await this.found.page(scope.userId, connectionId, search, rows.length);
    const page = pageOf(found, limit, true);
    const binding = bindingOf(scope, connectionId, filters, asked);
    return { rows: page.rows, pagination: this.pagination(binding, limit, page), ...where };
  }

  private async mirrored(
    connection: Connection,
    filters: ProfileFilters,
    { sort = 'id', limit, includeTotal }: Asked,
    from: Place | undefined,
  ): Promise<Rows> {
    const [userId, connectionId] = [Number(connection.userId), connection.id];
    for (const { kind, id } of groupsOf(filters))
      if (!(await this.groups.exists(userId, connectionId, kind, id)))
        throw new AppError(kind === 'list' ? 'LIST_NOT_FOUND' : 'SEGMENT_NOT_FOUND', { params: { id } });
    const after = from && 'mirror' in from ? from.mirror : null;
    const found = await this.found.page(userId, connectionId, { filters, sort, after, limit: limit + 1 });
    const page = pageOf(found, limit, after === null);
    if (page.total !== undefined || includeTotal !== true) return page;
    const total = await this.found.count(userId, connectionId, filters);
    return { ...page, ...(total === null ? {} : { total }) };
  }

  private async live(
    connection: Connection,
    filters: ProfileFilters,
    { sort = 'id', limit }: Asked,
    from: Place | undefined,
  ): Promise<Rows> {
    // The mirror that it came from is no more.
    if (from && 'mirror' in from) throw invalid('cursor', 'badCursor');
    const access = await this.connections.accessOf(connection);
    const { rows, rest } = await takeRows<Profile>(
      (next, deadline) => this.read(access, filters, sort, { next, deadline, size: Math.min(limit, LARGEST_PAGE) }),
      {
        from: from?.live ?? START,
        limit,
        keep: withinTimes(filters),
        until: liveBudget(this.clock.now(), false),
        now: () => this.clock.now(),
      },
    ).catch((error: unknown) => {
      throw from !== undefined && isCursorExpired(error) ? invalid('cursor', 'badCursor') : error;
    });
    const total = from === undefined && rest === null ? { total: rows.length } : {};
    return { rows, rest: rest === null ? null : { live: rest }, ...total };
  }

  private read(
    access: KlaviyoAccess,
    filters: ProfileFilters,
    sort: ProfileSort,
    page: Parameters<ProfilesLiveKlaviyo['page']>[3],
  ): Promise<RemotePage<Profile>> {
    const { listId, segmentId, ...others } = filters;
    const [group] = groupsOf({
      ...(listId === undefined ? {} : { listId }),
      ...(segmentId === undefined ? {} : { segmentId }),
    });
    return group === undefined
      ? this.atKlaviyo.page(access, others, sort, page)
      : this.atKlaviyo.members(access, group.kind, group.id, others, page);
  }

  private pagination(binding: CursorBinding, limit: number, { rest, total }: Rows): Pagination {
    return {
      limit,
      nextCursor: rest === null ? null : this.cursors.encode(binding, rest),
      ...(total === undefined ? {} : { total }),
    };
  }
}

/** To what a cursor belongs. */
function bindingOf(
  { userId }: UserScope,
  connectionId: string,
  filters: ProfileFilters,
  { sort, source }: Asked,
): CursorBinding {
  return { userId, scope: JSON.stringify(['profiles', connectionId, filters, sort ?? null, source]) };
}

/** Of one row more than wanted, which tells whether there are others. All of them are known on a first page that ends. */
function pageOf({ rows, rare }: FoundPage, limit: number, isFirst: boolean): Rows {
  const given = rows.slice(0, limit);
  const last = given.at(-1);
  const more = rows.length > limit && last !== undefined;
  return {
    rows: given.map(({ id, document }) => readProfile({ id, attributes: document.attributes })),
    rest: more ? { mirror: { id: last.id, at: last.at, rare } } : null,
    ...(isFirst && !more ? { total: given.length } : {}),
  };
}
