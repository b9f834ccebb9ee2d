// `npm run test:klaviyo:load`: autocannon against the built service and the sandbox; a table of throughput and latencies.
import autocannon from 'autocannon';
import { round, setting } from './figures.ts';
import { call, connectAccount, runMain, seedOfRun, startStack, type Stack } from './stack.ts';

const SECONDS = setting('LOAD_SECONDS', 10);
const CONNECTIONS = setting('LOAD_CONNECTIONS', 20);
/** Before the measured time: the service's code is compiled, its pools are filled. Not where nothing is measured anyway. */
const WARM_UP_SECONDS = SECONDS < 1 ? 0 : Math.min(2, SECONDS);
const USER = 1;

interface Scenario {
  title: string;
  method: 'GET' | 'POST' | 'PATCH';
  path: string;
  /** A body a request; `n` counts the requests of the run. */
  body?: (n: number) => object;
}

const SCENARIOS: Scenario[] = [
  { title: 'health/ready', method: 'GET', path: '/health/ready' },
  { title: 'connect (status)', method: 'GET', path: `/api/v1/klaviyo/connect?userId=${USER}` },
  { title: 'get-lists limit=10', method: 'GET', path: `/api/v1/klaviyo/get-lists?userId=${USER}&limit=10&source=live` },
  {
    title: 'get-segments limit=10',
    method: 'GET',
    path: `/api/v1/klaviyo/get-segments?userId=${USER}&limit=10&source=live`,
  },
  {
    title: 'get-campaigns limit=50',
    method: 'GET',
    path: `/api/v1/klaviyo/get-campaigns?userId=${USER}&limit=50&source=live`,
  },
  {
    title: 'subscribe',
    method: 'POST',
    path: '/api/v1/klaviyo/subscribe',
    body: (n) => ({ userId: USER, profile: { email: `load${n}@example.com`, firstName: 'Load' } }),
  },
  {
    title: 'trigger-event',
    method: 'POST',
    path: '/api/v1/klaviyo/trigger-event',
    body: (n) => ({
      userId: USER,
      event: {
        eventType: 'Placed Order',
        eventData: { orderId: `L${n}`, total: 10 },
        profile: { email: `load${n % 500}@example.com` },
        uniqueId: `L${n}`,
      },
    }),
  },
];

interface Row {
  scenario: string;
  'req/s': number;
  'p50 ms': number;
  'p97.5 ms': number;
  'p99 ms': number;
  failed: number;
  /** Requests that the sandbox received for each answer. */
  'Klaviyo calls': number;
}

async function measure(stack: Stack, scenario: Scenario, first: number, accountId: string): Promise<Row> {
  let n = first;
  const load = (duration: number) => cannon(stack, scenario, duration, () => n++);
  if (WARM_UP_SECONDS > 0) await load(WARM_UP_SECONDS);
  const before = await receivedBy(stack, accountId);
  const result = await load(SECONDS);
  const received = (await receivedBy(stack, accountId)) - before;
  return {
    scenario: scenario.title,
    'req/s': round(result.requests.average, 0),
    'p50 ms': result.latency.p50,
    'p97.5 ms': result.latency.p97_5,
    'p99 ms': result.latency.p99,
    failed: result.non2xx + result.errors + result.timeouts,
    'Klaviyo calls': round(received / result.requests.total),
  };
}

async function receivedBy(stack: Stack, accountId: string): Promise<number> {
  const account = `${stack.sandboxUrl}/_sandbox/accounts/${accountId}`;
  return (await call<{ requests: { total: number } }>('GET', account)).requests.total;
}

function cannon(stack: Stack, scenario: Scenario, duration: number, next: () => number): Promise<autocannon.Result> {
  return autocannon({
    url: stack.url,
    connections: CONNECTIONS,
    duration,
    timeout: 20,
    requests: [
      {
        method: scenario.method,
        path: scenario.path,
        headers: { authorization: `Bearer ${stack.serviceKey}`, 'content-type': 'application/json' },
        ...(scenario.body
          ? { setupRequest: (request) => ({ ...request, body: JSON.stringify(scenario.body?.(next())) }) }
          : {}),
      },
    ],
  });
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  const stack = await startStack({ seed });
  try {
    // Quotas out of the way: this measures the service. 25 lists, 12 segments and 60 campaigns are read.
    const { accountId } = await connectAccount(stack, USER, {
      limits: 'huge',
      seed,
      lists: 25,
      segments: 12,
      campaigns: 60,
      profiles: 1000,
    });
    const rows: Row[] = [];
    for (const scenario of SCENARIOS) rows.push(await measure(stack, scenario, seed * 1_000_000, accountId));
    console.log(
      `${CONNECTIONS} connections, ${SECONDS} s a scenario; service, sandbox and PostgreSQL share the machine`,
    );
    console.table(rows);
    const failed = rows.filter((row) => row.failed > 0 || row['req/s'] === 0);
    if (failed.length > 0) throw new Error(`Failed requests in: ${failed.map((row) => row.scenario).join(', ')}`);
  } finally {
    await stack.stop();
  }
}

runMain(main);
