import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { Webhook } from 'standardwebhooks';
import { checkHost, ForbiddenAddress, judgedLookup } from './outbound-address';

/** One message in the manner of Standard Webhooks. */
export interface SignedMessage {
  url: string;
  /** `whsec_` and base64; without one the message goes unsigned. */
  secret: string | undefined;
  /** The same for every attempt at the same message: receivers know a repetition by it. */
  id: string;
  body: string;
  /** Epoch milliseconds of this attempt. */
  now: number;
  /** For the whole exchange. */
  timeoutMs: number;
}

export type PostResult =
  | { kind: 'answer'; status: number }
  /** `reason` is a code or a sentence of ours: never the address. */
  | { kind: 'failed'; reason: string };

/**
 * Sends one message to an address that the operator configured; never throws. Redirects are not followed, the name is
 * resolved and judged for this connection, no proxy of the environment is asked, and of the answer only the status is read.
 */
export async function postSigned(message: SignedMessage): Promise<PostResult> {
  try {
    const url = new URL(message.url);
    checkHost(url);
    return { kind: 'answer', status: await send(url, message) };
  } catch (error) {
    return { kind: 'failed', reason: reasonOf(error) };
  }
}

function send(url: URL, message: SignedMessage): Promise<number> {
  const plain = url.protocol === 'http:';
  return new Promise((done, fail) => {
    const request = (plain ? httpRequest : httpsRequest)(url, {
      method: 'POST',
      headers: headersOf(message),
      agent: false,
      lookup: judgedLookup(plain),
      signal: AbortSignal.timeout(message.timeoutMs),
    });
    request.on('error', fail);
    request.on('response', (response) => {
      response.on('error', () => undefined);
      response.destroy();
      done(response.statusCode ?? 0);
    });
    request.end(message.body);
  });
}

function headersOf({ secret, id, body, now }: SignedMessage): Record<string, string | number> {
  const timestamp = Math.floor(now / 1000);
  return {
    'content-type': 'application/json',
    'content-length': Buffer.byteLength(body),
    'user-agent': 'crealia-klaviyo-service',
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    ...(secret === undefined
      ? {}
      : { 'webhook-signature': new Webhook(secret).sign(id, new Date(timestamp * 1000), body) }),
  };
}

function reasonOf(error: unknown): string {
  if (error instanceof ForbiddenAddress) return error.message;
  const { code, name } = error as { code?: unknown; name?: unknown };
  if (name === 'TimeoutError' || name === 'AbortError') return 'no answer in time';
  return typeof code === 'string' && /^[A-Z0-9_]{2,50}$/.test(code) ? code : 'broken off';
}
