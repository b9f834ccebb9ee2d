import { AppError, invalid } from '../common/errors';

/** What a signed delivery says. */
export interface SignedDelivery {
  events: readonly unknown[];
  /** `meta`, as far as it is text. */
  webhookId: string | null;
  accountId: string | null;
  /** Epoch milliseconds of `meta.timestamp`; null where it is none. */
  at: number | null;
}

/** Levels beyond which nothing is parsed: a thousand times more than events have. */
const MAX_LEVELS = 10_000;
/** Objects and arrays in one delivery: each costs memory whatever is in it. */
const MAX_CONTAINERS = 1_000_000;
/** Klaviyo sends 1,000 at most. More are taken, up to here. */
const MAX_EVENTS = 10_000;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;

/**
 * Reads the bytes of a delivery whose signature held. A field given twice counts as it was given last, for nobody but
 * us reads it.
 * @throws AppError MALFORMED_JSON, VALIDATION_FAILED (not a delivery), PAYLOAD_TOO_LARGE (too many events)
 */
export function readDelivery(body: Buffer): SignedDelivery {
  checkShape(body);
  const document = parse(body);
  const data = own(document, 'data');
  const meta = own(document, 'meta');
  if (!Array.isArray(data)) throw invalid('data', 'notArray');
  if (data.length > MAX_EVENTS) throw new AppError('PAYLOAD_TOO_LARGE', { params: { limit: `${MAX_EVENTS} events` } });
  const at = Date.parse(textOf(own(meta, 'timestamp')) ?? '');
  return {
    events: data,
    webhookId: textOf(own(meta, 'klaviyo_webhook_id')),
    accountId: textOf(own(meta, 'klaviyo_account_id')),
    at: Number.isNaN(at) ? null : at,
  };
}

/** One pass over the bytes before anything is made of them. */
function checkShape(body: Buffer): void {
  let levels = 0;
  let containers = 0;
  for (let at = 0; at < body.length; at++) {
    const sign = body[at];
    if (sign === QUOTE) {
      for (at++; at < body.length && body[at] !== QUOTE; at++) if (body[at] === BACKSLASH) at++;
    } else if (sign === 0x7b || sign === 0x5b) {
      levels += 1;
      containers += 1;
      if (levels > MAX_LEVELS || containers > MAX_CONTAINERS)
        throw new AppError('MALFORMED_JSON', { reason: 'nested too deep, or too often' });
    } else if (sign === 0x7d || sign === 0x5d) levels -= 1;
  }
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    throw new AppError('MALFORMED_JSON', { reason: 'a signed delivery is no JSON' });
  }
}

function own(value: unknown, name: string): unknown {
  if (typeof value !== 'object' || value === null || !Object.hasOwn(value, name)) return undefined;
  return (value as Record<string, unknown>)[name];
}

function textOf(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}
