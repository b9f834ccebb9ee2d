import { operations } from '../../src/klaviyo/operations';
import type { QuotaLimits } from '../../src/klaviyo/quota';
import { QuotaDatabase } from '../../src/klaviyo/quota-database';
import type { Taken } from '../../src/klaviyo/quota-ledger';
import { QuotaSystemRepository } from '../../src/klaviyo/quota.system.repository';
import type { Env } from '../../src/config/env';
import { createDatabase, type TestDatabase } from '../support/database';
import { DatabaseClock } from '../support/database-clock';
import { QuotaModel } from '../support/quota-model';

const START = Date.parse('2026-11-22T12:34:56Z');
const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);

/** What two replicas of the service have to the database: each a ledger with connections of its own. */
class Replicas {
  private readonly databases: QuotaDatabase[];
  readonly ledgers: QuotaSystemRepository[];

  constructor(url: string, count: number) {
    this.databases = Array.from({ length: count }, () => new QuotaDatabase({ databaseDirectUrl: url } as Env));
    this.ledgers = this.databases.map((database) => new QuotaSystemRepository(database));
  }

  get one(): QuotaSystemRepository {
    return this.ledgers[0]!;
  }

  async stop(): Promise<void> {
    await Promise.all(this.databases.map((database) => database.onApplicationShutdown()));
  }
}

function chanceOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return state / 2_147_483_648;
  };
}

const L: QuotaLimits = { burst: 75, steady: 750 };
const COUNTED: QuotaLimits = { burst: 1, steady: 15 };
const DAILY: QuotaLimits = { burst: 10, steady: 150, daily: 30 };

const total = (taken: readonly (Taken | undefined)[]): number =>
  taken.reduce((sum, one) => sum + (one?.interactive ?? 0) + (one?.background ?? 0), 0);

