import type { FaultKey, MessageParams } from './messages';
import { withoutSecrets } from './secret-shapes';

/**
 * The closed set of codes and the HTTP status of each. A code that is not here does not exist,
 * and one that has no text in both languages does not compile.
 */
export const STATUS_OF = {
  VALIDATION_FAILED: 400,
  USER_ID_REQUIRED: 400,
  MALFORMED_JSON: 400,
  KLAVIYO_REJECTED: 400,
  UNAUTHENTICATED: 401,
  KLAVIYO_KEY_INVALID: 401,
  WEBHOOK_SIGNATURE_INVALID: 401,
  WEBHOOK_TIMESTAMP_OUT_OF_RANGE: 401,
  USER_SCOPE_MISMATCH: 403,
  KLAVIYO_SCOPE_MISSING: 403,
  KLAVIYO_PLAN_REQUIRED: 403,
  ORIGIN_NOT_ALLOWED: 403,
  HTTPS_REQUIRED: 403,
  CONNECTION_NOT_FOUND: 404,
  PROFILE_NOT_FOUND: 404,
  LIST_NOT_FOUND: 404,
  SEGMENT_NOT_FOUND: 404,
  CAMPAIGN_NOT_FOUND: 404,
  SYNC_NOT_FOUND: 404,
  WEBHOOK_NOT_FOUND: 404,
  EVENT_NOT_FOUND: 404,
  IMPORT_NOT_FOUND: 404,
  ROUTE_NOT_FOUND: 404,
  CONFLICT: 409,
  PROFILE_CONFLICT: 409,
  NOT_SYNCED: 409,
  WEBHOOK_LIMIT_REACHED: 409,
  PUBLIC_URL_MISSING: 409,
  IDEMPOTENCY_KEY_REUSED: 409,
  IDEMPOTENCY_IN_PROGRESS: 409,
  PAYLOAD_TOO_LARGE: 413,
  UNSUPPORTED_MEDIA_TYPE: 415,
  RATE_LIMITED: 429,
  KLAVIYO_RATE_LIMITED: 429,
  INTERNAL: 500,
  KLAVIYO_UNAVAILABLE: 502,
  KLAVIYO_REVISION_RETIRED: 502,
  SERVICE_UNAVAILABLE: 503,
  KLAVIYO_TIMEOUT: 504,
} as const;

export type ErrorCode = keyof typeof STATUS_OF;

/** Words of somebody else (Klaviyo's, scrubbed of personal data), shown as they are; ours are keys, shown in the caller's language. */
export type FieldFault = { field: string; key: FaultKey; params?: MessageParams } | { field: string; message: string };

export interface AppErrorOptions {
  /** Values for the sentence of the code, e.g. `{ id }` or `{ scopes: 'lists:read' }`. Never personal data, never a secret. */
  params?: MessageParams;
  errors?: readonly FieldFault[];
  /** Seconds until it is worth trying again; becomes `Retry-After` and `retryAfter`. Rounded up. */
  retryAfter?: number;
  /** Further members of the problem document that the contract names (`profileIds`, `scopes`). */
  extra?: Readonly<Record<string, unknown>>;
  /** For the log only: what happened, in our words. Never answered. */
  reason?: string;
}

/**
 * The only error that the service throws on purpose; the filter turns it into a problem document. It holds no key or
 * token, even where a caller wrote one as the name of a field or as an id.
 */
export class AppError extends Error {
  override readonly name = 'AppError';
  readonly status: number;
  readonly params: MessageParams;
  readonly errors: readonly FieldFault[];
  readonly retryAfter: number | undefined;
  readonly extra: Readonly<Record<string, unknown>>;
  readonly reason: string | undefined;

  constructor(
    readonly code: ErrorCode,
    options: AppErrorOptions = {},
  ) {
    const reason = options.reason === undefined ? undefined : withoutSecrets(options.reason);
    super(reason ? `${code}: ${reason}` : code);
    this.status = STATUS_OF[code];
    this.params = cleaned(options.params ?? {});
    this.errors = (options.errors ?? []).map(cleanedFault);
    this.retryAfter = options.retryAfter === undefined ? undefined : Math.max(1, Math.ceil(options.retryAfter));
    this.extra = options.extra ?? {};
    this.reason = reason;
  }
}

function cleaned(params: MessageParams): MessageParams {
  const texts = Object.entries(params).map(([name, value]) => [
    name,
    typeof value === 'string' ? withoutSecrets(value) : value,
  ]);
  return Object.fromEntries(texts) as MessageParams;
}

function cleanedFault(fault: FieldFault): FieldFault {
  const field = withoutSecrets(fault.field);
  if ('message' in fault) return { field, message: withoutSecrets(fault.message) };
  return { field, key: fault.key, ...(fault.params ? { params: cleaned(fault.params) } : {}) };
}

/** One fault in the caller's input. */
export function invalid(field: string, key: FaultKey, params?: MessageParams): AppError {
  return new AppError('VALIDATION_FAILED', { errors: [{ field, key, ...(params ? { params } : {}) }] });
}
