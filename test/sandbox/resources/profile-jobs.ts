import type { Account } from '../account.ts';
import type { Context, Reply } from '../context.ts';
import { pageLinks, resource, single } from '../context.ts';
import { ApiError, invalidBody, invalidItems, notFound } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { sliceRows } from '../paging.ts';
import { joinList } from '../store/consent.ts';
import type { Job } from '../store/jobs.ts';
import type { Identifiers, ProfileAttributes } from '../store/profiles.ts';
import { identifierFaults, PROFILE_BYTES } from './check-profile.ts';
import { listResource } from './group-view.ts';
import { jobResource, newJob, requireJob } from './job-view.ts';
import type { ProfileData } from './profiles.ts';
import { requireProfile } from './profiles.ts';
import { profileResource } from './profile-view.ts';
import { recordEvent } from './record-event.ts';

const IMPORT = 'profile-bulk-import-job';
const AT = '/data/attributes/profiles/data';

interface ImportBody {
  data: {
    attributes: { profiles: { data: ProfileData[] } };
    relationships?: { lists?: { data?: { id: string }[] } };
  };
}

/** Takes up to 10,000 profiles; rows that cannot be imported become import errors, the others stand. */
export function bulkImport(context: Context): Reply {
  const { account, now } = context;
  const { data } = context.body as ImportBody;
  const rows = data.attributes.profiles.data;
  if (rows.length === 0) throw invalidBody('At least one profile must be provided.', AT);
  const listIds = (data.relationships?.lists?.data ?? []).map(({ id }) => id);
  const unknown = listIds.find((id) => !account.lists.has(id));
  if (unknown !== undefined) throw notFound('list', unknown);
  const job = newJob(account, IMPORT, now, rows.length);
  job.listIds.push(...listIds);
  account.tasks.at(now + account.asyncDelayMs, () => {
    job.status = 'processing';
    job.started = now + account.asyncDelayMs;
    // One more delay until it is complete, so that a poller sees all three states.
    account.tasks.at(now + 2 * account.asyncDelayMs, () => {
      rows.forEach((row, index) => {
        importRow(account, job, row, index, now);
      });
      job.status = 'complete';
      job.completed = now + 2 * account.asyncDelayMs;
    });
  });
  return { status: 202, document: single(context, jobResource(context, job)) };
}

function importRow(account: Account, job: Job, row: ProfileData, index: number, now: number): void {
  const pointer = `${AT}/${index}`;
  const fail = (code: string, detail: string, at: string) => {
    job.failed += 1;
    const payload = JSON.parse(JSON.stringify(row)) as JsonObject;
    job.errors.push({ id: account.ids.uuid(), code, title: 'Invalid input.', detail, pointer: at, payload });
  };
  const [fault] = identifierFaults(row.attributes, `${pointer}/attributes`);
  if (fault !== undefined) {
    fail('invalid', fault.detail, fault.pointer);
    return;
  }
  const { email, phone_number: phone, external_id: external } = row.attributes;
  if ([email, phone, external, row.id].every((value) => typeof value !== 'string' || value === '')) {
    fail(
      'invalid',
      'One of email, phone_number or external_id must be provided to identify the profile.',
      `${pointer}/attributes`,
    );
    return;
  }
  if (Buffer.byteLength(JSON.stringify(row)) > PROFILE_BYTES) {
    fail('invalid', 'A profile may not be larger than 100 KB.', pointer);
    return;
  }
  try {
    const patch = row.meta?.patch_properties;
    const { row: stored } = account.profiles.upsert({ id: row.id ?? null }, row.attributes, patch, now);
    job.done += 1;
    job.profileIds.push(stored.id);
    for (const listId of job.listIds) joinList(account, listId, stored.id, now);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    fail(error.items[0]?.code ?? 'invalid', error.items[0]?.detail ?? '', `${pointer}/attributes`);
  }
}