describe(`the quota in PostgreSQL, by a clock of its own (SEED=${SEED})`, () => {
  let database: TestDatabase;
  let time: DatabaseClock;
  let replicas: Replicas;

  beforeAll(async () => {
    database = await createDatabase();
    time = await DatabaseClock.take(database);
    replicas = new Replicas(database.url, 2);
  });
  afterAll(async () => {
    await replicas.stop();
    await time.end();
    await database.drop();
  });

  it('gives and refuses exactly what its arithmetic says, over an hour of chance', async () => {
    const chance = chanceOf(SEED);
    const model = new QuotaModel(() => time.now);
    const buckets = [
      { name: 'own', limits: L },
      { name: 'counted', limits: COUNTED },
      { name: 'daily', limits: DAILY },
    ];
    await time.set(START);
    for (const ledger of [model, replicas.one]) await ledger.open('A', buckets, 0.9);
    for (let step = 0; step < 600; step += 1) {
      await time.set(time.now + Math.floor(chance() ** 4 * 60_000));
      const names = [['own'], ['own', 'counted'], ['daily'], ['counted', 'daily']][Math.floor(chance() * 4)]!;
      const wanted = { interactive: Math.floor(chance() * 4), background: Math.max(0, Math.floor(chance() * 40) - 20) };
      const ledger = replicas.ledgers[step % 2]!;
      const [expected, taken] = [await model.take('A', names, wanted), await ledger.take('A', names, wanted)];
      const sorted = { ...expected!, buckets: [...expected!.buckets].sort((a, b) => (a.name < b.name ? -1 : 1)) };
      const rounded = { ...taken!, buckets: [...taken!.buckets].sort((a, b) => (a.name < b.name ? -1 : 1)) };
      expect({ step, ...numbers(rounded) }).toEqual({ step, ...numbers(sorted) });
      if (chance() < 0.03)
        for (const one of [model, ledger]) await one.block('A', names, Math.ceil(((step * 7) % 30) + 1));
      if (chance() < 0.03) for (const one of [model, ledger]) await one.seeOthers('A', 'own', (step * 3) % 60);
      if (chance() < 0.02) {
        const limits = step % 2 === 0 ? { burst: 100, steady: 1000 } : { burst: 50, steady: 500 };
        for (const one of [model, ledger]) await one.adopt('A', { name: 'own', limits }, 0.9, true);
      }
    }
    expect(model.taken).toBeGreaterThan(200);
    const byName = (uses: { name: string }[]) => [...uses].sort((a, b) => (a.name < b.name ? -1 : 1));
    expect(numbers({ uses: byName(await replicas.one.use('A')) })).toEqual(
      numbers({ uses: byName(await model.use('A')) }),
    );
  });

  it('takes from all counters of a call or from none', async () => {
    const buckets = [
      { name: 'getList', limits: L },
      { name: 'profile_count', limits: COUNTED },
    ];
    await replicas.one.open('both', buckets, 1);
    const names = ['getList', 'profile_count'];
    expect(total([await replicas.one.take('both', names, { interactive: 5, background: 0 })])).toBe(1);
    expect(total([await replicas.one.take('both', names, { interactive: 5, background: 0 })])).toBe(0);
    const alone = await replicas.one.take('both', ['getList'], { interactive: 100, background: 0 });
    // 25 at once, of which the refused call took none.
    expect(total([alone])).toBe(24);
  });

  it('takes nothing, and says so, where a counter is not there yet', async () => {
    await replicas.one.open('half', [{ name: 'getList', limits: L }], 1);
    const taken = await replicas.one.take('half', ['getList', 'profile_count'], { interactive: 1, background: 0 });
    expect(taken).toBeUndefined();
    const alone = await replicas.one.take('half', ['getList'], { interactive: 100, background: 0 });
    expect(total([alone])).toBe(25);
  });

  it('heals when the clock jumps back by an hour', async () => {
    await time.set(START + 7_200_000);
    await replicas.one.open('jump', [{ name: 'getProfiles', limits: L }], 1);
    await replicas.one.take('jump', ['getProfiles'], { interactive: 1000, background: 0 });
    await time.set(time.now - 3_600_000);
    const taken = await replicas.one.take('jump', ['getProfiles'], { interactive: 1000, background: 0 });
    expect(total([taken])).toBe(25);
    expect(total([await replicas.one.take('jump', ['getProfiles'], { interactive: 1, background: 0 })])).toBe(0);
  });

  it('counts a day over midnight and forgets it by the hour', async () => {
    const start = Date.parse('2026-11-22T23:30:00Z');
    const limits = { burst: 100, steady: 6000, daily: 30 };
    await time.set(start);
    await replicas.one.open('day', [{ name: 'createList', limits }], 1);
    const all = { interactive: 100, background: 0 };
    const first = await replicas.one.take('day', ['createList'], { interactive: 20, background: 0 });
    expect(total([first])).toBe(20);
    await time.set(start + 3_600_000);
    const second = await replicas.one.take('day', ['createList'], all);
    expect(total([second])).toBe(10);
    expect(second?.buckets[0]).toMatchObject({ dayOver: true, held: 24 * 3600 - 1800 });
    await time.set(start + 23 * 3_600_000);
    expect(total([await replicas.one.take('day', ['createList'], all)])).toBe(0);
    await time.set(start + 25 * 3_600_000);
    expect(total([await replicas.one.take('day', ['createList'], all)])).toBe(20);
    expect(await replicas.one.use('day')).toEqual([expect.objectContaining({ day: 30 })]);
  });

  it('leaves the last calls of a day to people', async () => {
    await replicas.one.open('people', [{ name: 'report', limits: { burst: 5000, steady: 20_000, daily: 225 } }], 1);
    const background = await replicas.one.take('people', ['report'], { interactive: 0, background: 1000 });
    expect(total([background])).toBe(213);
    const interactive = await replicas.one.take('people', ['report'], { interactive: 1000, background: 0 });
    expect(total([interactive])).toBe(12);
  });
});

