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
import { isCursorExpired } from '../klaviyo/klaviyo-error';
import { MirrorService } from '../mirror/mirror.service';
import { EventReadingKlaviyo } from './event-reading.klaviyo';
import type { TimelineEvent } from './timeline';
import { TimelineRepository, type TimelineFilter, type TimelinePlace } from './timeline.repository';

export interface TimelineInput {
  connectionId?: string | undefined;
  metric?: string | undefined;
  metricId?: string | undefined;
  from?: string | undefined;
  to?: string | undefined;
  limit?: number | undefined;
  cursor?: string | undefined;
  source?: Source | undefined;
}

/** What a cursor remembers: where the page before was read from, and where it ended there. */
type Place = { on: 'mirror'; after: TimelinePlace } | { on: 'live'; from: Position };

interface Page {
  rows: TimelineEvent[];
  next: Place | null;
  total?: number | undefined;
}

const KLAVIYO_ID = /^[A-Za-z0-9_-]{1,64}$/;

/** The events of one person, newest first: from our mirror or from Klaviyo. */
@Injectable()
export class TimelineService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly mirror: MirrorService,
    private readonly timelines: TimelineRepository,
    private readonly atKlaviyo: EventReadingKlaviyo,
    private readonly cursors: Cursors,
    private readonly clock: Clock,
  ) {}

  /**
   * @throws AppError CONNECTION_NOT_FOUND; VALIDATION_FAILED `cursor`; PROFILE_NOT_FOUND for somebody who is not known
   * and never did anything; NOT_SYNCED; and what Klaviyo's first page may end with
   */
  async page(scope: UserScope, profileId: string, input: TimelineInput): Promise<ReadPage<TimelineEvent>> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const filter = filterOf(profileId, input);
    const { source = 'auto', limit = DEFAULT_LIMIT } = input;
    const binding = { userId, scope: JSON.stringify(['timeline', connection.id, source, filter]) };
    const place = this.cursors.decode(binding, input.cursor) as Place | undefined;
    if (!KLAVIYO_ID.test(profileId)) throw new AppError('PROFILE_NOT_FOUND', { params: { id: profileId } });
    const { value, ...provenance } = await this.mirror.read<Page>(connection, ['events', 'metrics'], source, {
      mirror: () => this.mirrored(userId, connection, filter, limit, place?.on === 'mirror' ? place.after : null),
      live: () => this.live(connection, filter, limit, place?.on === 'live' ? place.from : START),
      begunOn: place?.on,
    });
    const { rows, next, total } = value;
    return {
      rows,
      pagination: {
        limit,
        nextCursor: next === null ? null : this.cursors.encode(binding, next),
        ...(total === undefined ? {} : { total }),
      },
      ...provenance,
    };
  }

  private async mirrored(
    userId: number,
    { id }: Connection,
    filter: TimelineFilter,
    limit: number,
    after: TimelinePlace | null,
  ): Promise<Page> {
    const [found, total] = await Promise.all([
      this.timelines.page(userId, id, filter, after, limit + 1),
      this.timelines.count(userId, id, filter),
    ]);
    if (total === 0 && (await this.timelines.isNobody(userId, id, filter.profileId)))
      throw new AppError('PROFILE_NOT_FOUND', { params: { id: filter.profileId } });
    const rows = found.slice(0, limit);
    const last = found.length > limit ? rows.at(-1) : undefined;
    return {
      rows,
      total,
      next: last === undefined ? null : { on: 'mirror', after: { at: last.occurredAt, id: last.id } },
    };
  }

  private async live(connection: Connection, filter: TimelineFilter, limit: number, from: Position): Promise<Page> {
    const access = await this.connections.accessOf(connection);
    const read = (next: string | null, deadline: number | undefined) =>
      this.atKlaviyo.timeline(access, filter, next, { pageSize: limit, deadline });
    const { rows, rest } = await takeRows<TimelineEvent>(read, {
      from,
      limit,
      keep: keeps(filter),
      until: liveBudget(this.clock.now(), false),
      now: () => this.clock.now(),
    }).catch((error: unknown) => {
      throw from !== START && isCursorExpired(error) ? invalid('cursor', 'badCursor') : error;
    });
    if (rows.length === 0 && rest === null) await this.atKlaviyo.requireProfile(access, filter.profileId);
    return { rows, next: rest === null ? null : { on: 'live', from: rest } };
  }
}

function filterOf(profileId: string, { metric, metricId, from, to }: TimelineInput): TimelineFilter {
  return {
    profileId,
    metric: metric ?? null,
    metricId: metricId ?? null,
    from: from === undefined ? null : new Date(from),
    to: to === undefined ? null : new Date(to),
  };
}

/** Klaviyo filters events by none but its own metrics: what is wanted of the others is chosen here. */
function keeps({ metric, metricId }: TimelineFilter): (event: TimelineEvent) => boolean {
  const name = metric?.toLowerCase() ?? null;
  return (event) =>
    (metricId === null || event.metric.id === metricId) && (name === null || event.metric.name?.toLowerCase() === name);
}
