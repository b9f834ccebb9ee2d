import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { Pagination } from '../common/page';
import { PASS_KINDS, RESOURCES, type PassKind, type Resource } from '../mirror/resources';
import type { ResourceStatus } from './sync-resource.entity';
import type { LogRow } from './sync-row';
import { RUN_STATUSES, type RunStatus, type RunTrigger, type SyncEstimate } from './sync-run.entity';
import type { Schedule } from './sync-schedules.repository';
import type { SyncResourceView, SyncView } from './sync-view';
import type { Started, SyncOverview } from './sync.service';

class SyncErrorResponse {
  code: string;
  /** In the language of the call: what happened and what to do next. */
  detail: string;
}

class SyncResourceResponse {
  @ApiProperty({ enum: RESOURCES })
  resource: Resource;

  @ApiProperty({ enum: ['pending', 'running', 'succeeded', 'failed', 'skipped', 'cancelled'] })
  status: ResourceStatus;

  /** Rows that came from Klaviyo, overlaps counted twice. */
  @ApiProperty({ type: 'integer' })
  fetched: number;

  /** Rows that were new or changed. */
  @ApiProperty({ type: 'integer' })
  upserted: number;

  /** Rows that were gone at Klaviyo and are marked so. */
  @ApiProperty({ type: 'integer' })
  deleted: number;

  @ApiProperty({ type: 'integer' })
  pages: number;

  /** Calls on Klaviyo, repeated ones included. */
  @ApiProperty({ type: 'integer' })
  requests: number;

  /** 429s among them. */
  @ApiProperty({ type: 'integer' })
  throttled: number;

  /** Milliseconds of waiting for Klaviyo's quota, summed over what waited side by side. */
  @ApiProperty({ type: 'integer' })
  waitedMs: number;

  error: SyncErrorResponse | null;

  static from(view: SyncResourceView): SyncResourceResponse {
    const { resource, status, fetched, upserted, deleted, pages, requests, throttled, waitedMs, error } = view;
    return { resource, status, fetched, upserted, deleted, pages, requests, throttled, waitedMs, error };
  }
}

class SyncProgressResponse {
  /** 0 to 100, by the rows of the last complete run, else as far as the least advanced resource; null where unknown. */
  percent: number | null;
  resources: SyncResourceResponse[];
}

class SyncQuotaResponse {
  /** The least time that Klaviyo's limits allow the calls made so far. */
  floorSeconds: number | null;
  /** That time over the time taken, in percent, 100 at most; null until the run is over. */
  percentOfFloor: number | null;
}

export class SyncResponse {
  /** Ours. */
  id: string;
  connectionId: string;

  @ApiProperty({ enum: PASS_KINDS })
  mode: PassKind;

  /** `partial`: some resources failed, see theirs; what the others brought is there. */
  @ApiProperty({ enum: RUN_STATUSES })
  status: RunStatus;

  @ApiProperty({ enum: ['api', 'schedule', 'webhook'] })
  trigger: RunTrigger;

  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  progress: SyncProgressResponse;
  quota: SyncQuotaResponse;
  /** Why the run as a whole failed. */
  error: SyncErrorResponse | null;

  static from(view: SyncView): SyncResponse {
    const { progress, quota, error } = view;
    return {
      id: view.id,
      connectionId: view.connectionId,
      mode: view.mode,
      status: view.status,
      trigger: view.trigger,
      createdAt: view.createdAt,
      startedAt: view.startedAt,
      finishedAt: view.finishedAt,
      progress: {
        percent: progress.percent,
        resources: progress.resources.map((resource) => SyncResourceResponse.from(resource)),
      },
      quota: { floorSeconds: quota.floorSeconds, percentOfFloor: quota.percentOfFloor },
      error,
    };
  }
}

