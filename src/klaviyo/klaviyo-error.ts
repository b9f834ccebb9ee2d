import { AppError, type FieldFault } from '../common/errors';
import type { Operation } from './operation';
import type { KlaviyoFault, Outcome } from './outcome';
import { scrub, sentValues } from './scrub';

/** What of a request its refusal is read against. */
export interface RefusedRequest {
  operation: Operation;
  path: Readonly<Record<string, string>>;
  filter: string | undefined;
  body: unknown;
  /** Did it follow a cursor given to the caller earlier? */
  cursor: boolean;
}

/** Klaviyo rejects the cursor: paging starts again from its filter. See `isCursorExpired`. */
const CURSOR_EXPIRED = 'cursor expired';
const CIRCUIT_OPEN = 'the circuit of the account is open';
/** Until something that failed on Klaviyo's side is worth another try. */
const RETRY_SECONDS = 5;

/** Did paging end because Klaviyo no longer takes this cursor? */
export function isCursorExpired(error: unknown): boolean {
  return error instanceof AppError && error.reason === CURSOR_EXPIRED;
}

/** A `links.next` that is not followed. @param fault why */
export function badNext(operation: Operation, fault: string): AppError {
  return unavailable(`the next page of ${operation.name} is ${fault}`);
}

/** Did paging end because Klaviyo leads in a circle? */
export function isPagingLoop(error: unknown): boolean {
  return error instanceof AppError && /^the next page of \w+ is a loop$/.test(error.reason ?? '');
}

/**
 * The one error that leaves the client for what an attempt ended with. It is built anew: nothing of the HTTP library's
 * error (which holds the key in several places) is in it.
 */
export function errorOf(outcome: Exclude<Outcome, { kind: 'success' }>, request: RefusedRequest): AppError {
  const { name } = request.operation;
  switch (outcome.kind) {
    case 'refused':
      return refusal(outcome.status, outcome.faults, request);
    case 'throttled':
      return rateLimited((outcome.retryAfterMs ?? 1000) / 1000, `Klaviyo throttled ${name}`);
    case 'timeout':
      return new AppError('KLAVIYO_TIMEOUT', {
        reason: `no whole answer to ${name} in time`,
        retryAfter: RETRY_SECONDS,
      });
    case 'failed':
      return unavailable(`Klaviyo answered ${name} with ${outcome.status}`, (outcome.retryAfterMs ?? 0) / 1000);
    case 'garbled':
      return unavailable(`the answer to ${name} (${outcome.status}) is not Klaviyo's: ${outcome.what}`);
    case 'network':
      return unavailable(`no connection to Klaviyo for ${name}: ${outcome.reason}`);
  }
}

export function rateLimited(seconds: number, reason: string): AppError {
  const retryAfter = Math.max(1, Math.ceil(seconds));
  return new AppError('KLAVIYO_RATE_LIMITED', { retryAfter, params: { retryAfter }, reason });
}

export function unavailable(reason: string, seconds = 0): AppError {
  return new AppError('KLAVIYO_UNAVAILABLE', { reason, retryAfter: Math.max(RETRY_SECONDS, seconds) });
}

/** Nothing is sent: Klaviyo has not answered for this account for a while. @param seconds until the next try */
export function circuitOpen(seconds: number): AppError {
  return new AppError('KLAVIYO_UNAVAILABLE', { reason: CIRCUIT_OPEN, retryAfter: Math.max(1, Math.ceil(seconds)) });
}

/** Was nothing sent because the account's circuit is open? */
export function isCircuitOpen(error: unknown): boolean {
  return error instanceof AppError && error.reason === CIRCUIT_OPEN;
}

/** The 404 of an operation's own resource, also for an id that cannot be one. */
export function notFound(operation: Operation, id: string | undefined): AppError {
  const reason = `Klaviyo knows no such id (${operation.name})`;
  if (operation.resource === undefined) return new AppError('KLAVIYO_REJECTED', { reason });
  return new AppError(`${operation.resource}_NOT_FOUND`, { reason, ...(id === undefined ? {} : { params: { id } }) });
}

/**
 * Renames the fields of a refusal from Klaviyo's pointers to the caller's own words, e.g.
 * `{ 'data.attributes.phone_number': 'profile.phoneNumber', 'data.attributes.profiles.data[*]': 'items[*]' }`.
 * The longest entry that is the field, or a leading part of it, counts; what follows stays as it is. `[*]` stands for an
 * index and keeps it. Anything else than such a refusal comes back untouched.
 */
