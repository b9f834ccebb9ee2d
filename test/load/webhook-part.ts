// What the parts of bench-webhooks.ts share.
import type { Client } from 'pg';
import { setting } from './figures.ts';
import type { Backends, RunningService } from './stack.ts';

/** What a part works on: backends of its own run, and a line to their database. */
export interface Ground {
  backends: Backends;
  database: Client;
}

/** Deliveries on their way at once. */
export const BATCH_LANES = setting('BENCH_BATCH_LANES', 4);
export const SINGLE_LANES = setting('BENCH_SINGLE_LANES', 64);

/** CPU seconds of the service that some work costs. */
export async function cpuOf<T>(service: RunningService, work: () => Promise<T>): Promise<{ made: T; cpu: number }> {
  const before = service.cpuSeconds();
  const made = await work();
  return { made, cpu: service.cpuSeconds() - before };
}
