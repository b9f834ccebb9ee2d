import type { Catalogue } from './messages';

/** English texts of every code and field fault. `{name}` is filled from the error's params. */
export const en: Catalogue = {
  codes: {
    VALIDATION_FAILED: {
      title: 'Invalid request',
      detail: 'Some values are missing or wrong. Correct the fields listed in "errors" and send the request again.',
    },
    USER_ID_REQUIRED: {
      title: 'User missing',
      detail: 'Say for whom you call: give "userId" in the body or the query, or the X-User-Id header.',
    },
    MALFORMED_JSON: {
      title: 'Malformed JSON',
      detail: 'The body is not valid JSON. Check it with a JSON parser and send it again.',
    },
    KLAVIYO_REJECTED: {
      title: 'Refused by Klaviyo',
      detail: 'Klaviyo refused the request. Correct what "errors" names and send it again.',
    },
    UNAUTHENTICATED: {
      title: 'Not authenticated',
      detail: 'Send a valid service key or user token in the header "Authorization: Bearer …".',
    },
    KLAVIYO_KEY_INVALID: {
      title: 'Klaviyo key refused',
      detail: 'Klaviyo no longer accepts this private key. Create a new one in Klaviyo and connect the account again.',
    },
    WEBHOOK_SIGNATURE_INVALID: {
      title: 'Signature refused',
      detail: 'The signature of this delivery does not match. Check the webhook and its secret.',
    },
    WEBHOOK_TIMESTAMP_OUT_OF_RANGE: {
      title: 'Delivery out of time',
      detail: 'The signed time of this delivery is outside the accepted range. Send a fresh delivery.',
    },
    USER_SCOPE_MISMATCH: {
      title: 'Another user',
      detail: 'The user given does not match the caller, or several different users were given. Use one userId.',
    },
    KLAVIYO_SCOPE_MISSING: {
      title: 'Klaviyo permission missing',
      detail:
        'The Klaviyo key lacks a permission for this operation: {scopes}. Create a key that has it and connect again.',
    },
    KLAVIYO_PLAN_REQUIRED: {
      title: 'Klaviyo plan required',
      detail: 'Klaviyo webhooks need Advanced KDP on this account. Use delivery "poll", or upgrade the Klaviyo plan.',
    },
    ORIGIN_NOT_ALLOWED: {
      title: 'Origin not allowed',
      detail: 'This origin may not call the service. Ask the operator to add it to ALLOWED_ORIGINS.',
    },
    HTTPS_REQUIRED: { title: 'HTTPS required', detail: 'Call this address over https.' },
    CONNECTION_NOT_FOUND: {
      title: 'Connection not found',
      detail: 'No such Klaviyo connection for this user. Connect an account first with POST /connect.',
    },
    PROFILE_NOT_FOUND: { title: 'Profile not found', detail: 'Klaviyo knows no such profile. Check the identifier.' },
    LIST_NOT_FOUND: {
      title: 'List not found',
      detail: 'No such list in this Klaviyo account: {id}. See GET /get-lists.',
    },
    SEGMENT_NOT_FOUND: {
      title: 'Segment not found',
      detail: 'No such segment in this Klaviyo account: {id}. See GET /get-segments.',
    },
    CAMPAIGN_NOT_FOUND: {
      title: 'Campaign not found',
      detail: 'No such campaign in this Klaviyo account: {id}. See GET /get-campaigns.',
    },
    SYNC_NOT_FOUND: {
      title: 'Synchronisation not found',
      detail: 'No such synchronisation for this user. See GET /sync.',
    },
    WEBHOOK_NOT_FOUND: { title: 'Webhook not found', detail: 'No such webhook for this user. See GET /webhooks.' },
    EVENT_NOT_FOUND: { title: 'Event not found', detail: 'No such event for this user. See GET /events.' },
    IMPORT_NOT_FOUND: { title: 'Import not found', detail: 'No such import for this user. Check its id.' },
    ROUTE_NOT_FOUND: {
      title: 'Address not found',
      detail: 'Nothing answers this method at this address. See /openapi.json for those that exist.',
    },
    CONFLICT: { title: 'Conflict', detail: 'The state has changed meanwhile. Read it again and repeat the request.' },
    PROFILE_CONFLICT: {
      title: 'Identifiers of two people',
      detail: 'These identifiers belong to different profiles (see "profileIds"). Send those of one person only.',
    },
    NOT_SYNCED: {
      title: 'Not synchronised yet',
      detail: 'The local copy is not complete yet. Start POST /sync, or read with source=live.',
    },
    WEBHOOK_LIMIT_REACHED: {
      title: 'Webhook limit reached',
      detail: 'This Klaviyo account already has its 10 webhooks. Remove one first.',
    },
    PUBLIC_URL_MISSING: {
      title: 'Public address missing',
      detail: 'The service has no public address. Ask the operator to set PUBLIC_BASE_URL, or use delivery "poll".',
    },
    IDEMPOTENCY_KEY_REUSED: {
      title: 'Idempotency-Key already used',
      detail: 'This Idempotency-Key was used with another body. Use a new key for a new request.',
    },
    IDEMPOTENCY_IN_PROGRESS: {
      title: 'Request in progress',
      detail: 'A request with this Idempotency-Key is still being worked on. Try again in a moment.',
    },
    PAYLOAD_TOO_LARGE: {
      title: 'Body too large',
      detail: 'The body is larger than {limit} allows. Split it into several requests.',
    },
    UNSUPPORTED_MEDIA_TYPE: {
      title: 'Unsupported media type',
      detail: 'Send the body as JSON in UTF-8 with "Content-Type: application/json".',
    },
    RATE_LIMITED: { title: 'Too many requests', detail: 'Too many requests. Try again in {retryAfter} s.' },
    KLAVIYO_RATE_LIMITED: {
      title: "Klaviyo's limit reached",
      detail: "This account's Klaviyo quota is used up for now. Try again in {retryAfter} s.",
    },
    INTERNAL: {
      title: 'Internal error',
      detail: 'Something went wrong on our side. Try again; if it persists, tell support the requestId.',
    },
    KLAVIYO_UNAVAILABLE: {
      title: 'Klaviyo unavailable',
      detail: 'Klaviyo does not answer properly at the moment. Try again later.',
    },
    KLAVIYO_REVISION_RETIRED: {
      title: 'Klaviyo revision retired',
      detail:
        'Klaviyo no longer serves this operation under the configured revision. Set a newer KLAVIYO_API_REVISION.',
    },
    SERVICE_UNAVAILABLE: {
      title: 'Service unavailable',
      detail: 'The service cannot work at the moment. Try again in {retryAfter} s.',
    },
    KLAVIYO_TIMEOUT: {
      title: 'Klaviyo too slow',
      detail: 'Klaviyo did not answer in time. Check whether the change was made, then try again.',
    },
  },
  faults: {
    required: 'is required',
    unknownField: 'is not known here: remove it',
    notText: 'must be a text',
    notNumber: 'must be a number',
    notInteger: 'must be an integer',
    notBoolean: 'must be true or false',
    notObject: 'must be an object',
    notArray: 'must be an array',
    notInstant: 'must be an RFC 3339 instant, such as 2026-11-22T10:00:00Z',
    empty: 'must not be empty',
    tooShort: 'must have at least {min} characters',
    tooLong: 'must have at most {max} characters',
    tooSmall: 'must be at least {min}',
    tooLarge: 'must be at most {max}',
    tooManyItems: 'must have at most {max} items',
    tooFewItems: 'must have at least {min} items',
    tooManyKeys: 'must have at most {max} keys',
    tooDeep: 'must be nested at most {max} levels deep',
    tooHeavy: 'must be at most {max} as JSON',
    notEmail: 'must be an e-mail address',
    notPhone: 'must be an E.164 phone number, such as +33612345678',
    notUuid: 'must be a UUID',
    notUserId: 'must be an integer from 1 to 9007199254740991',
    notPrivateKey: 'must be a Klaviyo private API key (pk_…)',
    notPublicKey: 'must be a Klaviyo public API key',
    notKlaviyoId: 'must be a Klaviyo id',
    notCurrency: 'must be an ISO 4217 currency code, such as EUR',
    notUrl: 'must be an http or https address',
    notOneOf: 'must be one of: {values}',
    notUnique: 'must not hold a value twice',
    givenTwice: 'must be given once',
    oneOfRequired: 'one of these is required: {fields}',
    onlyOneOf: 'only one of these may be given: {fields}',
    forbiddenKey: 'holds a key that is not allowed: {key}',
    holdsSecret: 'holds a private key, which belongs into "privateApiKey" only: connect with a new one',
    reservedTags: 'tags are not a custom attribute: use "tags"',
    reservedMetric: "is one of Klaviyo's own metrics, which only Klaviyo records: choose another name",
    notLive: 'cannot be asked of Klaviyo: leave it out, or read the mirror (source=mirror)',
    tagsWithAddRemove: 'cannot be combined with addTags or removeTags',
    badCursor: 'is not a cursor of this list: start again without it',
    badHeader: 'is malformed',
    timeOutOfRange: 'must lie between {min} and {max}',
    nothingToDo: 'nothing to change was given',
    otherAccount: 'belongs to another Klaviyo account',
    unknownTopic: 'is not a topic of this account: see GET /webhooks/topics',
    hasNoSecret: 'is a webhook that is polled, which has no secret',
    tooWide: 'fits more than can be looked through: give "from" and "to" for a shorter time',
    malformed: 'is malformed',
  },
};
