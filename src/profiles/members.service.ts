import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { Clock } from '../common/clock';
import { AppError, invalid } from '../common/errors';
import { liveBudget } from '../common/live-budget';
import { Cursors, DEFAULT_LIMIT } from '../common/page';
import type { ReadPage, Source } from '../common/read.dto';
import { START, takeRows, type Position } from '../common/walk';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { GroupsService } from '../groups/groups.service';
import { isCursorExpired } from '../klaviyo/klaviyo-error';
import { MirrorService } from '../mirror/mirror.service';
import { MembersRepository, type MemberPlace } from './members.repository';
import { readProfile } from './profile-reading.klaviyo';
import { ProfilesLiveKlaviyo, type Member } from './profiles-live.klaviyo';

export interface MembersInput {
  connectionId?: string;
  includeTotal?: boolean;
  limit?: number;
  cursor?: string;
  source?: Source;
}

type Kind = 'list' | 'segment';
/** Where a walk stands: behind a member of the mirror, or on a page of Klaviyo's. */
type Place = { mirror: MemberPlace } | { live: Position };

interface Rows {
  rows: Member[];
  rest: Place | null;
  total?: number;
}

const RESOURCES = { list: 'lists', segment: 'segments' } as const;
const NOT_FOUND = { list: 'LIST_NOT_FOUND', segment: 'SEGMENT_NOT_FOUND' } as const;
/** Klaviyo's largest page of people. */
const LARGEST_PAGE = 100;

/** The people on a list or in a segment, who joined last first: from our mirror or from Klaviyo, as `source` says. */
@Injectable()
export class MembersService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly mirror: MirrorService,
    private readonly groups: GroupsService,
    private readonly rows: MembersRepository,
    private readonly atKlaviyo: ProfilesLiveKlaviyo,
    private readonly cursors: Cursors,
    private readonly clock: Clock,
  ) {}

  /** @throws AppError CONNECTION_NOT_FOUND, LIST_NOT_FOUND or SEGMENT_NOT_FOUND; NOT_SYNCED; VALIDATION_FAILED `cursor` */
  async page(scope: UserScope, kind: Kind, id: string, input: MembersInput): Promise<ReadPage<Member>> {
    const { source = 'auto', cursor, limit = DEFAULT_LIMIT } = input;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = {
      userId: scope.userId,
      scope: JSON.stringify(['members', kind, id, connection.id, source]),
    };
    const from = this.cursors.decode(binding, cursor) as Place | undefined;
    const { value, ...provenance } = await this.mirror.read(
      connection,
      ['profiles', 'memberships', RESOURCES[kind]],
      source,
      {
        begunOn: from && ('mirror' in from ? 'mirror' : 'live'),
        mirror: () => this.mirrored(connection, kind, id, { ...input, limit }, from),
        live: () => this.live(connection, kind, id, limit, from),
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
    kind: Kind,
    id: string,
    { limit, includeTotal }: MembersInput & { limit: number },
    from: Place | undefined,
  ): Promise<Rows> {
    const [userId, connectionId] = [Number(connection.userId), connection.id];
    if (!(await this.groups.exists(userId, connectionId, kind, id)))
      throw new AppError(NOT_FOUND[kind], { params: { id } });
    const after = from && 'mirror' in from ? from.mirror : null;
    const found = await this.rows.page(userId, connectionId, { kind, id }, after, limit + 1);
    const given = found.slice(0, limit);
    const last = given.at(-1);
    const more = found.length > limit && last !== undefined;
    const all = after === null && !more ? given.length : undefined;
    const total = all ?? (includeTotal === true ? await this.rows.count(userId, connectionId, { kind, id }) : null);
    return {
      rows: given.map((row) => ({
        ...readProfile({ id: row.id, attributes: row.document.attributes }),
        joinedAt: row.joinedAt.toISOString(),
      })),
      rest: more ? { mirror: { id: last.id, at: last.at } } : null,
      ...(total === null ? {} : { total }),
    };
  }

  private async live(
    connection: Connection,
    kind: Kind,
    id: string,
    limit: number,
    from: Place | undefined,
  ): Promise<Rows> {
    // The mirror that it came from is no more.
    if (from && 'mirror' in from) throw invalid('cursor', 'badCursor');
    const access = await this.connections.accessOf(connection);
    const size = Math.min(limit, LARGEST_PAGE);
    const { rows, rest } = await takeRows<Member>(
      (next, deadline) => this.atKlaviyo.members(access, kind, id, {}, { next, deadline, size }),
      {
        from: from?.live ?? START,
        limit,
        keep: () => true,
        until: liveBudget(this.clock.now(), false),
        now: () => this.clock.now(),
      },
    ).catch((error: unknown) => {
      throw from !== undefined && isCursorExpired(error) ? invalid('cursor', 'badCursor') : error;
    });
    const total = from === undefined && rest === null ? { total: rows.length } : {};
    return { rows, rest: rest === null ? null : { live: rest }, ...total };
  }
}
