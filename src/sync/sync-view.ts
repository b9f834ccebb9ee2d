import type { Language } from '../common/messages';
import { RESOURCES, type PassKind, type Resource } from '../mirror/resources';
import { syncErrorOf, type SyncError } from './sync-errors';
import type { ResourceStatus } from './sync-resource.entity';
import type { ResourceRow, SyncRow } from './sync-row';
import type { RunStatus, RunTrigger } from './sync-run.entity';

/** A resource of a run, for people to look at. */
export interface SyncResourceView extends ResourceRow {
  error: SyncError | null;
}

/** A run, for people to look at. */
export interface SyncView {
  id: string;
  connectionId: string;
  mode: PassKind;
  status: RunStatus;
  trigger: RunTrigger;
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  progress: { percent: number | null; resources: SyncResourceView[] };
  quota: { floorSeconds: number | null; percentOfFloor: number | null };
  error: SyncError | null;
}

const ENDED: ReadonlySet<ResourceStatus> = new Set(['succeeded', 'failed', 'skipped', 'cancelled']);
const OVER: ReadonlySet<RunStatus> = new Set(['succeeded', 'partial', 'failed', 'cancelled']);

/** Whether nothing of the run will change any more. */
export function isOver(status: RunStatus): boolean {
  return OVER.has(status);
}

/** @param language of what is said about errors */
export function syncViewOf(row: SyncRow, language: Language): SyncView {
  const resources = resourcesOf(row);
  return {
    id: row.id,
    connectionId: row.connectionId,
    mode: row.mode,
    status: row.status,
    trigger: row.trigger,
    createdAt: row.createdAt,
    startedAt: row.startedAt,
    finishedAt: row.finishedAt,
    progress: {
      percent: percentOf(row, resources),
      resources: resources.map((one) => ({ ...one, error: syncErrorOf(one.errorCode, one.resource, language) })),
    },
    quota: { floorSeconds: rounded(row.floorSeconds), percentOfFloor: percentOfFloor(row) },
    error: syncErrorOf(row.errorCode, null, language),
  };
}

/** All that were asked for, in a fixed order; one that has no row yet was not begun. */
function resourcesOf(row: SyncRow): ResourceRow[] {
  const begun = new Map(row.resources.map((resource) => [resource.resource, resource]));
  const wanted = new Set<Resource>([...row.wanted, ...begun.keys()]);
  const status = isOver(row.status) ? 'cancelled' : 'pending';
  return RESOURCES.filter((resource) => wanted.has(resource)).map(
    (resource) => begun.get(resource) ?? notBegun(resource, status),
  );
}

function notBegun(resource: Resource, status: ResourceStatus): ResourceRow {
  const none = { fetched: 0, upserted: 0, deleted: 0, pages: 0, requests: 0, throttled: 0, waitedMs: 0 };
  return { resource, status, ...none, expectedRows: null, covered: null, errorCode: null };
}

/**
 * By rows, where it is known how many each resource has; else as far as the resource that is least far, since a run is
 * not over before its last one, and null as long as one of them has not begun. 100 is for what succeeded as a whole.
 */
function percentOf(row: SyncRow, resources: readonly ResourceRow[]): number | null {
  if (row.status === 'succeeded') return 100;
  if (row.status === 'queued') return 0;
  const part = byRows(resources) ?? byTheLeast(resources);
  return part === null ? null : Math.min(99, Math.floor(part * 100));
}

function byRows(resources: readonly ResourceRow[]): number | null {
  let [done, all] = [0, 0];
  for (const { status, fetched, expectedRows } of resources) {
    if (expectedRows === null) return null;
    // One for the work that is not rows.
    all += expectedRows + 1;
    done += ENDED.has(status) ? expectedRows + 1 : Math.min(fetched, expectedRows);
  }
  return all === 0 ? null : done / all;
}

function byTheLeast(resources: readonly ResourceRow[]): number | null {
  let least = 1;
  for (const { status, fetched, expectedRows, covered } of resources) {
    if (ENDED.has(status)) continue;
    const part = expectedRows === null ? covered : fetched / (expectedRows + 1);
    if (status === 'pending' || part === null) return null;
    least = Math.min(least, part);
  }
  return least;
}

/**
 * Of the time that a run took, the part that Klaviyo's quota alone would have made it take, in percent; 100 where its
 * bursts made it faster. Null until the run is over.
 */
function percentOfFloor({ status, floorSeconds, startedAt, finishedAt }: SyncRow): number | null {
  if (!isOver(status) || floorSeconds === null || !startedAt || !finishedAt) return null;
  const seconds = (finishedAt.getTime() - startedAt.getTime()) / 1000;
  return seconds <= 0 ? 100 : rounded(Math.min(100, (floorSeconds / seconds) * 100));
}

function rounded(value: number | null): number | null {
  return value === null ? null : Math.round(value * 10) / 10;
}
