import { createHmac } from 'node:crypto';
import { HOUR } from './clock.ts';
import type { Json } from './json.ts';

/** Lower-case hex HMAC-SHA256 over the body's bytes followed by the timestamp header's text. */
export function signatureOf(secret: string, body: Buffer, timestamp: string): string {
  return createHmac('sha256', secret).update(body).update(timestamp, 'utf8').digest('hex');
}

/** The header's HTTP date; Klaviyo's clock there runs five hours ahead of the signed `meta.timestamp`. */
export function headerDate(ms: number, offsetHours: number): string {
  return new Date(ms + offsetHours * HOUR).toUTCString();
}

/** JSON as a Python server writes it (`", "` and `": "`, non-ASCII as it is): re-serialising it breaks the signature. */
export function spacedJson(value: Json): string {
  if (Array.isArray(value)) return `[${value.map(spacedJson).join(', ')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const entries = Object.entries(value).map(([key, inner]) => `${JSON.stringify(key)}: ${spacedJson(inner)}`);
  return `{${entries.join(', ')}}`;
}
