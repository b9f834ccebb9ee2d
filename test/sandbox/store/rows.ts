import type { JsonObject } from '../json.ts';

/** Rows as the sandbox keeps them: instants are epoch milliseconds, null means unset. */

export type SuppressionReason = 'HARD_BOUNCE' | 'INVALID_EMAIL' | 'SPAM_COMPLAINT' | 'UNSUBSCRIBE' | 'USER_SUPPRESSED';
export type Consent = 'NEVER_SUBSCRIBED' | 'SUBSCRIBED' | 'UNSUBSCRIBED';

export interface EmailConsent {
  consent: Consent;
  consentedAt: number | null;
  updatedAt: number | null;
  method: string | null;
  methodDetail: string;
  customMethodDetail: string | null;
  doubleOptIn: boolean | null;
  suppressions: { reason: SuppressionReason; at: number }[];
  listSuppressions: { listId: string; reason: SuppressionReason; at: number }[];
}

export interface SmsConsent {
  consent: Consent;
  consentedAt: number | null;
  updatedAt: number | null;
  method: string | null;
  methodDetail: string;
}

export const LOCATION_FIELDS = [
  'address1',
  'address2',
  'city',
  'country',
  'latitude',
  'longitude',
  'region',
  'zip',
  'timezone',
  'ip',
] as const;
export type LocationField = (typeof LOCATION_FIELDS)[number];
export type Location = Record<LocationField, string | number | null>;

export const TEXT_FIELDS = [
  'email',
  'phone_number',
  'external_id',
  'first_name',
  'last_name',
  'organization',
  'locale',
  'title',
  'image',
] as const;
export type TextField = (typeof TEXT_FIELDS)[number];

export interface ProfileRow extends Record<TextField, string | null> {
  id: string;
  created: number;
  updated: number;
  last_event_date: number | null;
  location: Location;
  properties: JsonObject;
  emailConsent: EmailConsent;
  smsConsent: SmsConsent;
}

export interface GroupRow {
  id: string;
  name: string;
  created: number;
  updated: number;
}

export interface ListRow extends GroupRow {
  optIn: 'single_opt_in' | 'double_opt_in';
  tagIds: string[];
}

export interface SegmentRow extends GroupRow {
  definition: JsonObject | null;
  isActive: boolean;
  isStarred: boolean;
  /** Until when Klaviyo would still be computing the members; they show afterwards. */
  processingUntil: number;
  tagIds: string[];
}

/** A profile's place in a list or segment; `id` is the profile's. */
export interface MemberRow {
  id: string;
  joined: number;
}

export type Channel = 'email' | 'sms' | 'mobile_push';

export interface MessageRow {
  id: string;
  label: string;
  channel: Channel;
  content: JsonObject;
  created: number;
  updated: number;
}

export interface CampaignRow {
  id: string;
  name: string;
  status: string;
  archived: boolean;
  channel: Channel;
  audiences: { included: string[]; excluded: string[] };
  strategy: 'static' | 'throttled' | 'immediate' | 'smart_send_time';
  created: number;
  updated: number;
  scheduled: number | null;
  sent: number | null;
  messages: MessageRow[];
  tagIds: string[];
}

export interface Integration {
  id: string;
  key: string;
  name: string;
  category: string;
}

export interface MetricRow {
  id: string;
  name: string;
  created: number;
  updated: number;
  integration: Integration;
}

export interface EventRow {
  id: string;
  uuid: string;
  /** Event time, whole seconds. */
  time: number;
  metricId: string;
  profileId: string;
  properties: JsonObject;
}

export interface TagRow {
  id: string;
  name: string;
}

export interface WebhookRow {
  id: string;
  name: string;
  description: string | null;
  endpointUrl: string;
  secret: string;
  enabled: boolean;
  topics: string[];
  created: number;
  updated: number;
  failingSince: number | null;
}

export function noEmailConsent(): EmailConsent {
  return {
    consent: 'NEVER_SUBSCRIBED',
    consentedAt: null,
    updatedAt: null,
    method: null,
    methodDetail: '',
    customMethodDetail: null,
    doubleOptIn: null,
    suppressions: [],
    listSuppressions: [],
  };
}

export function noSmsConsent(): SmsConsent {
  return { consent: 'NEVER_SUBSCRIBED', consentedAt: null, updatedAt: null, method: null, methodDetail: '' };
}

export function noLocation(): Location {
  return Object.fromEntries(LOCATION_FIELDS.map((name) => [name, null])) as Location;
}
