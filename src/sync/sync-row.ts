import type { PassKind, Resource } from '../mirror/resources';
import type { ResourceStatus } from './sync-resource.entity';
import type { RunStatus, RunTrigger, SyncEstimate } from './sync-run.entity';

/** A run and its resources, as read from the database for people to look at. */
export interface SyncRow {
  id: string;
  connectionId: string;
  mode: PassKind;
  status: RunStatus;
  trigger: RunTrigger;
  wanted: Resource[];
  createdAt: Date;
  startedAt: Date | null;
  finishedAt: Date | null;
  /** The least time that Klaviyo's quota allows what was asked of it so far. */
  floorSeconds: number | null;
  errorCode: string | null;
  estimate: SyncEstimate | null;
  /** Of the resources that were begun or skipped. */
  resources: ResourceRow[];
}

export interface ResourceRow {
  resource: Resource;
  status: ResourceStatus;
  fetched: number;
  upserted: number;
  deleted: number;
  pages: number;
  requests: number;
  throttled: number;
  waitedMs: number;
  expectedRows: number | null;
  /** The part of its time axis or of its parts that is read, 0 to 1; null before anything is known. */
  covered: number | null;
  errorCode: string | null;
}

/** A page that a run wrote. */
export interface LogRow {
  n: string;
  at: Date;
  resource: Resource;
  part: string;
  window: number;
  rows: number;
  /** Null where the rows of several pages were stored together: they are counted at the last of these. */
  upserted: number | null;
  /** Rows that the database did not take. */
  quarantined: number;
  ms: number;
  waitedMs: number;
}
