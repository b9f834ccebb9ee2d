// `npm run bench:faults`: what our client and Klaviyo's own SDK make of each trouble that Klaviyo, or the way to it, can have.
import { setTimeout as wait } from 'node:timers/promises';
import { CASES, RETRY_AFTER_SECONDS, type Case } from './fault-cases.ts';
import { median, round, setting } from './figures.ts';
import { officialSdk } from './official-sdk.ts';
import { openService, ours, timeAttempts } from './ours.ts';
import type { Peer, Target } from './peers.ts';
import { call, createAccount, runMain, seedOfRun, startBackends } from './stack.ts';

/** Runs of the case whose seconds are the point. */
const RUNS = setting('BENCH_RUNS', 5);
const TIMEOUT_MS = setting('BENCH_TIMEOUT_MS', 2000);
const MAX_RETRIES = 2;
/** What has not ended by then is called endless: our worst case is three attempts and two short waits. */
const ENDLESS_MS = Math.max(TIMEOUT_MS * (MAX_RETRIES + 1) + 3000, RETRY_AFTER_SECONDS * 3000);

interface Ended {
  result: string;
  seconds: number;
  requests: number;
  /** How many profiles or events there are that were not there before. */
  rows: number;
  attempts: readonly number[];
}

type Open = (target: Target) => { peer: Peer; attempts: () => readonly number[] };

/** One case on an account of its own. */
async function play(sandboxUrl: string, seed: number, one: Case, open: Open): Promise<Ended> {
  const account = await createAccount(sandboxUrl, { limits: 'huge', seed, lists: 10, profiles: 5, events: 0 });
  const control = `${sandboxUrl}/_sandbox/accounts/${account.accountId}`;
  const count = async (): Promise<number> => {
    if (one.counts === undefined) return 0;
    const digests = await call<Record<string, { count: number }>>('GET', `${control}/digest?resource=${one.counts}`);
    return digests[one.counts]?.count ?? NaN;
  };
  const before = await count();
  await call('POST', `${control}/faults`, { match: { operation: one.operation }, ...one.fault });
  const { peer, attempts } = open({ sandboxUrl, accountId: account.accountId, key: account.key });
  const begin = performance.now();
  const endless = new AbortController();
  const result = await Promise.race([
    one.act(peer).then(
      (value) => (typeof value === 'number' ? `${value} rows` : value),
      (error: unknown) => peer.say(error),
    ),
    wait(ENDLESS_MS, 'still waiting', { signal: endless.signal }),
  ]);
  const seconds = (performance.now() - begin) / 1000;
  endless.abort();
  const received = await call<{ requests: unknown[] }>('GET', `${control}/requests?operation=${one.operation}`);
  const rows = (await count()) - before;
  return { result, seconds, requests: received.requests.length, rows, attempts: attempts() };
}

function rowOf(one: Case, name: Peer['name'], runs: readonly Ended[]) {
  const [first] = runs;
  const seconds = runs.map((run) => run.seconds);
  return {
    case: one.title,
    client: name,
    result: [...new Set(runs.map((run) => run.result))].join(', '),
    seconds:
      runs.length === 1
        ? String(round(seconds[0] ?? NaN))
        : `${round(median(seconds))} (${round(Math.min(...seconds))}–${round(Math.max(...seconds))})`,
    requests: [...new Set(runs.map((run) => run.requests))].join(', '),
    'rows made': one.counts === undefined ? '' : [...new Set(runs.map((run) => run.rows))].join(', '),
    'attempts s': (first?.attempts ?? []).map((ms) => round(ms / 1000)).join(' + '),
  };
}

/** What our client promises, whatever the machine's load; how long it took is for the reader to judge. */
function faultsOf(one: Case, run: Ended): string[] {
  const { result, requests, rows } = one.ours;
  const wrong: string[] = [];
  if (!result.test(run.result)) wrong.push(`${one.title}: ${run.result} instead of ${String(result)}`);
  if (run.requests !== requests) wrong.push(`${one.title}: ${run.requests} requests instead of ${requests}`);
  if (rows !== undefined && run.rows !== rows) wrong.push(`${one.title}: ${run.rows} rows made instead of ${rows}`);
  if (run.seconds < (one.ours.notBefore ?? 0)) wrong.push(`${one.title}: came back after ${round(run.seconds)} s`);
  return wrong;
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  const env = {
    KLAVIYO_TIMEOUT_MS: String(TIMEOUT_MS),
    KLAVIYO_MAX_RETRIES: String(MAX_RETRIES),
    REQUEST_DEADLINE_MS: String(ENDLESS_MS + 1000),
    ROLE: 'api',
    LOG_LEVEL: 'error',
  };
  const backends = await startBackends({ seed, env });
  const faults: string[] = [];
  try {
    Object.assign(process.env, backends.env);
    const app = await openService();
    const attemptsOf = timeAttempts(app);
    const clients: [Peer['name'], Open][] = [
      ['ours', (target) => ({ peer: ours(app, target), attempts: () => attemptsOf(target.key) })],
      ['klaviyo-api', (target) => ({ peer: officialSdk(target), attempts: () => [] })],
    ];
    // Each has its account, and nearly all of the time is waiting: they wait at the same time.
    const rows = await Promise.all(
      CASES.flatMap((one) =>
        clients.map(async ([name, open]) => {
          const times = Array.from({ length: one.timed === true ? RUNS : 1 });
          const runs = await Promise.all(times.map(() => play(backends.sandboxUrl, seed, one, open)));
          if (name === 'ours') faults.push(...runs.flatMap((run) => faultsOf(one, run)));
          return rowOf(one, name, runs);
        }),
      ),
    );
    console.log(`seed ${seed}; ours with KLAVIYO_TIMEOUT_MS=${TIMEOUT_MS} and KLAVIYO_MAX_RETRIES=${MAX_RETRIES}`);
    console.log(`the SDK as it is; after ${round(ENDLESS_MS / 1000)} s a call is called endless`);
    console.table(rows);
    await app.close();
  } finally {
    await backends.stop();
  }
  // The SDK's endless calls hold their sockets.
  if (faults.length > 0) console.error(faults.join('\n'));
  process.exit(faults.length > 0 ? 1 : 0);
}

runMain(main);