export function mapPointer(error: unknown, table: Readonly<Record<string, string>>): unknown {
  if (!(error instanceof AppError) || error.errors.length === 0) return error;
  const entries = Object.entries(table).sort(([a], [b]) => b.length - a.length);
  const { code, params, retryAfter, extra, reason } = error;
  return new AppError(code, {
    params,
    extra,
    errors: error.errors.map((fault) => ({ ...fault, field: rename(fault.field, entries) })),
    ...(retryAfter === undefined ? {} : { retryAfter }),
    ...(reason === undefined ? {} : { reason }),
  });
}

function rename(field: string, entries: readonly (readonly [string, string])[]): string {
  for (const [theirs, ours] of entries) {
    const pattern = theirs.split('[*]').map(escape).join('\\[(\\d+)\\]');
    const match = new RegExp(`^${pattern}(?=$|[.[])`).exec(field);
    if (!match) continue;
    const indexes = match.slice(1);
    return ours.replaceAll('[*]', () => `[${indexes.shift() ?? '*'}]`) + field.slice(match[0].length);
  }
  return field;
}

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}

function refusal(status: number, faults: readonly KlaviyoFault[], request: RefusedRequest): AppError {
  const { operation } = request;
  const reason = `Klaviyo refused ${operation.name} with ${status}${codeOf(faults)}`;
  if (status === 401) return new AppError('KLAVIYO_KEY_INVALID', { reason });
  if (status === 403) return forbidden(faults, operation, reason);
  if (status === 404) return missing(faults, request, reason);
  if (status === 409) return conflict(faults, reason);
  if (status === 410) return new AppError('KLAVIYO_REVISION_RETIRED', { reason });
  if (request.cursor && faults.some(({ parameter }) => parameter?.includes('cursor') === true))
    return new AppError('KLAVIYO_REJECTED', {
      reason: CURSOR_EXPIRED,
      errors: [{ field: 'cursor', key: 'badCursor' }],
    });
  return new AppError('KLAVIYO_REJECTED', { reason, errors: fieldFaults(faults, request) });
}

function forbidden(faults: readonly KlaviyoFault[], operation: Operation, reason: string): AppError {
  const aboutWebhooks = operation.scopes.some((scope) => scope.startsWith('webhooks:'));
  if (aboutWebhooks && faults.some(({ detail }) => /advanced kdp/i.test(detail)))
    return new AppError('KLAVIYO_PLAN_REQUIRED', { reason });
  return new AppError('KLAVIYO_SCOPE_MISSING', {
    reason,
    params: { scopes: operation.scopes.join(', ') },
    extra: { scopes: [...operation.scopes] },
  });
}

function missing(faults: readonly KlaviyoFault[], request: RefusedRequest, reason: string): AppError {
  const { operation } = request;
  // An endpoint that is younger than the revision is a 404 too; a collection itself cannot be missing otherwise.
  const unknownEndpoint = faults.some(({ detail, title }) => /\brevision/i.test(`${title} ${detail}`));
  const collection = operation.method === 'GET' && operation.resource === undefined;
  if (unknownEndpoint || collection) return new AppError('KLAVIYO_REVISION_RETIRED', { reason });
  if (operation.resource === undefined)
    return new AppError('KLAVIYO_REJECTED', { reason, errors: fieldFaults(faults, request) });
  return notFound(operation, request.path['id']);
}

function conflict(faults: readonly KlaviyoFault[], reason: string): AppError {
  const ids = faults.flatMap(({ duplicateProfileId }) => duplicateProfileId ?? []);
  return ids.length > 0
    ? new AppError('PROFILE_CONFLICT', { reason, extra: { profileIds: [...new Set(ids)] } })
    : new AppError('CONFLICT', { reason });
}

function fieldFaults(faults: readonly KlaviyoFault[], request: RefusedRequest): FieldFault[] {
  const sent = sentValues(request.body, request.filter);
  return faults.map(({ pointer, parameter, detail, title }) => ({
    field: dotted(pointer ?? '') || parameter?.slice(0, 100) || 'klaviyo',
    message: scrub(detail || title || 'refused', sent),
  }));
}

/** `/data/attributes/profiles/data/3/attributes/email` → `data.attributes.profiles.data[3].attributes.email` */
function dotted(pointer: string): string {
  return pointer
    .slice(0, 200)
    .split('/')
    .filter((part) => part !== '')
    .map((part) => part.replace(/~1/g, '/').replace(/~0/g, '~'))
    .map((part, index) => (/^\d+$/.test(part) ? `[${part}]` : index === 0 ? part : `.${part}`))
    .join('');
}

function codeOf(faults: readonly KlaviyoFault[]): string {
  const code = faults[0]?.code;
  return code !== undefined && /^[a-z_-]{1,40}$/i.test(code) ? ` ${code}` : '';
}
