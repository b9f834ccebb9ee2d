/**
 * The text of an answer: whole, or in the pieces that it is made of. A page of a hundred profiles is two hundred
 * kilobytes: put together as one string it would be copied twice, into memory that the process asks for anew each time.
 */
export type Text = string | readonly string[];

/** A text's bytes, in memory that serves again once it is given back. */
export interface Lent {
  bytes: Buffer;
  /** To be called when nobody looks at the bytes any more; without it the memory is the collector's. */
  giveBack(): void;
}

const FIRST_BYTES = 512 * 1024;
/** What lies idle at most: as many slabs, none larger. */
const MOST_KEPT = 16;
const LARGEST_KEPT = 2 * 1024 * 1024;
/** UTF-8 of one unit of a string. */
const MOST_BYTES = 3;

const idle: Buffer[] = [];

export function isText(value: object | Text): value is Text {
  return typeof value === 'string' || Array.isArray(value);
}

export function wholeText(text: Text): string {
  return typeof text === 'string' ? text : text.join('');
}

/** The bytes of a text; those of one in pieces are lent. */
export function encoded(text: Text): Lent {
  if (typeof text === 'string') return { bytes: Buffer.from(text, 'utf8'), giveBack: () => undefined };
  let slab = idle.pop() ?? Buffer.allocUnsafe(FIRST_BYTES);
  let length = 0;
  for (const piece of text) {
    if (slab.length - length < piece.length * MOST_BYTES) slab = larger(slab, length + piece.length * MOST_BYTES);
    length += slab.write(piece, length, 'utf8');
  }
  return { bytes: slab.subarray(0, length), giveBack: () => keep(slab) };
}

function larger(slab: Buffer, bytes: number): Buffer {
  const grown = Buffer.allocUnsafe(Math.max(slab.length * 2, bytes));
  slab.copy(grown);
  return grown;
}

function keep(slab: Buffer): void {
  if (idle.length < MOST_KEPT && slab.length <= LARGEST_KEPT) idle.push(slab);
}
