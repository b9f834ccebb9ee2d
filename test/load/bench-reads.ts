// `npm run bench:reads`: reads from the mirror over a million profiles: at 300 requests a second, and as many as there can be
// beside a bare Fastify handler with the same statement. Then the search by a part of a name.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import autocannon from 'autocannon';
import { median, percentile, round, setting } from './figures.ts';
import { call, connectAccount, project, runMain, seedOfRun, startStack, type Stack } from './stack.ts';
import type { Statement } from './statements-worker.ts';
import { loadAverage, mustSucceed, synchronise } from './syncing.ts';

const PROFILES = setting('BENCH_PROFILES', 1_000_000);
const SECONDS = setting('BENCH_SECONDS', 10);
const RUNS = setting('BENCH_RUNS', 3);
const RATE = 300;
const CONNECTIONS = 10;
const LIMIT_SECONDS = 3600;
const USER = 1;
const API = '/api/v1/klaviyo';
const STATS_SECONDS = 30;
const FROM_MIRROR = `userId=${USER}&source=mirror`;

interface Read {
  title: string;
  path: string;
}

/** Parts of the sandbox's names and companies, common and rare, and one that nobody has. */
const NAME_PARTS = ['ana', 'lefèvre', 'zoé rossi', 'maison 89', "o'b", 'xqz'];

async function prepare(stack: Stack, seed: number): Promise<Read[]> {
  const { accountId } = await connectAccount(stack, USER, {
    limits: 'huge',
    seed,
    profiles: PROFILES,
    lists: 35,
    campaigns: 60,
    events: 5000,
  });
  const request = { resources: ['lists', 'campaigns', 'metrics', 'profiles'], mode: 'full' } as const;
  const synced = mustSucceed(await synchronise(stack, USER, request, { limitSeconds: LIMIT_SECONDS }));
  console.log(`${PROFILES} profiles mirrored in ${round(synced.seconds, 0)} s`);
  const control = `${stack.sandboxUrl}/_sandbox/accounts/${accountId}/profiles?limit=1000`;
  const { profiles } = await call<{ profiles: { email: string | null }[] }>('GET', control);
  const email = profiles.findLast((profile) => profile.email !== null)?.email ?? '';
  const campaigns = `${API}/get-campaigns?${FROM_MIRROR}&includeStats=true`;
  await untilCounted(stack, campaigns);
  return [
    { title: 'get-lists (35)', path: `${API}/get-lists?${FROM_MIRROR}` },
    { title: 'get-campaigns, with figures', path: campaigns },
    { title: 'profiles by e-mail', path: `${API}/profiles?${FROM_MIRROR}&email=${encodeURIComponent(email)}` },
    { title: 'profiles by tag', path: `${API}/profiles?${FROM_MIRROR}&tag=vip` },
    { title: 'profiles by attribute', path: `${API}/profiles?${FROM_MIRROR}&attribute=plan:pro` },
    { title: 'profiles, the last updated', path: `${API}/profiles?${FROM_MIRROR}&sort=-updatedAt` },
  ];
}

const headersOf = (stack: Stack) => ({ authorization: `Bearer ${stack.serviceKey}` });

/** Figures of campaigns come by a job of their own. */
async function untilCounted(stack: Stack, path: string): Promise<void> {
  for (const until = Date.now() + STATS_SECONDS * 1000; Date.now() < until;) {
    await wait(500);
    const { campaigns } = await call<{ campaigns: { stats: object | null }[] }>(
      'GET',
      `${stack.url}${path.replace('source=mirror', 'source=auto')}`,
      undefined,
      headersOf(stack),
    );
    if (campaigns.some(({ stats }) => stats !== null)) return;
  }
  console.log('no campaign has figures yet');
}

