import { COMPACT_TOKEN, PRIVATE_KEY, WEBHOOK_SECRET } from '../common/secret-shapes';
import type { Env } from '../config/env';

/** What stands in the place of everything that was taken out. */
export const REDACTED = '[redacted]';

/** Shorter values would be found inside innocent words; they are still caught by the shapes below. */
const MIN_LITERAL = 12;
const MAX_LOCAL_PART = 256;

/** No \b in front: in a JSON line a newline is the letters `\n`, which would hide the word behind a letter. */
const CREDENTIAL = /(bearer|klaviyo-api-key|basic)(\s+|%20)[A-Za-z0-9._~+/=-]{6,}/gi;
const URL_CREDENTIALS = /:\/\/[^\s"'<>\\]{0,512}@/g;
const PHONE = /(?:\+|%2[Bb])[1-9]\d{7,14}/g;

/**
 * Takes secrets and personal data out of finished text by their looks, wherever they stand: Klaviyo keys, bearer
 * tokens, JWT and JWE, webhook secrets, credentials in addresses, e-mail addresses, E.164 phones, and the service's
 * own secrets literally. Works on a whole JSON line without breaking it.
 */
export class Redactor {
  private readonly literals: readonly string[];

  /** @param secrets values that must never be written, in any of their usual encodings. */
  constructor(secrets: readonly string[] = []) {
    const forms = secrets
      .filter((secret) => secret.length >= MIN_LITERAL)
      .flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]);
    // The longest first, so that a secret inside another one does not leave its rest.
    this.literals = [...new Set(forms)].sort((a, b) => b.length - a.length);
  }

  /** The text without them. A search for a fixed string guards each pattern: most lines hold none of them. */
  clean(text: string): string {
    let out = text;
    for (const literal of this.literals) if (out.includes(literal)) out = out.replaceAll(literal, REDACTED);
    if (out.includes('pk')) out = out.replace(PRIVATE_KEY, REDACTED);
    if (out.includes('whsec_')) out = out.replace(WEBHOOK_SECRET, REDACTED);
    if (out.includes('eyJ')) out = out.replace(COMPACT_TOKEN, REDACTED);
    out = out.replace(CREDENTIAL, `$1$2${REDACTED}`);
    if (out.includes('@')) {
      if (out.includes('://')) out = out.replace(URL_CREDENTIALS, `://${REDACTED}@`);
      out = withoutAddresses(out, '@');
    }
    if (out.includes('%40')) out = withoutAddresses(out, '%40');
    if (out.includes('+') || out.includes('%2')) out = out.replace(PHONE, REDACTED);
    return out;
  }
}

/** The service's own secrets, in the forms in which they are configured and used. */
export function secretsOf(env: Env): string[] {
  const passwords = [env.databaseUrl, env.databaseDirectUrl, env.redisUrl]
    .filter((url) => url !== undefined && URL.canParse(url))
    .flatMap((url) => passwordOf(new URL(url ?? '')));
  return [
    ...env.serviceApiKeys.map((key) => key.secret),
    ...env.encryptionKeys.flatMap(({ key }) => [
      key.toString('base64'),
      key.toString('base64url'),
      key.toString('hex'),
    ]),
    ...[env.jwtSecret, env.metricsToken, env.eventForwardSecret, env.alertWebhookSecret].filter(
      (secret) => secret !== undefined,
    ),
    ...passwords,
  ];
}

function passwordOf(url: URL): string[] {
  try {
    return [url.password, decodeURIComponent(url.password)];
  } catch {
    return [url.password];
  }
}

/**
 * E-mail addresses, found from their sign outwards: linear whatever the text, which a pattern with a free local part
 * is not. Local parts may hold anything but what ends a word in prose or JSON; domains may be international.
 */
function withoutAddresses(text: string, sign: '@' | '%40'): string {
  let out = '';
  let done = 0;
  for (let at = text.indexOf(sign); at !== -1; at = text.indexOf(sign, at + sign.length)) {
    const start = localStart(text, at, done);
    const end = domainEnd(text, at + sign.length);
    if (start === at || end === -1) continue;
    out += text.slice(done, start) + REDACTED;
    done = end;
  }
  return done === 0 ? text : out + text.slice(done);
}

function localStart(text: string, at: number, floor: number): number {
  const least = Math.max(floor, at - MAX_LOCAL_PART);
  let start = at;
  while (start > least && isLocal(text.charCodeAt(start - 1))) start--;
  // Behind a backslash stands a JSON escape: its letters belong to it, not to the address.
  if (start > floor && text[start - 1] === '\\') start = Math.min(at, start + (text[start] === 'u' ? 5 : 1));
  return start;
}

/** Where the domain ends, or -1 where there is none: it needs a dot and a last label that is not a number. */
function domainEnd(text: string, from: number): number {
  let end = from;
  while (end < text.length && isDomain(text.charCodeAt(end))) end++;
  while (end > from && (text[end - 1] === '.' || text[end - 1] === '-')) end--;
  const domain = text.slice(from, end);
  const dot = domain.lastIndexOf('.');
  return dot > 0 && domain.length - dot > 2 && /\D/.test(domain.slice(dot + 1)) ? end : -1;
}

/** Space, quotes, brackets and the separators of JSON and prose end a local part. */
const LOCAL_ENDS: ReadonlySet<number> = new Set(Buffer.from('"(),:;<>@[]{}\\', 'latin1'));

function isLocal(code: number): boolean {
  return code > 32 && code !== 127 && !LOCAL_ENDS.has(code);
}

function isDomain(code: number): boolean {
  return (
    (code >= 97 && code <= 122) ||
    (code >= 48 && code <= 57) ||
    (code >= 65 && code <= 90) ||
    code === 45 ||
    code === 46 ||
    code > 127
  );
}
