import type { Readable } from 'node:stream';
import { freeMemory } from '../common/free-memory';
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

/** Pieces one behind the other; a single one is not copied. They are nobody else's, and gone when this is released. */
class Gathered {
  length = 0;
  private only: Buffer | undefined;
  private buffer: Buffer | undefined;

  add(chunk: Buffer): void {
    const from = this.length;
    this.length += chunk.length;
    if (from === 0) this.only = chunk;
    else {
      this.makeRoom(from);
      this.move(chunk, from);
    }
  }

  text(): string {
    return (this.buffer ?? this.only)?.toString('utf8', 0, this.length) ?? '';
  }

  release(): void {
    if (this.only) freeMemory(this.only);
    if (this.buffer) spare.give(this.buffer);
    this.only = this.buffer = undefined;
  }

  /** Twice of what there was: a page has a few pieces as a rule. @param filled bytes that are in it */
  private makeRoom(filled: number): void {
    const { buffer, only } = this;
    if (buffer && buffer.length >= this.length) return;
    this.buffer = spare.take(Math.max(this.length, 2 * filled));
    if (buffer) {
      buffer.copy(this.buffer, 0, 0, filled);
      spare.give(buffer);
    } else if (only) this.move(only, 0);
    this.only = undefined;
  }

  private move(chunk: Buffer, to: number): void {
    if (this.buffer) chunk.copy(this.buffer, to);
    freeMemory(chunk);
  }
}
