import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import type { FieldFault } from '../common/errors';
import { AccountsService, type OpenAccount } from '../connection/accounts.service';
import type { Change, IdentifierField, ListName, Profile, ProfileInput } from './profile';
import { changesBetween } from './profile-diff';
import { ProfileHistory } from './profile-history';
import { ProfileLists } from './profile-lists';
import { cleanTags, identifierOf, overlapFaults, profileFaults, refuse, whoFaults } from './profile-rules';
import { ProfileWriter } from './profile-writer';
import { ProfilesKlaviyo, type KnownList } from './profiles.klaviyo';

export interface UpdateContactInput extends Partial<Record<IdentifierField, string>> {
  connectionId?: string;
  profile?: ProfileInput;
  addTags?: string[];
  removeTags?: string[];
  unset?: string[];
  addListIds?: string[];
  removeListIds?: string[];
}

/** The change stands at Klaviyo, but its history could not be kept. */
export const UPDATE_WARNINGS = ['HISTORY_NOT_KEPT'] as const;
export type UpdateWarning = (typeof UPDATE_WARNINGS)[number];

export interface Updated {
  profile: Profile;
  /** Where the update was about lists. */
  lists?: ListName[];
  changes: Change[];
  warnings: UpdateWarning[];
}

/** Changes a person who exists, tells what changed and remembers it. Never creates. */
@Injectable()
export class UpdateContactService {
  constructor(
    private readonly accounts: AccountsService,
    private readonly lists: ProfileLists,
    private readonly writer: ProfileWriter,
    private readonly history: ProfileHistory,
    private readonly atKlaviyo: ProfilesKlaviyo,
  ) {}

  /**
   * Person and lists are checked before anything is written. Every part may be repeated: a call that failed in the
   * middle (a list, after the profile) is told as failed, what it did is in the history, and the same call again
   * does the rest.
   * @throws AppError PROFILE_NOT_FOUND, LIST_NOT_FOUND, PROFILE_CONFLICT with `profileIds`
   */
  async update(scope: UserScope, input: UpdateContactInput): Promise<Updated> {
    refuse(faultsOf(input));
    const account = await this.accounts.open(scope, input.connectionId);
    const before = await this.atKlaviyo.require(account.klaviyo, identifierOf(input));
    const moves = await this.moves(account, before.id, input);
    const profile = await this.write(account, before, input);
    const changes = changesBetween(before, profile, {
      profile: input.profile ?? {},
      unset: input.unset ?? [],
      tags: input.profile?.tags !== undefined || input.addTags !== undefined || input.removeTags !== undefined,
    });
    const moved = moves && (await this.move(account, before.id, moves));
    if (moved && moved.changed) changes.push({ field: 'lists', from: moves.before, to: moved.lists });
    const kept = await this.history.record(scope.userId, account.connectionId, profile.id, changes);
    if (moved?.failure) throw moved.failure;
    return {
      profile,
      ...(moved ? { lists: moved.lists } : {}),
      changes,
      warnings: kept ? [] : ['HISTORY_NOT_KEPT'],
    };
  }

  private async write(account: OpenAccount, before: Profile, input: UpdateContactInput): Promise<Profile> {
    const { tags, ...fields } = input.profile ?? {};
    const replaceTags = tags === undefined ? {} : { replaceTags: tags === null ? null : cleanTags(tags) };
    const write = { fields, ...replaceTags, unset: input.unset ?? [] };
    const change = { add: cleanTags(input.addTags), remove: cleanTags(input.removeTags) };
    return this.writer.update(account, before, write, change);
  }

  /** What lists the person joins and leaves; undefined where the update is not about lists. */
  private async moves(account: OpenAccount, profileId: string, input: UpdateContactInput): Promise<Moves | undefined> {
    const { addListIds = [], removeListIds = [] } = input;
    if (addListIds.length + removeListIds.length === 0) return undefined;
    const known = await this.lists.known(account.klaviyo, [...addListIds, ...removeListIds]);
    const before = await this.atKlaviyo.listsOf(account.klaviyo, profileId);
    return { join: known.slice(0, addListIds.length), leave: known.slice(addListIds.length), before };
  }

  /** Every membership is asked for, even one that seems to be there: Klaviyo's own reading of it may lag. */
  private async move(account: OpenAccount, profileId: string, { join, leave, before }: Moves): Promise<Moved> {
    const { klaviyo } = account;
    const done = await Promise.allSettled([
      ...join.map((list) => account.writing('lists', () => this.atKlaviyo.join(klaviyo, list.id, profileId))),
      ...leave.map((list) => account.writing('lists', () => this.atKlaviyo.leave(klaviyo, list.id, profileId))),
    ]);
    const succeeded = (index: number) => done[index]?.status === 'fulfilled';
    await this.lists.note(
      klaviyo,
      profileId,
      join.filter((_, index) => succeeded(index)).map(({ id }) => id),
      leave.filter((_, index) => succeeded(join.length + index)).map(({ id }) => id),
    );
    const joined = join.filter((list, index) => succeeded(index) && !before.some(({ id }) => id === list.id));
    const left = new Set(leave.filter((_, index) => succeeded(join.length + index)).map(({ id }) => id));
    const lists = [...before.filter(({ id }) => !left.has(id)), ...joined.map(({ id, name }) => ({ id, name }))];
    const failed = done.find((result) => result.status === 'rejected');
    return {
      lists,
      changed: joined.length > 0 || lists.length !== before.length + joined.length,
      ...(failed ? { failure: failed.reason as Error } : {}),
    };
  }
}

interface Moves {
  join: KnownList[];
  leave: KnownList[];
  before: ListName[];
}

interface Moved {
  lists: ListName[];
  changed: boolean;
  failure?: Error;
}

function faultsOf(input: UpdateContactInput): FieldFault[] {
  const { profile = {}, addTags, removeTags, unset = [], addListIds = [], removeListIds = [] } = input;
  const faults = [...whoFaults(input), ...profileFaults(profile)];
  if (profile.tags !== undefined && (addTags ?? removeTags) !== undefined)
    faults.push({ field: 'profile.tags', key: 'tagsWithAddRemove' });
  if (unset.includes('tags')) faults.push({ field: `unset[${unset.indexOf('tags')}]`, key: 'reservedTags' });
  faults.push(
    ...overlapFaults(
      'removeTags',
      removeTags?.map((tag) => tag.trim()),
      cleanTags(addTags),
    ),
    ...overlapFaults('removeListIds', removeListIds, addListIds),
    ...overlapFaults('unset', unset, Object.keys(profile.customAttributes ?? {})),
  );
  const given = [addTags ?? [], removeTags ?? [], unset, addListIds, removeListIds, fieldsOf(profile)];
  if (given.every((items) => items.length === 0)) faults.push({ field: 'profile', key: 'nothingToDo' });
  return faults;
}

/** The fields that a profile really gives: an empty location or set of attributes is none. */
function fieldsOf(profile: ProfileInput): string[] {
  const { location, customAttributes, ...others } = profile;
  const nested = [location === null ? { location } : (location ?? {}), customAttributes ?? {}];
  return [others, ...nested].flatMap(namesOf);
}

function namesOf(fields: object): string[] {
  return Object.entries(fields as Record<string, unknown>).flatMap(([name, value]) =>
    value === undefined ? [] : name,
  );
}
