import type { Operation } from './operation';

/** What calls on one operation came to. */
export interface Tallied {
  requests: number;
  /** 429s among them. */
  throttled: number;
  /** Milliseconds spent waiting for a slot of the quota. */
  waitedMs: number;
}

interface Count extends Tallied {
  /** Calls that Klaviyo allows in a minute. */
  steady: number;
}

/** Counts what a piece of background work costs at Klaviyo: each attempt, by operation. */
export class CallTally {
  private readonly byOperation = new Map<string, Count>();

  request(operation: Operation, steady: number): void {
    this.of(operation, steady).requests += 1;
  }

  throttled(operation: Operation, steady: number): void {
    this.of(operation, steady).throttled += 1;
  }

  waited(operation: Operation, steady: number, ms: number): void {
    this.of(operation, steady).waitedMs += ms;
  }

  /** What was counted since the last time, by operation. */
  take(): Map<string, Count> {
    const taken = new Map(this.byOperation);
    this.byOperation.clear();
    return taken;
  }

  private of({ name }: Operation, steady: number): Count {
    const known = this.byOperation.get(name) ?? { requests: 0, throttled: 0, waitedMs: 0, steady };
    this.byOperation.set(name, known);
    return known;
  }
}
