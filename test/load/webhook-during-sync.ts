// Part `sync` of bench-webhooks.ts: deliveries while the same account is read whole, its limits enforced and 300 ms away,
// beside the same deliveries before and after.
import { setTimeout as wait } from 'node:timers/promises';
import { percentile, round, setting } from './figures.ts';
import { call, startService } from './stack.ts';
import { loadAverage, type Sync } from './syncing.ts';
import { BATCH_LANES, SINGLE_LANES, type Ground } from './webhook-part.ts';
import { BATCH, hookOf, load, workedOff, type Flow, type Hook, type Load } from './webhook-sender.ts';

const SECONDS = setting('BENCH_SECONDS', 20);
const LATENCY_MS = setting('BENCH_LATENCY_MS', 300);
/** At 75,000 a minute and more these last through the loads. */
const PROFILES = setting('BENCH_PROFILES', 200_000);
const EVENTS = setting('BENCH_EVENTS', 100_000);
const USER = 9004;
const UNDER_WAY_MS = 60_000;
const FLOWS = {
  '1,000 events a delivery': { seconds: SECONDS, lanes: BATCH_LANES, size: BATCH, rate: 0 },
  '1 event a delivery': { seconds: SECONDS, lanes: SINGLE_LANES, size: 1, rate: 0 },
} as const satisfies Record<string, Flow>;
type Name = keyof typeof FLOWS;
type Loads = Record<Name, Load>;

async function loadsOf(hook: Hook, { database }: Ground): Promise<Loads> {
  const batches = await load(hook, FLOWS['1,000 events a delivery']);
  await workedOff(database);
  const singles = await load(hook, FLOWS['1 event a delivery']);
  await workedOff(database);
  return { '1,000 events a delivery': batches, '1 event a delivery': singles };
}

/** The user's synchronisation, through the service. */
class Synchronisation {
  private readonly headers: Record<string, string>;
  private readonly api: string;

  constructor(url: string, serviceKey: string) {
    this.headers = { authorization: `Bearer ${serviceKey}` };
    this.api = `${url}/api/v1/klaviyo/sync`;
  }

  /** Resolves when the first rows have come. */
  async begin(): Promise<void> {
    await call('POST', this.api, { userId: USER }, this.headers);
    await this.until('begin', (sync) => rowsOf(sync) > 0);
  }

  async end(id: string): Promise<void> {
    await call('POST', `${this.api}/${id}/cancel`, { userId: USER }, this.headers);
    await this.until('end', ({ status }) => status !== 'queued' && status !== 'running');
  }

  async look(): Promise<Sync> {
    return (await call<{ sync: Sync }>('GET', `${this.api}?userId=${USER}`, undefined, this.headers)).sync;
  }

  private async until(what: string, isSo: (sync: Sync) => boolean): Promise<void> {
    const until = Date.now() + UNDER_WAY_MS;
    while (!isSo(await this.look())) {
      if (Date.now() > until) throw new Error(`The synchronisation does not ${what}`);
      await wait(50);
    }
  }
}

function rowsOf({ progress }: Sync): number {
  return progress.resources.reduce((sum, { fetched }) => sum + fetched, 0);
}

const rate = ({ events, seconds }: Load) => events / seconds;

function rowOf(name: Name, during: Loads, alone: readonly Loads[]): Record<string, unknown> {
  const rates = alone.map((loads) => rate(loads[name]));
  const mean = rates.reduce((sum, one) => sum + one, 0) / rates.length;
  return {
    load: name,
    'events/s before, after': rates.map((one) => round(one, 0)).join(', '),
    'events/s during': round(rate(during[name]), 0),
    '% lost': round((1 - rate(during[name]) / mean) * 100, 1),
    'p99 ms alone': round(
      percentile(
        alone.flatMap((loads) => loads[name].times),
        0.99,
      ),
      0,
    ),
    'p99 ms during': round(percentile(during[name].times, 0.99), 0),
    failed: [during, ...alone].reduce((sum, loads) => sum + loads[name].failed, 0),
  };
}

export async function duringSync(ground: Ground): Promise<void> {
  const { backends } = ground;
  const service = await startService(backends);
  const account = { limits: 'klaviyo', latencyMs: LATENCY_MS, profiles: PROFILES, events: EVENTS };
  const hook = await hookOf(backends, service.url, USER, account);
  const sync = new Synchronisation(service.url, backends.serviceKey);
  // What the first ones cost is compiling.
  await loadsOf(hook, ground);
  const before = await loadsOf(hook, ground);
  await sync.begin();
  const begin = performance.now();
  const during = await loadsOf(hook, ground);
  const seconds = (performance.now() - begin) / 1000;
  const state = await sync.look();
  const lasted = state.status === 'running';
  if (lasted) await sync.end(state.id);
  const after = await loadsOf(hook, ground);
  console.log(
    `sync: ${SECONDS} s a load; Klaviyo's limits, ${LATENCY_MS} ms; the synchronisation ${lasted ? 'lasted through' : 'ENDED BEFORE THE LOADS: take more BENCH_PROFILES'}, ${rowsOf(state)} rows in ${round(seconds, 0)} s; load average ${loadAverage()}`,
  );
  console.table(
    (['1,000 events a delivery', '1 event a delivery'] as const).map((name) => rowOf(name, during, [before, after])),
  );
  await service.stop();
}
