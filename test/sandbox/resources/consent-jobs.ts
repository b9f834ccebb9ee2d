import type { Account } from '../account.ts';
import type { Context, Reply } from '../context.ts';
import { single } from '../context.ts';
import { invalidBody, invalidItems, notFound } from '../errors.ts';
import { parseInstant } from '../filter.ts';
import type { Fault } from '../schemas/validate.ts';
import { joinList, leaveList, subscribe, suppress, unsubscribe, unsuppress } from '../store/consent.ts';
import type { Job } from '../store/jobs.ts';
import type { ProfileAttributes } from '../store/profiles.ts';
import type { ProfileRow } from '../store/rows.ts';
import { identifierFaults } from './check-profile.ts';
import { jobResource, newJob } from './job-view.ts';

interface Channel {
  marketing?: { consented_at?: string | null };
}
interface Person {
  id?: string | null;
  attributes: ProfileAttributes & { subscriptions?: { email?: Channel; sms?: Channel } };
}
interface ConsentBody {
  data: {
    attributes: {
      custom_source?: string | null;
      historical_import?: boolean | null;
      profiles?: { data: Person[] } | null;
    };
    relationships?: { list?: { data?: { id: string } }; segment?: { data?: { id: string } } };
  };
}

const AT = '/data/attributes/profiles/data';

function people(context: Context): Person[] {
  return (context.body as ConsentBody).data.attributes.profiles?.data ?? [];
}

/** The list that a job names, which must exist. */
function listOf(context: Context): string | null {
  const id = (context.body as ConsentBody).data.relationships?.list?.data?.id;
  if (id !== undefined && !context.account.lists.has(id)) throw notFound('list', id);
  return id ?? null;
}

function refuseFaults(persons: readonly Person[]): void {
  const faults: Fault[] = persons.flatMap((person, index) => {
    const at = `${AT}/${index}/attributes`;
    const { email, phone_number: phone } = person.attributes;
    const nobody = typeof email !== 'string' && typeof phone !== 'string' && typeof person.id !== 'string';
    if (nobody) return [{ detail: 'One of email or phone_number must be provided.', pointer: at }];
    return identifierFaults(person.attributes, at);
  });
  if (faults.length > 0) throw invalidItems(faults);
}

/** Subscribes people: 202 and no body; done after the account's delay. A double-opt-in list waits for the click. */
export function subscribeProfiles(context: Context): Reply {
  const { account, now } = context;
  const { attributes } = (context.body as ConsentBody).data;
  const persons = people(context);
  refuseFaults(persons);
  const listId = listOf(context);
  const historical = attributes.historical_import === true;
  persons.forEach((person, index) => {
    for (const channel of ['email', 'sms'] as const) {
      const at = person.attributes.subscriptions?.[channel]?.marketing?.consented_at;
      const pointer = `${AT}/${index}/attributes/subscriptions/${channel}/marketing/consented_at`;
      if (historical && (typeof at !== 'string' || parseInstant(at) > now))
        if (person.attributes.subscriptions?.[channel] !== undefined)
          throw invalidBody('consented_at must be in the past for a historical import.', pointer);
    }
  });
  account.tasks.at(now + account.asyncDelayMs, () => {
    const waits = listId !== null && account.lists.get(listId)?.optIn === 'double_opt_in' && !historical;
    for (const person of persons) {
      const may = listId !== null || historical || account.switches.subscribeWithoutListCreates;
      const row = personOf(account, person, may, now);
      if (row === null || waits) continue;
      const { email, sms } = person.attributes.subscriptions ?? { email: {}, sms: undefined };
      const time = (channel: Channel | undefined) =>
        typeof channel?.marketing?.consented_at === 'string' ? parseInstant(channel.marketing.consented_at) : null;
      const consentedAt = { email: time(email), sms: time(sms) };
      const source = attributes.custom_source ?? null;
      subscribe(
        account,
        row,
        { email: email !== undefined, sms: sms !== undefined, consentedAt, source, doubleOptIn: false },
        now,
      );
      if (listId !== null) joinList(account, listId, row.id, now);
    }
  });
  return { status: 202 };
}

/** The profile of a person in a job, created when the job may; null when there is none. */
function personOf(account: Account, person: Person, create: boolean, now: number): ProfileRow | null {
  const { email, phone_number: phone } = person.attributes;
  const identifiers = { email: email ?? null, phone_number: phone ?? null };
  const [found] = account.profiles.matches({ ...identifiers, id: person.id ?? null });
  if (found === undefined)
    return create && (email ?? phone) !== undefined ? account.profiles.create(identifiers, now) : null;
  // A new channel's address is added where it is nobody's.
  if (
    typeof phone === 'string' &&
    found.phone_number === null &&
    account.profiles.byValue('phone_number', phone) === undefined
  )
    return account.profiles.update(found, { phone_number: phone }, undefined, now);
  return found;
}

/** Unsubscribes people: from the list they are members of, else (also without a list) from everything. */
export function unsubscribeProfiles(context: Context): Reply {
  const { account, now } = context;
  const persons = people(context);
  refuseFaults(persons);
  const listId = listOf(context);
  account.tasks.at(now + account.asyncDelayMs, () => {
    for (const person of persons) {
      const row = personOf(account, person, false, now);
      if (row === null) continue;
      if (listId !== null && account.membersOf(listId).has(row.id)) {
        leaveList(account, listId, row.id, now);
        continue;
      }
      const { subscriptions } = person.attributes;
      const sms = subscriptions === undefined ? false : subscriptions.sms !== undefined;
      const email = subscriptions === undefined || subscriptions.email !== undefined;
      unsubscribe(account, row, email && row.email !== null, sms && row.phone_number !== null, now);
    }
  });
  return { status: 202 };
}

/** Suppresses or unsuppresses by e-mail, or everybody of a list or segment; not both at once. */
export function suppressionJob(type: 'profile-suppression-bulk-create-job' | 'profile-suppression-bulk-delete-job') {
  const act = type === 'profile-suppression-bulk-create-job' ? suppress : unsuppress;
  return (context: Context): Reply => {
    const { account, now } = context;
    const persons = people(context);
    refuseFaults(persons);
    const listId = listOf(context);
    const segmentId = (context.body as ConsentBody).data.relationships?.segment?.data?.id ?? null;
    if (segmentId !== null && !account.segments.has(segmentId)) throw notFound('segment', segmentId);
    const sources = [persons.length > 0, listId !== null, segmentId !== null].filter(Boolean).length;
    if (sources !== 1) throw invalidBody('Exactly one of profiles, list or segment must be provided.', '/data');
    const group = listId ?? segmentId;
    const total = group === null ? persons.length : account.membersOf(group).size;
    const job = newJob(account, type, now, total);
    if (listId !== null) job.listIds.push(listId);
    if (segmentId !== null) job.segmentIds.push(segmentId);
    account.tasks.at(now + account.asyncDelayMs, () => {
      const rows =
        group === null
          ? persons.map((person) => personOf(account, person, type === 'profile-suppression-bulk-create-job', now))
          : [...account.membersOf(group).all()].map(({ id }) => account.profiles.get(id) ?? null);
      for (const row of rows) if (row === null || !act(account, row, now)) job.skipped += 1;
      finish(job, rows.length, now + account.asyncDelayMs);
    });
    // Bodies came with 2024-10-15; before, the answer was empty.
    return context.revision >= '2024-10-15'
      ? { status: 202, document: single(context, jobResource(context, job)) }
      : { status: 202 };
  };
}

export function finish(job: Job, done: number, at: number): void {
  job.done = done;
  job.status = 'complete';
  job.completed = at;
}
