// One process of the service's client that keeps an account busy. Started by bench-quota.ts.
import { randomUUID } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { built, openService, type App } from './ours.ts';
import type { Target } from './peers.ts';

export interface Order {
  target: Target;
  operation: string;
  call: object;
  priority: 'interactive' | 'background';
  seconds: number;
  /** Calls kept waiting or under way, one behind the other. */
  lanes: number;
  /** Milliseconds between the calls of a lane. */
  pauseMs: number;
}

export interface Worked {
  latencies: number[];
  failures: Record<string, number>;
}

interface Client {
  call(access: object, operation: object, call: object): Promise<unknown>;
}
type Class<T> = new (...args: never[]) => T;

/** Longer than any wait for quota: this work can wait. */
const PATIENCE_MS = 70_000;

/** Calls over and over until the time is up; what still waits then is left behind. */
async function work(app: App, order: Order): Promise<Worked> {
  const { KlaviyoClient } = built<{ KlaviyoClient: Class<Client> }>('klaviyo/klaviyo.client');
  const { KlaviyoAccess } = built<{ KlaviyoAccess: new (init: object) => object }>('klaviyo/klaviyo-access');
  const { operations } = built<{ operations: Record<string, object> }>('klaviyo/operations');
  const operation = operations[order.operation];
  if (!operation) throw new Error(`The service has no operation ${order.operation}`);
  const { accountId, key } = order.target;
  const access = new KlaviyoAccess({ userId: 1, connectionId: randomUUID(), accountId, privateKey: key });
  const client = app.get(KlaviyoClient);
  const until = Date.now() + order.seconds * 1000;
  const worked: Worked = { latencies: [], failures: {} };
  const lane = async (): Promise<void> => {
    while (Date.now() < until) {
      const begin = performance.now();
      try {
        const deadline = Date.now() + PATIENCE_MS;
        await client.call(access, operation, { ...order.call, priority: order.priority, deadline });
        worked.latencies.push(performance.now() - begin);
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : 'other';
        worked.failures[code] = (worked.failures[code] ?? 0) + 1;
      }
      if (order.pauseMs > 0) await wait(order.pauseMs);
    }
  };
  await Promise.race([Promise.all(Array.from({ length: order.lanes }, lane)), wait(order.seconds * 1000)]);
  return { latencies: [...worked.latencies], failures: { ...worked.failures } };
}

async function main(): Promise<void> {
  const app = await openService();
  process.on('message', ({ id, order }: { id: number; order: Order }) => {
    work(app, order).then(
      (worked) => process.send?.({ id, worked }),
      (error: unknown) => process.send?.({ id, failure: error instanceof Error ? error.message : String(error) }),
    );
  });
  process.once('disconnect', () => {
    void Promise.race([app.close(), wait(2000)]).finally(() => process.exit(0));
  });
  process.send?.({ ready: true });
}

void main();
