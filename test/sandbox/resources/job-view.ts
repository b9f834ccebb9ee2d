import type { Account } from '../account.ts';
import { DAY, stamp, stampOrNull } from '../clock.ts';
import type { Context, Reply } from '../context.ts';
import { pageLinks, relation, resource, single } from '../context.ts';
import { notFound } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { satisfies } from '../filter.ts';
import { sliceRows } from '../paging.ts';
import type { Job } from '../store/jobs.ts';

/** A job that has just been asked for. */
export function newJob(account: Account, type: Job['type'], now: number, total: number): Job {
  const job: Job = {
    id: account.ids.ulid(now),
    type,
    status: 'queued',
    created: now,
    started: null,
    completed: null,
    total,
    done: 0,
    failed: 0,
    skipped: 0,
    listIds: [],
    segmentIds: [],
    profileIds: [],
    errors: [],
  };
  account.jobs.set(job.id, job);
  return job;
}

/** A job as its endpoints show it; the import has more to say than the suppressions. */
export function jobResource(context: Context, job: Job): JsonObject {
  const path = `${job.type}s`;
  const owner = `${path}/${job.id}`;
  if (job.type === 'profile-bulk-import-job') {
    const attributes: JsonObject = {
      status: job.status,
      created_at: stamp(job.created),
      total_count: job.total,
      completed_count: job.done,
      failed_count: job.failed,
      completed_at: stampOrNull(job.completed),
      expires_at: stamp(job.created + 7 * DAY),
      started_at: stampOrNull(job.started),
    };
    const lists = context.query.include.has('lists') ? job.listIds.map((id) => ({ type: 'list', id })) : undefined;
    const errors = { links: { related: `${context.origin}/api/${owner}/import-errors/` } };
    const relationships = {
      lists: relation(context, owner, 'lists', lists),
      profiles: relation(context, owner, 'profiles'),
      'import-errors': errors,
    };
    return resource(context, job.type, job.id, path, attributes, relationships);
  }
  const attributes: JsonObject = {
    status: job.status,
    created_at: stamp(job.created),
    total_count: job.total,
    completed_count: job.done,
    completed_at: stampOrNull(job.completed),
    skipped_count: job.skipped,
  };
  const relationships = { lists: relation(context, owner, 'lists'), segments: relation(context, owner, 'segments') };
  return resource(context, job.type, job.id, path, attributes, relationships);
}

function jobField(job: Job, field: string): unknown {
  switch (field) {
    case 'status':
      return job.status;
    case 'list_id':
      return job.listIds[0];
    case 'segment_id':
      return job.segmentIds[0];
    default:
      return undefined;
  }
}

export function requireJob(context: Context, type: Job['type']): Job {
  const id = context.params.id ?? '';
  const job = context.account.jobs.get(id);
  if (job?.type !== type) throw notFound(type, id);
  return job;
}

/** GET /…-jobs. */
export function listJobs(type: Job['type']) {
  return (context: Context): Reply => {
    const { conditions, sort, size } = context.query;
    const jobs = [...context.account.jobs.values()].filter(
      (job) =>
        job.type === type && conditions.every((condition) => satisfies(condition, jobField(job, condition.field))),
    );
    if (sort?.descending === true) jobs.reverse();
    const { rows, next } = sliceRows(context, jobs, size);
    return {
      status: 200,
      document: { data: rows.map((job) => jobResource(context, job)), links: pageLinks(context, next) },
    };
  };
}

/** GET /…-jobs/{id}. */
export function oneJob(type: Job['type']) {
  return (context: Context): Reply => ({
    status: 200,
    document: single(context, jobResource(context, requireJob(context, type))),
  });
}
