// `npm run bench:quota`: how much of Klaviyo's quota is used, and never too much: one process, two processes, and beside
// another integration, each on an account of its own with limits enforced in windows of unknown phase.
import { round, setting } from './figures.ts';
import { call, createAccount, runMain, seedOfRun, startBackends, type Backends } from './stack.ts';
import { startWorker, type Worker } from './workers.ts';

const SECONDS = setting('BENCH_SECONDS', 300);

interface Tier {
  operation: string;
  steady: number;
  burst: number;
  lanes: number;
  call: () => object;
}

const TIERS: readonly Tier[] = [
  { operation: 'getSegment', burst: 75, steady: 750, lanes: 60, call: () => ({}) },
  { operation: 'getEvents', burst: 350, steady: 3500, lanes: 150, call: () => ({ query: { 'page[size]': 1 } }) },
  { operation: 'getMetrics', burst: 10, steady: 150, lanes: 20, call: () => ({}) },
  { operation: 'getAccounts', burst: 1, steady: 15, lanes: 5, call: () => ({}) },
];

interface Row {
  case: string;
  operation: string;
  limit: string;
  answered: number;
  'share of steady': number;
  '429': number;
}

type Totals = Record<string, { statuses: Record<string, number> }>;

async function play(backends: Backends, title: string, workers: readonly Worker[], account: object): Promise<Row[]> {
  const target = await createAccount(backends.sandboxUrl, {
    lists: 1,
    segments: 1,
    events: 50,
    profiles: 10,
    ...account,
  });
  const control = `${backends.sandboxUrl}/_sandbox/accounts/${target.accountId}`;
  const { segments } = await call<{ segments: { id: string }[] }>('GET', `${control}/segments`);
  const begin = Date.now();
  const work = workers.flatMap((worker) =>
    TIERS.map((tier) =>
      worker.do({
        target: { ...target, sandboxUrl: backends.sandboxUrl },
        operation: tier.operation,
        call: tier.operation === 'getSegment' ? { path: { id: segments[0]?.id } } : tier.call(),
        priority: 'background',
        seconds: SECONDS,
        lanes: tier.lanes,
        pauseMs: 0,
      }),
    ),
  );
  await Promise.all(work);
  const minutes = (Date.now() - begin) / 60_000;
  const { totals } = await call<{ totals: { operations: Totals } }>('GET', `${control}/requests?operation=none`);
  return TIERS.map(({ operation, burst, steady }) => {
    const statuses = totals.operations[operation]?.statuses ?? {};
    const answered = Object.entries(statuses).reduce((sum, [status, n]) => (status === '429' ? sum : sum + n), 0);
    return {
      case: title,
      operation,
      limit: `${burst}/s ${steady}/min`,
      answered,
      'share of steady': round(answered / (steady * minutes), 3),
      '429': statuses['429'] ?? 0,
    };
  });
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  const backends = await startBackends({ seed });
  const workers: Worker[] = [];
  try {
    for (let n = 0; n < 3; n++) workers.push(await startWorker(backends));
    const [first, second, third] = workers as [Worker, Worker, Worker];
    const phase = (n: number) => ({ windowPhaseMs: (seed * 7919 * n) % 60_000 });
    const cases = await Promise.all([
      play(backends, 'one process', [first], phase(1)),
      play(backends, 'two processes', [second, third], phase(2)),
      play(backends, 'beside another integration (half)', [third], { ...phase(3), otherIntegration: { share: 0.5 } }),
    ]);
    console.log(`${SECONDS} s a case, all cases at once`);
    console.table(cases.flat());
    const [alone, shared] = cases;
    const refused = [...alone, ...shared].filter((row) => row['429'] > 0);
    if (refused.length > 0) throw new Error('An account that was ours alone refused a call');
  } finally {
    for (const worker of workers) worker.stop();
    await backends.stop();
  }
}

runMain(main);
