import { randomFillSync } from 'node:crypto';

/** Random bytes are drawn for so many ids at once: drawing them one by one costs more than the rest of an event. */
const DRAWN = 512;
const RANDOM_BYTES = 10;
const COUNTER_END = 2 ** 26;

const pool = Buffer.alloc(DRAWN * RANDOM_BYTES);
let used = pool.length;
let lastMs = 0;
let counter = 0;

/** A UUID v7 that is greater than all that this process made before. */
export function intakeId(): string {
  if (used >= pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  const now = Date.now();
  // Half of the range is left for those of the same millisecond; should even that end, the clock is put on.
  if (now > lastMs) {
    lastMs = now;
    counter = pool.readUInt32BE(used) >>> 7;
  } else if (++counter >= COUNTER_END) {
    lastMs += 1;
    counter = 0;
  }
  const random = pool.toString('hex', used + 4, used + RANDOM_BYTES);
  used += RANDOM_BYTES;
  const time = lastMs.toString(16).padStart(12, '0');
  const high = (0x7000 | (counter >>> 14)).toString(16);
  const low = (0x8000 | (counter & 0x3fff)).toString(16);
  return `${time.slice(0, 8)}-${time.slice(8)}-${high}-${low}-${random}`;
}
