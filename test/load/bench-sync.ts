// `npm run bench:sync`: how fast profiles come into the mirror when Klaviyo neither throttles nor takes time, beside loops
// that only read the same pages and throw them away. Service, PostgreSQL, sandbox and loops share the machine.
import { median, round, setting } from './figures.ts';
import {
  connectAccount,
  runMain,
  seedOfRun,
  settle,
  startBackends,
  startService,
  type Backends,
  type RunningService,
} from './stack.ts';
import { loadAverage, loop, mustSucceed, synchronise } from './syncing.ts';

const PROFILES = setting('BENCH_PROFILES', 120_000);
const RUNS = setting('BENCH_RUNS', 3);
const LIMIT_SECONDS = 600;

interface Row {
  reader: string;
  'rows/s': number;
  'of the bare loop': number;
  'CPU s of its process': number;
  stored: string;
}

interface Round {
  bare: number;
  bareCpu: number;
  sdk: number;
  sdkCpu: number;
  ours: number;
  oursCpu: number;
  again: number;
  againCpu: number;
}

async function play(backends: Backends, service: RunningService, seed: number, userId: number): Promise<Round> {
  const stack = { ...backends, url: service.url };
  const account = { limits: 'huge', seed: seed + userId, profiles: PROFILES };
  const { key } = await connectAccount(stack, userId, account);
  const order = { what: 'profiles', sandboxUrl: backends.sandboxUrl, key, seconds: LIMIT_SECONDS } as const;
  await settle(backends);
  const bare = await loop({ ...order, name: 'bare' });
  const sdk = await loop({ ...order, name: 'klaviyo-api' });
  const run = async () => {
    const before = service.cpuSeconds();
    const request = { resources: ['profiles'], mode: 'full' } as const;
    const synced = mustSucceed(await synchronise(stack, userId, request, { limitSeconds: LIMIT_SECONDS }));
    if (synced.rows < PROFILES) throw new Error(`Only ${synced.rows} of ${PROFILES} profiles came`);
    return { speed: PROFILES / synced.seconds, cpu: service.cpuSeconds() - before };
  };
  const first = await run();
  const again = await run();
  return {
    bare: bare.rows / bare.seconds,
    bareCpu: bare.cpuSeconds,
    sdk: sdk.rows / sdk.seconds,
    sdkCpu: sdk.cpuSeconds,
    ours: first.speed,
    oursCpu: first.cpu,
    again: again.speed,
    againCpu: again.cpu,
  };
}

function row(reader: string, stored: string, speeds: readonly number[], cpu: readonly number[], bare: number): Row {
  return {
    reader,
    'rows/s': round(median(speeds), 0),
    'of the bare loop': round(median(speeds) / bare, 2),
    'CPU s of its process': round(median(cpu), 1),
    stored,
  };
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  const backends = await startBackends({ seed });
  try {
    const service = await startService(backends);
    // Compiles the code on both sides; not counted.
    await play(backends, service, seed, 1_000_000);
    const rounds: Round[] = [];
    for (let n = 1; n <= RUNS; n++) rounds.push(await play(backends, service, seed, n));
    const of = (name: keyof Round) => rounds.map((played) => played[name]);
    const bare = median(of('bare'));
    console.log(`${PROFILES} profiles, no latency, huge limits; median of ${RUNS}; load average ${loadAverage()}`);
    console.table([
      row('a bare loop, one chain of pages', 'nothing', of('bare'), of('bareCpu'), bare),
      row('klaviyo-api, one chain of pages', 'nothing', of('sdk'), of('sdkCpu'), bare),
      row('the mirror, first full pass', 'every row', of('ours'), of('oursCpu'), bare),
      row('the mirror, full pass again', 'nothing new', of('again'), of('againCpu'), bare),
    ]);
  } finally {
    await backends.stop();
  }
}

runMain(main);
