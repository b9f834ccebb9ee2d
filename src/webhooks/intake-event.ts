import { createHash } from 'node:crypto';
import { storedJson, storedText } from '../mirror/stored-json';
import { intakeId } from './intake-id';

/** An event as it is kept. */
export interface IncomingEvent {
  /** Ours; later ones are greater. */
  id: string;
  externalId: string;
  topic: string;
  metricId: string | null;
  profileId: string | null;
  /** JSON that jsonb takes. */
  properties: string;
  /** Epoch milliseconds. */
  occurredAt: number;
  /** Why it cannot be worked off; null for a good one. */
  fault: EventFault | null;
}

export type EventFault = 'NOT_AN_OBJECT' | 'NO_EXTERNAL_ID' | 'NO_TOPIC' | 'NO_PAYLOAD' | 'TOO_DEEP';

/** Klaviyo's own limit is 10. */
const MAX_LEVELS = 32;
/** Of a malformed event so much of its text is kept. */
const MAX_RAW = 2000;
/** What a column of PostgreSQL and a date of JavaScript both hold. */
const EARLIEST = Date.UTC(1, 0, 1);
const LATEST = Date.UTC(9999, 0, 1);
const ID = /^[A-Za-z0-9_-]{1,64}$/;
const UNKNOWN_TOPIC = 'unknown';

/**
 * One event of a delivery. Only named fields are looked at, and only where the object itself has them, so that no key
 * of an event means anything to this program; what is malformed is kept as such, with what can be told of it.
 * @param otherwise epoch milliseconds: when it happened, where it does not say so itself
 */
export function readEvent(given: unknown, otherwise: number): IncomingEvent {
  const id = intakeId();
  const externalId = idOf(own(given, 'external_id'));
  const topic = topicOf(own(given, 'topic'));
  const data = own(own(given, 'payload'), 'data');
  const attributes = own(data, 'attributes');
  const relationships = own(data, 'relationships');
  const properties = own(attributes, 'event_properties') ?? {};
  const event = {
    id,
    topic: topic ?? UNKNOWN_TOPIC,
    metricId: idOf(own(own(own(relationships, 'metric'), 'data'), 'id')),
    profileId: idOf(own(own(own(relationships, 'profile'), 'data'), 'id')),
    occurredAt: momentOf(attributes) ?? otherwise,
  };
  const fault = faultOf(given, externalId, topic, attributes, properties);
  if (fault === null && externalId !== null)
    return { ...event, externalId, properties: storedJson(properties), fault: null };
  const text = textOf(given);
  return {
    ...event,
    // The same malformed event again is the same row; it never stands in the way of a good one.
    externalId: `:${externalId ?? ''}:${createHash('sha256').update(text).digest('base64url')}`,
    properties: storedJson({ raw: text.slice(0, MAX_RAW) }),
    fault: fault ?? 'NO_EXTERNAL_ID',
  };
}

/** Klaviyo's id of an event that was kept; null for one that came without. */
export function shownExternalId(externalId: string): string | null {
  if (!externalId.startsWith(':')) return externalId;
  const given = externalId.slice(1, externalId.indexOf(':', 1));
  return given === '' ? null : given;
}

function faultOf(
  given: unknown,
  externalId: string | null,
  topic: string | null,
  attributes: unknown,
  properties: unknown,
): EventFault | null {
  if (!isObject(given)) return 'NOT_AN_OBJECT';
  if (externalId === null) return 'NO_EXTERNAL_ID';
  if (topic === null) return 'NO_TOPIC';
  if (!isObject(attributes) || !isObject(properties)) return 'NO_PAYLOAD';
  return isDeeper(properties, MAX_LEVELS) ? 'TOO_DEEP' : null;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A field of the object itself: never one of its prototype. */
function own(value: unknown, name: string): unknown {
  return isObject(value) && Object.hasOwn(value, name) ? value[name] : undefined;
}

function idOf(value: unknown): string | null {
  return typeof value === 'string' && ID.test(value) ? value : null;
}

function topicOf(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= 255 ? storedText(value).toWellFormed() : null;
}

/** `datetime` (with a space or a T), else `timestamp` in seconds. */
function momentOf(attributes: unknown): number | null {
  const datetime = own(attributes, 'datetime');
  const timestamp = own(attributes, 'timestamp');
  const parsed = typeof datetime === 'string' ? Date.parse(datetime) : NaN;
  const moment = Number.isNaN(parsed) && typeof timestamp === 'number' ? timestamp * 1000 : parsed;
  return moment >= EARLIEST && moment < LATEST ? Math.floor(moment) : null;
}

function isDeeper(value: unknown, levels: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (levels === 0) return true;
  const items = Array.isArray(value) ? value : Object.values(value);
  return items.some((item) => isDeeper(item, levels - 1));
}

/** What came, as text; of something too deep to be written out, nothing. */
function textOf(given: unknown): string {
  try {
    return JSON.stringify([given]);
  } catch {
    return '';
  }
}
