import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { Cursors, DEFAULT_LIMIT } from '../common/page';
import { ConnectionService } from '../connection/connection.service';
import { GroupPagesRepository } from './group-pages.repository';
import { GroupsKlaviyo } from './groups.klaviyo';
import { MemberCountHistoryRepository, type CountEntry } from './member-count-history.repository';
import type { GroupKind } from './member-count.entity';

export interface HistoryInput {
  connectionId?: string | undefined;
  /** RFC 3339; inclusive. */
  from?: string | undefined;
  /** RFC 3339; exclusive. */
  to?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
}

export interface HistoryPage {
  entries: CountEntry[];
  pagination: { limit: number; nextCursor: string | null };
}

interface HistoryPosition {
  before: string;
}

/** How many members a list or segment had over time, as passes and counts found it. */
@Injectable()
export class GroupHistoryService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly history: MemberCountHistoryRepository,
    private readonly groups: GroupPagesRepository,
    private readonly atKlaviyo: GroupsKlaviyo,
    private readonly cursors: Cursors,
  ) {}

  /**
   * Newest first. What is gone at Klaviyo keeps its history; of what we never saw, Klaviyo is asked whether it exists.
   * @throws AppError CONNECTION_NOT_FOUND; VALIDATION_FAILED `cursor`; LIST_NOT_FOUND or SEGMENT_NOT_FOUND; KLAVIYO_…
   */
  async page(scope: UserScope, kind: GroupKind, id: string, input: HistoryInput): Promise<HistoryPage> {
    const { userId } = scope;
    const { from, to, limit = DEFAULT_LIMIT, cursor } = input;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = {
      userId,
      scope: JSON.stringify(['history', kind, connection.id, id, from ?? null, to ?? null]),
    };
    const after = this.cursors.decode(binding, cursor) as HistoryPosition | undefined;
    const found = await this.history.entries(userId, connection.id, kind, id, {
      from: from === undefined ? undefined : new Date(from),
      to: to === undefined ? undefined : new Date(to),
      before: after && new Date(after.before),
      limit: limit + 1,
    });
    if (found.length === 0 && !(await this.groups.wasSeen(userId, connection.id, kind, id)))
      await this.atKlaviyo.require(await this.connections.accessOf(connection), kind, id);
    const entries = found.slice(0, limit);
    const last = entries.at(-1);
    const more = found.length > limit && last !== undefined;
    return {
      entries,
      pagination: {
        limit,
        nextCursor: more ? this.cursors.encode(binding, { before: last.at.toISOString() }) : null,
      },
    };
  }
}
