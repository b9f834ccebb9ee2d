import type { Account } from './account.ts';
import type { Json, JsonObject } from './json.ts';
import type { Limits, Tier } from './quota.ts';
import type { Query, QuerySpec } from './query.ts';
import type { Schema } from './schemas/dsl.ts';
import { sparse } from './fields.ts';

/** One call of the API on its way through the sandbox. */
export interface Context {
  account: Account;
  operation: Operation;
  /** The revision whose behaviour answers. */
  revision: string;
  params: Readonly<Record<string, string>>;
  query: Query;
  body: unknown;
  now: number;
  /** `http://host:port`, as the client addressed us. */
  origin: string;
  /** Path as sent, without a trailing slash. */
  path: string;
}

export interface Reply {
  status: number;
  /** A document, a document already rendered, or nothing at all. */
  document?: JsonObject | string;
}

/** One operation of Klaviyo's API that the sandbox plays. */
export interface Operation {
  id: string;
  method: 'GET' | 'POST' | 'PATCH' | 'DELETE';
  /** Template without a trailing slash, e.g. `/api/lists/{id}`. */
  path: string;
  scopes: readonly string[];
  /** First stable revision that has it. */
  since: string;
  tier: (revision: string) => Tier;
  query: (revision: string) => QuerySpec;
  body?: (revision: string) => Schema;
  handle: (context: Context) => Reply;
  /** Needs Advanced KDP (webhooks). */
  gated?: boolean;
}

/** Limits by tier and revision; tier L grew from 700 to 750 a minute on 2026-01-15. */
export function publishedLimits(tiers: Record<Tier, Limits>, tier: Tier, revision: string, oldTierL: number): Limits {
  if (tier === 'L' && revision < '2026-01-15') return { ...tiers.L, steady: oldTierL };
  return tiers[tier];
}

/** A resource object; `relationships` and self link as Klaviyo renders them (self ends with a slash). */
export function resource(
  context: Context,
  type: string,
  id: string,
  path: string,
  attributes: JsonObject | null,
  relationships?: JsonObject,
): JsonObject {
  const wanted = context.query.fields.get(type);
  return {
    type,
    id,
    ...(attributes === null ? {} : { attributes: sparse(attributes, wanted, context.query.additional.get(type)) }),
    ...(relationships === undefined ? {} : { relationships }),
    links: { self: `${context.origin}/api/${path}/${id}/` },
  };
}

/** A relationship: its links, and data only where it was asked for or is always there. */
export function relation(context: Context, owner: string, name: string, data?: Json): JsonObject {
  const links = {
    self: `${context.origin}/api/${owner}/relationships/${name}/`,
    related: `${context.origin}/api/${owner}/${name}/`,
  };
  return data === undefined ? { links } : { data, links };
}

export function identifiers(type: string, ids: readonly string[]): JsonObject[] {
  return ids.map((id) => ({ type, id }));
}

/** The address of the request, its query encoded, with some parameters replaced (null: left out). */
export function address(context: Context, replace: Record<string, string | null> = {}): string {
  const pairs = new Map(context.query.pairs);
  for (const [name, value] of Object.entries(replace)) {
    if (value === null) pairs.delete(name);
    else pairs.set(name, value);
  }
  const search = [...pairs]
    .map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`)
    .join('&');
  return `${context.origin}${context.path}${search === '' ? '' : `?${search}`}`;
}

/** Links of a collection: the request itself, the next page or null, and `prev` (null, or the recorded bogus one). */
export function pageLinks(context: Context, next: string | null, bogusPrev = false): JsonObject {
  return {
    self: address(context),
    next: next === null ? null : address(context, { 'page[cursor]': next }),
    prev: bogusPrev ? address(context, { 'page[cursor]': '<Filters: >' }) : null,
  };
}

/** A page whose rows are rendered already. */
export function pageText(context: Context, rows: readonly string[], next: string | null): string {
  return `{"data":[${rows.join(',')}],"links":${JSON.stringify(pageLinks(context, next))}}`;
}

/** A single-resource document; the document's own link came with the newest revision. */
export function single(context: Context, data: JsonObject, included?: JsonObject[]): JsonObject {
  return {
    data,
    ...(included === undefined ? {} : { included }),
    ...(context.revision >= '2026-07-15' ? { links: { self: address(context) } } : {}),
  };
}
