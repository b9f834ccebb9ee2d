import { toInstant } from '../common/instants';
import { foldName } from '../common/name-filter';
import type { Resource } from '../klaviyo/json-api';
import { storedJson, storedText } from '../mirror/stored-json';
import type { MirrorRow } from './profile-mirror.repository';
import { readTags, record } from './profile-reading.klaviyo';

/** Longer texts are kept, not searched. */
const MAX_SEARCHED_TEXT = 500;
const MAX_SEARCHED_ITEMS = 200;

/** A person of Klaviyo's as the mirror keeps them. Every attribute may be null, absent or of another type than documented. */
export function toMirrorRow({ id, attributes }: Pick<Resource, 'id' | 'attributes'>): MirrorRow {
  const { tags, ...custom } = record(attributes['properties']) ?? {};
  return {
    id,
    email: text(attributes['email'])?.toLowerCase() ?? null,
    phone: text(attributes['phone_number']),
    externalId: text(attributes['external_id']),
    name: nameOf(attributes),
    searchable: storedJson({ t: readTags(tags), a: searched(custom) }),
    createdAt: instant(attributes['created']),
    updatedAt: instant(attributes['updated']),
    document: storedJson({ attributes }),
  };
}

function nameOf(attributes: Readonly<Record<string, unknown>>): string | null {
  const parts = [attributes['first_name'], attributes['last_name'], attributes['organization']];
  const name = parts.filter((part) => typeof part === 'string' && part !== '').join(' ');
  return name === '' ? null : storedText(foldName(name));
}

/** What may be asked for by value. */
function searched(attributes: Readonly<Record<string, unknown>>): Record<string, unknown> {
  const kept: Record<string, unknown> = {};
  for (const name of Object.keys(attributes)) {
    const value = attributes[name];
    if (isShort(value)) kept[name] = value;
    else if (Array.isArray(value)) kept[name] = value.slice(0, MAX_SEARCHED_ITEMS).filter(isShort);
  }
  return kept;
}

function isShort(value: unknown): boolean {
  if (typeof value === 'string') return value.length <= MAX_SEARCHED_TEXT;
  return typeof value === 'number' || typeof value === 'boolean';
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? storedText(value) : null;
}

/** Of the years that PostgreSQL knows and spells as JavaScript does: 1 to 9999. */
function instant(value: unknown): string | null {
  const at = toInstant(value);
  return at !== null && at.length === 24 && at >= '0001' ? at : null;
}
