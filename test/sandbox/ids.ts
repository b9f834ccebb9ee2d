import { mix } from './random.ts';

const CROCKFORD = '0123456789ABCDEFGHJKMNPQRSTVWXYZ';
const BASE62 = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz';
const CROCKFORD_VALUE = new Map(Array.from(CROCKFORD).map((char, value) => [char, value]));
const BASE62_VALUE = new Map(Array.from(BASE62).map((char, value) => [char, value]));

function encode(value: number, length: number, alphabet: string): string {
  let out = '';
  let rest = value;
  for (let i = 0; i < length; i += 1) {
    out = (alphabet[rest % alphabet.length] as string) + out;
    rest = Math.floor(rest / alphabet.length);
  }
  return out;
}

function decode(text: string, values: Map<string, number>, base: number): number {
  let out = 0;
  for (const char of text) {
    const value = values.get(char);
    if (value === undefined) return -1;
    out = out * base + value;
  }
  return out;
}

/** ULID-like id of a generated row (26 characters): time, then index, then noise; sorts like the index. */
export function ulidOf(seed: number, kind: number, index: number, ms: number): string {
  const noise = mix(seed, kind, index);
  return (
    encode(ms, 10, CROCKFORD) +
    encode(index, 6, CROCKFORD) +
    encode(noise % 1048576, 4, CROCKFORD) +
    encode(mix(noise, 7) % 1073741824, 6, CROCKFORD)
  );
}

/** The index inside a generated ULID-like id, -1 when the text cannot be one. The caller regenerates and compares. */
export function ulidIndex(id: string): number {
  return id.length === 26 ? decode(id.slice(10, 16), CROCKFORD_VALUE, 32) : -1;
}

/** Six-character id of lists, segments, metrics and accounts; always holds a letter first so that it never looks like a number. */
export function shortId(seed: number, kind: number, index: number): string {
  const letters = BASE62.slice(10);
  const h = mix(seed, kind, index, 6);
  return letters[h % 52]! + encode(mix(h, index), 5, BASE62);
}

/** Eleven-character id of a generated event: five for the index, six of noise. */
export function eventIdOf(seed: number, index: number): string {
  return encode(index, 5, BASE62) + encode(mix(seed, 77, index), 6, BASE62);
}

/** The index inside a generated event id, -1 when the text cannot be one. */
export function eventIndex(id: string): number {
  return id.length === 11 ? decode(id.slice(0, 5), BASE62_VALUE, 62) : -1;
}

/** A version-1-looking UUID from two numbers; stable for generated rows. */
export function uuidOf(seed: number, index: number): string {
  const hex = (n: number) => n.toString(16).padStart(8, '0');
  const a = hex(mix(seed, index, 1));
  const b = hex(mix(seed, index, 2));
  const c = hex(mix(seed, index, 3));
  return `${a}-${b.slice(0, 4)}-11f1-8${b.slice(5)}-${c}${hex(mix(seed, index, 4)).slice(0, 4)}`;
}

/** Ids of rows written while the sandbox runs: unique within the process, shaped like Klaviyo's. */
export class IdSource {
  private counter = 0;
  private readonly seed: number;

  constructor(seed: number) {
    this.seed = seed;
  }

  ulid(ms: number): string {
    this.counter += 1;
    // Index part near the top of its range, so that a written row never decodes into a generated one.
    return ulidOf(this.seed, 99, 1073741823 - this.counter, ms);
  }

  short(kind: number): string {
    this.counter += 1;
    return shortId(this.seed ^ 0x5bd1e995, kind, this.counter);
  }

  event(): string {
    this.counter += 1;
    return eventIdOf(this.seed ^ 0x1b873593, 916132831 - this.counter);
  }

  uuid(): string {
    this.counter += 1;
    return uuidOf(this.seed ^ 0x2545f491, this.counter);
  }
}
