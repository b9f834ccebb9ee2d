// Part `forward` of bench-webhooks.ts: a backlog passed on to a receiver in another process that answers at once.
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { round, setting } from './figures.ts';
import { project, startService } from './stack.ts';
import { loadAverage } from './syncing.ts';
import { BATCH_LANES, type Ground } from './webhook-part.ts';
import { bring, hookOf, workedOff } from './webhook-sender.ts';
import type { Arrived } from './webhook-target.ts';

const EVENTS = setting('BENCH_FORWARD_EVENTS', 30_000);
const USER = 9003;
const LOOK_MS = 100;
const LIMIT_MS = 10 * 60_000;
const SECRET = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;

async function startTarget(): Promise<{ child: ChildProcess; url: string }> {
  const child = spawn(process.execPath, [join(project, 'test/load/webhook-target.ts')], {
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const [port] = (await once(child, 'message')) as [number];
  return { child, url: `http://127.0.0.1:${port}/events` };
}

async function arrivedAt(target: ChildProcess): Promise<Arrived> {
  const said = once(target, 'message') as Promise<[Arrived]>;
  target.send('?');
  return (await said)[0];
}

export async function forwarding({ backends, database }: Ground): Promise<void> {
  const { child, url } = await startTarget();
  try {
    const env = { EVENT_FORWARD_URL: url, EVENT_FORWARD_SECRET: SECRET };
    const service = await startService(backends, { env });
    const hook = await hookOf(backends, service.url, USER);
    await bring(hook, EVENTS, BATCH_LANES);
    // What is passed on while events are still received and worked off is not counted.
    await workedOff(database);
    const before = await arrivedAt(child);
    const cpu = service.cpuSeconds();
    const begin = performance.now();
    let now = before;
    while (now.events < EVENTS) {
      if (performance.now() - begin > LIMIT_MS)
        throw new Error(`Only ${now.events} of ${EVENTS} events were passed on`);
      await wait(LOOK_MS);
      now = await arrivedAt(child);
    }
    const seconds = (performance.now() - begin) / 1000;
    const events = EVENTS - before.events;
    console.log(
      `forward: ${EVENTS} events, ${before.events} of them before the backlog stood; load average ${loadAverage()}`,
    );
    console.table([
      {
        backlog: events,
        seconds: round(seconds, 1),
        'events/s': round(events / seconds, 0),
        'CPU ms/event (service)': round(((service.cpuSeconds() - cpu) * 1000) / events, 2),
        repeated: now.repeats,
      },
    ]);
    await service.stop();
  } finally {
    child.disconnect();
  }
}
