import { Injectable } from '@nestjs/common';
import { AppError } from '../common/errors';
import { any, equals } from '../klaviyo/filter';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { mapPointer } from '../klaviyo/klaviyo-error';
import { KlaviyoClient, type KlaviyoAnswer, type KlaviyoCall } from '../klaviyo/klaviyo.client';
import { operations, type Operation } from '../klaviyo/operations';
import type { Identifier, IdentifierField, ListName, Profile } from './profile';
import { toMirrorRow } from './mirrored-row.klaviyo';
import { ProfileMirrorService } from './profile-mirror.service';
import { readProfile, resourceOf, resourcesOf, THEIR_NAMES } from './profile-reading.klaviyo';
import { PROFILE_POINTERS, profileBody, TAG_POINTER, type ProfileWrite } from './profile-writing.klaviyo';
import { CONSENT_POINTERS, neededFor, subscribeJob, type ConsentGiven } from './subscribing.klaviyo';

type Attributes = Readonly<Record<string, unknown>>;

export interface KnownList extends ListName {
  /** Whether people confirm before they are subscribed; null where the revision does not say. */
  doubleOptIn: boolean | null;
}

/** Consent stands in a profile only when it is asked for. */
const WITH_SUBSCRIPTIONS = { 'additional-fields[profile]': 'subscriptions' };
/** Answers to writes may carry it since then. */
const ANSWERS_SUBSCRIPTIONS_SINCE = '2024-10-15';

/** Klaviyo's calls about people: find, write, put on lists, ask for consent. Whom Klaviyo shows, the mirror keeps. */
@Injectable()
export class ProfilesKlaviyo {
  constructor(
    private readonly klaviyo: KlaviyoClient,
    private readonly mirror: ProfileMirrorService,
  ) {}

  /** The person of an identifier, consent included; null when there is none. */
  async find(access: KlaviyoAccess, by: Identifier): Promise<Profile | null> {
    if (by.field === 'profileId') return this.byId(access, by.value);
    const { field, value } = by;
    const { body } = await this.call(
      access,
      operations.getProfiles,
      { query: { filter: filterOf(field, value), ...WITH_SUBSCRIPTIONS } },
      { filter: field, data: field },
    );
    const found = resourcesOf(body);
    const exact = found.find(({ attributes }) => attributes[THEIR_NAMES[field]] === value);
    const first = exact ?? found[0];
    return first ? this.seen(access, first) : null;
  }

  /** @throws AppError PROFILE_NOT_FOUND */
  async require(access: KlaviyoAccess, by: Identifier): Promise<Profile> {
    const profile = await this.find(access, by);
    if (!profile) throw new AppError('PROFILE_NOT_FOUND');
    return profile;
  }

  /** All lists of a person; Klaviyo gives them in one page. */
  async listsOf(access: KlaviyoAccess, profileId: string): Promise<ListName[]> {
    const lists: ListName[] = [];
    const pages = this.klaviyo.pages<Attributes>(access, operations.getProfileLists, { path: { id: profileId } });
    for await (const { items } of pages)
      lists.push(...items.map(({ id, attributes }) => ({ id, name: nameOf(attributes) })));
    return lists;
  }

  /** @throws AppError LIST_NOT_FOUND naming the list */
  async list(access: KlaviyoAccess, id: string): Promise<KnownList> {
    const { body } = await this.call(access, operations.getList, { path: { id } }, { data: 'listId' });
    const list = resourceOf(body);
    const { attributes } = list;
    const process = attributes['opt_in_process'];
    const doubleOptIn = typeof process === 'string' ? process === 'double_opt_in' : null;
    return { id: list.id, name: nameOf(attributes), doubleOptIn };
  }

