import { setTimeout as wait } from 'node:timers/promises';
import { createDatabase } from '../support/database';
import { chance, SEED, sql } from '../support/drill';
import { differences } from '../support/mirror-digest';
import { OwnPostgres } from '../support/own-postgres';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';
import { BuiltService, type ServiceProcess } from '../support/service';
import { until } from '../support/until';
import type { ShownSync } from './sync-engine-stage';

/** A drill has more kills. */
const KILLS = Number(process.env['SYNC_KILLS'] ?? 4);
const USER = 808;
jest.setTimeout(120_000 + KILLS * 20_000);

/** Enough of everything that a run takes some ten seconds at this latency, and longer where more is killed. */
const TIMES = Math.max(1, KILLS / 8);
const ACCOUNT = {
  profiles: 6000 * TIMES,
  lists: [{ name: 'Large', members: 3000 }, ...Array.from({ length: 12 }, (_, n) => ({ name: `L${n}`, members: n }))],
  segments: 3,
  campaigns: 8,
  events: 20_000 * TIMES,
  limits: 'huge' as const,
  latencyMs: 150,
  jitterMs: 150,
};

describe(`a synchronisation whose worker dies (seed ${SEED}, ${KILLS} kills)`, () => {
  let built: BuiltService;
  let sandbox: Sandbox;
  beforeAll(async () => {
    console.log(`CRASH_SEED=${SEED} SYNC_KILLS=${KILLS}`);
    sandbox = await startSandbox();
    built = new BuiltService('sync-crash', { KLAVIYO_API_BASE_URL: sandbox.url });
    await built.build();
  });
  afterAll(async () => {
    await built.stop();
    await sandbox.stop();
  });

  async function begin(service: ServiceProcess, account: SandboxAccount): Promise<string> {
    await service.connect(USER, account);
    await sandbox.clearRequests(account.id);
    const answer = await service.post('/sync', { userId: USER });
    expect(answer.status).toBe(202);
    return ((await answer.json()) as { sync: { id: string } }).sync.id;
  }

  const look = async (service: ServiceProcess, id: string): Promise<ShownSync> => {
    const answer = await service.get(`/sync/${id}?userId=${USER}`);
    return ((await answer.json()) as { sync: ShownSync }).sync;
  };

  async function over(service: ServiceProcess, id: string): Promise<ShownSync> {
    await until(
      'the run is over',
      async () =>
        (await service.get(`/sync/${id}?userId=${USER}`)).ok && (await look(service, id)).status !== 'running',
      90_000,
    );
    return look(service, id);
  }

  const pagesStored = (databaseUrl: string) =>
    until(
      'pages are stored',
      async () => (await sql(databaseUrl, 'SELECT 1 FROM sync_page LIMIT 5')).length === 5,
      20_000,
    );

  async function equals(databaseUrl: string, account: SandboxAccount): Promise<void> {
    const [connection] = await sql<{ id: string }>(databaseUrl, 'SELECT id FROM connection');
    expect(
      await differences({
        sql: (text, params) => sql(databaseUrl, text, params),
        sandbox,
        userId: USER,
        connectionId: connection!.id,
        accountId: account.id,
      }),
    ).toEqual([]);
  }

  /** Nobody else writes pages: what the log says was stored is what the totals say. */
  async function addsUp(databaseUrl: string): Promise<void> {
    const sums = await sql(
      databaseUrl,
      `SELECT r.resource, r.fetched, r.pages, coalesce(sum(p.rows), 0) AS rows, count(p.n) AS lines,
         (SELECT sum(w.fetched) FROM sync_window w WHERE w.sync_id = r.sync_id AND w.resource = r.resource) AS windows
       FROM sync_resource r LEFT JOIN sync_page p USING (user_id, sync_id, resource)
       GROUP BY r.user_id, r.sync_id, r.resource
       HAVING r.fetched <> coalesce(sum(p.rows), 0) OR r.pages <> count(p.n)
         OR r.fetched <> (SELECT sum(w.fetched) FROM sync_window w WHERE w.sync_id = r.sync_id AND w.resource = r.resource)`,
    );
    expect(sums).toEqual([]);
  }

  /** A dead worker's lease runs out by itself, in half a minute: time is moved instead of waited for. */
  const expire = (databaseUrl: string) =>
    sql(databaseUrl, `UPDATE sync_run SET leased_until = now() - interval '1 second' WHERE status = 'running'`);

  it('goes on where it died, at any moment, and fetches nothing twice but what was on its way', async () => {
    const random = chance(SEED);
    const database = await createDatabase();
    try {
      const account = await sandbox.createAccount(ACCOUNT);
      const service = await built.launch(database.url);
      const id = await begin(service, account);
      let inFlight = 0;
      let kills = 0;
      while (kills < KILLS && ['queued', 'running'].includes((await look(service, id)).status)) {
        await wait(200 + random() * 900);
        await service.kill();
        kills += 1;
        const [open] = await sql<{ n: number }>(
          database.url,
          `SELECT count(*)::int AS n FROM sync_window WHERE status = 'open'`,
        );
        inFlight += 2 * open!.n;
        await expire(database.url);
        await service.start();
      }
      const sync = await over(service, id);
      expect(kills).toBeGreaterThan(1);
      expect(sync).toMatchObject({ status: 'succeeded', error: null });
      await equals(database.url, account);
      await addsUp(database.url);
      const asked = new Map<string, number>();
      for (const { path, query, operation } of await sandbox.requests(account.id))
        // Where the newest row stands is asked for again by whoever goes on.
        if (operation !== 'getAccounts' && !query.includes('page%5Bsize%5D=1&'))
          asked.set(`${path}?${query}`, (asked.get(`${path}?${query}`) ?? 0) + 1);
      const twice = [...asked.values()].reduce((sum, times) => sum + times - 1, 0);
      console.log(`${kills} kills: ${twice} pages fetched again of ${asked.size}, ${inFlight} could have been`);
      expect(twice).toBeLessThanOrEqual(inFlight);
    } finally {
      await database.drop();
    }
  });

  it('is taken over from a worker that is stopped past its lease, which writes nothing when it wakes', async () => {
    const database = await createDatabase();
    try {
      const account = await sandbox.createAccount(ACCOUNT);
      const first = await built.launch(database.url);
      const id = await begin(first, account);
      await pagesStored(database.url);
      process.kill(first.pid!, 'SIGSTOP');
      await expire(database.url);
      const second = await built.launch(database.url);
      const [before] = await sql<{ n: number }>(database.url, 'SELECT count(*)::int AS n FROM sync_page');
      await until(
        'the other goes on',
        async () => {
          const [now] = await sql<{ n: number }>(database.url, 'SELECT count(*)::int AS n FROM sync_page');
          return now!.n > before!.n;
        },
        60_000,
      );
      process.kill(first.pid!, 'SIGCONT');
      expect(await over(second, id)).toMatchObject({ status: 'succeeded' });
      await equals(database.url, account);
      await addsUp(database.url);
      await until('it says so', () => first.stdout.includes('went on elsewhere'), 20_000);
      expect(second.stdout).not.toContain('went on elsewhere');
    } finally {
      await database.drop();
    }
  });

  it('gives the run back when it is asked to stop, so that the next process goes on at once', async () => {
    const database = await createDatabase();
    try {
      const account = await sandbox.createAccount(ACCOUNT);
      const service = await built.launch(database.url);
      const id = await begin(service, account);
      await pagesStored(database.url);
      const { code } = await service.terminate();
      expect(code).toBe(0);
      expect(await sql(database.url, 'SELECT status, lease FROM sync_run')).toEqual([
        { status: 'running', lease: null },
      ]);
      await service.start();
      expect(await over(service, id)).toMatchObject({ status: 'succeeded' });
      await equals(database.url, account);
      await addsUp(database.url);
    } finally {
      await database.drop();
    }
  });

  it('goes on when its database is back', async () => {
    const postgres = await OwnPostgres.open();
    try {
      const account = await sandbox.createAccount(ACCOUNT);
      const service = await built.launch(postgres.url);
      const id = await begin(service, account);
      await pagesStored(postgres.url);
      await postgres.stop();
      await postgres.start();
      expect(await over(service, id)).toMatchObject({ status: 'succeeded' });
      await equals(postgres.url, account);
      await addsUp(postgres.url);
      await service.kill();
    } finally {
      await postgres.remove();
    }
  });
});
