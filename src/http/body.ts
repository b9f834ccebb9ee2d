import { Readable } from 'node:stream';
import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { AppError, invalid } from '../common/errors';
import { freeMemory } from '../common/free-memory';
import { rulesOf } from '../common/route-rules';
import { checkJson } from './json-check';
import { repeatedFields } from './repeated-fields';
import { UnreadBody, type Decoder } from './unread-body';

const MEGABYTE = 1024 * 1024;
const DEFAULT_BODY_LIMIT = MEGABYTE;
/** More than a person reads. */
const MAX_FAULTS = 100;

/** The only body the API takes: JSON in UTF-8, perhaps compressed. Every other kind is refused before it is read. */
export function acceptJsonOnly(server: FastifyInstance): void {
  server.removeAllContentTypeParsers();
  server.addContentTypeParser('application/json', readJson);
}

async function readJson(request: FastifyRequest, payload: Readable): Promise<unknown> {
  if (!isUtf8(request.headers['content-type'])) throw new AppError('UNSUPPORTED_MEDIA_TYPE');
  const { rawBody = false, bodyLimit = DEFAULT_BODY_LIMIT } = rulesOf(request);
  if (rawBody) return new UnreadBody(request.headers, payload, bodyLimit, decoderOf, tooLarge);
  const bytes = await readBody(request, payload, bodyLimit);
  if (bytes.length === 0) return undefined;
  const text = textOf(bytes);
  freeMemory(bytes);
  const value = parseJson(text);
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw invalid('body', 'notObject');
  checkRepetition(text);
  checkJson(value);
  return value;
}

function isUtf8(contentType: string | undefined): boolean {
  const charset = /;\s*charset\s*=\s*"?([^";\s]+)/i.exec(contentType ?? '')?.[1];
  return charset === undefined || /^utf-?8$/i.test(charset);
}

function textOf(bytes: Buffer): string {
  try {
    // A byte order mark is no JSON; RFC 8259 lets a reader ignore one.
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new AppError('MALFORMED_JSON');
  }
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new AppError('MALFORMED_JSON');
  }
}

/** A field given twice is refused, two users like two users anywhere; the same user twice is one. */
function checkRepetition(text: string): void {
  const repeated = repeatedFields(text);
  if (new Set(repeated.get('userId')).size > 1) throw new AppError('USER_SCOPE_MISMATCH');
  repeated.delete('userId');
  if (repeated.size > 0)
    throw new AppError('VALIDATION_FAILED', {
      errors: [...repeated.keys()].slice(0, MAX_FAULTS).map((field) => ({ field, key: 'givenTwice' as const })),
    });
}

/** The whole body after decompression; stops at the first byte beyond the limit, whatever the headers promise. */
async function readBody(request: FastifyRequest, payload: Readable, limit: number): Promise<Buffer> {
  const decoder = decoderOf(request.headers['content-encoding']);
  if (!decoder && Number(request.headers['content-length']) > limit) throw tooLarge(limit);
  const source = decoder ? payload.pipe(decoder) : payload;
  if (decoder) payload.on('error', (error) => decoder.destroy(error));
  const chunks: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of source as AsyncIterable<Buffer>) {
      size += chunk.length;
      if (size > limit) throw tooLarge(limit);
      chunks.push(chunk);
    }
  } catch (error) {
    payload.unpipe();
    if (error instanceof AppError) throw error;
    throw new AppError('MALFORMED_JSON', { reason: 'the body broke off or does not decompress' });
  }
  const whole = Buffer.concat(chunks, size);
  for (const chunk of chunks) freeMemory(chunk);
  return whole;
}

function decoderOf(encoding: string | undefined): Decoder | undefined {
  switch ((encoding ?? 'identity').trim().toLowerCase()) {
    case 'identity':
      return undefined;
    case 'gzip':
    case 'x-gzip':
      return createGunzip();
    case 'deflate':
      return createInflate();
    case 'br':
      return createBrotliDecompress();
    default:
      throw new AppError('UNSUPPORTED_MEDIA_TYPE', { reason: 'unknown Content-Encoding' });
  }
}

function tooLarge(limit: number): AppError {
  const text = limit % MEGABYTE === 0 ? `${limit / MEGABYTE} MB` : `${Math.floor(limit / 1024)} KB`;
  return new AppError('PAYLOAD_TOO_LARGE', { params: { limit: text } });
}