/** Everything to a microsecond: two programs may round the last bits of a sum differently. */
function numbers(value: object): object {
  return JSON.parse(
    JSON.stringify(value, (_, item: unknown) => (typeof item === 'number' ? Math.round(item * 1e5) / 1e5 : item)),
  ) as object;
}

describe('the quota in PostgreSQL', () => {
  let database: TestDatabase;
  let replicas: Replicas;

  beforeAll(async () => {
    database = await createDatabase();
    replicas = new Replicas(database.url, 2);
  });
  afterAll(async () => {
    await replicas.stop();
    await database.drop();
  });

  it('gives no call twice to two replicas that ask at the same time', async () => {
    await replicas.one.open('race', [{ name: 'getEvents', limits: { burst: 350, steady: 3500 } }], 1);
    const from = performance.now();
    const taken = await Promise.all(
      Array.from({ length: 400 }, (_, index) =>
        replicas.ledgers[index % 2]!.take('race', ['getEvents'], { interactive: 1, background: 0 }),
      ),
    );
    const seconds = (performance.now() - from) / 1000;
    // The room of 107 and what comes back meanwhile, one call every 18 ms.
    expect(total(taken)).toBeGreaterThanOrEqual(107);
    expect(total(taken)).toBeLessThanOrEqual(107 + Math.ceil(seconds / 0.0179) + 1);
  });

  it('never locks two replicas against each other whose calls count on the same counters', async () => {
    const counters = ['a', 'b', 'c'].map((name) => ({ name, limits: { burst: 1000, steady: 60_000 } }));
    await replicas.one.open('order', counters, 1);
    const orders = [
      ['a', 'b', 'c'],
      ['c', 'b', 'a'],
      ['b', 'a'],
      ['c', 'a'],
    ];
    const work = Array.from({ length: 300 }, async (_, index) => {
      const ledger = replicas.ledgers[index % 2]!;
      const names = orders[index % orders.length]!;
      await ledger.take('order', names, { interactive: 1, background: 1 });
      if (index % 10 === 0) await ledger.block('order', [...names].reverse(), 0.001);
    });
    await expect(Promise.all(work)).resolves.toHaveLength(300);
  });

  it('commits without waiting for the disk, outside any transaction', async () => {
    const quota = new QuotaDatabase({ databaseDirectUrl: database.url } as Env);
    try {
      const [row] = await quota.run<{ setting: string }>(
        'probe',
        `SELECT current_setting('synchronous_commit') AS setting`,
        [],
      );
      expect(row?.setting).toBe('off');
    } finally {
      await quota.onApplicationShutdown();
    }
  });

  it('says that the database is out of reach, and nothing of the statement', async () => {
    const quota = new QuotaDatabase({ databaseDirectUrl: 'postgres://nobody:secret@127.0.0.1:9/none' } as Env);
    try {
      await expect(quota.run('probe', 'SELECT $1::text', ['WBhXHN'])).rejects.toMatchObject({
        name: 'DatabaseError',
        down: true,
        message: 'database out of reach (ECONNREFUSED)',
      });
    } finally {
      await quota.onApplicationShutdown();
    }
  });

  it('opens a counter once, keeps what was adopted, and takes over another share', async () => {
    const [one, other] = replicas.ledgers;
    await Promise.all([one, other].map((ledger) => ledger!.open('share', [{ name: 'getTags', limits: COUNTED }], 1)));
    await one!.adopt('share', { name: 'getTags', limits: { burst: 3, steady: 60 } }, 0.5, true);
    await other!.open('share', [{ name: 'getTags', limits: COUNTED }], 1);
    const taken = await other!.take('share', ['getTags'], { interactive: 1, background: 0 });
    expect(taken?.buckets[0]).toMatchObject({ limits: { burst: 3, steady: 60 }, learned: true, share: 0.5 });
    expect(operations.getTags.limits[0]).toMatchObject({ burst: 3, steady: 60 });
  });
});
