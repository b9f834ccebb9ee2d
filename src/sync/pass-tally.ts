import { CallTally } from '../klaviyo/call-tally';
import type { RequestsByOperation } from './sync-resource.entity';

/** What one call cost. */
export interface CallCost {
  waitedMs: number;
  /** Calls a minute that Klaviyo allows on the endpoint. */
  steady: number;
}

/** What a resource of a run cost so far: totals since the run began. */
export interface PassTotals {
  requests: number;
  throttled: number;
  waitedMs: number;
  byOperation: RequestsByOperation;
}

/** Counts what the calls of a pass cost, whatever became of them. */
export class PassTally {
  private readonly totals: PassTotals;

  constructor(before: PassTotals) {
    this.totals = { ...before, byOperation: structuredClone(before.byOperation) };
  }

  /** Runs one call under a tally of its own; what it cost is counted even when it fails. */
  async call<T>(work: (tally: CallTally) => Promise<T>): Promise<{ value: T; cost: CallCost }> {
    const tally = new CallTally();
    try {
      const value = await work(tally);
      return { value, cost: this.add(tally) };
    } catch (error) {
      this.add(tally);
      throw error;
    }
  }

  get sum(): PassTotals {
    return this.totals;
  }

  private add(tally: CallTally): CallCost {
    const cost = { waitedMs: 0, steady: 0 };
    for (const [operation, { requests, throttled, waitedMs, steady }] of tally.take()) {
      this.totals.requests += requests;
      this.totals.throttled += throttled;
      this.totals.waitedMs += waitedMs;
      const known = (this.totals.byOperation[operation] ??= { requests: 0, steady });
      known.requests += requests;
      known.steady = steady;
      cost.waitedMs += waitedMs;
      cost.steady = Math.max(cost.steady, steady);
    }
    return cost;
  }
}

/**
 * Seconds that Klaviyo's limits alone make a run take: the greatest, over operations, of requests over the steady limit.
 */
export function floorSeconds(resources: readonly RequestsByOperation[]): number {
  const sums = new Map<string, { requests: number; steady: number }>();
  for (const resource of resources)
    for (const [operation, { requests, steady }] of Object.entries(resource)) {
      const known = sums.get(operation) ?? { requests: 0, steady };
      sums.set(operation, { requests: known.requests + requests, steady });
    }
  const seconds = [...sums.values()].map(({ requests, steady }) => (steady > 0 ? (requests * 60) / steady : 0));
  return Math.max(0, ...seconds);
}
