import { duplicateProfile } from '../errors.ts';
import type { IdSource } from '../ids.ts';
import type { Json, JsonObject } from '../json.ts';
import { isObject, without } from '../json.ts';
import type { GeneratedProfiles } from './generated-profiles.ts';
import type { Location, ProfileRow, TextField } from './rows.ts';
import { LOCATION_FIELDS, noEmailConsent, noLocation, noSmsConsent, TEXT_FIELDS } from './rows.ts';
import { Table } from './table.ts';

export type Identifiers = { id?: string | null } & Partial<
  Record<'email' | 'phone_number' | 'external_id', string | null>
>;
const IDENTIFIERS = ['email', 'phone_number', 'external_id'] as const;

/** What a request may write of a profile: absent is unchanged, null clears. */
export type ProfileAttributes = Partial<Record<TextField, string | null>> & {
  location?: Partial<Location> | null;
  properties?: JsonObject | null;
};

export interface PatchProperties {
  append?: JsonObject | null;
  unappend?: JsonObject | null;
  unset?: string | string[] | null;
}

/** Profiles of one account: unique by e-mail, phone and external id, generated rows included. */
export class Profiles {
  readonly table: Table<ProfileRow>;
  /** Whether `append` of a value already in the array adds it again (undocumented). */
  appendDuplicates = false;
  /** Ids that a merge made part of another profile: source -> destination. */
  readonly merged = new Map<string, string>();
  /** Ids of profiles that are gone: their events and memberships are too. */
  readonly gone = new Set<string>();
  private readonly base: GeneratedProfiles;
  private readonly ids: IdSource;
  private readonly byIdentifier = new Map<string, string>();

  constructor(base: GeneratedProfiles, ids: IdSource) {
    this.base = base;
    this.ids = ids;
    this.table = new Table<ProfileRow>(
      base,
      {
        id: (row) => row.id,
        created: (row) => row.created,
        updated: (row) => row.updated,
        email: (row) => row.email ?? '',
      },
      profileField,
    );
  }

  get(id: string): ProfileRow | undefined {
    return this.table.get(id);
  }

  /** The profile that has this identifier, if any. */
  byValue(field: (typeof IDENTIFIERS)[number], value: string): ProfileRow | undefined {
    const known = this.byIdentifier.get(`${field}:${fold(field, value)}`);
    if (known !== undefined) return this.table.get(known);
    const index = this.base.indexOfIdentifier(field, fold(field, value));
    return index < 0 || this.table.isHidden(index) ? undefined : this.base.row(index);
  }

  /** Every profile that one of the identifiers names, each once, in the order id, external id, e-mail, phone. */
  matches(by: Identifiers): ProfileRow[] {
    const found = new Map<string, ProfileRow>();
    const byId = typeof by.id === 'string' ? this.get(by.id) : undefined;
    if (byId !== undefined) found.set(byId.id, byId);
    for (const field of ['external_id', 'email', 'phone_number'] as const) {
      const value = by[field];
      const row = typeof value === 'string' ? this.byValue(field, value) : undefined;
      if (row !== undefined) found.set(row.id, row);
    }
    return [...found.values()];
  }

  /** Creates a profile; an identifier that somebody has is a 409 naming that profile. */
  create(attributes: ProfileAttributes, now: number, id = this.ids.ulid(now)): ProfileRow {
    const [other] = this.matches(attributes);
    if (other !== undefined) throw duplicateProfile(other.id);
    const row: ProfileRow = {
      id,
      created: whole(now),
      updated: whole(now),
      last_event_date: null,
      email: null,
      phone_number: null,
      external_id: null,
      first_name: null,
      last_name: null,
      organization: null,
      locale: null,
      title: null,
      image: null,
      location: noLocation(),
      properties: {},
      emailConsent: noEmailConsent(),
      smsConsent: noSmsConsent(),
    };
    const made = this.applied(row, attributes, undefined);
    this.store(made);
    return made;
  }

  /** Changes a profile; taking an identifier that another has is a 409 naming the other. */
  update(row: ProfileRow, attributes: ProfileAttributes, patch: PatchProperties | undefined, now: number): ProfileRow {
    const identifiers: Identifiers = {
      email: attributes.email ?? null,
      phone_number: attributes.phone_number ?? null,
      external_id: attributes.external_id ?? null,
    };
    const other = this.matches(identifiers).find((found) => found.id !== row.id);
    if (other !== undefined) throw duplicateProfile(other.id);
    const changed = { ...this.applied(row, attributes, patch), updated: Math.max(whole(now), row.updated) };
    this.store(changed, row);
    return changed;
  }

