// `npm run bench:client`: our Klaviyo client beside Klaviyo's own SDK, unthrottled, against the sandbox.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { Measured, Order } from './client-worker.ts';
import { median, round, setting } from './figures.ts';
import type { PeerName, Target } from './peers.ts';
import { call, createAccount, project, runMain, seedOfRun, startBackends, type Backends } from './stack.ts';

const SECONDS = setting('BENCH_SECONDS', 3);
const RUNS = setting('BENCH_RUNS', 3);
const CONCURRENCIES = [1, 8, 32];
const LATENCIES = [0, 50];
const PEERS: PeerName[] = ['ours', 'klaviyo-api'];
const WORKS = ['profile pages', 'one list'] as const;
const PROFILES = 5000;

class Client {
  readonly name: PeerName;
  /** Resident memory before the first request, in megabytes. */
  readonly idleMb: number;
  private readonly child: ChildProcess;

  private constructor(name: PeerName, child: ChildProcess, idleMb: number) {
    this.name = name;
    this.child = child;
    this.idleMb = idleMb;
  }

  static async open(name: PeerName, backends: Backends, target: Target): Promise<Client> {
    const args = [join(project, 'test/load/client-worker.ts'), name, JSON.stringify(target)];
    const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', '--expose-gc', ...args], {
      env: { ...backends.env, ROLE: 'api' },
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    const { rssMb } = await answerOf<{ rssMb: number }>(child);
    return new Client(name, child, rssMb);
  }

  async measure(order: Order): Promise<Measured> {
    this.child.send(order);
    const { measured, failure } = await answerOf<{ measured?: Measured; failure?: string }>(this.child);
    if (!measured) throw new Error(`${this.name} failed: ${failure ?? ''}`);
    return measured;
  }

  async close(): Promise<void> {
    if (this.child.exitCode !== null) return;
    const gone = once(this.child, 'exit');
    if (this.child.connected) this.child.disconnect();
    await gone;
  }
}

async function answerOf<T>(child: ChildProcess): Promise<T> {
  const abort = new AbortController();
  const gone = (code: number | null): void => abort.abort(new Error(`A client process ended with ${String(code)}`));
  child.once('exit', gone);
  try {
    const [message] = (await once(child, 'message', { signal: abort.signal })) as [T];
    return message;
  } finally {
    child.off('exit', gone);
  }
}

function rowOf(client: Client, order: Order, latencyMs: number, runs: readonly Measured[]) {
  const of = (figure: (run: Measured) => number, digits = 0): number => round(median(runs.map(figure)), digits);
  return {
    work: order.work,
    'latency ms': latencyMs,
    concurrency: order.concurrency,
    client: client.name,
    'requests/s': of((run) => run.requests / run.seconds),
    'rows/s': of((run) => run.rows / run.seconds),
    'CPU ms/request': of((run) => run.cpuMs / run.requests, 2),
    'heap MB': of((run) => run.heapMb),
    'held after MB': of((run) => run.heldMb),
    'RSS above idle MB': of((run) => run.rssMb - client.idleMb),
  };
}

async function measureAll(backends: Backends, seed: number, clients: Client[], accountId: string, listId: string) {
  const table = [];
  for (const latencyMs of LATENCIES) {
    await call('PATCH', `${backends.sandboxUrl}/_sandbox/accounts/${accountId}`, { latencyMs });
    for (const work of WORKS)
      for (const concurrency of CONCURRENCIES) {
        const order: Order = { work, concurrency, seconds: SECONDS, listId };
        const runs = new Map<Client, Measured[]>(clients.map((client) => [client, []]));
        // Turn and turn about, so that what disturbs the machine disturbs both.
        for (let run = 0; run < RUNS; run++)
          for (const client of run % 2 === 0 ? clients : clients.toReversed())
            runs.get(client)?.push(await client.measure(order));
        for (const client of clients) table.push(rowOf(client, order, latencyMs, runs.get(client) ?? []));
      }
  }
  console.log(`seed ${seed}, ${SECONDS} s a run, median of ${RUNS}; client, sandbox and PostgreSQL share the machine`);
  for (const client of clients)
    console.log(`${client.name}: ${round(client.idleMb, 0)} MB resident before the first request`);
  console.table(table);
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  const backends = await startBackends({ seed });
  const clients: Client[] = [];
  try {
    const { sandboxUrl } = backends;
    const account = await createAccount(sandboxUrl, { limits: 'huge', seed, profiles: PROFILES, lists: 10 });
    const lists = await call<{ data: { id: string }[] }>('GET', `${sandboxUrl}/api/lists`, undefined, {
      authorization: `Klaviyo-API-Key ${account.key}`,
      revision: '2026-07-15',
    });
    const listId = lists.data[0]?.id ?? '';
    const target = { sandboxUrl, accountId: account.accountId, key: account.key };
    for (const name of PEERS) clients.push(await Client.open(name, backends, target));
    const warmUp: Omit<Order, 'work'> = { concurrency: 8, seconds: Math.min(1, SECONDS), listId };
    for (const client of clients) for (const work of WORKS) await client.measure({ ...warmUp, work });
    await measureAll(backends, seed, clients, account.accountId, listId);
  } finally {
    for (const client of clients) await client.close();
    await backends.stop();
  }
}

runMain(main);
