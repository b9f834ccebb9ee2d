// Reads every page of profiles or events and throws it away: what a synchronisation is held beside. Started by syncing.ts.
import { Agent, get } from 'node:http';
import { officialSdk } from './official-sdk.ts';
import { round } from './figures.ts';

export interface LoopOrder {
  /** `bare`: node:http and JSON.parse, one page after the other; `klaviyo-api`: the SDK as it comes. */
  name: 'bare' | 'klaviyo-api';
  what: 'profiles' | 'events';
  sandboxUrl: string;
  key: string;
  /** Stops when it has read for so long, wherever it is. */
  seconds: number;
  /** Windows of the time read side by side, by the bare loop alone: bounds in epoch milliseconds. */
  windows?: readonly [number, number][];
}

export interface Looped {
  rows: number;
  pages: number;
  seconds: number;
  cpuSeconds: number;
  /** Whether everything was read. */
  whole: boolean;
}

const PATHS = {
  profiles: '/api/profiles?page[size]=100&sort=created&additional-fields[profile]=subscriptions',
  events: '/api/events?page[size]=1000&sort=datetime',
};
const AXES = { profiles: ['created', 'greater-than'], events: ['datetime', 'greater-or-equal'] } as const;
const REVISION = '2026-07-15';

interface Page {
  data: readonly unknown[];
  links: { next: string | null };
}

const agent = new Agent({ keepAlive: true, maxSockets: 64 });

function read(url: string, key: string): Promise<Page> {
  const headers = { authorization: `Klaviyo-API-Key ${key}`, revision: REVISION, accept: 'application/vnd.api+json' };
  return new Promise((resolve, reject) => {
    get(url, { agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('end', () => {
        if (response.statusCode !== 200) reject(new Error(`the sandbox answered ${String(response.statusCode)}`));
        else resolve(JSON.parse(Buffer.concat(chunks).toString('utf8')) as Page);
      });
    }).on('error', reject);
  });
}

async function* bare(order: LoopOrder, window: readonly [number, number] | undefined): AsyncGenerator<number> {
  const [axis, operator] = AXES[order.what];
  const bound = (time: number) => new Date(time).toISOString();
  const filter =
    window === undefined
      ? ''
      : `&filter=${encodeURIComponent(`${operator}(${axis},${bound(window[0])}),less-than(${axis},${bound(window[1])})`)}`;
  let next: string | null = `${order.sandboxUrl}${PATHS[order.what]}${filter}`;
  while (next !== null) {
    const page: Page = await read(next, order.key);
    yield page.data.length;
    next = page.links.next;
  }
}

async function run(order: LoopOrder): Promise<Looped> {
  const sdk = officialSdk(order);
  const chains =
    order.name === 'bare'
      ? (order.windows ?? [undefined]).map((window) => bare(order, window))
      : [order.what === 'profiles' ? sdk.wholeProfilePages() : sdk.eventPages()];
  const begin = performance.now();
  const cpu = process.cpuUsage();
  const until = begin + order.seconds * 1000;
  const count = { rows: 0, pages: 0, whole: true };
  await Promise.all(
    chains.map(async (chain) => {
      for await (const rows of chain) {
        count.rows += rows;
        count.pages += 1;
        if (performance.now() < until) continue;
        count.whole = false;
        return;
      }
    }),
  );
  const { user, system } = process.cpuUsage(cpu);
  return { ...count, seconds: round((performance.now() - begin) / 1000, 3), cpuSeconds: (user + system) / 1e6 };
}

const order = JSON.parse(process.argv[2] ?? '') as LoopOrder;
run(order).then(
  (looped) => process.send?.(looped, () => process.exit(0)),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
