import { Injectable } from '@nestjs/common';
import { setTimeout as wait } from 'node:timers/promises';

const LOOK_MS = 5;

/** Whose work goes first: what others wait for within seconds, before what may take a while longer. */
@Injectable()
export class Precedence {
  private readonly urgent: (() => boolean)[] = [];

  /** @param isBusy whether more urgent work waits than is being done */
  claim(isBusy: () => boolean): void {
    this.urgent.push(isBusy);
  }

  /** Waits while urgent work does, and for so long at the most: what gives way goes on, if slowly. */
  async giveWay(mostMs: number): Promise<void> {
    for (let waited = 0; waited < mostMs && this.urgent.some((isBusy) => isBusy()); waited += LOOK_MS)
      await wait(LOOK_MS);
  }

  /**
   * A line of those who give way, for work of which much goes on side by side: one after the other goes on in that time
   * while urgent work waits, however many they are; all of them as soon as it does not.
   */
  line(mostMs: number): () => Promise<void> {
    let last = Promise.resolve();
    return () => (last = last.then(() => this.giveWay(mostMs)));
  }
}
