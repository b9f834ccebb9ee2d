import type { Account, Key } from './account.ts';
import type { Context, Operation, Reply } from './context.ts';
import { publishedLimits } from './context.ts';
import {
  ADVANCED_KDP,
  ApiError,
  invalidBody,
  invalidItems,
  notFoundText,
  permissionDenied,
  simpleError,
  throttled,
} from './errors.ts';
import type { JsonObject } from './json.ts';
import { isObject, without } from './json.ts';
import type { Match } from './operations.ts';
import type { Bucket, Verdict } from './quota.ts';
import { TIERS } from './quota.ts';
import { readQuery } from './query.ts';
import { faultsOf } from './schemas/validate.ts';
import type { Schema } from './schemas/dsl.ts';

export interface Incoming {
  method: string;
  path: string;
  search: string;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  body: Buffer;
  /** Set when the body was above 5 MB, decompressed. */
  tooLarge: boolean;
  /** Set when the body's encoding is not one that we take. */
  badEncoding: boolean;
  origin: string;
}

export interface Outgoing {
  status: number;
  headers: Record<string, string>;
  body: string;
  parsed: unknown;
}

/** The media type that a revision answers in. */
export function mediaType(revision: string): string {
  return revision >= '2024-10-15' ? 'application/vnd.api+json' : 'application/json';
}

const schemas = new Map<string, Schema>();

/** The request body's schema of an operation under a revision; plain data, made once. */
export function requestSchema(operation: Operation, revision: string): Schema | undefined {
  if (operation.body === undefined) return undefined;
  const name = `${operation.id}@${revision}`;
  let schema = schemas.get(name);
  if (schema === undefined) {
    schema = operation.body(revision);
    schemas.set(name, schema);
  }
  return schema;
}

/** The buckets that a call draws from: its endpoint's own, and the stricter ones of its parameters. */
export function bucketsOf(account: Account, operation: Operation, revision: string, search: string): Bucket[] {
  const { quota, switches } = account;
  const out: Bucket[] = [];
  const add = (key: string, tier: keyof typeof TIERS) => {
    const limits = quota.limitsOf(key, tier, publishedLimits(TIERS, tier, revision, switches.oldTierL));
    if (limits !== null) out.push({ key, limits });
  };
  add(operation.id, operation.tier(revision));
  if (search === '') return out;
  const text = decodeURIComponent(search.replace(/%(?![0-9a-f]{2})/gi, '%25'));
  if (text.includes('profile_count') && /additional-fields\[(list|segment)\]/.test(text))
    add(switches.sharedProfileCount ? 'profile_count' : `profile_count:${operation.id}`, 'XS');
  if (text.includes('predictive_analytics') && text.includes('additional-fields[profile]'))
    add('predictive_analytics', 'M');
  if (operation.id === 'getProfile' && revision >= '2024-10-15' && /(^|&)include=[^&]*(lists|segments)/.test(text))
    add('include', 'XS');
  return out;
}

/** Everything after the key and the revision are known: quota, scope, media type, query, body, and the operation itself. */
export function answer(
  request: Incoming,
  match: Match,
  account: Account,
  key: Key,
  revision: string,
  now: number,
  enforceQuota = true,
): Outgoing {
  const { operation } = match;
  const buckets = bucketsOf(account, operation, revision, request.search);
  const verdict: Verdict = account.quota.take(buckets, now, !enforceQuota);
  if (!verdict.allowed) return refusal(throttled(verdict.retryAfter), revision, {});
  const { headers } = verdict;
  let parsed: unknown = null;
  try {
    checkScope(account, key, operation);
    parsed = readBody(request, operation, account);
    const schema = requestSchema(operation, revision);
    if (schema !== undefined) {
      const faults = faultsOf(schema, parsed);
      if (faults.length > 0) throw invalidItems(faults.slice(0, 20));
    }
    const context: Context = {
      account,
      operation,
      revision,
      params: match.params,
      query: readQuery(request.search, operation.query(revision), revision),
      body: parsed,
      now,
      origin: request.origin,
      path: request.path,
    };
    return rendered(operation.handle(context), revision, headers, parsed);
  } catch (error) {
    if (error instanceof ApiError) return { ...refusal(error, revision, headers), parsed };
    throw error;
  }
}

function checkScope(account: Account, key: Key, operation: Operation): void {
  if (key.scopes !== 'all') {
    const held = key.scopes.map((scope) => scope.replace(/^list:/, 'lists:'));
    if (!operation.scopes.every((scope) => held.includes(scope))) throw permissionDenied();
  }
  if (operation.gated === true && !account.advancedKdp) throw permissionDenied(ADVANCED_KDP);
}

const MEDIA_TYPES = ['application/vnd.api+json', 'application/json'];

function readBody(request: Incoming, operation: Operation, account: Account): unknown {
  if (operation.body === undefined) return null;
  const type = String(request.headers['content-type'] ?? '')
    .split(';')[0]
    ?.trim()
    .toLowerCase();
  if (!MEDIA_TYPES.includes(type ?? '') || request.badEncoding)
    throw simpleError(
      415,
      'unsupported_media_type',
      'Unsupported media type.',
      `Unsupported media type "${type ?? ''}" in request.`,
    );
  if (request.tooLarge)
    throw simpleError(
      account.switches.tooLargeStatus,
      'payload_too_large',
      'Payload too large.',
      'The payload may not be larger than 5 MB.',
    );
  try {
    return JSON.parse(request.body.toString('utf8')) as unknown;
  } catch {
    throw invalidBody('The payload provided in the request is invalid.', '/data');
  }
}

function rendered(reply: Reply, revision: string, headers: Record<string, string>, parsed: unknown): Outgoing {
  const { document } = reply;
  const body =
    document === undefined
      ? ''
      : typeof document === 'string'
        ? document
        : JSON.stringify(ofItsTime(document, revision));
  const typed = body === '' ? headers : { 'content-type': mediaType(revision), ...headers };
  return { status: reply.status, headers: typed, body, parsed };
}

/** Included rows got relationships of their own with the newest revision only. */
function ofItsTime(document: JsonObject, revision: string): JsonObject {
  const { included } = document;
  if (revision >= '2026-07-15' || !Array.isArray(included)) return document;
  return { ...document, included: included.map((row) => (isObject(row) ? without(row, ['relationships']) : row)) };
}

/** An error document with its headers; a 401 and a 429 carry no quota. */
export function refusal(error: ApiError, revision: string, headers: Record<string, string>): Outgoing {
  const quota = error.status === 401 || error.status === 429 ? {} : headers;
  return {
    status: error.status,
    headers: { 'content-type': mediaType(revision), ...quota, ...error.headers },
    body: JSON.stringify(error.document()),
    parsed: null,
  };
}

/** What a path answers that has no such method, or none at all. */
export function unroutable(methods: readonly string[], method: string): ApiError {
  if (methods.length === 0) return notFoundText('The requested resource does not exist.');
  const error = simpleError(405, 'method_not_allowed', 'Method not allowed.', `Method "${method}" not allowed.`);
  return new ApiError(405, error.items, { allow: methods.join(', ') });
}

/** A document's text with its `links.next` replaced. */
export function withNext(body: string, href: string | null): string {
  const document = JSON.parse(body) as { links?: JsonObject };
  return JSON.stringify({ ...document, links: { ...document.links, next: href } });
}
