import type { JsonObject } from '../json.ts';

export type JobStatus = 'queued' | 'processing' | 'complete' | 'cancelled';

/** A bulk job of any kind: what was asked, how far it is, what went wrong. */
export interface Job {
  id: string;
  type: 'profile-bulk-import-job' | 'profile-suppression-bulk-create-job' | 'profile-suppression-bulk-delete-job';
  status: JobStatus;
  created: number;
  started: number | null;
  completed: number | null;
  total: number;
  done: number;
  failed: number;
  skipped: number;
  listIds: string[];
  segmentIds: string[];
  profileIds: string[];
  errors: { id: string; code: string; title: string; detail: string; pointer: string; payload: JsonObject }[];
}
