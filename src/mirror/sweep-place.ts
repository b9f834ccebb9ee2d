import type { Swept } from './mirrored-rows.repository';
import type { Pass } from './syncer';

/** Where the sweep of each pass stands, so that a chunk need not look at what the ones before it went through. */
export class SweepPlace {
  private readonly places = new WeakMap<Pass, string>();

  /** @param sweep marks the chunk behind an id. @returns how many were marked; none once all are */
  async next(pass: Pass, sweep: (after: string) => Promise<Swept>): Promise<number> {
    const after = this.places.get(pass) ?? '';
    const { swept, last } = await sweep(after);
    this.places.set(pass, last ?? '');
    // From the beginning once more: a chunk before this one may have been rolled back.
    return swept > 0 || after === '' ? swept : this.next(pass, sweep);
  }
}
