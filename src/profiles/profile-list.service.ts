import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { Clock } from '../common/clock';
import { AppError, invalid, type FieldFault } from '../common/errors';
import { liveBudget } from '../common/live-budget';
import { foldName } from '../common/name-filter';
import { Cursors, DEFAULT_LIMIT } from '../common/page';
import type { ReadPage, Source } from '../common/read.dto';
import { START, takeRows, type Position, type RemotePage } from '../common/walk';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { GroupsService } from '../groups/groups.service';
import { isCursorExpired } from '../klaviyo/klaviyo-error';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { MirrorService } from '../mirror/mirror.service';
import type { Resource } from '../mirror/resources';
import type { Profile } from './profile';
import { groupsOf, MIN_NAME_PART, notLive, type ProfileFilters, type ProfileSort } from './profile-filters';
import { readProfile } from './profile-reading.klaviyo';
import { refuse } from './profile-rules';
import { ProfileSearchRepository, type ProfilePlace } from './profile-search.repository';
import { ProfilesLiveKlaviyo } from './profiles-live.klaviyo';

export interface ListProfilesInput extends Omit<ProfileFilters, 'attribute'> {
  connectionId?: string;
  /** `name:value`. */
  attribute?: string;
  sort?: ProfileSort;
  includeTotal?: boolean;
  limit?: number;
  cursor?: string;
  source?: Source;
}

/** Where a walk stands: behind a row of the mirror, or on a page of Klaviyo's. */
type Place = { mirror: ProfilePlace } | { live: Position };

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
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = {
      userId: scope.userId,
      scope: JSON.stringify(['profiles', connection.id, filters, sort ?? null, input.source ?? null]),
    };
    const from = this.cursors.decode(binding, cursor) as Place | undefined;
    const source = input.source ?? 'auto';
    const { value, ...provenance } = await this.mirror.read(
      connection,
      resourcesOf(filters),
      source === 'auto' && impossible.length > 0 ? 'mirror' : source,
      {
        begunOn: from && ('mirror' in from ? 'mirror' : 'live'),
        mirror: () => this.mirrored(connection, filters, { ...input, limit }, from),
        live: () => this.live(connection, filters, { sort, limit }, from),
      },
    );
    const { rows, rest, total } = value;
    return {
      rows,
      pagination: {
        limit,
        nextCursor: rest === null ? null : this.cursors.encode(binding, rest),
        ...(total === undefined ? {} : { total }),
      },
      ...provenance,
    };
  }

  private async mirrored(
    connection: Connection,
    filters: ProfileFilters,
    { sort = 'id', limit, includeTotal }: ListProfilesInput & { limit: number },
    from: Place | undefined,
  ): Promise<Rows> {
    const [userId, connectionId] = [Number(connection.userId), connection.id];
    for (const { kind, id } of groupsOf(filters))
      if (!(await this.groups.exists(userId, connectionId, kind, id)))
        throw new AppError(kind === 'list' ? 'LIST_NOT_FOUND' : 'SEGMENT_NOT_FOUND', { params: { id } });
    const after = from && 'mirror' in from ? from.mirror : null;
    const search = { filters, sort, after, limit: limit + 1 };
    const { rows, rare } = await this.found.page(userId, connectionId, search);
    const given = rows.slice(0, limit);
    const last = given.at(-1);
    const more = rows.length > limit && last !== undefined;
    const all = after === null && !more ? given.length : undefined;
    const total = all ?? (includeTotal === true ? await this.found.count(userId, connectionId, filters) : null);
    return {
      rows: given.map(({ id, document }) => readProfile({ id, attributes: document.attributes })),
      rest: more ? { mirror: { id: last.id, at: last.at, rare } } : null,
      ...(total === null ? {} : { total }),
    };
  }

  private async live(
    connection: Connection,
    filters: ProfileFilters,
    { sort = 'id', limit }: { sort: ProfileSort | undefined; limit: number },
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
}

/** What the answer is made of. */
function resourcesOf(filters: ProfileFilters): Resource[] {
  const groups = groupsOf(filters).map(({ kind }) => (kind === 'list' ? 'lists' : 'segments') as Resource);
  return groups.length === 0 ? ['profiles'] : ['profiles', 'memberships', ...groups];
}

/** @throws AppError VALIDATION_FAILED */
function filtersOf(input: ListProfilesInput): ProfileFilters {
  const { email, phoneNumber, externalId, name, tag, attribute, listId, segmentId, updatedSince, updatedUntil } = input;
  if (name !== undefined && foldName(name).length < MIN_NAME_PART)
    throw invalid('name', 'tooShort', { min: MIN_NAME_PART });
  return {
    ...(email === undefined ? {} : { email }),
    ...(phoneNumber === undefined ? {} : { phoneNumber }),
    ...(externalId === undefined ? {} : { externalId }),
    ...(name === undefined ? {} : { name }),
    ...(tag === undefined ? {} : { tag }),
    ...(attribute === undefined ? {} : { attribute: attributeOf(attribute) }),
    ...(listId === undefined ? {} : { listId }),
    ...(segmentId === undefined ? {} : { segmentId }),
    ...(updatedSince === undefined ? {} : { updatedSince }),
    ...(updatedUntil === undefined ? {} : { updatedUntil }),
  };
}

/** The first colon separates: a value may hold others. */
function attributeOf(text: string): { key: string; value: string } {
  const colon = text.indexOf(':');
  if (colon < 1) throw invalid('attribute', 'malformed');
  return { key: text.slice(0, colon), value: text.slice(colon + 1) };
}

/** Klaviyo's own bounds are whole seconds. */
function withinTimes({ updatedSince, updatedUntil }: ProfileFilters): (profile: Profile) => boolean {
  const since = updatedSince === undefined ? -Infinity : Date.parse(updatedSince);
  const until = updatedUntil === undefined ? Infinity : Date.parse(updatedUntil);
  return ({ updatedAt }) => {
    if (updatedAt === null) return since === -Infinity && until === Infinity;
    const at = Date.parse(updatedAt);
    return at >= since && at < until;
  };
}
