// `npm run bench:sync-large`: does a synchronisation of a million profiles cost more memory, or more time a row, than one of
// a hundred thousand? Then an incremental run after a few changes.
import { round, setting } from './figures.ts';
import { call, connectAccount, runMain, seedOfRun, startBackends, startService, type Backends } from './stack.ts';
import { loadAverage, mustSucceed, resourceOf, synchronise, type Synced } from './syncing.ts';

const LARGE = setting('BENCH_PROFILES', 1_000_000);
const SMALL = setting('BENCH_SMALL_PROFILES', 100_000);
const CHANGES = setting('BENCH_CHANGES', 500);
const LIMIT_SECONDS = 3600;
/** At once, while the changes are made. */
const HANDS = 20;

interface Row {
  profiles: number;
  seconds: number;
  'rows/s': number;
  'us a row': number;
  'peak MB': number;
  requests: number;
}

const FULL = { resources: ['profiles'], mode: 'full' } as const;

/** A service of its own for each size, so that its memory is what that size needs. */
async function play(
  backends: Backends,
  userId: number,
  profiles: number,
  seed: number,
  changes: number,
): Promise<Row[]> {
  const service = await startService(backends);
  const stack = { ...backends, url: service.url };
  const { accountId } = await connectAccount(stack, userId, { limits: 'huge', seed, profiles });
  const options = { limitSeconds: LIMIT_SECONDS, residentMb: () => service.residentMb() };
  const full = mustSucceed(await synchronise(stack, userId, FULL, options));
  if (full.rows < profiles) throw new Error(`Only ${full.rows} of ${profiles} profiles came`);
  const rows = [rowOf(profiles, full)];
  if (changes > 0) {
    await change(backends.sandboxUrl, accountId, changes);
    const some = mustSucceed(await synchronise(stack, userId, { ...FULL, mode: 'incremental' }, options));
    const { upserted } = resourceOf(some, 'profiles');
    if (upserted !== changes) throw new Error(`${upserted} profiles were found to be changed, not ${changes}`);
    rows.push(rowOf(changes, some));
  }
  await service.stop();
  return rows;
}

function rowOf(profiles: number, synced: Synced): Row {
  return {
    profiles,
    seconds: round(synced.seconds, 1),
    'rows/s': round(profiles / synced.seconds, 0),
    'us a row': round((synced.seconds * 1e6) / profiles, 1),
    'peak MB': round(synced.peakMb, 0),
    requests: resourceOf(synced, 'profiles').requests,
  };
}

/** Changes people at the sandbox, all over the account. */
async function change(sandboxUrl: string, accountId: string, count: number): Promise<void> {
  const address = `${sandboxUrl}/_sandbox/accounts/${accountId}/profiles`;
  const { profiles } = await call<{ profiles: { id: string }[] }>('GET', `${address}?limit=${count}`);
  if (profiles.length < count) throw new Error(`The account has only ${profiles.length} profiles`);
  const waiting = profiles.map(({ id }) => id);
  const hand = async () => {
    for (let id = waiting.shift(); id !== undefined; id = waiting.shift())
      await call('PATCH', `${address}/${id}`, { first_name: `Changed ${id}` });
  };
  await Promise.all(Array.from({ length: HANDS }, hand));
}

async function main(): Promise<void> {
  const seed = seedOfRun();
  const backends = await startBackends({ seed });
  try {
    // The first rows of a new database are dearer: not counted.
    await play(backends, 1, Math.min(SMALL, 20_000), seed + 1, 0);
    const smalls: Row[] = [];
    const playSmall = async (userId: number) => smalls.push(...(await play(backends, userId, SMALL, seed + userId, 0)));
    await playSmall(2);
    await playSmall(3);
    const [large, some] = await play(backends, 4, LARGE, seed + 4, CHANGES);
    await playSmall(5);
    // Some seconds are soon disturbed: the one in the middle of three.
    const small = smalls.toSorted((a, b) => a.seconds - b.seconds)[1];
    if (!small || !large || !some) throw new Error('A run is missing');
    console.log(`no latency, huge limits; load average ${loadAverage()}`);
    console.table([...smalls, large, some]);
    console.log(
      `memory ${round(large['peak MB'] / small['peak MB'])} times, time a row ${round(large['us a row'] / small['us a row'])} times that of the small ones (the median); ${some.requests} requests for ${CHANGES} changes`,
    );
  } finally {
    await backends.stop();
  }
}

runMain(main);