  /** Creates or updates by any identifier; identifiers of two people are a 409. */
  upsert(by: Identifiers, attributes: ProfileAttributes, patch: PatchProperties | undefined, now: number) {
    const found = this.matches({ ...attributes, id: by.id ?? null });
    if (found.length > 1) throw duplicateProfile(found[1]?.id);
    const [row] = found;
    if (row !== undefined) return { row: this.update(row, attributes, patch, now), created: false };
    const made = this.create(attributes, now);
    if (patch === undefined) return { row: made, created: true };
    return { row: this.update(made, {}, patch, now), created: true };
  }

  /** Replaces a row as it is (consent changes, control writes). */
  store(row: ProfileRow, before: ProfileRow | undefined = this.table.get(row.id)): void {
    if (before !== undefined) this.forget(before);
    for (const field of IDENTIFIERS) {
      const value = row[field];
      if (value !== null) this.byIdentifier.set(`${field}:${fold(field, value)}`, row.id);
    }
    this.table.put(row);
  }

  /** Removes a profile, for a deletion job or as the source of a merge. */
  remove(id: string, into?: string): boolean {
    const row = this.get(id);
    if (row === undefined) return false;
    this.forget(row);
    this.table.remove(id);
    if (into === undefined) this.gone.add(id);
    else this.merged.set(id, into);
    return true;
  }

  /** The id under which a profile's events and places are found now; null when it was deleted. */
  current(id: string): string | null {
    let at = id;
    for (let next = this.merged.get(at); next !== undefined; next = this.merged.get(at)) at = next;
    return this.gone.has(at) ? null : at;
  }

  private forget(row: ProfileRow): void {
    for (const field of IDENTIFIERS) {
      const value = row[field];
      if (value !== null) this.byIdentifier.delete(`${field}:${fold(field, value)}`);
    }
  }

  private applied(row: ProfileRow, attributes: ProfileAttributes, patch: PatchProperties | undefined): ProfileRow {
    const next = { ...row };
    for (const field of TEXT_FIELDS) {
      const value = attributes[field];
      if (value !== undefined) next[field] = value === null ? null : fold(field, value);
    }
    if (attributes.location === null) next.location = noLocation();
    else if (attributes.location !== undefined) {
      next.location = { ...row.location };
      for (const field of LOCATION_FIELDS) {
        const value = attributes.location[field];
        if (value !== undefined) next.location[field] = value;
      }
    }
    if (attributes.properties === null) next.properties = {};
    else if (attributes.properties !== undefined) {
      // Merged key by key; null clears the key.
      const cleared = Object.keys(attributes.properties).filter((key) => attributes.properties?.[key] === null);
      next.properties = without({ ...row.properties, ...attributes.properties }, cleared);
    }
    return patch === undefined ? next : { ...next, properties: this.patched(next.properties, patch) };
  }

  private patched(properties: JsonObject, patch: PatchProperties): JsonObject {
    const unset = patch.unset === undefined || patch.unset === null ? [] : [patch.unset].flat();
    const next = { ...properties };
    for (const [key, value] of Object.entries(patch.append ?? {})) {
      const list = asList(next[key]);
      for (const item of asList(value))
        if (this.appendDuplicates || !list.some((known) => same(known, item))) list.push(item);
      next[key] = list;
    }
    for (const [key, value] of Object.entries(patch.unappend ?? {})) {
      if (next[key] === undefined) continue;
      const out = asList(value);
      next[key] = asList(next[key]).filter((item) => !out.some((unwanted) => same(unwanted, item)));
    }
    return without(next, unset);
  }
}

/** E-mails and ids compare by their stored form: e-mails are kept lower-case. */
function fold(field: string, value: string): string {
  return field === 'email' ? value.toLowerCase() : value;
}

function asList(value: Json | undefined): Json[] {
  if (value === undefined || value === null) return [];
  return Array.isArray(value) ? [...value] : [value];
}

function same(a: Json, b: Json): boolean {
  return a === b || (isObject(a) && isObject(b) && JSON.stringify(a) === JSON.stringify(b));
}

function whole(ms: number): number {
  return Math.floor(ms / 1000) * 1000;
}

/** A profile's field by the name a filter uses. */
export function profileField(row: ProfileRow, name: string): unknown {
  switch (name) {
    case 'subscriptions.email.marketing.suppression.reason':
      return row.emailConsent.suppressions[0]?.reason;
    case 'subscriptions.email.marketing.suppression.timestamp':
      return row.emailConsent.suppressions[0]?.at;
    case 'subscriptions.email.marketing.list_suppressions.reason':
      return row.emailConsent.listSuppressions[0]?.reason;
    case 'subscriptions.email.marketing.list_suppressions.timestamp':
      return row.emailConsent.listSuppressions[0]?.at;
    case 'subscriptions.email.marketing.list_suppressions.list_id':
      return row.emailConsent.listSuppressions[0]?.listId;
    case 'created':
      return row.created;
    case 'updated':
      return row.updated;
    case 'id':
      return row.id;
    case 'email':
      return row.email;
    case 'phone_number':
      return row.phone_number;
    case 'external_id':
      return row.external_id;
    default:
      return undefined;
  }
}
