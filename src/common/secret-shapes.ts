/** Klaviyo's private keys, also where an address spells a character `%5F`. */
export const PRIVATE_KEY = /pk(?:_|%5[Ff])[A-Za-z0-9_%]{8,}/g;
export const WEBHOOK_SECRET = /whsec_[A-Za-z0-9+/=_-]{4,}/g;
/** Compact JWS (3 parts) and JWE (5 parts), and what is left of one that was cut. */
export const COMPACT_TOKEN = /eyJ[A-Za-z0-9_%-]{6,}(?:\.[A-Za-z0-9_%-]*){0,4}/g;

const HIDDEN = '…';

/**
 * A caller's own words, shown to them again, without what looks like a key or token: people paste those into the
 * wrong field, and an answer is copied into tickets and logs.
 */
export function withoutSecrets(text: string): string {
  return text.replace(PRIVATE_KEY, HIDDEN).replace(WEBHOOK_SECRET, HIDDEN).replace(COMPACT_TOKEN, HIDDEN);
}

/** Whether a text holds what looks like a Klaviyo private key. */
export function holdsPrivateKey(text: string): boolean {
  return text.search(PRIVATE_KEY) !== -1;
}