export function getImportJob(context: Context): Reply {
  const job = requireJob(context, IMPORT);
  const included = context.query.include.has('lists')
    ? job.listIds.flatMap((id) => {
        const list = context.account.lists.get(id);
        return list === undefined ? [] : [listResource(context, list)];
      })
    : undefined;
  return { status: 200, document: single(context, jobResource(context, job), included) };
}

export function getImportProfiles(context: Context): Reply {
  const job = requireJob(context, IMPORT);
  const found = job.profileIds.flatMap((id) => context.account.profiles.get(id) ?? []);
  const { rows, next } = sliceRows(context, found);
  return {
    status: 200,
    document: { data: rows.map((row) => profileResource(context, row)), links: pageLinks(context, next) },
  };
}

export function getImportErrors(context: Context): Reply {
  const { rows, next } = sliceRows(context, requireJob(context, IMPORT).errors);
  const data = rows.map((error): JsonObject => ({
    type: 'import-error',
    id: error.id,
    attributes: {
      code: error.code,
      title: error.title,
      detail: error.detail,
      source: { pointer: error.pointer },
      original_payload: error.payload,
    },
  }));
  return { status: 200, document: { data, links: pageLinks(context, next) } };
}

export function getImportLists(context: Context): Reply {
  const job = requireJob(context, IMPORT);
  const lists = job.listIds.flatMap((id) => context.account.lists.get(id) ?? []);
  return {
    status: 200,
    document: { data: lists.map((row) => listResource(context, row)), links: pageLinks(context, null) },
  };
}

/** Merges profiles into the destination, which keeps its id; what it lacks it takes from them. */
export function mergeProfiles(context: Context): Reply {
  const { account, now } = context;
  const { data } = context.body as { data: { id: string; relationships: { profiles: { data?: { id: string }[] } } } };
  const sources = (data.relationships.profiles.data ?? []).map(({ id }) => id);
  if (sources.length === 0 || sources.includes(data.id))
    throw invalidBody('At least one other profile must be provided.', '/data/relationships/profiles/data');
  requireProfile(context, data.id);
  for (const id of sources) requireProfile(context, id);
  for (const id of sources) {
    const source = requireProfile(context, id);
    const destination = requireProfile(context, data.id);
    const taken: ProfileAttributes = { properties: { ...source.properties, ...destination.properties } };
    for (const field of [
      'email',
      'phone_number',
      'external_id',
      'first_name',
      'last_name',
      'organization',
      'locale',
      'title',
      'image',
    ] as const)
      if (destination[field] === null && source[field] !== null) taken[field] = source[field];
    account.removeProfile(id, data.id);
    account.profiles.update(destination, taken, undefined, now);
    recordEvent(account, {
      metric: 'Merged Profile',
      own: true,
      profileId: data.id,
      time: now,
      uniqueId: id,
      properties: { 'Merged Profile ID': id },
      now,
    });
  }
  return {
    status: account.switches.mergeStatus,
    document: single(context, resource(context, 'profile', data.id, 'profiles', null)),
  };
}

interface DeletionBody {
  data: { attributes: { profile: { data: { id?: string | null; attributes: Identifiers & ProfileAttributes } } } };
}

/** Deletes a person by one identifier, later; there is no other way to delete a profile. */
export function requestDeletion(context: Context): Reply {
  const { account, now } = context;
  const person = (context.body as DeletionBody).data.attributes.profile.data;
  const at = '/data/attributes/profile/data';
  const faults = identifierFaults(person.attributes, `${at}/attributes`);
  if (faults.length > 0) throw invalidItems(faults);
  const given = [person.id, person.attributes.email, person.attributes.phone_number].filter(
    (value) => typeof value === 'string',
  );
  if (given.length !== 1) throw invalidBody('Exactly one of id, email or phone_number must be provided.', at);
  account.tasks.at(now + account.asyncDelayMs, () => {
    const identifiers = { ...person.attributes, id: person.id ?? null };
    for (const row of account.profiles.matches(identifiers)) account.removeProfile(row.id);
  });
  return { status: 202 };
}
