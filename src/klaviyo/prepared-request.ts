import { AppError } from '../common/errors';
import type { CallTally } from './call-tally';
import type { KlaviyoAccess } from './klaviyo-access';
import type { KlaviyoCall } from './klaviyo-call';
import { notFound } from './klaviyo-error';
import { isRepeatable, type Operation } from './operation';
import { bucketsOf, type QuotaBucket } from './quota';

/** One call made ready to be sent, as often as it takes. */
export interface PreparedRequest {
  access: KlaviyoAccess;
  operation: Operation;
  /** The values of the path's placeholders. */
  path: Readonly<Record<string, string>>;
  url: URL;
  revision: string;
  body: unknown;
  payload: Buffer | undefined;
  buckets: readonly QuotaBucket[];
  priority: 'interactive' | 'background';
  repeatable: boolean;
  /** Does it follow a cursor? */
  cursor: boolean;
  deadline: number;
  maxRetries: number;
  timeoutMs: number;
  tally: CallTally | undefined;
}

/** What the environment and the clock say where the call does not. */
export interface Defaults {
  baseUrl: string;
  revision: { sent: string; served: string };
  deadline: number;
  maxRetries: number;
  timeoutMs: number;
}

/** Revisions before this one spell their paths with a slash at the end. */
const WITHOUT_SLASH = '2024-10-15';
/** Klaviyo's 5 MB, read strictly. */
const LARGEST_BODY = 5_000_000;

/** @throws AppError …_NOT_FOUND for an id that no resource can have, PAYLOAD_TOO_LARGE for a body that Klaviyo refuses */
export function prepare(
  access: KlaviyoAccess,
  operation: Operation,
  call: KlaviyoCall,
  defaults: Defaults,
): PreparedRequest {
  const path = call.path ?? {};
  const url = new URL(pathOf(operation, path, defaults.revision.sent), defaults.baseUrl);
  const pairs = Object.entries(call.query ?? {}).flatMap(([name, value]) =>
    value === undefined ? [] : [`${encodeURIComponent(name)}=${encodeURIComponent(value)}`],
  );
  if (pairs.length > 0) url.search = pairs.join('&');
  return {
    access,
    operation,
    path,
    url,
    revision: defaults.revision.sent,
    body: call.body,
    payload: payloadOf(call.body),
    buckets: bucketsOf(operation, url.searchParams, defaults.revision.served),
    priority: call.priority ?? 'interactive',
    repeatable: call.repeatable ?? isRepeatable(operation, call.body),
    cursor: false,
    deadline: call.deadline ?? defaults.deadline,
    maxRetries: call.maxRetries ?? defaults.maxRetries,
    timeoutMs: call.timeoutMs ?? defaults.timeoutMs,
    tally: call.tally,
  };
}

/** The same call, after a cursor that was judged fit to follow. */
export function following(request: PreparedRequest, next: URL): PreparedRequest {
  return { ...request, url: next, cursor: true };
}

function payloadOf(body: unknown): Buffer | undefined {
  if (body === undefined) return undefined;
  const payload = Buffer.from(JSON.stringify(body));
  if (payload.length > LARGEST_BODY) throw new AppError('PAYLOAD_TOO_LARGE', { params: { limit: '5 MB' } });
  return payload;
}

function pathOf(operation: Operation, values: Readonly<Record<string, string>>, revision: string): string {
  const path = operation.path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (value === undefined) throw new Error(`${operation.name} needs a value for {${name}}`);
    // An empty or dotted segment would name another endpoint.
    if (/^\.{0,2}$/.test(value) || value.length > 200) throw notFound(operation, value.slice(0, 200));
    return encodeURIComponent(value);
  });
  return revision < WITHOUT_SLASH ? `${path}/` : path;
}
