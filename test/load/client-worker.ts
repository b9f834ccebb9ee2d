// One client in a process of its own, so that its CPU time and memory are its alone. Started by bench-client.ts.
import { setTimeout as wait } from 'node:timers/promises';
import { officialSdk } from './official-sdk.ts';
import { openService, ours } from './ours.ts';
import type { Peer, PeerName, Target } from './peers.ts';

export interface Order {
  work: 'profile pages' | 'one list';
  concurrency: number;
  seconds: number;
  listId: string;
}

export interface Measured {
  requests: number;
  rows: number;
  seconds: number;
  /** CPU time of the whole process, in milliseconds. */
  cpuMs: number;
  /** Largest heap seen, sampled every 50 ms, in megabytes (of 2^20 bytes). */
  heapMb: number;
  /** What of it is still held when the work is over. */
  heldMb: number;
  rssMb: number;
}

const MB = 1024 * 1024;

/** Keeps `concurrency` requests in flight until time is up. */
async function run(peer: Peer, order: Order): Promise<Measured> {
  const until = performance.now() + order.seconds * 1000;
  const count = { requests: 0, rows: 0 };
  let heap = 0;
  const sampler = setInterval(() => (heap = Math.max(heap, process.memoryUsage().heapUsed)), 50);
  const begin = performance.now();
  const cpu = process.cpuUsage();
  await Promise.all(Array.from({ length: order.concurrency }, () => line(peer, order, until, count)));
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - begin) / 1000;
  clearInterval(sampler);
  return {
    ...count,
    seconds,
    cpuMs: (user + system) / 1000,
    heapMb: heap / MB,
    heldMb: heldMb(),
    rssMb: process.memoryUsage.rss() / MB,
  };
}

/** The heap without what nobody holds any more: the process runs with --expose-gc. */
function heldMb(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / MB;
}

/** One request after the other. */
async function line(peer: Peer, order: Order, until: number, count: { requests: number; rows: number }): Promise<void> {
  const tell = (rows: number): boolean => {
    count.requests += 1;
    count.rows += rows;
    return performance.now() < until;
  };
  if (order.work === 'one list') {
    while (tell(await peer.list(order.listId)));
    return;
  }
  for (let going = true; going;) for await (const rows of peer.profilePages()) if (!(going = tell(rows))) break;
}

async function main(): Promise<void> {
  const [name = '', target = ''] = process.argv.slice(2);
  const account = JSON.parse(target) as Target;
  const app = (name as PeerName) === 'ours' ? await openService() : undefined;
  const peer = app ? ours(app, account) : officialSdk(account);
  process.on('message', (order: Order) => {
    run(peer, order).then(
      (measured) => process.send?.({ measured }),
      (error: unknown) => process.send?.({ failure: peer.say(error) }),
    );
  });
  process.once('disconnect', () => {
    // A client that still waits for something must not outlive the benchmark.
    void Promise.race([app?.close(), wait(2000)]).finally(() => process.exit(0));
  });
  process.send?.({ rssMb: process.memoryUsage.rss() / MB });
}

void main();
