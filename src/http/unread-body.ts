import type { IncomingHttpHeaders } from 'node:http';
import type { Readable, Transform } from 'node:stream';
import type { Zlib } from 'node:zlib';
import type { AppError } from '../common/errors';
import { freeMemory } from '../common/free-memory';

/** Compressed JSON comes to a tenth or so; what grows more than this is no JSON but a trap. */
const MAX_GROWTH = 30;
/** So much may come of whatever little was sent. */
const FREE_BYTES = 1024 * 1024;

/** Beyond the limit so much is still taken in, so that it can be told whose it is. */
const OVER_BYTES = 1024 * 1024;

/** A body that did not arrive whole, or not in time, or that has no end. */
export class BrokenBody extends Error {
  override readonly name = 'BrokenBody';
}

/** A body as it arrived. Its memory is given back by `release`, after which nobody looks at it. */
export class WholeBody {
  constructor(
    /** After decompression. */
    readonly chunks: readonly Buffer[],
    readonly size: number,
    /** What to answer to one that is too large; undefined: it is not. */
    readonly tooLarge: AppError | undefined,
  ) {}

  release(): void {
    for (const chunk of this.chunks) freeMemory(chunk);
  }
}

/** Tells how much it has taken in. */
export type Decoder = Transform & Pick<Zlib, 'bytesWritten'>;

/** A body of which nothing was read yet: a handler that refuses the call for its headers never pays for it. */
export class UnreadBody {
  constructor(
    private readonly headers: IncomingHttpHeaders,
    private readonly payload: Readable,
    private readonly limit: number,
    private readonly decoderOf: (encoding: string | undefined) => Decoder | undefined,
    private readonly tooLarge: (limit: number) => AppError,
  ) {}

  /** @throws AppError PAYLOAD_TOO_LARGE, UNSUPPORTED_MEDIA_TYPE (encoding): what the head alone says, whoever calls */
  checkHead(): void {
    const decoder = this.decoderOf(this.headers['content-encoding']);
    decoder?.destroy();
    if (!decoder && Number(this.headers['content-length']) > this.limit) throw this.tooLarge(this.limit);
  }

  /**
   * The bytes after decompression.
   * @param withinMs for all of it, however slowly it drips
   * @param onChunk sees each piece as it arrives; what it throws ends the reading
   * @throws BrokenBody, also of what does not end soon beyond the limit; what `onChunk` throws
   */
  async read(withinMs: number, onChunk: (chunk: Buffer) => void): Promise<WholeBody> {
    const decoder = this.decoderOf(this.headers['content-encoding']);
    const { payload, limit } = this;
    const source = decoder ?? payload;
    const chunks: Buffer[] = [];
    let size = 0;
    let timer: NodeJS.Timeout | undefined;
    try {
      await new Promise<void>((done, fail) => {
        const broken = (): void => fail(new BrokenBody());
        timer = setTimeout(broken, withinMs);
        source.on('data', (chunk: Buffer) => {
          size += chunk.length;
          // By what was unpacked, not by what has arrived: that is ahead by as much as the trap needs.
          const isTrap = decoder !== undefined && size > FREE_BYTES && size > decoder.bytesWritten * MAX_GROWTH;
          if (isTrap || size > limit + OVER_BYTES) {
            broken();
            return;
          }
          try {
            onChunk(chunk);
            chunks.push(chunk);
          } catch (error) {
            fail(error instanceof Error ? error : new BrokenBody());
          }
        });
        source.once('end', done);
        for (const stream of new Set([payload, source]))
          stream.once('error', broken).once('close', () => {
            if (!stream.readableEnded) broken();
          });
        if (decoder) payload.pipe(decoder);
      });
      return new WholeBody(chunks, size, size > limit ? this.tooLarge(limit) : undefined);
    } catch (error) {
      for (const chunk of chunks) freeMemory(chunk);
      throw error;
    } finally {
      clearTimeout(timer);
      // What is still to come is not for us: the line ends with the answer.
      for (const stream of new Set([payload, source])) stream.removeAllListeners('data').pause();
      if (decoder) payload.unpipe(decoder);
      decoder?.on('error', () => undefined).destroy();
    }
  }
}
