import { randomUUID } from 'node:crypto';

/** Where in the request a fault lies, as JSON:API says it. */
export type ErrorSource = { pointer: string } | { parameter: string };

export interface ErrorItem {
  code: string;
  title: string;
  detail: string;
  source?: ErrorSource;
  meta?: Record<string, string>;
  links?: Record<string, string>;
}

/** A refusal in Klaviyo's words; the server turns it into a JSON:API error document. */
export class ApiError extends Error {
  readonly status: number;
  readonly items: readonly ErrorItem[];
  readonly headers: Record<string, string>;

  constructor(status: number, items: ErrorItem | readonly ErrorItem[], headers: Record<string, string> = {}) {
    super(Array.isArray(items) ? 'request refused' : (items as ErrorItem).detail);
    this.status = status;
    this.items = Array.isArray(items) ? (items as readonly ErrorItem[]) : [items as ErrorItem];
    this.headers = headers;
  }

  /** The document, with a fresh id per error and an integer status. */
  document(): object {
    return {
      errors: this.items.map((item) => ({
        id: randomUUID(),
        status: this.status,
        code: item.code,
        title: item.title,
        detail: item.detail,
        source: item.source ?? { pointer: '/data/' },
        links: item.links ?? {},
        meta: item.meta ?? {},
      })),
    };
  }
}

const INVALID = 'Invalid input.';

export function invalidBody(detail: string, pointer: string): ApiError {
  return new ApiError(400, { code: 'invalid', title: INVALID, detail, source: { pointer } });
}

export function invalidParameter(detail: string, parameter: string): ApiError {
  return new ApiError(400, { code: 'invalid', title: INVALID, detail, source: { parameter } });
}

export function invalidItems(items: readonly { detail: string; pointer: string }[]): ApiError {
  return new ApiError(
    400,
    items.map(({ detail, pointer }) => ({ code: 'invalid', title: INVALID, detail, source: { pointer } })),
  );
}

export function notAuthenticated(): ApiError {
  return new ApiError(401, {
    code: 'not_authenticated',
    title: 'Authentication credentials were not provided.',
    detail: 'Missing or invalid authorization scheme. Please use Klaviyo-API-Key.',
  });
}

export function authenticationFailed(): ApiError {
  const text = 'Incorrect authentication credentials.';
  return new ApiError(401, { code: 'authentication_failed', title: text, detail: text });
}

export function permissionDenied(detail = 'You do not have permission to perform this action.'): ApiError {
  return new ApiError(403, {
    code: 'permission_denied',
    title: 'You do not have permission to perform this action.',
    detail,
  });
}

export const ADVANCED_KDP = 'You must have Advanced KDP enabled to use this endpoint.';

export function notFound(resource: string, id: string): ApiError {
  const article = /^[aeiou]/i.test(resource) ? 'An' : 'A';
  return notFoundText(`${article} ${resource} with id ${id} does not exist.`);
}

export function notFoundText(detail: string): ApiError {
  return new ApiError(404, { code: 'not_found', title: 'Not found.', detail });
}

/** `duplicate_profile_id` is what the caller must PATCH; without it (a fault) the caller has to search. */
export function duplicateProfile(id?: string): ApiError {
  return new ApiError(409, {
    code: 'duplicate_profile',
    title: 'Conflict.',
    detail: 'A profile already exists with one of these identifiers.',
    source: { pointer: '/data/attributes' },
    ...(id === undefined ? {} : { meta: { duplicate_profile_id: id } }),
  });
}

export function throttled(seconds: number): ApiError {
  return new ApiError(
    429,
    {
      code: 'throttled',
      title: 'Request was throttled.',
      detail: `Request was throttled. Expected available in ${seconds} second${seconds === 1 ? '' : 's'}.`,
      source: { pointer: '/data' },
      links: { type: 'https://developers.klaviyo.com/en/docs/rate_limits_and_error_handling' },
    },
    { 'retry-after': String(seconds) },
  );
}

export function gone(detail: string): ApiError {
  return new ApiError(410, { code: 'gone', title: 'Gone.', detail });
}

export function simpleError(status: number, code: string, title: string, detail = title): ApiError {
  return new ApiError(status, { code, title, detail });
}
