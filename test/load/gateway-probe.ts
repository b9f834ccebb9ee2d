// The built service with a stopwatch at each station of a live read. Started by bench-gateway.ts; serves like main.js.
import { createRequire } from 'node:module';
import type { IncomingMessage } from 'node:http';
import { built, openServer, type App } from './ours.ts';

/** Milliseconds that one call spent at each station. */
export interface Stations {
  'edge, caller, validation': number;
  'connection row': number;
  'key at hand': number;
  quota: number;
  'Klaviyo hop': number;
  'paging and mapping': number;
  'shape, serialise, send': number;
  'whole call': number;
}

type Part = 'row' | 'key' | 'quota' | 'hop';
type Stopwatch = Partial<Record<Part | 'arrived' | 'entered' | 'left', number>>;
type Method = (...args: never[]) => Promise<unknown>;

const require = createRequire(import.meta.url);
const { AsyncLocalStorage } = require('node:async_hooks') as typeof import('node:async_hooks');
const call = new AsyncLocalStorage<Stopwatch>();
const told: Stations[] = [];

/** Adds the time of a method to the call's part of that name. */
function time(app: App, path: string, name: string, method: string, part: Part): void {
  wrap(app, path, name, method, (work, watch) => {
    const begin = performance.now();
    return work().finally(() => (watch[part] = (watch[part] ?? 0) + performance.now() - begin));
  });
}

function wrap(
  app: App,
  path: string,
  name: string,
  method: string,
  around: (work: () => Promise<unknown>, watch: Stopwatch) => Promise<unknown>,
): void {
  const token = built<Record<string, new () => Record<string, Method>>>(path)[name];
  if (!token) throw new Error(`The service has no ${name} in ${path}`);
  const part = app.get(token);
  const original = part[method]?.bind(part);
  if (!original) throw new Error(`${name} has no ${method}`);
  part[method] = (...args: never[]) => {
    const watch = call.getStore();
    return watch ? around(() => original(...args), watch) : original(...args);
  };
}

function tell(watch: Stopwatch): void {
  const { arrived, entered, left, row = 0, key = 0, quota = 0, hop = 0 } = watch;
  if (arrived === undefined || entered === undefined || left === undefined) return;
  const now = performance.now();
  told.push({
    'edge, caller, validation': entered - arrived,
    'connection row': row,
    'key at hand': key,
    quota,
    'Klaviyo hop': hop,
    'paging and mapping': left - entered - row - key - quota - hop,
    'shape, serialise, send': now - left,
    'whole call': now - arrived,
  });
}

async function main(): Promise<void> {
  const app = await openServer((server) => {
    const emit = server.emit.bind(server);
    // Before Fastify sees the call, so that its own part is counted too.
    server.emit = (event: string, ...args: unknown[]): boolean => {
      if (event !== 'request') return emit(event, ...args);
      const watch: Stopwatch = { arrived: performance.now() };
      const [, response] = args as [IncomingMessage, NodeJS.EventEmitter];
      response.once('finish', () => tell(watch));
      return call.run(watch, () => emit(event, ...args));
    };
  });
  time(app, 'connection/connection.service', 'ConnectionService', 'resolve', 'row');
  time(app, 'connection/connection.service', 'ConnectionService', 'accessOf', 'key');
  time(app, 'klaviyo/quota', 'KlaviyoQuota', 'acquire', 'quota');
  time(app, 'klaviyo/transport', 'KlaviyoTransport', 'send', 'hop');
  wrap(app, 'segments/segments.service', 'SegmentsService', 'page', (work, watch) => {
    watch.entered = performance.now();
    return work().finally(() => (watch.left = performance.now()));
  });
  process.on('message', () => process.send?.(told.splice(0)));
  process.once('disconnect', () => process.exit(0));
}

void main();
