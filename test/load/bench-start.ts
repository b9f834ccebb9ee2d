// `npm run bench:start`: time from `node` to ready with the database up, and idle memory.
import { setTimeout as wait } from 'node:timers/promises';
import { setting } from './figures.ts';
import { runMain, seedOfRun, startBackends, startService } from './stack.ts';

const RUNS = setting('BENCH_RUNS', 3);
const IDLE_SECONDS = setting('BENCH_IDLE_SECONDS', 20);

async function main(): Promise<void> {
  const seed = seedOfRun();
  const rows = [];
  for (let run = 1; run <= RUNS; run++) {
    const backends = await startBackends({ seed, env: { LOG_LEVEL: 'info' } });
    try {
      // The first start migrates; the second is what operators see every day.
      await (await startService(backends)).stop();
      const service = await startService(backends);
      await wait(IDLE_SECONDS * 1000);
      rows.push({
        run,
        'ready after ms': Math.round(service.readyAfterMs),
        'idle RSS MB': Math.round(service.residentMb()),
      });
    } finally {
      await backends.stop();
    }
  }
  console.table(rows);
}

runMain(main);
