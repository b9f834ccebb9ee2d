import type { Readable } from 'node:stream';
import { SpareBuffers } from '../common/spare-buffers';

/** Pages of 100 profiles have 150 to 250 KB: as many as are gathered at once on a busy replica. */
const KEPT_BYTES = 8 * 1024 * 1024;
const spare = new SpareBuffers(KEPT_BYTES);

/**
 * The text of an answer; null where it is larger than it may be, its line is closed then.
 * @throws Error as the stream: broken off, not what its encoding says
 */
export async function answerText(stream: Readable, largest: number): Promise<string | null> {
  const gathered = new Gathered();
  try {
    const whole = await new Promise<boolean>((resolve, reject) => {
      stream.on('data', (chunk: Buffer) => {
        if (gathered.length + chunk.length <= largest) gathered.add(chunk);
        else {
          resolve(false);
          stream.destroy();
        }
      });
      stream.once('end', () => resolve(true));
      stream.on('error', reject);
      stream.once('close', () => reject(new Error('The answer was broken off')));
    });
    return whole ? gathered.text() : null;
  } finally {
    gathered.release();
  }
}

/** Pieces one behind the other; a single one is not copied. */
class Gathered {
  length = 0;
  private only: Buffer | undefined;
  private buffer: Buffer | undefined;

  add(chunk: Buffer): void {
    if (this.length === 0) this.only = chunk;
    else this.append(chunk);
    this.length += chunk.length;
  }

  text(): string {
    return (this.buffer ?? this.only)?.toString('utf8', 0, this.length) ?? '';
  }

  release(): void {
    if (this.buffer) spare.give(this.buffer);
    this.buffer = undefined;
  }

  private append(chunk: Buffer): void {
    const wanted = this.length + chunk.length;
    if (!this.buffer || this.buffer.length < wanted) {
      // Room for what is still to come: a page has a few pieces as a rule.
      const larger = spare.take(Math.max(wanted, 2 * (this.buffer?.length ?? this.length)));
      (this.buffer ?? this.only)?.copy(larger, 0, 0, this.length);
      this.release();
      this.buffer = larger;
    }
    chunk.copy(this.buffer, this.length);
  }
}
