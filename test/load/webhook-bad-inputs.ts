// What a stranger, a broken sender or somebody else's secret may send to the receiver.
import { randomUUID } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { bodyOf, deliveryOf, eventText, headersOf, type Hook } from './webhook-sender.ts';

export interface Message {
  headers: Record<string, string | string[]>;
  body: Buffer;
  /** `chunked`: its length is not told beforehand; `dripping`: only its first bytes are sent, and the line is held. */
  manner?: 'chunked' | 'dripping';
}

export interface BadInput {
  input: string;
  /** What it is to be answered with. */
  status: number;
  /** Costs much to send, or takes seconds: fewer of them. */
  heavy?: true;
  message(hook: Hook, other: Hook): Message;
}

const MEGABYTE = 1024 * 1024;
const MOST = 25 * MEGABYTE;
const spaces = Buffer.alloc(MOST + 1, ' ');
const bomb = gzipSync(Buffer.alloc(200 * MEGABYTE, ' '));

const small = (hook: Hook): Buffer => bodyOf(hook, randomUUID(), 0, 1);

/** A genuine delivery but for the signature. */
const withSignature =
  (change: (signature: string) => string | string[] | undefined): BadInput['message'] =>
  (hook) => {
    const body = small(hook);
    const { 'klaviyo-signature': signature = '', ...headers } = headersOf(hook, body);
    const changed = change(signature);
    return { body, headers: changed === undefined ? headers : { ...headers, 'klaviyo-signature': changed } };
  };

/** A body that is signed whatever it is. */
const signed =
  (make: (hook: Hook) => Buffer | string, over: Record<string, string> = {}): BadInput['message'] =>
  (hook) => {
    const body = Buffer.from(make(hook));
    return { body, headers: { ...headersOf(hook, body), ...over } };
  };

/** A body that nobody signed. */
const unsigned =
  (make: (hook: Hook) => Buffer, more: Partial<Message> = {}, over: Record<string, string> = {}): BadInput['message'] =>
  (hook) => ({ body: make(hook), headers: { ...headersOf(hook, Buffer.alloc(0)), ...over }, ...more });

/** Nine good events and one with that field. */
function withOddKey(key: string): (hook: Hook) => Buffer {
  return (hook) => {
    const now = new Date().toISOString();
    const prefix = randomUUID();
    const events = Array.from({ length: 10 }, (_, n) => eventText(`${prefix}${n}`, now, n));
    const odd = events.map((text, n) => (n === 4 ? text.replace('{', `{"${key}": {"isAdmin": true}, `) : text));
    return deliveryOf(hook, odd);
  };
}

export const BAD_INPUTS: readonly BadInput[] = [
  { input: 'no signature', status: 401, message: withSignature(() => undefined) },
  { input: 'empty signature', status: 401, message: withSignature(() => '') },
  { input: 'signature given twice', status: 401, message: withSignature((text) => [text, text]) },
  { input: 'signature in upper case', status: 401, message: withSignature((text) => text.toUpperCase()) },
  { input: 'signature cut short', status: 401, message: withSignature((text) => text.slice(0, 63)) },
  { input: 'signature that is not hexadecimal', status: 401, message: withSignature((text) => `${text.slice(1)}g`) },
  {
    input: 'signature of another tenant’s secret',
    status: 401,
    message: (hook, { secret }) => signed(small)({ ...hook, secret }, hook),
  },
  {
    input: 'signature of a webhook that nobody has',
    status: 401,
    message: (hook) => signed(small)({ ...hook, klaviyoId: `01NOBODY${randomUUID()}` }, hook),
  },
  {
    input: 'body written anew',
    status: 401,
    message: (hook) => {
      const body = small(hook);
      return { body: Buffer.from(JSON.stringify(JSON.parse(body.toString('utf8')))), headers: headersOf(hook, body) };
    },
  },
  {
    input: 'gzip bomb of 200 MB',
    status: 401,
    heavy: true,
    message: unsigned(() => bomb, {}, { 'content-encoding': 'gzip' }),
  },
  {
    input: 'gzip bomb of 200 MB, its bytes signed',
    status: 401,
    heavy: true,
    message: signed(() => bomb, { 'content-encoding': 'gzip' }),
  },
  {
    input: '25 MB + 1, told beforehand',
    status: 413,
    heavy: true,
    message: unsigned(() => spaces, { manner: 'dripping' }, { 'content-length': String(MOST + 1) }),
  },
  { input: '25 MB + 1, found out', status: 401, heavy: true, message: unsigned(() => spaces, { manner: 'chunked' }) },
  {
    input: '25 MB + 1, found out, signed',
    status: 413,
    heavy: true,
    message: (hook, other) => ({ ...signed(() => spaces)(hook, other), manner: 'chunked' }),
  },
  {
    input: 'slow body',
    status: 401,
    heavy: true,
    message: (hook, other) => ({ ...signed(small)(hook, other), manner: 'dripping' }),
  },
  {
    input: '100,000 levels deep, signed',
    status: 400,
    message: signed(() => `{"data":${'['.repeat(100_000)}${']'.repeat(100_000)}}`),
  },
  {
    input: 'a field given twice, signed',
    status: 200,
    message: signed((hook) => small(hook).toString('utf8').replace('{"data":', '{"data": "no", "data":')),
  },
  { input: '`__proto__` among good events, signed', status: 200, message: signed(withOddKey('__proto__')) },
  { input: '`constructor` among good events, signed', status: 200, message: signed(withOddKey('constructor')) },
  { input: 'not JSON, signed', status: 400, message: signed(() => 'hello') },
  { input: 'not JSON', status: 401, message: unsigned(() => Buffer.from('hello')) },
  { input: 'wrong content type', status: 415, message: signed(small, { 'content-type': 'text/plain' }) },
];
