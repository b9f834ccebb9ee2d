// Synchronisations as a caller sees them, and the loops that they are held beside.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { loadavg } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import type { Looped, LoopOrder } from './loop-worker.ts';
import { call, project, type Stack } from './stack.ts';

const ENDED = ['succeeded', 'partial', 'failed', 'cancelled'];
/** How often a run is looked at, unless said otherwise. */
const LOOK_MS = 100;

/** What `GET /sync` says of a run, as far as it is used. */
export interface Sync {
  id: string;
  status: string;
  startedAt: string;
  finishedAt: string;
  progress: {
    resources: {
      resource: string;
      status: string;
      fetched: number;
      upserted: number;
      deleted: number;
      pages: number;
      requests: number;
      throttled: number;
      waitedMs: number;
      error: { code: string; detail: string } | null;
    }[];
  };
  quota: { floorSeconds: number | null; percentOfFloor: number | null };
  error: { code: string } | null;
}

/** A run that has ended, and what was seen of it from outside. */
export interface Synced {
  sync: Sync;
  /** From the start of the run to its end, by the service's own clock. */
  seconds: number;
  rows: number;
  requests: number;
  throttled: number;
  /** The most resident memory that the service was seen to have, in megabytes. */
  peakMb: number;
}

type Service = Pick<Stack, 'url' | 'serviceKey'>;

/** Runs a synchronisation from its request to its end. @throws Error when it has not ended in time */
export async function synchronise(
  service: Service,
  userId: number,
  request: { resources?: readonly string[]; mode?: 'full' | 'incremental' },
  options: { limitSeconds: number; lookMs?: number; residentMb?: () => number },
): Promise<Synced> {
  const headers = { authorization: `Bearer ${service.serviceKey}` };
  const started = await call<{ sync: Sync }>(
    'POST',
    `${service.url}/api/v1/klaviyo/sync`,
    { userId, ...request },
    headers,
  );
  const until = Date.now() + options.limitSeconds * 1000;
  let peakMb = 0;
  for (;;) {
    await wait(options.lookMs ?? LOOK_MS);
    peakMb = Math.max(peakMb, options.residentMb?.() ?? 0);
    const address = `${service.url}/api/v1/klaviyo/sync?userId=${userId}&syncId=${started.sync.id}`;
    const { sync } = await call<{ sync: Sync }>('GET', address, undefined, headers);
    if (ENDED.includes(sync.status)) return { ...figuresOf(sync), peakMb };
    if (Date.now() > until) throw new Error(`The synchronisation did not end: ${JSON.stringify(sync)}`);
  }
}

/** @throws Error when the run did not succeed */
export function mustSucceed(synced: Synced): Synced {
  if (synced.sync.status !== 'succeeded') throw new Error(`The run ended otherwise: ${JSON.stringify(synced.sync)}`);
  return synced;
}

export function resourceOf({ sync }: Synced, name: string): Sync['progress']['resources'][number] {
  const found = sync.progress.resources.find(({ resource }) => resource === name);
  if (!found) throw new Error(`The run says nothing of ${name}`);
  return found;
}

function figuresOf(sync: Sync): Omit<Synced, 'peakMb'> {
  const sum = (of: (resource: Sync['progress']['resources'][number]) => number) =>
    sync.progress.resources.reduce((total, resource) => total + of(resource), 0);
  return {
    sync,
    seconds: (Date.parse(sync.finishedAt) - Date.parse(sync.startedAt)) / 1000,
    rows: sum(({ fetched }) => fetched),
    requests: sum(({ requests }) => requests),
    throttled: sum(({ throttled }) => throttled),
  };
}

/** Runs a loop that reads pages and throws them away, in a process of its own. */
export async function loop(order: LoopOrder): Promise<Looped> {
  const child = spawn(process.execPath, [join(project, 'test/load/loop-worker.ts'), JSON.stringify(order)], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  let looped: Looped | undefined;
  child.on('message', (message: Looped) => (looped = message));
  await once(child, 'exit');
  if (!looped) throw new Error(`The loop ${order.name} ended without a figure`);
  return looped;
}

/** 429s that an account's sandbox has answered. */
export async function throttledAt(sandboxUrl: string, accountId: string): Promise<number> {
  const address = `${sandboxUrl}/_sandbox/accounts/${accountId}/requests?operation=none`;
  const { totals } = await call<{ totals: { operations: Record<string, { statuses: Record<string, number> }> } }>(
    'GET',
    address,
  );
  return Object.values(totals.operations).reduce((sum, { statuses }) => sum + (statuses['429'] ?? 0), 0);
}

/** What else the machine did: to be named beside each figure. */
export function loadAverage(): string {
  return loadavg()
    .map((load) => load.toFixed(1))
    .join(' ');
}
