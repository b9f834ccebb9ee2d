import type { CallTally } from './call-tally';
import type { Resource } from './json-api';

/** What one call to Klaviyo carries beside its operation. */
export interface KlaviyoCall {
  /** Values for the placeholders of the path, e.g. `{ id }`. */
  path?: Readonly<Record<string, string>>;
  /** Plain values: the client percent-encodes them. */
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  /** Sent as JSON. */
  body?: unknown;
  /** The first revision that knows the youngest field or query value used, where that is younger than the operation. */
  needs?: string;
  /** Epoch milliseconds; by default that of the request under way, else `REQUEST_DEADLINE_MS` from now. */
  deadline?: number;
  /** Attempts after the first; by default `KLAVIYO_MAX_RETRIES`. */
  maxRetries?: number;
  /** One attempt's time in milliseconds; by default `KLAVIYO_TIMEOUT_MS`. */
  timeoutMs?: number;
  /** Background work leaves the last slots of the quota to interactive calls, which also go before it. */
  priority?: 'interactive' | 'background';
  /** For a body that the table of operations judges wrongly: may it arrive twice and change nothing more? */
  repeatable?: boolean;
  /** Counts each attempt of the call and what it waited. */
  tally?: CallTally;
}

export interface KlaviyoAnswer<T> {
  status: number;
  /** The parsed document; undefined where Klaviyo answers without a body (204, some 202). */
  body: T;
  /** The revision that was sent. */
  revision: string;
}

export interface PagesCall extends KlaviyoCall {
  /** A `next` seen earlier: starts after that page. */
  cursor?: string;
  /** Rows a page, at most Klaviyo's largest; without it the largest. Ignored where the revision has no such parameter. */
  pageSize?: number;
}

export interface KlaviyoPage<A> {
  items: Resource<A>[];
  included: Resource[];
  /** Opaque: to be passed back as `cursor`; null after the last page. */
  next: string | null;
}
