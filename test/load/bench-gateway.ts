// `npm run bench:gateway`: what the service adds to a live read, and where that time goes.
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import type { Stations } from './gateway-probe.ts';
import { median, percentile, round, setting } from './figures.ts';
import {
  call,
  connectAccount,
  project,
  runMain,
  seedOfRun,
  startBackends,
  startService,
  type Backends,
  type RunningService,
} from './stack.ts';

const RUNS = setting('BENCH_RUNS', 5);
const SECONDS = setting('BENCH_SECONDS', 6);
/** Calls of one target before it is the other's turn. */
const ROUND = SECONDS < 1 ? 10 : 100;
const USER = 1;
const PATH = `/api/v1/klaviyo/get-segments?userId=${USER}&limit=10&source=live`;

interface Target {
  url: URL;
  headers: Record<string, string>;
  agent: Agent;
}

function targetOf(url: string, headers: Record<string, string>): Target {
  return { url: new URL(url), headers, agent: new Agent({ keepAlive: true, maxSockets: 1 }) };
}

/** One call to its last byte, in milliseconds. */
function timed({ url, headers, agent }: Target): Promise<number> {
  return new Promise((done, fail) => {
    const begin = performance.now();
    const outgoing = request(url, { headers, agent }, (response) => {
      response.on('data', () => undefined);
      response.on('error', fail);
      response.on('end', () => {
        if (response.statusCode === 200) done(performance.now() - begin);
        else fail(new Error(`${url.pathname} answered ${String(response.statusCode)}`));
      });
    });
    outgoing.on('error', fail);
    outgoing.end();
  });
}

async function times(target: Target, calls: number): Promise<number[]> {
  const all: number[] = [];
  for (let n = 0; n < calls; n++) all.push(await timed(target));
  return all;
}

/** The request that the service sends to Klaviyo for one call, as the sandbox received it. */
async function sameRequest(sandboxUrl: string, account: { accountId: string; key: string }): Promise<Target> {
  interface Received {
    path: string;
    query: string;
    revision: string;
  }
  const log = `${sandboxUrl}/_sandbox/accounts/${account.accountId}/requests?operation=getSegments`;
  const { requests } = await call<{ requests: Received[] }>('GET', log);
  const sent = requests.at(-1);
  if (!sent) throw new Error('The service did not ask for segments');
  return targetOf(`${sandboxUrl}${sent.path}${sent.query === '' ? '' : `?${sent.query.replace(/^\?/, '')}`}`, {
    authorization: `Klaviyo-API-Key ${account.key}`,
    accept: 'application/vnd.api+json',
    revision: sent.revision,
  });
}

/** Rounds of both targets in turn until time is up. */
async function measure(direct: Target, service: Target): Promise<{ direct: number[]; service: number[] }> {
  const all: { direct: number[]; service: number[] } = { direct: [], service: [] };
  const until = performance.now() + SECONDS * 1000;
  do {
    all.direct.push(...(await times(direct, ROUND)));
    all.service.push(...(await times(service, ROUND)));
  } while (performance.now() < until);
  return all;
}

/** The figures of one run, in milliseconds. */
interface Figures {
  calls: number;
  'direct p50': number;
  'service p50': number;
  'added p50': number;
  'direct p95': number;
  'service p95': number;
  'added p95': number;
}

function figuresOf(all: { direct: number[]; service: number[] }): Figures {
  const of = (p: number) => {
    const [direct, service] = [percentile(all.direct, p), percentile(all.service, p)];
    return [direct, service, service - direct] as const;
  };
  const [half, most] = [of(0.5), of(0.95)];
  return {
    calls: all.service.length,
    'direct p50': half[0],
    'service p50': half[1],
    'added p50': half[2],
    'direct p95': most[0],
    'service p95': most[1],
    'added p95': most[2],
  };
}

/** A row for each run, and of each column the median. */
async function overhead(direct: Target, service: Target): Promise<object[]> {
  const runs: Figures[] = [];
  for (let run = 0; run < RUNS; run++) runs.push(figuresOf(await measure(direct, service)));
  const names = Object.keys(runs[0] ?? {}) as (keyof Figures)[];
  const rowOf = (run: string, value: (name: keyof Figures) => number): object => ({
    run,
    ...Object.fromEntries(names.map((name) => [name, round(value(name))])),
  });
  return [
    ...runs.map((run, index) => rowOf(String(index + 1), (name) => run[name])),
    rowOf('median', (name) => median(runs.map((run) => run[name]))),
  ];
}

/** The same load on the service with stopwatches in it. */
async function stations(backends: Backends, service: (probe: RunningService) => Target) {
  const probe = await startService(backends, { entry: join(project, 'test/load/gateway-probe.ts') });
  const target = service(probe);
  await times(target, ROUND * 3);
  await tellings(probe);
  const until = performance.now() + SECONDS * 1000;
  const seen: number[] = [];
  do seen.push(...(await times(target, ROUND)));
  while (performance.now() < until);
  const told = await tellings(probe);
  await probe.stop();
  const names = Object.keys(told[0] ?? {}) as (keyof Stations)[];
  const rows = names.map((station) => {
    const values = told.map((one) => one[station]);
    return { station, 'p50 ms': round(percentile(values, 0.5), 3), 'p95 ms': round(percentile(values, 0.95), 3) };
  });
  return [
    ...rows,
    {
      station: 'as the caller sees it',
      'p50 ms': round(percentile(seen, 0.5), 3),
      'p95 ms': round(percentile(seen, 0.95), 3),
    },
  ];
}

async function tellings(probe: RunningService): Promise<Stations[]> {
  const answer = once(probe.child, 'message', { signal: AbortSignal.timeout(5000) }) as Promise<[Stations[]]>;
  probe.child.send('tell');
  const [told] = await answer;
  return told;
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  // As in production: one line a call in the log.
  const backends = await startBackends({ seed, env: { LOG_LEVEL: 'info' } });
  try {
    const started = await startService(backends);
    const { url, sandboxUrl, serviceKey } = { ...backends, ...started };
    const account = await connectAccount({ url, sandboxUrl, serviceKey }, USER, { limits: 'huge', seed, segments: 12 });
    const ofService = (running: Pick<RunningService, 'url'>): Target =>
      targetOf(running.url + PATH, { authorization: `Bearer ${serviceKey}`, accept: 'application/json' });
    const service = ofService(started);
    await timed(service);
    const direct = await sameRequest(sandboxUrl, account);
    for (const target of [direct, service]) await times(target, ROUND * 5);
    const table = await overhead(direct, service);
    console.log(`seed ${seed}, one connection, closed loop, ${ROUND} calls in turn, ${SECONDS} s a run, milliseconds`);
    console.table(table);
    await started.stop();
    const where = await stations(backends, ofService);
    console.log('where a call spends its time (stopwatches in the service cost a little themselves):');
    console.table(where);
    for (const { agent } of [direct, service]) agent.destroy();
  } finally {
    await backends.stop();
  }
}

runMain(main);
