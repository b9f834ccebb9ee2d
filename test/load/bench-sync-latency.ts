// `npm run bench:sync-latency`: a Klaviyo 300 ms away that enforces its limits. How much of the quota's floor profiles use,
// how many events are stored a second, and not one 429; beside the SDK's loops, which store nothing.
import { round, setting } from './figures.ts';
import { connectAccount, runMain, seedOfRun, startStack, type Stack } from './stack.ts';
import { loadAverage, loop, mustSucceed, resourceOf, synchronise, throttledAt } from './syncing.ts';

/** Four minutes of the quota of profiles (750 pages of 100 a minute). */
const PROFILES = setting('BENCH_PROFILES', 300_000);
const EVENTS = setting('BENCH_EVENTS', 400_000);
const LATENCY_MS = setting('BENCH_LATENCY_MS', 300);
/** How long the SDK's loops are watched: they would take too long to the end. */
const SDK_SECONDS = setting('BENCH_SECONDS', 60);
const LIMIT_SECONDS = 1200;
const STEADY = { profiles: 750, events: 3500 };
const PAGE = { profiles: 100, events: 1000 };

interface Row {
  reader: string;
  rows: number;
  seconds: number;
  'rows/s': number;
  requests: number;
  '% of the quota floor': number;
  '429': number;
}

type What = 'profiles' | 'events';

/** Time that Klaviyo's calls a minute alone make it take, over the time it took. */
function share(what: What, requests: number, seconds: number): number {
  return round(((requests / STEADY[what]) * 60 * 100) / seconds, 1);
}

async function mirror(stack: Stack, userId: number, what: What, account: object): Promise<Row> {
  const { accountId } = await connectAccount(stack, userId, account);
  const request = { resources: [what], mode: 'full' } as const;
  const synced = mustSucceed(await synchronise(stack, userId, request, { limitSeconds: LIMIT_SECONDS }));
  const { fetched, requests } = resourceOf(synced, what);
  const rows = what === 'profiles' ? PROFILES : EVENTS;
  if (fetched < rows) throw new Error(`Only ${fetched} of ${rows} ${what} came`);
  console.log(`the service says of ${what}: ${JSON.stringify(synced.sync.quota)}`);
  return {
    reader: `the mirror: ${what}`,
    rows,
    seconds: round(synced.seconds, 1),
    'rows/s': round(rows / synced.seconds, 0),
    requests,
    '% of the quota floor': share(what, Math.ceil(rows / PAGE[what]), synced.seconds),
    '429': await throttledAt(stack.sandboxUrl, accountId),
  };
}

async function sdk(stack: Stack, userId: number, what: What, account: object): Promise<Row> {
  const { accountId, key } = await connectAccount(stack, userId, account);
  const { sandboxUrl } = stack;
  const looped = await loop({ name: 'klaviyo-api', what, sandboxUrl, key, seconds: SDK_SECONDS });
  return {
    reader: `klaviyo-api: ${what}`,
    rows: looped.rows,
    seconds: looped.seconds,
    'rows/s': round(looped.rows / looped.seconds, 0),
    requests: looped.pages,
    '% of the quota floor': share(what, looped.pages, looped.seconds),
    '429': await throttledAt(sandboxUrl, accountId),
  };
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  const stack = await startStack({ seed });
  try {
    const common = { limits: 'klaviyo', latencyMs: LATENCY_MS, windowPhaseMs: (seed * 7919) % 60_000, seed };
    const people = { ...common, profiles: PROFILES };
    const doings = { ...common, profiles: 5000, events: EVENTS };
    const rows = [
      await mirror(stack, 1, 'profiles', people),
      await sdk(stack, 2, 'profiles', people),
      await mirror(stack, 3, 'events', doings),
      await sdk(stack, 4, 'events', doings),
    ];
    console.log(`${LATENCY_MS} ms away, Klaviyo's limits enforced; load average ${loadAverage()}`);
    console.table(rows);
    const refused = rows.filter(({ reader, '429': count }) => reader.startsWith('the mirror') && count > 0);
    if (refused.length > 0) throw new Error('Klaviyo refused a call of the mirror');
  } finally {
    await stack.stop();
  }
}

runMain(main);
