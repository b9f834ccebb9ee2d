/** Chance as a pure function: everything generated is a function of (seed, index), so a million rows need no heap. */

/** Mixes up to four integers into one 32-bit unsigned number. */
export function mix(a: number, b: number, c = 0, d = 0): number {
  let h = Math.imul(a ^ 0x9e3779b9, 0x85ebca6b) ^ Math.imul(b + 0x7f4a7c15, 0xc2b2ae35);
  h ^= Math.imul(c + 0x165667b1, 0x27d4eb2f) ^ Math.imul(d + 0x9e3779b1, 0x2545f491);
  h ^= h >>> 15;
  h = Math.imul(h, 0x2c1b3c6d);
  h ^= h >>> 12;
  h = Math.imul(h, 0x297a2d39);
  h ^= h >>> 15;
  return h >>> 0;
}

/** Picks one of the values by a mixed number. */
export function pick<T>(values: readonly T[], chance: number): T {
  return values[chance % values.length] as T;
}

/** Hash of a text, for seeding by name. */
export function hashText(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i += 1) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

function gcd(a: number, b: number): number {
  return b === 0 ? a : gcd(b, a % b);
}

/** A permutation of [0, n) whose inverse is as cheap as itself: i -> (a*i + b) mod n. */
export class Permutation {
  readonly size: number;
  private readonly a: number;
  private readonly inverse: number;
  private readonly shift: number;

  constructor(size: number, seed: number) {
    this.size = Math.max(size, 1);
    let a = (mix(seed, 17) % this.size) | 1;
    while (gcd(a, this.size) !== 1) a += 1;
    this.a = a % this.size === 0 ? 1 : a % this.size;
    this.shift = mix(seed, 31) % this.size;
    this.inverse = modularInverse(this.a, this.size);
  }

  at(i: number): number {
    return (multiply(this.a, i, this.size) + this.shift) % this.size;
  }

  indexOf(value: number): number {
    const moved = (value - this.shift + this.size) % this.size;
    return multiply(this.inverse, moved, this.size);
  }
}

/** a*b mod n without leaving the exact range of doubles (n below 2^26 is direct; above, BigInt). */
function multiply(a: number, b: number, n: number): number {
  const product = a * b;
  return product <= Number.MAX_SAFE_INTEGER ? product % n : Number((BigInt(a) * BigInt(b)) % BigInt(n));
}

function modularInverse(a: number, n: number): number {
  let [t, next, r, rest] = [0, 1, n, a];
  while (rest !== 0) {
    const q = Math.floor(r / rest);
    [t, next] = [next, t - q * next];
    [r, rest] = [rest, r - q * rest];
  }
  return ((t % n) + n) % n;
}
