import type { Operation } from './context.ts';
import type { JsonObject } from './json.ts';
import { isObject } from './json.ts';
import { mix } from './random.ts';

/** What goes wrong, and whether the request was carried out before it did. */
export type FaultKind =
  | { kind: 'status'; status: number; body?: unknown; headers?: Record<string, string>; html?: boolean }
  | { kind: 'reset' }
  | { kind: 'hang'; where: 'headers' | 'body' }
  | { kind: 'truncate' }
  | { kind: 'cut' }
  | { kind: 'drip'; bytesPerSecond: number }
  | { kind: 'html200' }
  | { kind: 'delay'; ms: number }
  | { kind: 'nextLink'; href: string | null }
  | { kind: 'applyThenReset' }
  | { kind: 'applyThenStatus'; status: number; body?: unknown; headers?: Record<string, string> }
  | { kind: 'expireCursors' };

const KINDS = [
  'status',
  'reset',
  'hang',
  'truncate',
  'cut',
  'drip',
  'html200',
  'delay',
  'nextLink',
  'applyThenReset',
  'applyThenStatus',
  'expireCursors',
];

export interface FaultMatch {
  operation?: string;
  method?: string;
  /** A regular expression over path and query. */
  path?: string;
}

export interface FaultRequest {
  match?: FaultMatch;
  times?: number | 'forever';
  /** So many matching requests pass first. */
  after?: number;
  /** Chance from 0 to 1 that a matching request is hit. */
  probability?: number;
  fault?: FaultKind;
  preset?: string;
  retryAfter?: number | string;
}

/** One plan of trouble on an account, with what has come of it. */
export interface Fault {
  id: string;
  match: FaultMatch;
  times: number;
  after: number;
  probability: number;
  fault: FaultKind;
  preset?: string;
  seen: number;
  hits: number;
}

/** Checks and completes a plan; `fault` is the one meant by a preset when there is one. */
export function planFault(id: string, request: FaultRequest, fault: FaultKind): Fault {
  if (!isObject(fault) || !KINDS.includes((fault as JsonObject).kind as string))
    throw new Error(`fault.kind: one of ${KINDS.join(', ')}`);
  if (request.match?.path !== undefined) new RegExp(request.match.path);
  return {
    id,
    match: request.match ?? {},
    times: request.times === 'forever' ? Infinity : (request.times ?? 1),
    after: request.after ?? 0,
    probability: request.probability ?? 1,
    fault,
    ...(request.preset === undefined ? {} : { preset: request.preset }),
    seen: 0,
    hits: 0,
  };
}

/** The first plan that a request falls under; counts the request on every plan that it matches. */
export function strike(
  faults: readonly Fault[],
  operation: Operation | null,
  method: string,
  target: string,
): Fault | null {
  for (const fault of faults) {
    if (fault.hits >= fault.times || !matches(fault.match, operation, method, target)) continue;
    fault.seen += 1;
    if (fault.seen <= fault.after) continue;
    if (fault.probability < 1 && mix(fault.seen, fault.after, 61) / 0x100000000 >= fault.probability) continue;
    fault.hits += 1;
    return fault;
  }
  return null;
}

function matches(match: FaultMatch, operation: Operation | null, method: string, target: string): boolean {
  if (match.operation !== undefined && match.operation !== operation?.id) return false;
  if (match.method !== undefined && match.method.toUpperCase() !== method) return false;
  return match.path === undefined || new RegExp(match.path).test(target);
}
