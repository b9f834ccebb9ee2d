import { Readable } from 'node:stream';
import { createGunzip, gzipSync } from 'node:zlib';
import { AppError } from '../../src/common/errors';
import { BrokenBody, UnreadBody } from '../../src/http/unread-body';

const MEGABYTE = 1024 * 1024;
const LIMIT = 4 * MEGABYTE;

/** Reads a body; tells how much of it anybody had to look at, and how it ended. */
async function read(pieces: readonly Buffer[], encoding?: string) {
  const body = new UnreadBody(
    encoding === undefined ? {} : { 'content-encoding': encoding },
    Readable.from(pieces),
    LIMIT,
    (given) => (given === 'gzip' ? createGunzip() : undefined),
    () => new AppError('PAYLOAD_TOO_LARGE', { params: { limit: '4 MB' } }),
  );
  let seen = 0;
  const ended = await body
    .read(5000, (chunk) => (seen += chunk.length))
    .then(
      ({ size, tooLarge }) => tooLarge ?? size,
      (error: unknown) => error,
    );
  return { seen, ended };
}

const pieces = (bytes: number) => Array.from({ length: bytes / 65_536 }, () => Buffer.alloc(65_536, ' '));

describe('a body of which the handler wants to read', () => {
  it('comes whole up to its limit', async () => {
    expect(await read(pieces(LIMIT))).toEqual({ seen: LIMIT, ended: LIMIT });
  });

  it('is too large where it ends soon beyond its limit', async () => {
    const { ended } = await read([...pieces(LIMIT), Buffer.from(' ')]);
    expect(ended).toMatchObject({ code: 'PAYLOAD_TOO_LARGE' });
  });

  it('gives its memory back, whole or not', async () => {
    for (const bytes of [LIMIT, 4 * LIMIT]) {
      const parts = pieces(bytes);
      const seen: Buffer[] = [];
      const body = new UnreadBody(
        {},
        Readable.from(parts),
        LIMIT,
        () => undefined,
        () => new AppError('PAYLOAD_TOO_LARGE'),
      );
      const whole = await body.read(5000, (chunk) => seen.push(chunk)).catch(() => undefined);
      whole?.release();
      expect(seen.length).toBeGreaterThanOrEqual(LIMIT / 65_536);
      expect(seen.every(({ length }) => length === 0)).toBe(true);
    }
  });

  it('is given up a megabyte beyond its limit, though much more would come', async () => {
    const { seen, ended } = await read(pieces(4 * LIMIT));
    expect(ended).toBeInstanceOf(BrokenBody);
    expect(seen).toBeLessThanOrEqual(LIMIT + MEGABYTE);
  });

  it('is unpacked where it grows as text does', async () => {
    const text = Buffer.from(Array.from({ length: 200_000 }, (_, n) => `{"n": ${n}}`).join(','));
    expect(await read([gzipSync(text)], 'gzip')).toEqual({ seen: text.length, ended: text.length });
  });

  it('is a trap by what has been unpacked of it, however much of it has arrived', async () => {
    const bomb = gzipSync(Buffer.alloc(200 * MEGABYTE, ' '));
    const { seen, ended } = await read([bomb], 'gzip');
    expect(ended).toBeInstanceOf(BrokenBody);
    expect(seen).toBeLessThanOrEqual(1.1 * MEGABYTE);
  });
});
