import { Agent as HttpAgent, request as httpRequest } from 'node:http';
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https';
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
  /** Beside those of Standard Webhooks. */
  headers?: Readonly<Record<string, string>>;
  /** Lines that are kept between messages; without it each message has its own. */
  lines?: KeptLines;
}

/** A bounded number of lines to one address, kept open between messages. A line stays with the address that was judged when it was opened. */
export class KeptLines {
  readonly agent: HttpAgent | HttpsAgent;

  constructor(url: string, most: number) {
    const options = {
      keepAlive: true,
      maxSockets: most,
      maxFreeSockets: most,
      scheduling: 'lifo',
      timeout: IDLE_MS,
    } as const;
    this.agent = new URL(url).protocol === 'http:' ? new HttpAgent(options) : new HttpsAgent(options);
  }

  close(): void {
    this.agent.destroy();
  }
}

/** Shorter than most servers keep a line that is idle: a message must not meet one that just closes. */
const IDLE_MS = 4000;
/** Of an answer so much is read, for the line to be used again. */
const MOST_READ = 64 * 1024;

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
    return { kind: 'answer', status: await sendOrAgain(url, message) };
  } catch (error) {
    return { kind: 'failed', reason: reasonOf(error) };
  }
}

/** A kept line that its other end has just closed says nothing about the receiver: once more, on a new one. */
async function sendOrAgain(url: URL, message: SignedMessage): Promise<number> {
  try {
    return await send(url, message);
  } catch (error) {
    if (!(error instanceof StaleLine)) throw error;
    return send(url, message, false);
  }
}

class StaleLine extends Error {}

function send(url: URL, message: SignedMessage, kept = true): Promise<number> {
  const plain = url.protocol === 'http:';
  const lines = kept ? message.lines : undefined;
  return new Promise((done, fail) => {
    const request = (plain ? httpRequest : httpsRequest)(url, {
      method: 'POST',
      headers: headersOf(message),
      agent: lines?.agent ?? false,
      lookup: judgedLookup(plain),
      signal: AbortSignal.timeout(message.timeoutMs),
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      const isStale = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      fail(isStale ? new StaleLine() : error);
    });
    request.on('response', (response) => {
      response.on('error', () => undefined);
      done(response.statusCode ?? 0);
      if (lines === undefined) {
        response.destroy();
        return;
      }
      let read = 0;
      response.on('data', (chunk: Buffer) => {
        read += chunk.length;
        if (read > MOST_READ) response.destroy();
      });
    });
    request.end(message.body);
  });
}

function headersOf({ secret, id, body, now, headers }: SignedMessage): Record<string, string | number> {
  const timestamp = Math.floor(now / 1000);
  return {
    ...headers,
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