/** A program of the benchmark's, and what it says first. */
async function helped<T>(
  stack: Stack,
  program: string,
  args: readonly string[],
): Promise<{ child: ChildProcess; said: T }> {
  const child = spawn(process.execPath, [join(project, 'test/load', `${program}.ts`), ...args], {
    env: { ...stack.backends.env, ROLE: 'api', PORT: '0' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [said] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error(`${program} ended without a word`))),
  ])) as [T];
  return { child, said };
}

async function cannon(
  url: string,
  path: string,
  key: string,
  seconds: number,
  rate?: number,
): Promise<autocannon.Result> {
  const result = await autocannon({
    url: `${url}${path}`,
    connections: CONNECTIONS,
    duration: seconds,
    headers: { authorization: `Bearer ${key}` },
    ...(rate === undefined ? {} : { overallRate: rate }),
  });
  if (result.non2xx + result.errors + result.timeouts > 0) throw new Error(`${path} failed under load`);
  return result;
}

interface Row {
  read: string;
  'req/s asked': number;
  'req/s given': number;
  'p50 ms': number;
  'p99 ms': number;
  'most req/s': number;
  'bare most req/s': number;
  ratio: number;
}

async function measure(stack: Stack, read: Read, bareUrl: string, barePath: string): Promise<Row> {
  await cannon(stack.url, read.path, stack.serviceKey, Math.min(2, SECONDS));
  await cannon(bareUrl, barePath, '', Math.min(2, SECONDS));
  const steady = await cannon(stack.url, read.path, stack.serviceKey, SECONDS, RATE);
  const ours: number[] = [];
  const bare: number[] = [];
  // Turn and turn about, so that what disturbs the machine disturbs both.
  for (let run = 0; run < RUNS; run++) {
    ours.push((await cannon(stack.url, read.path, stack.serviceKey, SECONDS)).requests.average);
    bare.push((await cannon(bareUrl, barePath, '', SECONDS)).requests.average);
  }
  return {
    read: read.title,
    'req/s asked': RATE,
    'req/s given': round(steady.requests.average, 0),
    'p50 ms': steady.latency.p50,
    'p99 ms': steady.latency.p99,
    'most req/s': round(median(ours), 0),
    'bare most req/s': round(median(bare), 0),
    ratio: round(median(ours) / median(bare)),
  };
}

async function searchNames(stack: Stack): Promise<void> {
  const rows = [];
  for (const part of NAME_PARTS) {
    const times: number[] = [];
    let found = 0;
    for (let run = 0; run < RUNS * 3; run++) {
      const begin = performance.now();
      const path = `${API}/profiles?${FROM_MIRROR}&name=${encodeURIComponent(part)}`;
      const { profiles } = await call<{ profiles: object[] }>(
        'GET',
        `${stack.url}${path}`,
        undefined,
        headersOf(stack),
      );
      times.push(performance.now() - begin);
      found = profiles.length;
    }
    rows.push({
      'part of a name': part,
      'rows of the page': found,
      'median ms': round(median(times), 1),
      'slowest ms': round(percentile(times, 1), 1),
    });
  }
  console.table(rows);
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  const stack = await startStack({ seed });
  const children: ChildProcess[] = [];
  try {
    const reads = await prepare(stack, seed);
    const paths = JSON.stringify(reads.map(({ path }) => path));
    const overheard = await helped<Statement[]>(stack, 'statements-worker', [paths, stack.serviceKey]);
    children.push(overheard.child);
    const bare = await helped<number>(stack, 'bare-server', [JSON.stringify(overheard.said)]);
    children.push(bare.child);
    const bareUrl = `http://127.0.0.1:${bare.said}`;
    const rows: Row[] = [];
    for (const [index, read] of reads.entries()) rows.push(await measure(stack, read, bareUrl, `/${index}`));
    console.log(`${PROFILES} profiles, ${CONNECTIONS} connections, ${SECONDS} s; load average ${loadAverage()}`);
    console.table(rows);
    await searchNames(stack);
  } finally {
    for (const child of children) if (child.exitCode === null) child.kill();
    await stack.stop();
  }
}

runMain(main);
