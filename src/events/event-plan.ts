import { AppError, invalid, type FieldFault } from '../common/errors';
import { predefined } from './event-catalogue';
import { isReserved } from './event-type';
import { findProfile, type EventProfile, type FoundProfile } from './find-profile';

/** What a caller says of an event; already of the right types. */
export interface EventInput {
  eventType: string;
  eventData: Record<string, unknown>;
  profileId?: string;
  profile?: { email?: string; phoneNumber?: string; externalId?: string };
  time?: string;
  value?: number | null;
  currency?: string | null;
  uniqueId?: string;
  backfill?: boolean;
}

/** An event as it will go to Klaviyo, with its defaults filled in. */
export interface EventPlan {
  /** The metric's name. */
  eventType: string;
  properties: Record<string, unknown>;
  profile: EventProfile;
  /** To the second. */
  time: Date;
  value: number | null;
  currency: string | null;
  /** Undefined: the event's own id. */
  uniqueId: string | undefined;
  backfill: boolean;
  /** Where the caller wrote each identifier. */
  profileFields: FoundProfile['fields'];
}

/** Klaviyo's limits on one event (its events guide). */
const MAX_PROPERTIES = 400;
const MAX_STRING_BYTES = 100_000;
const MAX_ITEMS = 4000;
const MAX_AHEAD_MS = 365 * 86_400_000;

/**
 * Turns a caller's event into what will be sent, or refuses it.
 * @param now epoch milliseconds
 * @param earliest the first instant that Klaviyo takes for such an event
 * @throws AppError VALIDATION_FAILED naming the field
 */
export function planEvent(input: EventInput, now: number, earliest: (event: EventPlan) => number): EventPlan {
  checkData(input.eventData);
  const { profile, fields } = findProfile(input, input.eventData);
  const value = input.value === undefined ? defaultValue(input.eventData['total']) : input.value;
  const plan: EventPlan = {
    eventType: metricName(input.eventType),
    properties: input.eventData,
    profile,
    time: new Date(toSecond(input.time === undefined ? now : Date.parse(input.time.toUpperCase()))),
    value,
    // A currency without a value says nothing: it is only taken over together with one.
    currency:
      input.currency === undefined && value !== null
        ? defaultCurrency(input.eventData['currency'])
        : (input.currency ?? null),
    uniqueId: input.uniqueId,
    backfill: input.backfill ?? false,
    profileFields: fields,
  };
  checkTime(plan, now, earliest(plan));
  return plan;
}

/** The catalogue's name of a key or name of it; any other name as it is. */
function metricName(eventType: string): string {
  if (eventType.trim() === '') throw invalid('event.eventType', 'empty');
  if (/\p{Cc}/u.test(eventType)) throw invalid('event.eventType', 'malformed');
  if (isReserved(eventType)) throw invalid('event.eventType', 'reservedMetric');
  return predefined(eventType)?.name ?? eventType;
}

function defaultValue(total: unknown): number | null {
  return typeof total === 'number' ? total : null;
}

const CURRENCIES: ReadonlySet<string> = new Set(Intl.supportedValuesOf('currency'));

function defaultCurrency(currency: unknown): string | null {
  const code = typeof currency === 'string' ? currency.toUpperCase() : '';
  return CURRENCIES.has(code) ? code : null;
}

function toSecond(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

function checkTime({ time }: EventPlan, now: number, earliest: number): void {
  const latest = now + MAX_AHEAD_MS;
  if (time.getTime() >= earliest && time.getTime() <= latest) return;
  const [min, max] = [earliest, latest].map((ms) => `${new Date(ms).toISOString().slice(0, 19)}Z`);
  throw invalid('event.time', 'timeOutOfRange', { min: min ?? '', max: max ?? '' });
}

/** Size limits; depth was checked with the body. Line items count as one property, as at Klaviyo. */
function checkData(data: Record<string, unknown>): void {
  if (Object.keys(data).length > MAX_PROPERTIES)
    throw invalid('event.eventData', 'tooManyKeys', { max: MAX_PROPERTIES });
  const fault = oversized(data, 'event.eventData');
  if (fault) throw new AppError('VALIDATION_FAILED', { errors: [fault] });
}

function oversized(value: unknown, field: string): FieldFault | null {
  if (typeof value === 'string')
    return Buffer.byteLength(value) > MAX_STRING_BYTES
      ? { field, key: 'tooLong', params: { max: MAX_STRING_BYTES } }
      : null;
  if (typeof value !== 'object' || value === null) return null;
  const isArray = Array.isArray(value);
  if (isArray && value.length > MAX_ITEMS) return { field, key: 'tooManyItems', params: { max: MAX_ITEMS } };
  for (const [key, item] of Object.entries(value) as [string, unknown][]) {
    const fault = oversized(item, isArray ? `${field}[${key}]` : `${field}.${key}`);
    if (fault) return fault;
  }
  return null;
}
