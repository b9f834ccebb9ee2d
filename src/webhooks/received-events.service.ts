import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { AppError } from '../common/errors';
import { Cursors, DEFAULT_LIMIT, type Pagination } from '../common/page';
import { ConnectionService } from '../connection/connection.service';
import { EventMirrorService } from '../events/event-mirror.service';
import { Forwards, type ForwardView } from './forwards';
import { shownExternalId } from './intake-event';
import { WebhookProcessor } from './processor';
import type { ReceivedStatus } from './received-event.entity';
import {
  ReceivedEventsRepository,
  type ReceivedDetail,
  type ReceivedFilter,
  type ReceivedRow,
} from './received-events.repository';

export interface ReceivedInput {
  connectionId?: string | undefined;
  webhookId?: string | undefined;
  topic?: string | undefined;
  status?: ReceivedStatus[] | undefined;
  profileId?: string | undefined;
  /** Only those that could not be passed on. */
  forward?: 'dead' | undefined;
  /** RFC 3339. */
  from?: string | undefined;
  to?: string | undefined;
}

/** A received event as it is shown. */
export interface ReceivedView extends Omit<ReceivedRow, 'externalId' | 'metricId'> {
  externalId: string | null;
  metric: { id: string; name: string | null } | null;
}

/** Something that happened to an event. */
export interface HistoryEntry {
  at: Date;
  what: 'received' | 'processed' | 'failed' | 'dead' | 'replayed' | 'forwarded' | 'forward_failed' | 'forward_dead';
  /** A code, or how it came. */
  detail: string | null;
}

/** At once; what is left is asked for again. */
const MOST_REPLAYED = 10_000;

/** Shows what was received, and has it worked off again. */
@Injectable()
export class ReceivedEventsService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly rows: ReceivedEventsRepository,
    private readonly mirror: EventMirrorService,
    private readonly forwards: Forwards,
    private readonly processor: WebhookProcessor,
    private readonly cursors: Cursors,
  ) {}

  /** The received events of one connection, newest first. @throws AppError CONNECTION_NOT_FOUND, VALIDATION_FAILED `cursor` */
  async page(
    scope: UserScope,
    input: ReceivedInput & { limit?: number | undefined; cursor?: string | undefined },
  ): Promise<{ events: ReceivedView[]; pagination: Pagination }> {
    const { userId } = scope;
    const { limit = DEFAULT_LIMIT, cursor } = input;
    const { id: connectionId } = await this.connections.resolve(scope, input.connectionId);
    const filter = filterOf(input, input.status);
    const binding = { userId, scope: JSON.stringify(['received-events', connectionId, filter]) };
    const before = this.cursors.decode(binding, cursor) as string | undefined;
    const [rows, total] = await Promise.all([
      this.rows.page(userId, connectionId, filter, before, limit + 1),
      this.rows.count(userId, connectionId, filter),
    ]);
    const shown = rows.slice(0, limit);
    const last = rows.length > limit ? shown.at(-1) : undefined;
    return {
      events: await this.views(userId, connectionId, shown),
      pagination: {
        limit,
        nextCursor: last === undefined ? null : this.cursors.encode(binding, last.id),
        ...(total === undefined ? {} : { total }),
      },
    };
  }

  /** @throws AppError EVENT_NOT_FOUND, for another user's exactly as for an unknown one */
  async one(
    scope: UserScope,
    id: string,
    connectionId: string | undefined,
  ): Promise<{ event: ReceivedView; history: HistoryEntry[] }> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, connectionId);
    const row = await this.rows.one(userId, connection.id, id);
    if (!row) throw new AppError('EVENT_NOT_FOUND');
    const [[event], forward] = await Promise.all([
      this.views(userId, connection.id, [row]),
      this.forwards.of(userId, connection.id, id),
    ]);
    if (!event) throw new AppError('EVENT_NOT_FOUND');
    return { event, history: historyOf(row, forward) };
  }

  /**
   * Has one event worked off and passed on again.
   * One that is still to be worked off simply will be.
   * @throws AppError EVENT_NOT_FOUND; CONFLICT for one that is malformed
   */
  async replay(scope: UserScope, id: string, connectionId: string | undefined): Promise<ReceivedView> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, connectionId);
    await this.rows.replay(userId, connection.id, { id }, 1);
    const row = await this.rows.one(userId, connection.id, id);
    if (!row) throw new AppError('EVENT_NOT_FOUND');
    if (row.status === 'quarantined') throw new AppError('CONFLICT', { reason: 'it is malformed' });
    const [view] = await this.views(userId, connection.id, [row]);
    if (!view) throw new AppError('EVENT_NOT_FOUND');
    this.processor.wake();
    return view;
  }

  /** As `replay`, for all that fit, the oldest first, 10,000 at most. */
  async replayMany(
    scope: UserScope,
    input: Omit<ReceivedInput, 'status'> & { status: ReceivedStatus },
  ): Promise<{ replayed: number; more: boolean }> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, input.connectionId);
    const replayed = await this.rows.replay(userId, connection.id, filterOf(input, [input.status]), MOST_REPLAYED);
    this.processor.wake();
    return { replayed, more: replayed === MOST_REPLAYED };
  }

  /** Names of metrics are a courtesy: without them an event is shown all the same. */
  private async views(userId: number, connectionId: string, rows: readonly ReceivedRow[]): Promise<ReceivedView[]> {
    const wanted = [...new Set(rows.flatMap(({ metricId }) => metricId ?? []))];
    const names =
      wanted.length === 0
        ? new Map<string, { name: string }>()
        : await this.mirror.metrics(userId, connectionId).catch(() => new Map<string, { name: string }>());
    return rows.map(({ externalId, metricId, ...row }) => ({
      ...row,
      externalId: shownExternalId(externalId),
      metric: metricId === null ? null : { id: metricId, name: names.get(metricId)?.name ?? null },
    }));
  }
}

function filterOf(
  input: Omit<ReceivedInput, 'status'>,
  statuses: readonly ReceivedStatus[] | undefined,
): ReceivedFilter {
  const { webhookId, topic, profileId, forward, from, to } = input;
  return {
    webhookId,
    topic,
    profileId,
    forward,
    statuses: statuses && [...statuses].sort(),
    from: from === undefined ? undefined : new Date(from),
    to: to === undefined ? undefined : new Date(to),
  };
}

function historyOf(row: ReceivedDetail, forward: ForwardView | undefined): HistoryEntry[] {
  const { receivedAt, source, status, processedAt, trail, lastError } = row;
  const entries: HistoryEntry[] = [
    { at: receivedAt, what: 'received', detail: status === 'quarantined' ? lastError : source },
  ];
  // The ordinary way leaves no trail of its own: the first time, an event was worked off with its delivery.
  const ordinary = trail === null || trail[0]?.at === undefined;
  if (ordinary && processedAt !== null && status !== 'quarantined')
    entries.push({ at: processedAt, what: 'processed', detail: null });
  for (const { at, what, error } of trail ?? [])
    if (at !== undefined && what !== 'quarantined') entries.push({ at: new Date(at), what, detail: error ?? null });
  if (forward?.settledAt) {
    const what = forward.status === 'dead' ? 'forward_dead' : 'forwarded';
    entries.push({ at: forward.settledAt, what, detail: forward.status === 'dead' ? forward.lastError : null });
  } else if (forward && forward.attempts > 0)
    entries.push({ at: forward.nextAttemptAt ?? forward.plannedAt, what: 'forward_failed', detail: forward.lastError });
  return entries.sort((a, b) => a.at.getTime() - b.at.getTime());
}