class EstimateResponse {
  /** Calls on Klaviyo; null where nothing was read before to go by. */
  requests: number | null;
  /** At the pace of Klaviyo's limits. */
  minutes: number | null;
  /** Of what Klaviyo allows on the busiest endpoint meanwhile, the part that is used (0 to 1). */
  quotaShare: number | null;

  static from({ requests, minutes, quotaShare }: SyncEstimate): EstimateResponse {
    return { requests, minutes, quotaShare };
  }
}

export class StartSyncResponse {
  sync: SyncResponse;

  /** Present when a run of equal or wider scope waits or runs: `sync` is that one. */
  @ApiPropertyOptional({ type: 'boolean', enum: [true] })
  alreadyRunning?: true;

  /** What the run is expected to cost. */
  estimate: EstimateResponse | null;

  static from({ sync, alreadyRunning, estimate }: Started): StartSyncResponse {
    return {
      sync: SyncResponse.from(sync),
      ...(alreadyRunning ? { alreadyRunning: true } : {}),
      estimate: estimate && EstimateResponse.from(estimate),
    };
  }
}

export class OneSyncResponse {
  sync: SyncResponse;

  static from(view: SyncView): OneSyncResponse {
    return { sync: SyncResponse.from(view) };
  }
}

export class SyncsResponse {
  /** Null where there never was one. */
  sync: SyncResponse | null;
  /** When a run last brought everything that it was to bring. */
  lastSuccessAt: Date | null;
  /** When the next one begins by itself; null where none does. */
  nextRunAt: Date | null;
  /** The newest 20. */
  history: SyncResponse[];

  static from({ sync, lastSuccessAt, nextRunAt, history }: SyncOverview): SyncsResponse {
    return {
      sync: sync && SyncResponse.from(sync),
      lastSuccessAt,
      nextRunAt,
      history: history.map((view) => SyncResponse.from(view)),
    };
  }
}

class LogResponse {
  at: Date;

  @ApiProperty({ enum: RESOURCES })
  resource: Resource;

  /** What of the resource, e.g. a list. */
  part: string;

  /** Which of the windows that are read side by side. */
  @ApiProperty({ type: 'integer' })
  window: number;

  /** Rows of the page. */
  @ApiProperty({ type: 'integer' })
  rows: number;

  /** New or changed rows; null where pages were stored together: they are counted at the last of these. */
  @ApiProperty({ type: 'integer', nullable: true })
  upserted: number | null;

  /** Rows that could not be stored. */
  @ApiProperty({ type: 'integer' })
  quarantined: number;

  /** Milliseconds until the page was there, waiting included. */
  @ApiProperty({ type: 'integer' })
  ms: number;

  /** Of these, waiting for Klaviyo's quota. */
  @ApiProperty({ type: 'integer' })
  waitedMs: number;

  static from({ at, resource, part, window, rows, upserted, quarantined, ms, waitedMs }: LogRow): LogResponse {
    return { at, resource, part, window, rows, upserted, quarantined, ms, waitedMs };
  }
}

export class LogsResponse {
  logs: LogResponse[];
  pagination: Pagination;

  static from({ logs, pagination }: { logs: readonly LogRow[]; pagination: Pagination }): LogsResponse {
    return { logs: logs.map((row) => LogResponse.from(row)), pagination };
  }
}

export const LOG_COLUMNS = ['at', 'resource', 'part', 'window', 'rows', 'upserted', 'quarantined', 'ms', 'waitedMs'];

class ScheduleBody {
  connectionId: string;
  enabled: boolean;
  /** The one in force; null where the service has none of its own and neither has the connection. */
  @ApiProperty({ type: 'integer', nullable: true })
  intervalMinutes: number | null;
  /** Null where no run begins by itself: turned off, or the key is refused. */
  nextRunAt: Date | null;
}

export class ScheduleResponse {
  schedule: ScheduleBody;

  static from({ connectionId, enabled, intervalMinutes, nextRunAt }: Schedule): ScheduleResponse {
    return { schedule: { connectionId, enabled, intervalMinutes, nextRunAt } };
  }
}
