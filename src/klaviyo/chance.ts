/** Chance as a replaceable part: tests give Nest another one. */
export abstract class Chance {
  /** [0, 1) */
  abstract next(): number;
}

export class SystemChance extends Chance {
  override next(): number {
    return Math.random();
  }
}