  /**
   * Creates a person or updates the one that has an identifier of theirs, in one call. `profile-import` is younger
   * than the oldest base revision; the client then sends it under one that has it.
   * @throws AppError PROFILE_CONFLICT or CONFLICT when the identifiers are not one person's
   */
  async upsert(access: KlaviyoAccess, write: ProfileWrite): Promise<{ profile: Profile; created: boolean }> {
    const answer = await this.call(
      access,
      operations.upsertProfile,
      { body: { data: profileBody(write) }, query: WITH_SUBSCRIPTIONS, needs: ANSWERS_SUBSCRIPTIONS_SINCE },
      { ...PROFILE_POINTERS, [TAG_POINTER]: 'profile.tags' },
    );
    return { profile: await this.seen(access, resourceOf(answer.body)), created: answer.status === 201 };
  }

  /** @throws AppError PROFILE_CONFLICT or CONFLICT when a new identifier is somebody else's */
  async update(access: KlaviyoAccess, id: string, write: ProfileWrite): Promise<Profile> {
    const { body } = await this.call(
      access,
      operations.updateProfile,
      {
        path: { id },
        body: { data: profileBody(write, id) },
        query: WITH_SUBSCRIPTIONS,
        needs: ANSWERS_SUBSCRIPTIONS_SINCE,
      },
      { ...PROFILE_POINTERS, [TAG_POINTER]: 'addTags' },
    );
    return this.seen(access, resourceOf(body));
  }

  /** Membership alone: changes no consent. */
  async join(access: KlaviyoAccess, listId: string, profileId: string): Promise<void> {
    await this.call(access, operations.addProfilesToList, members(listId, profileId));
  }

  async leave(access: KlaviyoAccess, listId: string, profileId: string): Promise<void> {
    await this.call(access, operations.removeProfilesFromList, members(listId, profileId));
  }

  /** Asks Klaviyo to subscribe a person, on a list or on none; done by Klaviyo some time later. */
  async requestConsent(
    access: KlaviyoAccess,
    profileId: string,
    consent: ConsentGiven,
    listId?: string,
  ): Promise<void> {
    const needs = neededFor(consent, listId);
    const body = subscribeJob(profileId, consent, listId);
    const call = needs === undefined ? { body } : { body, needs };
    await this.call(access, operations.subscribeProfiles, call, CONSENT_POINTERS);
  }

  private async byId(access: KlaviyoAccess, id: string): Promise<Profile | null> {
    try {
      const call = { path: { id }, query: WITH_SUBSCRIPTIONS };
      const { body } = await this.call(access, operations.getProfile, call, { data: 'profileId' });
      return await this.seen(access, resourceOf(body));
    } catch (error) {
      if (!(error instanceof AppError) || error.code !== 'PROFILE_NOT_FOUND') throw error;
      await this.mirror.missed(access, id);
      return null;
    }
  }

  /** With consent, as every call here asks for it. */
  private async seen(access: KlaviyoAccess, resource: ReturnType<typeof resourceOf>): Promise<Profile> {
    await this.mirror.saw(access, toMirrorRow(resource));
    return readProfile(resource);
  }

  /** A call whose refusals name the caller's fields. */
  private async call(
    access: KlaviyoAccess,
    operation: Operation,
    call: KlaviyoCall,
    pointers: Readonly<Record<string, string>> = {},
  ): Promise<KlaviyoAnswer<unknown>> {
    try {
      return await this.klaviyo.call(access, operation, call);
    } catch (error) {
      throw mapPointer(error, pointers);
    }
  }
}

/**
 * Klaviyo keeps e-mail addresses in lower case and does not say whether it compares them so: both spellings are
 * asked for at once.
 */
function filterOf(field: Exclude<IdentifierField, 'profileId'>, value: string): string {
  const lower = value.toLowerCase();
  return field === 'email' && lower !== value
    ? any(THEIR_NAMES.email, [value, lower])
    : equals(THEIR_NAMES[field], value);
}

function members(listId: string, profileId: string): KlaviyoCall {
  return { path: { id: listId }, body: { data: [{ type: 'profile', id: profileId }] } };
}

function nameOf(attributes: Attributes): string | null {
  const { name } = attributes;
  return typeof name === 'string' ? name : null;
}
