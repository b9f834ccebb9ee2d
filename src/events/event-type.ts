import type { Language } from '../common/messages';

export type EventCategory = 'purchase' | 'browsing' | 'engagement';

/** An event type that Crealia's shops are expected to send, with what makes it useful in Klaviyo. */
export interface EventType {
  /** Lower-case name with underscores; taken in place of the name. */
  key: string;
  /** The metric's name at Klaviyo. Its flows and templates go by this spelling. */
  name: string;
  /** Other spellings of the name that are taken for it. */
  aliases?: readonly string[];
  category: EventCategory;
  description: Readonly<Record<Language, string>>;
  /** Properties that Klaviyo's templates, segments and flows look for. */
  recommendedProperties: readonly string[];
  /** An `event` as `POST /trigger-event` takes it. */
  example: Readonly<Record<string, unknown>>;
}

/** Klaviyo's own metrics by their names, in lower case; it records them itself. */
const RESERVED: ReadonlySet<string> = new Set([
  'unsubscribed',
  'merged profile',
  'skipped send',
  'ready to review',
  'submitted review',
  'submitted rating',
  'updated email preferences',
  'marked email as spam',
  'email delivered',
  'clicked email to unsubscribe',
]);

const CHANNEL = '(?:e-?mail|sms|mms|rcs|(?:mobile |web )?push(?: notification)?|text message|whatsapp(?: message)?)';
/** Families that Klaviyo spells alike for each of its channels, older and newer names both. */
const RESERVED_FAMILIES: readonly RegExp[] = [
  new RegExp(`^(?:received|opened|clicked|bounced|dropped|sent|skipped|failed to deliver) ${CHANNEL}$`),
  new RegExp(`^failed to deliver (?:automated response )?${CHANNEL}$`),
  new RegExp(`^(?:received|sent) automated response ${CHANNEL}$`),
  new RegExp(
    `^(?:un)?subscribed (?:to|from) (?:list|back in stock|${CHANNEL}(?: marketing)?|text messaging marketing)$`,
  ),
  new RegExp(`^manually (?:un)?suppressed from ${CHANNEL} marketing$`),
];

/** Is this the name of a metric that only Klaviyo records? Case and repeated spaces make no difference. */
export function isReserved(name: string): boolean {
  const plain = name.trim().replace(/\s+/g, ' ').toLowerCase();
  return RESERVED.has(plain) || RESERVED_FAMILIES.some((family) => family.test(plain));
}
