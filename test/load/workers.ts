// Starts processes of quota-worker.ts and gives them work.
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import type { Order, Worked } from './quota-worker.ts';
import { project, type Backends } from './stack.ts';

export interface Worker {
  do(order: Order): Promise<Worked>;
  stop(): void;
}

interface Report {
  id?: number;
  worked?: Worked;
  failure?: string;
}

/** A process of its own, ready for orders. */
export async function startWorker(backends: Backends): Promise<Worker> {
  const child = spawn(process.execPath, [join(project, 'test/load/quota-worker.ts')], {
    env: { ...backends.env, ROLE: 'api' },
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const waiting = new Map<number, { done: (worked: Worked) => void; fail: (error: Error) => void }>();
  let last = 0;
  await new Promise<void>((done, fail) => {
    child.once('message', () => done());
    child.once('exit', () => fail(new Error('The worker did not start')));
  });
  child.on('message', ({ id, worked, failure }: Report) => {
    const order = waiting.get(id ?? 0);
    waiting.delete(id ?? 0);
    if (worked) order?.done(worked);
    else order?.fail(new Error(failure));
  });
  return {
    do: (order) =>
      new Promise((done, fail) => {
        waiting.set(++last, { done, fail });
        child.send({ id: last, order });
      }),
    stop: () => {
      if (child.connected) child.disconnect();
    },
  };
}
