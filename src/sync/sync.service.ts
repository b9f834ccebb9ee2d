import { Inject, Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { AppError, invalid } from '../common/errors';
import { Cursors, DEFAULT_LIMIT, type Pagination } from '../common/page';
import { currentContext } from '../common/request-context';
import { ENV, type Env } from '../config/env';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import type { PassKind, Resource } from '../mirror/resources';
import type { SyncEstimate } from './sync-run.entity';
import { SyncRequests } from './sync-requests';
import type { LogRow, SyncRow } from './sync-row';
import { SyncRunsRepository } from './sync-runs.repository';
import { SyncSchedulesRepository, type Schedule, type ScheduleChange } from './sync-schedules.repository';
import { scopeOf } from './sync-scope';
import { syncViewOf, type SyncView } from './sync-view';

export interface Started {
  sync: SyncView;
  alreadyRunning: boolean;
  estimate: SyncEstimate | null;
}

export interface SyncOverview {
  sync: SyncView | null;
  lastSuccessAt: Date | null;
  nextRunAt: Date | null;
  history: SyncView[];
}

export interface LogsQuery {
  connectionId?: string;
  resource?: Resource;
  order?: 'newest' | 'oldest';
  limit?: number;
  cursor?: string;
}

const HISTORY = 20;

/** Runs from outside: asked for, looked at, cancelled, scheduled. */
@Injectable()
export class SyncService {
  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly connections: ConnectionService,
    private readonly requests: SyncRequests,
    private readonly runs: SyncRunsRepository,
    private readonly schedules: SyncSchedulesRepository,
    private readonly cursors: Cursors,
  ) {}

  /**
   * The run that brings what is wanted, new or under way.
   * @throws AppError KLAVIYO_KEY_INVALID once the key was refused
   */
  async start(
    scope: UserScope,
    wanted: { connectionId?: string; resources?: readonly Resource[]; mode?: PassKind },
  ): Promise<Started> {
    const connection = await this.connections.resolve(scope, wanted.connectionId);
    if (connection.status === 'invalid') throw new AppError('KLAVIYO_KEY_INVALID');
    const requested = await this.requests.request(scope.userId, connection.id, scopeOf(wanted), 'api');
    const row = requested && (await this.runs.one(scope.userId, connection.id, requested.id));
    // Disconnected meanwhile.
    if (!row) throw new AppError('CONNECTION_NOT_FOUND');
    return { sync: view(row), alreadyRunning: requested.alreadyRunning, estimate: row.estimate };
  }

  /** @throws AppError SYNC_NOT_FOUND for a run to be shown that is not this connection's */
  async overview(scope: UserScope, query: { connectionId?: string; syncId?: string }): Promise<SyncOverview> {
    const { userId } = scope;
    const connection = await this.connections.resolve(scope, query.connectionId);
    const shown = query.syncId === undefined ? undefined : await this.row(scope, connection, query.syncId);
    const [newest, lastSuccessAt, schedule] = await Promise.all([
      this.runs.newest(userId, connection.id, HISTORY),
      this.runs.lastSuccessAt(userId, connection.id),
      this.schedules.of(userId, connection.id, this.env.syncIntervalMinutes),
    ]);
    const sync = shown ?? newest[0];
    return {
      sync: sync ? view(sync) : null,
      lastSuccessAt,
      nextRunAt: schedule?.nextRunAt ?? null,
      history: newest.map(view),
    };
  }

  /** @throws AppError SYNC_NOT_FOUND, for another user's exactly as for an unknown one */
  async one(scope: UserScope, id: string, connectionId: string | undefined): Promise<SyncView> {
    return view(await this.row(scope, await this.connections.resolve(scope, connectionId), id));
  }

  /** @throws AppError SYNC_NOT_FOUND; CONFLICT for a run that is over */
  async cancel(scope: UserScope, id: string, connectionId: string | undefined): Promise<SyncView> {
    const connection = await this.connections.resolve(scope, connectionId);
    const cancelled = await this.runs.cancel(scope.userId, connection.id, id);
    const row = await this.row(scope, connection, id);
    if (!cancelled) throw new AppError('CONFLICT');
    return view(row);
  }

  /** The pages that a run wrote. @throws AppError SYNC_NOT_FOUND */
  async logs(scope: UserScope, id: string, query: LogsQuery): Promise<{ logs: LogRow[]; pagination: Pagination }> {
    const { userId } = scope;
    const { limit = DEFAULT_LIMIT, order = 'newest', resource } = query;
    const connection = await this.connections.resolve(scope, query.connectionId);
    await this.row(scope, connection, id);
    const binding = { userId, scope: JSON.stringify(['sync-logs', connection.id, id, resource ?? null, order]) };
    const beyond = this.cursors.decode(binding, query.cursor) as string | undefined;
    const [rows, total] = await Promise.all([
      this.runs.logs(userId, id, {
        order,
        limit: limit + 1,
        ...(resource === undefined ? {} : { resource }),
        ...(beyond === undefined ? {} : { beyond }),
      }),
      this.runs.countLogs(userId, id, resource),
    ]);
    const logs = rows.slice(0, limit);
    const last = rows.length > limit ? logs.at(-1) : undefined;
    return {
      logs,
      pagination: {
        limit,
        nextCursor: last === undefined ? null : this.cursors.encode(binding, last.n),
        ...(total === undefined ? {} : { total }),
      },
    };
  }

  /** Changes when the connection is synchronised by itself. What is not named stays. */
  async schedule(scope: UserScope, change: ScheduleChange & { connectionId?: string }): Promise<Schedule> {
    const { userId } = scope;
    const { enabled, intervalMinutes } = change;
    const connection = await this.connections.resolve(scope, change.connectionId);
    if (enabled === undefined && intervalMinutes === undefined) throw invalid('enabled', 'nothingToDo');
    const standard = this.env.syncIntervalMinutes;
    const current = await this.schedules.of(userId, connection.id, standard);
    const minutes = intervalMinutes === undefined ? current?.intervalMinutes : (intervalMinutes ?? (standard || null));
    // The service itself synchronises nobody: who wants it says how often.
    if (enabled === true && !minutes) throw invalid('intervalMinutes', 'required');
    await this.schedules.change(userId, connection.id, change, standard);
    const changed = await this.schedules.of(userId, connection.id, standard);
    if (!changed) throw new AppError('CONNECTION_NOT_FOUND');
    return changed;
  }

  private async row({ userId }: UserScope, connection: Connection, id: string): Promise<SyncRow> {
    const row = await this.runs.one(userId, connection.id, id.toLowerCase());
    if (!row) throw new AppError('SYNC_NOT_FOUND');
    return row;
  }
}

function view(row: SyncRow): SyncView {
  return syncViewOf(row, currentContext()?.language ?? 'fr');
}
