import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import { brotliDecompress, gunzip, inflate } from 'node:zlib';
import type { Incoming } from './api.ts';

/** Klaviyo takes 5 MB, counted after decompression. */
const LIMIT = 5 * 1024 * 1024;
/** What we read at most before giving up on a body that is refused anyway. */
const READ_LIMIT = 32 * 1024 * 1024;

const DECODERS = { gzip: promisify(gunzip), deflate: promisify(inflate), br: promisify(brotliDecompress) };

/** Reads a request whole: address, headers, body (decompressed) and what is wrong with its size or encoding. */
export async function readIncoming(request: IncomingMessage): Promise<Incoming> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length <= READ_LIMIT) chunks.push(chunk);
  }
  const raw = chunks.length === 1 ? (chunks[0] as Buffer) : Buffer.concat(chunks);
  const url = request.url ?? '/';
  const mark = url.indexOf('?');
  const path = mark < 0 ? url : url.slice(0, mark);
  const base: Incoming = {
    method: request.method ?? 'GET',
    path: path.length > 1 && path.endsWith('/') ? path.slice(0, -1) : path,
    search: mark < 0 ? '' : url.slice(mark + 1),
    headers: request.headers,
    body: raw,
    tooLarge: length > LIMIT,
    badEncoding: false,
    origin: `http://${request.headers.host ?? 'localhost'}`,
  };
  const encoding = (request.headers['content-encoding'] ?? 'identity').toLowerCase();
  if (encoding === 'identity') return base;
  if (!Object.hasOwn(DECODERS, encoding)) return { ...base, badEncoding: true };
  try {
    const body = await DECODERS[encoding as keyof typeof DECODERS](raw, { maxOutputLength: LIMIT + 1 });
    return { ...base, body, tooLarge: body.length > LIMIT };
  } catch (error) {
    const tooLarge = (error as { code?: string }).code === 'ERR_BUFFER_TOO_LARGE';
    return { ...base, body: Buffer.alloc(0), tooLarge };
  }
}
