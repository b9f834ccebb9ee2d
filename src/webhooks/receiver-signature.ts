import { createHmac, timingSafeEqual, type KeyObject } from 'node:crypto';

/** What the headers of a delivery say of who sent it. */
export interface Credentials {
  /** Klaviyo's id of the webhook. */
  webhookId: string;
  /** Lower-case hexadecimal, 64 digits. */
  signature: string;
  /** The text of `Klaviyo-Timestamp` as it came: part of what is signed, and nothing else, for its clock is hours off. */
  timestamp: string;
}

const WEBHOOK_ID = /^[A-Za-z0-9_-]{1,128}$/;
const SIGNATURE = /^[0-9a-f]{64}$/;
const TIMESTAMP = /^[\x20-\x7e]{1,200}$/;

/**
 * The credentials of a delivery, each header given exactly once; undefined for anything else.
 * @param headers with every value of a header that was repeated (`headersDistinct`)
 */
export function credentialsOf(headers: NodeJS.Dict<string[]>): Credentials | undefined {
  const webhookId = once(headers['klaviyo-webhook-id']);
  const signature = once(headers['klaviyo-signature']);
  const timestamp = once(headers['klaviyo-timestamp']);
  if (webhookId === undefined || !WEBHOOK_ID.test(webhookId)) return undefined;
  if (signature === undefined || !SIGNATURE.test(signature)) return undefined;
  if (timestamp === undefined || !TIMESTAMP.test(timestamp)) return undefined;
  return { webhookId, signature, timestamp };
}

/** The webhook that a call claims to come from, for counting refusals: a bounded text whatever was sent. */
export function claimedWebhook(headers: NodeJS.Dict<string | string[]>): string {
  const claimed = headers['klaviyo-webhook-id'];
  return typeof claimed === 'string' && WEBHOOK_ID.test(claimed) ? claimed : '';
}

/** Lower-case hexadecimal HMAC-SHA256 over the body's bytes and, right behind them, the timestamp header's text. */
export function signatureOf(secret: KeyObject | string, body: Buffer, timestamp: string): string {
  return createHmac('sha256', secret).update(body).update(timestamp, 'latin1').digest('hex');
}

/** Whether one of some secrets signed a body, found out piece by piece as it arrives, so that no moment costs much. */
export class SignatureCheck {
  private readonly macs: ReturnType<typeof createHmac>[];

  constructor(secrets: readonly KeyObject[]) {
    this.macs = secrets.map((secret) => createHmac('sha256', secret));
  }

  update(chunk: Buffer): void {
    for (const mac of this.macs) mac.update(chunk);
  }

  /**
   * To be asked once, after the last piece. Compared as text, for decoding would let another case pass, and in constant
   * time; every secret is tried whichever fits.
   */
  holds({ signature, timestamp }: Credentials): boolean {
    const given = Buffer.from(signature, 'latin1');
    let found = false;
    for (const mac of this.macs) {
      const expected = Buffer.from(mac.update(timestamp, 'latin1').digest('hex'), 'latin1');
      if (expected.length === given.length && timingSafeEqual(expected, given)) found = true;
    }
    return found;
  }
}

/** Whether one of the secrets signed this. */
export function isSignedBy(secrets: readonly KeyObject[], body: Buffer, credentials: Credentials): boolean {
  const check = new SignatureCheck(secrets);
  check.update(body);
  return check.holds(credentials);
}

function once(values: string[] | undefined): string | undefined {
  return values?.length === 1 ? values[0] : undefined;
}
