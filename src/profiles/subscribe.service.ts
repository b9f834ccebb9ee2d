import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { Clock } from '../common/clock';
import { AppError, type ErrorCode, type FieldFault } from '../common/errors';
import { AccountsService, type OpenAccount } from '../connection/accounts.service';
import type { ListName, Profile, ProfileInput } from './profile';
import { ProfileLists } from './profile-lists';
import { cleanTags, identifierFaults, profileFaults, refuse } from './profile-rules';
import { ProfileWriter } from './profile-writer';
import { ProfilesKlaviyo, type KnownList } from './profiles.klaviyo';
import type { ConsentGiven } from './subscribing.klaviyo';

export interface SubscribeInput {
  connectionId?: string;
  profile: ProfileInput;
  listId?: string;
  listIds?: string[];
  consent?: { email?: true; sms?: true; source?: string; consentedAt?: string };
}

/** `NO_CONSENT`: on the lists by membership alone. `DOUBLE_OPT_IN_SKIPPED`: a consent of old asks for no confirmation. */
export const SUBSCRIBE_WARNINGS = ['NO_CONSENT', 'DOUBLE_OPT_IN_SKIPPED'] as const;
export type SubscribeWarning = (typeof SUBSCRIBE_WARNINGS)[number];

export interface PlacedOnList extends ListName {
  status: 'added' | 'requested' | 'failed';
  code?: ErrorCode;
}

export interface Subscribed {
  profile: Profile;
  created: boolean;
  lists: PlacedOnList[];
  subscription?: { email?: 'requested'; sms?: 'requested' };
  warnings: SubscribeWarning[];
}

/** How far ahead a caller's clock may be. */
const SKEW_MS = 60_000;
const EPOCH = '1970-01-01T00:00:00Z';

/** Creates or updates a person and puts them on lists: with consent through Klaviyo's subscribe job, else by membership. */
@Injectable()
export class SubscribeService {
  constructor(
    private readonly accounts: AccountsService,
    private readonly lists: ProfileLists,
    private readonly writer: ProfileWriter,
    private readonly atKlaviyo: ProfilesKlaviyo,
    private readonly clock: Clock,
  ) {}

  /**
   * Lists are checked before anything is written. Once the profile is written, a list that fails is reported and the
   * others go on: the call can be repeated as a whole.
   * @throws AppError LIST_NOT_FOUND with nothing written; PROFILE_CONFLICT with `profileIds`
   */
  async subscribe(scope: UserScope, input: SubscribeInput): Promise<Subscribed> {
    const now = this.clock.now();
    refuse(faultsOf(input, now));
    const account = await this.accounts.open(scope, input.connectionId);
    const lists = await this.lists.known(account.klaviyo, input.listIds ?? (input.listId ? [input.listId] : []));
    const { profile, created } = await this.writer.upsert(account, {
      ...input.profile,
      tags: cleanTags(input.profile.tags ?? []),
    });
    const consent = consentOf(input, now);
    if (!consent) return { profile, created, ...(await this.add(account, lists, profile.id)) };
    return { profile, created, ...(await this.request(account, lists, profile.id, consent)) };
  }

  private async add(account: OpenAccount, lists: readonly KnownList[], profileId: string): Promise<Placement> {
    const placed = await Promise.all(
      lists.map((list) =>
        place(list, 'added', () =>
          account.writing('lists', () => this.atKlaviyo.join(account.klaviyo, list.id, profileId)),
        ),
      ),
    );
    const added = placed.filter(({ status }) => status === 'added').map(({ id }) => id);
    await this.lists.note(account.klaviyo, profileId, added);
    return { lists: placed, warnings: lists.length > 0 ? ['NO_CONSENT'] : [] };
  }

  private async request(
    account: OpenAccount,
    lists: readonly KnownList[],
    profileId: string,
    consent: ConsentGiven,
  ): Promise<Placement> {
    const ask = (listId?: string) =>
      account.writing('subscriptions', () =>
        this.atKlaviyo.requestConsent(account.klaviyo, profileId, consent, listId),
      );
    // Without a list there is no place to report a refusal: it is the call's, which may be repeated.
    if (lists.length === 0) await ask();
    const placed = await Promise.all(lists.map((list) => place(list, 'requested', () => ask(list.id))));
    const asked = lists.length === 0 || placed.some(({ status }) => status === 'requested');
    const skipped = consent.consentedAt !== undefined && lists.some(({ doubleOptIn }) => doubleOptIn === true);
    return {
      lists: placed,
      ...(asked ? { subscription: channelsOf(consent) } : {}),
      warnings: skipped ? ['DOUBLE_OPT_IN_SKIPPED'] : [],
    };
  }
}

type Placement = Pick<Subscribed, 'lists' | 'subscription' | 'warnings'>;

async function place(list: KnownList, done: 'added' | 'requested', work: () => Promise<void>): Promise<PlacedOnList> {
  const { id, name } = list;
  try {
    await work();
    return { id, name, status: done };
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return { id, name, status: 'failed', code: error.code };
  }
}

function channelsOf(consent: ConsentGiven): { email?: 'requested'; sms?: 'requested' } {
  return {
    ...(consent.email === undefined ? {} : { email: 'requested' }),
    ...(consent.phoneNumber === undefined ? {} : { sms: 'requested' }),
  };
}

/** A moment that is not past yet by our clock is now: Klaviyo takes only past ones, and puts its own time on the rest. */
function consentOf(input: SubscribeInput, now: number): ConsentGiven | undefined {
  const { consent, profile } = input;
  if (!consent) return undefined;
  const past = consent.consentedAt !== undefined && Date.parse(consent.consentedAt) < now;
  return {
    ...(consent.email && typeof profile.email === 'string' ? { email: profile.email } : {}),
    ...(consent.sms && typeof profile.phoneNumber === 'string' ? { phoneNumber: profile.phoneNumber } : {}),
    ...(consent.source === undefined ? {} : { source: consent.source }),
    ...(past ? { consentedAt: consent.consentedAt } : {}),
  };
}

function faultsOf(input: SubscribeInput, now: number): FieldFault[] {
  const { profile, consent, listId, listIds } = input;
  const faults = [...identifierFaults(profile), ...profileFaults(profile)];
  if (listId !== undefined && listIds !== undefined)
    faults.push({ field: 'listIds', key: 'onlyOneOf', params: { fields: 'listId, listIds' } });
  if (!consent) return faults;
  if (!consent.email && !consent.sms)
    faults.push({ field: 'consent', key: 'oneOfRequired', params: { fields: 'email, sms' } });
  if (consent.email && profile.email === undefined) faults.push({ field: 'profile.email', key: 'required' });
  if (consent.sms && profile.phoneNumber === undefined) faults.push({ field: 'profile.phoneNumber', key: 'required' });
  if (consent.consentedAt !== undefined && Date.parse(consent.consentedAt) > now + SKEW_MS)
    faults.push({
      field: 'consent.consentedAt',
      key: 'timeOutOfRange',
      params: { min: EPOCH, max: new Date(now).toISOString() },
    });
  return faults;
}
