// `npm run bench:sync-tenants`: twenty accounts synchronise at once; the key of one turns invalid on the way and another
// answers only 503. The others should take hardly longer than one alone.
import { setTimeout as wait } from 'node:timers/promises';
import { median, round, setting } from './figures.ts';
import { call, connectAccount, runMain, seedOfRun, settle, startStack, type Stack } from './stack.ts';
import { loadAverage, mustSucceed, synchronise, throttledAt, type Synced } from './syncing.ts';

const ACCOUNTS = Math.max(4, setting('BENCH_ACCOUNTS', 20));
const PROFILES = setting('BENCH_PROFILES', 2000);
const LATENCY_MS = setting('BENCH_LATENCY_MS', 300);
const ALONE_RUNS = setting('BENCH_RUNS', 3);
/** When the key is taken back: in the midst of the run. */
const REVOKED_AFTER_MS = setting('BENCH_REVOKED_AFTER_MS', 1500);
/** Runs tell their own times: twenty callers who look ten times a second would be load, not measurement. */
const LOOK_MS = 1000;
/** An account that only answers 503 is not waited for. */
const LIMIT_SECONDS = 180;

interface Account {
  userId: number;
  accountId: string;
  key: string;
}

async function connected(stack: Stack, userId: number, seed: number): Promise<Account> {
  const account = {
    limits: 'klaviyo',
    latencyMs: LATENCY_MS,
    windowPhaseMs: (userId * 7919) % 60_000,
    seed: seed + userId,
    profiles: PROFILES,
  };
  return { userId, ...(await connectAccount(stack, userId, account)) };
}

async function run(stack: Stack, { userId }: Account): Promise<Synced> {
  return mustSucceed(
    await synchronise(stack, userId, { mode: 'full' }, { limitSeconds: LIMIT_SECONDS, lookMs: LOOK_MS }),
  );
}

const control = (stack: Stack, { accountId }: Account, path = '') =>
  `${stack.sandboxUrl}/_sandbox/accounts/${accountId}${path}`;

async function main(): Promise<void> {
  const seed = seedOfRun();
  const stack = await startStack({ seed });
  try {
    // As many, none of them in trouble: what the trouble of neighbours costs is what lies between.
    const together = async (first: number): Promise<number[]> => {
      const healthy: Account[] = [];
      for (let n = 0; n < ACCOUNTS - 2; n++) healthy.push(await connected(stack, first + n, seed));
      const ends = await Promise.all(healthy.map((account) => run(stack, account)));
      await settle(stack.backends);
      return ends.map((synced) => synced.seconds);
    };
    // Compiles the code; not counted.
    await together(1001);
    const alone: number[] = [];
    for (let n = 0; n < ALONE_RUNS; n++) alone.push((await run(stack, await connected(stack, 901 + n, seed))).seconds);
    const among = await together(501);
    const accounts: Account[] = [];
    for (let userId = 1; userId <= ACCOUNTS; userId++) accounts.push(await connected(stack, userId, seed));
    const [revoked, broken, ...well] = accounts;
    if (!revoked || !broken) throw new Error('Too few accounts');
    await call('POST', control(stack, broken, '/faults'), { preset: '503', times: 'forever' });
    const ends = well.map((account) => run(stack, account));
    const ill = [revoked, broken].map(({ userId }) =>
      call('POST', `${stack.url}/api/v1/klaviyo/sync`, { userId }, { authorization: `Bearer ${stack.serviceKey}` }),
    );
    await Promise.all(ill);
    await wait(REVOKED_AFTER_MS);
    await call('PATCH', control(stack, revoked), { keys: [{ key: revoked.key, invalid: true }] });
    const seconds = (await Promise.all(ends)).map((synced) => synced.seconds);
    const status = async ({ userId }: Account) => {
      const address = `${stack.url}/api/v1/klaviyo/sync?userId=${userId}`;
      const headers = { authorization: `Bearer ${stack.serviceKey}` };
      const { sync } = await call<{ sync: { status: string } }>('GET', address, undefined, headers);
      return sync.status;
    };
    let throttled = 0;
    for (const account of accounts) throttled += await throttledAt(stack.sandboxUrl, account.accountId);
    const base = median(alone);
    console.log(
      `${ACCOUNTS} accounts of ${PROFILES} profiles, ${LATENCY_MS} ms away, Klaviyo's limits; load average ${loadAverage()}`,
    );
    console.table([
      { who: 'one alone (median)', seconds: round(base, 2), times: 1 },
      {
        who: `${among.length} at once, none in trouble (median)`,
        seconds: round(median(among), 2),
        times: round(median(among) / base),
      },
      { who: 'the others at once (median)', seconds: round(median(seconds), 2), times: round(median(seconds) / base) },
      {
        who: 'the others at once (slowest)',
        seconds: round(Math.max(...seconds)),
        times: round(Math.max(...seconds) / base),
      },
    ]);
    console.log(`the refused key: ${await status(revoked)}; only 503: ${await status(broken)}; 429s: ${throttled}`);
    if (throttled > 0) throw new Error('Klaviyo refused a call');
  } finally {
    await stack.stop();
  }
}

runMain(main);
