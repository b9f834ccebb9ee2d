// `npm run bench:priority`: what a user's call waits for while background work saturates the same account, and another.
import { median, percentile, round, setting } from './figures.ts';
import { createAccount, runMain, seedOfRun, startBackends, type Backends } from './stack.ts';
import type { Target } from './peers.ts';
import { startWorker, type Worker } from './workers.ts';

const SECONDS = setting('BENCH_SECONDS', 30);
const RUNS = setting('BENCH_RUNS', 5);

const OPERATIONS = [
  { operation: 'getEvents', limit: '350/s', call: { query: { 'page[size]': 1 } }, lanes: 150 },
  { operation: 'getSegments', limit: '75/s', call: {}, lanes: 60 },
  { operation: 'getMetrics', limit: '10/s', call: {}, lanes: 20 },
] as const;

async function account(backends: Backends): Promise<Target> {
  const made = await createAccount(backends.sandboxUrl, { segments: 5, events: 50, profiles: 10 });
  return { ...made, sandboxUrl: backends.sandboxUrl };
}

/** The p95 of one user's calls, one after the other, in milliseconds. */
async function interactive(worker: Worker, target: Target, work: (typeof OPERATIONS)[number]): Promise<number> {
  const { operation, call } = work;
  const order = { target, operation, call, priority: 'interactive' as const, seconds: SECONDS, lanes: 1 };
  // At most one call in two seconds: what is measured is the wait behind the other work, not for the user's own calls.
  const { latencies, failures } = await worker.do({ ...order, pauseMs: 500 });
  if (Object.keys(failures).length > 0) throw new Error(`${operation}: ${JSON.stringify(failures)}`);
  return percentile(latencies, 0.95);
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  const backends = await startBackends({ seed });
  const [busy, user] = [await startWorker(backends), await startWorker(backends)];
  try {
    const rows = [];
    for (const work of OPERATIONS) {
      const found = { alone: [] as number[], same: [] as number[], other: [] as number[] };
      for (let run = 0; run < RUNS; run++) {
        const [full, second] = [await account(backends), await account(backends)];
        found.alone.push(await interactive(user, second, work));
        const { operation, call, lanes } = work;
        // Begins long enough before that the account's quota is used up when the user comes.
        const saturating = { target: full, operation, call, priority: 'background' as const, lanes, pauseMs: 0 };
        const background = busy.do({ ...saturating, seconds: SECONDS + 5 });
        await new Promise((done) => setTimeout(done, 5000));
        const [same, other] = await Promise.all([interactive(user, full, work), interactive(user, second, work)]);
        found.same.push(same);
        found.other.push(other);
        await background;
      }
      rows.push({
        operation: `${work.operation} (${work.limit})`,
        'p95 alone ms': round(median(found.alone), 1),
        'p95 on the busy account ms': round(median(found.same), 1),
        'p95 on another account ms': round(median(found.other), 1),
      });
    }
    console.log(`${RUNS} runs of ${SECONDS} s, medians`);
    console.table(rows);
  } finally {
    for (const worker of [busy, user]) worker.stop();
    await backends.stop();
  }
}

runMain(main);
