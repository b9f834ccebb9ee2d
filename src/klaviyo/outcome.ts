import { parseRetryAfter } from './retry-after';
import type { TransportResult } from './transport';

/** One entry of Klaviyo's `errors[]`, reduced to texts that are safe to handle (not yet to show: see `scrub`). */
export interface KlaviyoFault {
  code: string;
  title: string;
  detail: string;
  pointer: string | undefined;
  parameter: string | undefined;
  /** The profile that already has the identifier (409). */
  duplicateProfileId: string | undefined;
}

/** How one attempt ended. */
export type Outcome =
  | { kind: 'success'; status: number; body: unknown }
  /** Klaviyo's own no, in JSON:API. */
  | { kind: 'refused'; status: number; faults: readonly KlaviyoFault[] }
  /** Not done: come again after that time, where Klaviyo named one. */
  | { kind: 'throttled'; retryAfterMs: number | undefined }
  /** 5xx: perhaps done. */
  | { kind: 'failed'; status: number; retryAfterMs: number | undefined }
  /** Not what Klaviyo says: a page of something between, half a document. Never a verdict. */
  | { kind: 'garbled'; status: number; what: 'redirect' | 'not json' | 'not a document' | 'empty' | 'too large' }
  | { kind: 'timeout' }
  /** No answer. `sent` is false where nothing can have arrived. */
  | { kind: 'network'; sent: boolean; reason: string };

/**
 * Reads what came over the line. Trusts a refusal only in JSON:API: an HTML or empty 4xx comes from something
 * between and is no verdict on key, scope or input.
 * @param read does the operation only read? Then an empty 200 is no answer either
 */
export function interpret(result: TransportResult, read: boolean, now: number): Outcome {
  if (result.kind === 'timeout') return { kind: 'timeout' };
  if (result.kind === 'network') return { kind: 'network', sent: result.sent, reason: result.reason };
  if (result.kind === 'oversized') return { kind: 'garbled', status: result.status, what: 'too large' };
  const { status } = result;
  const retryAfterMs = parseRetryAfter(result.retryAfter, now);
  if (status === 429) return { kind: 'throttled', retryAfterMs };
  if (status >= 500 || status === 408) return { kind: 'failed', status, retryAfterMs };
  if (status >= 300 && status < 400) return { kind: 'garbled', status, what: 'redirect' };
  const body = parse(result.body);
  if (status >= 400) return refusal(status, body);
  if (body === EMPTY)
    return read && status !== 204
      ? { kind: 'garbled', status, what: 'empty' }
      : { kind: 'success', status, body: undefined };
  if (body === NOT_JSON) return { kind: 'garbled', status, what: 'not json' };
  if (!isObject(body) || (read && !('data' in body))) return { kind: 'garbled', status, what: 'not a document' };
  return { kind: 'success', status, body };
}

const EMPTY = Symbol('empty');
const NOT_JSON = Symbol('not json');
/** No answer of Klaviyo's names more faults than a caller can use. */
const MAX_FAULTS = 100;

function refusal(status: number, body: unknown): Outcome {
  if (body === EMPTY) return { kind: 'garbled', status, what: 'empty' };
  if (body === NOT_JSON) return { kind: 'garbled', status, what: 'not json' };
  if (!isObject(body)) return { kind: 'garbled', status, what: 'not a document' };
  // The retired old API says 410 in its own words: `{"message": "This API has been retired…"}`.
  if (!Array.isArray(body['errors']))
    return status === 410
      ? { kind: 'refused', status, faults: [] }
      : { kind: 'garbled', status, what: 'not a document' };
  return { kind: 'refused', status, faults: body['errors'].slice(0, MAX_FAULTS).filter(isObject).map(fault) };
}

function fault(raw: Record<string, unknown>): KlaviyoFault {
  const source = isObject(raw['source']) ? raw['source'] : {};
  const meta = isObject(raw['meta']) ? raw['meta'] : {};
  return {
    code: text(raw['code']) ?? '',
    title: text(raw['title']) ?? '',
    detail: text(raw['detail']) ?? '',
    pointer: text(source['pointer']),
    parameter: text(source['parameter']),
    duplicateProfileId: text(meta['duplicate_profile_id']),
  };
}

function parse(json: string): unknown {
  if (json.trim() === '') return EMPTY;
  try {
    return JSON.parse(json) as unknown;
  } catch {
    return NOT_JSON;
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}
