import type { ApiError } from './errors.ts';
import * as errors from './errors.ts';
import type { FaultKind } from './faults.ts';

const CHALLENGE = `<!DOCTYPE html><html lang="en-US"><head><title>Just a moment...</title></head><body><h1>Checking your browser</h1></body></html>`;
const BAD_REQUEST = `<html>\r\n<head><title>400 Bad Request</title></head>\r\n<body>\r\n<center><h1>400 Bad Request</h1></center>\r\n<hr><center>cloudflare</center>\r\n</body>\r\n</html>\r\n`;
const BAD_GATEWAY = `<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n<center><h1>502 Bad Gateway</h1></center>\r\n</body>\r\n</html>\r\n`;

function of(error: ApiError, headers: Record<string, string> = {}): FaultKind {
  return { kind: 'status', status: error.status, body: error.document(), headers: { ...error.headers, ...headers } };
}

function throttled(retryAfter: string | null): FaultKind {
  const error = errors.throttled(Number(retryAfter) || 1);
  return {
    kind: 'status',
    status: 429,
    body: error.document(),
    headers: retryAfter === null ? {} : { 'retry-after': retryAfter },
  };
}

const PRESETS: Record<string, (retryAfter: string) => FaultKind> = {
  '400': () => of(errors.invalidBody('The payload provided in the request is invalid.', '/data')),
  '400-html': () => ({ kind: 'status', status: 400, body: BAD_REQUEST, html: true }),
  '401': () => of(errors.authenticationFailed()),
  '403-scope': () => of(errors.permissionDenied()),
  '403-plan': () => of(errors.permissionDenied(errors.ADVANCED_KDP)),
  '403-html': () => ({
    kind: 'status',
    status: 403,
    body: CHALLENGE,
    html: true,
    headers: { 'cf-mitigated': 'challenge' },
  }),
  '404': () => of(errors.notFound('profile', '01NOPE')),
  '405': () => of(errors.simpleError(405, 'method_not_allowed', 'Method not allowed.')),
  '409-duplicate': () => of(errors.duplicateProfile('01H0DUPLICATE0000000000000')),
  '409-bare': () => of(errors.duplicateProfile()),
  '410': () => of(errors.gone('This revision of the API has been retired.')),
  '413': () => of(errors.simpleError(413, 'payload_too_large', 'Payload too large.')),
  '415': () => of(errors.simpleError(415, 'unsupported_media_type', 'Unsupported media type.')),
  '429': (retryAfter) => throttled(retryAfter),
  '429-no-retry-after': () => throttled(null),
  '429-garbage': () => throttled('soon'),
  '500': () => of(errors.simpleError(500, 'error', 'A server error occurred.')),
  '502': () => ({ kind: 'status', status: 502, body: BAD_GATEWAY, html: true }),
  '503': (retryAfter) =>
    of(
      errors.simpleError(503, 'service_unavailable', 'Service temporarily unavailable.'),
      retryAfter === '1' ? {} : { 'retry-after': retryAfter },
    ),
  '504': () => ({
    kind: 'status',
    status: 504,
    body: BAD_GATEWAY.replaceAll('502 Bad Gateway', '504 Gateway Time-out'),
    html: true,
  }),
  'html-200': () => ({ kind: 'html200' }),
  reset: () => ({ kind: 'reset' }),
  'hang-headers': () => ({ kind: 'hang', where: 'headers' }),
  'hang-body': () => ({ kind: 'hang', where: 'body' }),
  truncated: () => ({ kind: 'truncate' }),
  cut: () => ({ kind: 'cut' }),
};

export const HTML_PAGE = CHALLENGE;
export const BEARER_PAGE = BAD_REQUEST;

/** The fault that a preset's name stands for, with Klaviyo's own body where one was recorded. */
export function presetFault(name: string, retryAfter: number | string | undefined): FaultKind {
  const preset = Object.hasOwn(PRESETS, name) ? PRESETS[name] : undefined;
  if (preset === undefined) throw new Error(`preset: one of ${Object.keys(PRESETS).join(', ')}`);
  return preset(String(retryAfter ?? 1));
}
