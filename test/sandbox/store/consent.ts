import type { Account } from '../account.ts';
import type { JsonObject } from '../json.ts';
import { recordEvent } from '../resources/record-event.ts';
import type { ProfileRow, SuppressionReason } from './rows.ts';

/** What changes people's consent: shared by the bulk jobs and the control address. */

export interface Subscription {
  email: boolean;
  sms: boolean;
  consentedAt: { email: number | null; sms: number | null };
  source: string | null;
  doubleOptIn: boolean;
}

/** Which suppressions a new subscription lifts. */
const LIFTED: readonly SuppressionReason[] = ['UNSUBSCRIBE', 'SPAM_COMPLAINT', 'USER_SUPPRESSED'];

function save(account: Account, row: ProfileRow, change: Partial<ProfileRow>, now: number): ProfileRow {
  const changed = { ...row, ...change, updated: Math.floor(now / 1000) * 1000 };
  account.profiles.store(changed, row);
  return changed;
}

/** Records consent for the channels and lifts what the subscription lifts. */
export function subscribe(account: Account, row: ProfileRow, wanted: Subscription, now: number): ProfileRow {
  const change: Partial<ProfileRow> = {};
  const detail = wanted.source ?? '';
  if (wanted.email && row.email !== null) {
    change.emailConsent = {
      ...row.emailConsent,
      consent: 'SUBSCRIBED',
      consentedAt: wanted.consentedAt.email ?? now,
      updatedAt: now,
      method: wanted.source === null ? 'API' : 'CUSTOM',
      methodDetail: '',
      customMethodDetail: wanted.source,
      doubleOptIn: wanted.doubleOptIn,
      suppressions: row.emailConsent.suppressions.filter(({ reason }) => !LIFTED.includes(reason)),
      listSuppressions: [],
    };
    event(account, row.id, 'Subscribed to Email Marketing', now);
  }
  if (wanted.sms && row.phone_number !== null) {
    change.smsConsent = {
      consent: 'SUBSCRIBED',
      consentedAt: wanted.consentedAt.sms ?? now,
      updatedAt: now,
      method: 'API',
      methodDetail: detail,
    };
    event(account, row.id, 'Subscribed to SMS Marketing', now);
  }
  return save(account, account.profiles.get(row.id) ?? row, change, now);
}

/** Withdraws consent everywhere. */
export function unsubscribe(account: Account, row: ProfileRow, email: boolean, sms: boolean, now: number): ProfileRow {
  const change: Partial<ProfileRow> = {};
  if (email) {
    const kept = row.emailConsent.suppressions.filter(({ reason }) => reason !== 'UNSUBSCRIBE');
    change.emailConsent = {
      ...row.emailConsent,
      consent: 'UNSUBSCRIBED',
      updatedAt: now,
      suppressions: [...kept, { reason: 'UNSUBSCRIBE', at: now }],
    };
    event(account, row.id, 'Unsubscribed from Email Marketing', now);
  }
  if (sms) {
    change.smsConsent = { ...row.smsConsent, consent: 'UNSUBSCRIBED', updatedAt: now };
    event(account, row.id, 'Unsubscribed from SMS Marketing', now);
  }
  return save(account, account.profiles.get(row.id) ?? row, change, now);
}

export function suppress(account: Account, row: ProfileRow, now: number): boolean {
  if (row.emailConsent.suppressions.some(({ reason }) => reason === 'USER_SUPPRESSED')) return false;
  const suppressions = [...row.emailConsent.suppressions, { reason: 'USER_SUPPRESSED' as const, at: now }];
  event(account, row.id, 'Manually Suppressed from Email Marketing', now);
  save(account, account.profiles.get(row.id) ?? row, { emailConsent: { ...row.emailConsent, suppressions } }, now);
  return true;
}

/** Lifts what a person of the account suppressed by hand, nothing else. */
export function unsuppress(account: Account, row: ProfileRow, now: number): boolean {
  const suppressions = row.emailConsent.suppressions.filter(({ reason }) => reason !== 'USER_SUPPRESSED');
  if (suppressions.length === row.emailConsent.suppressions.length) return false;
  event(account, row.id, 'Manually Unsuppressed from Email Marketing', now);
  save(account, account.profiles.get(row.id) ?? row, { emailConsent: { ...row.emailConsent, suppressions } }, now);
  return true;
}

export function joinList(account: Account, listId: string, profileId: string, now: number): void {
  const members = account.membersOf(listId);
  if (members.has(profileId)) return;
  members.put({ id: profileId, joined: Math.floor(now / 1000) * 1000 });
  event(account, profileId, 'Subscribed to List', now, listId);
}

export function leaveList(account: Account, listId: string, profileId: string, now: number): void {
  if (account.membersOf(listId).remove(profileId)) event(account, profileId, 'Unsubscribed from List', now, listId);
}

/** The click in the confirmation mail of a double-opt-in list. */
export function confirmSubscription(account: Account, listId: string, profileId: string, now: number): void {
  const row = account.profiles.get(profileId);
  if (row === undefined || !account.lists.has(listId)) throw new Error('confirm: a list and a profile that exist');
  const wanted = { email: true, sms: false, consentedAt: { email: now, sms: null }, source: null, doubleOptIn: true };
  subscribe(account, row, wanted, now);
  joinList(account, listId, profileId, now);
}

function event(account: Account, profileId: string, metric: string, now: number, listId?: string): void {
  const list = listId === undefined ? undefined : account.lists.get(listId);
  const properties: JsonObject = list === undefined ? {} : { List: list.name };
  recordEvent(account, { metric, own: true, profileId, time: now, uniqueId: account.ids.event(), properties, now });
}
