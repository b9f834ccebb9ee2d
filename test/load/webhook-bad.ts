// Part `bad` of bench-webhooks.ts: what each bad input costs the service, in processor time and memory.
import { request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { round, setting } from './figures.ts';
import { startService, type RunningService } from './stack.ts';
import { loadAverage } from './syncing.ts';
import { BAD_INPUTS, type BadInput, type Message } from './webhook-bad-inputs.ts';
import type { Ground } from './webhook-part.ts';
import { hookOf, workedOff, type Hook } from './webhook-sender.ts';

/** Processor time is counted in hundredths of a second. */
const REPEATS = setting('BENCH_REPEATS', 300);
const USERS = [9005, 9006] as const;
/** On their way at once: one process that sends cannot say more. */
const LANES = 4;
const SLOW_BODY_MS = 15_000;
/** Refusals are counted by address; beyond 60 a minute they would be answered otherwise. */
const OF_ONE_ADDRESS = 50;
const MEGABYTE = 1024 * 1024;
const IDLE_MS = 2000;
const LOOK_MS = 20;
/** What one may cost. */
const MOST_CPU_MS = 50;

interface Cost {
  input: string;
  repeats: number;
  status: string;
  'CPU ms': number;
  'MB grown': number;
  'MB at its peak': number;
}

let sent = 0;

function addressOf(): string {
  const n = Math.floor(sent++ / OF_ONE_ADDRESS);
  return `198.18.${Math.floor(n / 250) % 250}.${(n % 250) + 1}`;
}

/** @returns the status; 0: none */
function send(url: string, { headers, body, manner }: Message): Promise<number> {
  return new Promise((done) => {
    const length = manner === undefined ? { 'content-length': body.length } : {};
    const promised = manner === 'dripping' && !('content-length' in headers) ? { 'content-length': body.length } : {};
    const call = request(`${url}/api/v1/klaviyo/webhook-receiver`, {
      method: 'POST',
      agent: false,
      headers: { 'x-forwarded-for': addressOf(), ...headers, ...length, ...promised },
      timeout: SLOW_BODY_MS,
    });
    call.on('response', (answer) => {
      answer.resume();
      done(answer.statusCode ?? 0);
      if (manner !== undefined) call.destroy();
    });
    // What was answered comes first: the line may be closed while we still send.
    call.on('error', () => setTimeout(done, 500, 0));
    call.on('timeout', () => call.destroy());
    if (manner === 'dripping') call.write(body.subarray(0, 10));
    else {
      for (let at = 0; at < body.length; at += MEGABYTE) call.write(body.subarray(at, at + MEGABYTE));
      call.end();
    }
  });
}

/** Sends so many. @returns how often each status came */
async function repeat(times: number, hook: Hook, other: Hook, input: BadInput): Promise<Map<number, number>> {
  const statuses = new Map<number, number>();
  let begun = 0;
  const lane = async (): Promise<void> => {
    while (begun++ < times) {
      const status = await send(hook.url, input.message(hook, other));
      statuses.set(status, (statuses.get(status) ?? 0) + 1);
    }
  };
  // A slow one costs its time whatever else goes on.
  const lanes = input.input === 'slow body' ? times : input.heavy ? 1 : LANES;
  await Promise.all(Array.from({ length: lanes }, lane));
  return statuses;
}

async function measured(
  service: RunningService,
  hook: Hook,
  other: Hook,
  input: BadInput,
  idle: number,
): Promise<Cost> {
  const times = Math.ceil(input.heavy ? REPEATS / 10 : REPEATS);
  // What the first ones cost is compiling, and memory that is taken once.
  await repeat(times, hook, other, input);
  await wait(100);
  const memory = service.residentMb();
  let peak = memory;
  const looking = setInterval(() => (peak = Math.max(peak, service.residentMb())), LOOK_MS);
  const cpu = service.cpuSeconds();
  const begin = performance.now();
  const statuses = await repeat(times, hook, other, input);
  const seconds = (performance.now() - begin) / 1000;
  const spent = service.cpuSeconds() - cpu - idle * seconds;
  clearInterval(looking);
  return {
    input: input.input,
    repeats: times,
    status: [...statuses.keys()].join(', '),
    'CPU ms': round(Math.max(0, (spent * 1000) / times), 2),
    'MB grown': round(service.residentMb() - memory, 1),
    'MB at its peak': round(peak - memory, 1),
  };
}

export async function badInputs({ backends, database }: Ground): Promise<void> {
  const service = await startService(backends);
  const hook = await hookOf(backends, service.url, USERS[0]);
  const other = await hookOf(backends, service.url, USERS[1]);
  const rows: Cost[] = [];
  let warm: number | undefined;
  for (const input of BAD_INPUTS) {
    await workedOff(database);
    const before = service.cpuSeconds();
    const scale = Math.min(1, REPEATS / 100);
    await wait(IDLE_MS * scale);
    const idle = (service.cpuSeconds() - before) / ((IDLE_MS * scale) / 1000);
    rows.push(await measured(service, hook, other, input, idle));
    warm ??= service.residentMb();
  }
  console.log(`bad inputs: the second ${REPEATS} of each (a tenth of the heavy ones); load average ${loadAverage()}`);
  console.table(rows);
  const last = service.residentMb();
  console.log(
    `resident after the first of them ${round(warm ?? NaN, 0)} MB, after the last ${round(last, 0)} MB; ${sent} sent in all`,
  );
  await service.stop();
  const wrong = BAD_INPUTS.filter(({ status }, at) => rows[at]?.status !== String(status)).map(({ input }) => input);
  if (wrong.length > 0) throw new Error(`Answered otherwise than expected: ${wrong.join('; ')}`);
  const dear = rows.filter((row) => row['CPU ms'] > MOST_CPU_MS).map(({ input }) => input);
  if (dear.length > 0) console.log(`More than ${MOST_CPU_MS} ms: ${dear.join('; ')}`);
}
