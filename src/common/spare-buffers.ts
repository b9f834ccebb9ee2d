import { freeMemory } from './free-memory';

/** Buffers start at this size and double, so that those of one kind of work fit the next of it. */
const SMALLEST = 64 * 1024;

/** Buffers that are used again, for megabytes that are put together and soon done with. */
export class SpareBuffers {
  private readonly spare: Buffer[] = [];
  private held = 0;

  /** @param most bytes that are kept for later */
  constructor(private readonly most: number) {}

  /** One of at least so many bytes, with anything in it. */
  take(bytes: number): Buffer {
    const place = this.spare.findIndex(({ length }) => length >= bytes);
    const [found] = place < 0 ? [] : this.spare.splice(place, 1);
    if (!found) return Buffer.allocUnsafeSlow(sizeFor(bytes));
    this.held -= found.length;
    return found;
  }

  /** Nobody reads or writes it any more, the kernel included. */
  give(buffer: Buffer): void {
    if (this.held + buffer.length > this.most) {
      freeMemory(buffer);
      return;
    }
    this.held += buffer.length;
    this.spare.push(buffer);
    // The smallest that is large enough is found first.
    this.spare.sort((a, b) => a.length - b.length);
  }
}

function sizeFor(bytes: number): number {
  let size = SMALLEST;
  while (size < bytes) size *= 2;
  return size;
}
