// `npm run bench:start`: time from `node` to ready with the database up, and idle memory.
import { setTimeout as wait } from 'node:timers/promises';
import { setting } from './figures.ts';
import { runMain, seedOfRun, startStack } from './stack.ts';

const RUNS = setting('BENCH_RUNS', 3);
const IDLE_SECONDS = setting('BENCH_IDLE_SECONDS', 20);

async function main(): Promise<void> {
  const seed = seedOfRun();
  const rows = [];
  for (let run = 1; run <= RUNS; run++) {
    const stack = await startStack({ seed, env: { NODE_ENV: 'test', LOG_LEVEL: 'info' } });
    try {
      await wait(IDLE_SECONDS * 1000);
      rows.push({
        run,
        'ready after ms': Math.round(stack.readyAfterMs),
        'idle RSS MB': Math.round(stack.residentMb()),
      });
    } finally {
      await stack.stop();
    }
  }
  console.table(rows);
}

runMain(main);
