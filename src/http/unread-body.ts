import type { IncomingHttpHeaders } from 'node:http';
import type { Readable, Transform } from 'node:stream';
import type { AppError } from '../common/errors';

/** Compressed JSON comes to a tenth or so; what grows more than this is no JSON but a trap. */
const MAX_GROWTH = 100;
/** So much may come of whatever little was sent. */
const FREE_BYTES = 1024 * 1024;

/** A body that did not arrive whole, or not in time. */
export class BrokenBody extends Error {
  override readonly name = 'BrokenBody';
}

/** A body of which nothing was read yet: a handler that refuses the call for its headers never pays for it. */
export class UnreadBody {
  constructor(
    private readonly headers: IncomingHttpHeaders,
    private readonly payload: Readable,
    private readonly limit: number,
    private readonly decoderOf: (encoding: string | undefined) => Transform | undefined,
    private readonly tooLarge: (limit: number) => AppError,
  ) {}

  /**
   * The bytes after decompression.
   * @param withinMs for all of it, however slowly it drips
   * @throws AppError PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE (encoding); BrokenBody
   */
  async read(withinMs: number): Promise<Buffer> {
    const decoder = this.decoderOf(this.headers['content-encoding']);
    if (!decoder && Number(this.headers['content-length']) > this.limit) throw this.tooLarge(this.limit);
    const { payload } = this;
    const source = decoder ?? payload;
    let sent = 0;
    const count = (chunk: Buffer): void => void (sent += chunk.length);
    const chunks: Buffer[] = [];
    let size = 0;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((done, fail) => {
        const broken = (): void => fail(new BrokenBody());
        timer = setTimeout(broken, withinMs);
        source.on('data', (chunk: Buffer) => {
          size += chunk.length;
          if (size > this.limit) fail(this.tooLarge(this.limit));
          else if (decoder && size > FREE_BYTES && size > sent * MAX_GROWTH) fail(new BrokenBody());
          else chunks.push(chunk);
        });
        source.once('end', done);
        for (const stream of new Set([payload, source]))
          stream.once('error', broken).once('close', () => {
            if (!stream.readableEnded) broken();
          });
        if (decoder) payload.on('data', count).pipe(decoder);
      });
      return Buffer.concat(chunks, size);
    } finally {
      clearTimeout(timer);
      // What is still to come is not for us: the line ends with the answer.
      for (const stream of new Set([payload, source])) stream.removeAllListeners('data').pause();
      if (decoder) payload.unpipe(decoder);
      decoder?.on('error', () => undefined).destroy();
    }
  }
}
