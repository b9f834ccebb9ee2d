// Part `deliveries` of bench-webhooks.ts: batches of 1,000 events for a minute, how fast the backlog is worked off, then
// single events.
import { round, setting } from './figures.ts';
import { startService } from './stack.ts';
import { loadAverage } from './syncing.ts';
import { BATCH_LANES, cpuOf, SINGLE_LANES, type Ground } from './webhook-part.ts';
import { BATCH, bring, count, hookOf, load, rowOf, workedOff } from './webhook-sender.ts';

const SECONDS = setting('BENCH_SECONDS', 60);
/** Above this rate the sender waits: what is asked is a rate held, with the time that each answer takes; 0: as fast as it can. */
const RATE = process.env['BENCH_RATE'] === undefined ? 13_000 : Number(process.env['BENCH_RATE']);
const USER = 9001;
const RECEIVED = 'SELECT count(*) AS n FROM received_event';

export async function deliveries({ backends, database }: Ground): Promise<void> {
  const service = await startService(backends);
  const hook = await hookOf(backends, service.url, USER);
  await bring(hook, BATCH, 1);
  const before = await count(database, RECEIVED);
  const flow = { seconds: SECONDS, lanes: BATCH_LANES, size: BATCH, rate: RATE };
  const { made: batches, cpu } = await cpuOf(service, () => load(hook, flow));
  const kept = (await count(database, RECEIVED)) - before;
  const rate = await workedOff(database);
  const single = { seconds: SECONDS, lanes: SINGLE_LANES, size: 1, rate: 0 };
  const { made: singles, cpu: cpuOfSingles } = await cpuOf(service, () => load(hook, single));
  console.log(`deliveries: ${SECONDS} s a load; load average ${loadAverage()}`);
  console.table([rowOf('1,000 events a delivery', batches, cpu), rowOf('1 event a delivery', singles, cpuOfSingles)]);
  const backlog = rate === 0 ? 'no backlog: worked off as it came' : `backlog worked off at ${round(rate, 0)} events/s`;
  console.log(`${backlog}; service ${round(service.residentMb(), 0)} MB`);
  await service.stop();
  if (kept < batches.events) throw new Error(`Only ${kept} of ${batches.events} acknowledged events are there`);
  if (batches.events === 0 || singles.events === 0) throw new Error('Nothing was taken');
}
