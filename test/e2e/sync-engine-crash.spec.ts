import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { startPostgres } from '../../ops/dev/embedded-postgres';
import { migrate } from '../../src/database/migrate';
import { build } from '../medium/openapi-build';
import { createDatabase } from '../support/database';
import { differences } from '../support/mirror-digest';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';
import { chance, connect, get, post, Process, sql, until } from './crash-stage';
import type { ShownSync } from './sync-engine-stage';

/** A drill has more kills; the seed is another one each time, and can be given. */
const KILLS = Number(process.env['SYNC_KILLS'] ?? 4);
const SEED = Number(process.env['CRASH_SEED'] ?? Date.now() % 1_000_000);
const USER = 808;
jest.setTimeout(120_000 + KILLS * 20_000);

/** Enough of everything that a run takes some ten seconds at this latency. */
const ACCOUNT = {
  profiles: 6000,
  lists: [{ name: 'Large', members: 3000 }, ...Array.from({ length: 12 }, (_, n) => ({ name: `L${n}`, members: n }))],
  segments: 3,
  campaigns: 8,
  events: 20_000,
  limits: 'huge' as const,
  latencyMs: 150,
  jitterMs: 150,
};

describe(`a synchronisation whose worker dies (seed ${SEED}, ${KILLS} kills)`, () => {
  let main: string;
  let sandbox: Sandbox;
  const started: Process[] = [];
  beforeAll(async () => {
    console.log(`CRASH_SEED=${SEED} SYNC_KILLS=${KILLS}`);
    [main, sandbox] = await Promise.all([build('sync-crash'), startSandbox()]);
  });
  afterAll(async () => {
    await Promise.all(started.map((service) => service.kill()));
    await sandbox.stop();
  });

  async function launch(databaseUrl: string): Promise<Process> {
    const service = await Process.at(main, databaseUrl, sandbox.url, { SYNC_INTERVAL_MINUTES: '0' });
    started.push(service);
    await service.start();
    return service;
  }

  async function begin(service: Process, account: SandboxAccount): Promise<string> {
    await connect(service.url, USER, account);
    await sandbox.clearRequests(account.id);
    const answer = await post(service.url, '/sync', { userId: USER });
    expect(answer.status).toBe(202);
    return ((await answer.json()) as { sync: { id: string } }).sync.id;
  }

  const look = async (service: Process, id: string): Promise<ShownSync> => {
    const answer = await get(service.url, `/sync/${id}?userId=${USER}`);
    return ((await answer.json()) as { sync: ShownSync }).sync;
  };

  async function over(service: Process, id: string): Promise<ShownSync> {
    await until(
      'the run is over',
      async () =>
        (await get(service.url, `/sync/${id}?userId=${USER}`)).ok && (await look(service, id)).status !== 'running',
      90_000,
    );
    return look(service, id);
  }

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
      const service = await launch(database.url);
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
      const first = await launch(database.url);
      const id = await begin(first, account);
      await until(
        'pages are stored',
        async () => (await sql(database.url, 'SELECT 1 FROM sync_page LIMIT 5')).length === 5,
        20_000,
      );
      process.kill(first.pid!, 'SIGSTOP');
      await expire(database.url);
      const second = await launch(database.url);
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
      await until('it says so', () => Promise.resolve(first.output.includes('went on elsewhere')), 20_000);
      expect(second.output).not.toContain('went on elsewhere');
    } finally {
      await database.drop();
    }
  });

  it('gives the run back when it is asked to stop, so that the next process goes on at once', async () => {
    const database = await createDatabase();
    try {
      const account = await sandbox.createAccount(ACCOUNT);
      const service = await launch(database.url);
      const id = await begin(service, account);
      await until(
        'pages are stored',
        async () => (await sql(database.url, 'SELECT 1 FROM sync_page LIMIT 5')).length === 5,
        20_000,
      );
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
    const folder = mkdtempSync(join(tmpdir(), 'sync-crash-'));
    chmodSync(folder, 0o711); // PostgreSQL runs as another user when we are root.
    const startDatabase = () => startPostgres({ dataDir: join(folder, 'postgres'), settings: { fsync: 'off' } });
    let postgres = await startDatabase();
    try {
      await migrate(postgres.url);
      const account = await sandbox.createAccount(ACCOUNT);
      const service = await launch(postgres.url);
      const id = await begin(service, account);
      await until(
        'pages are stored',
        async () => (await sql(postgres.url, 'SELECT 1 FROM sync_page LIMIT 5')).length === 5,
        20_000,
      );
      await postgres.stop();
      postgres = await startDatabase();
      expect(await over(service, id)).toMatchObject({ status: 'succeeded' });
      await equals(postgres.url, account);
      await addsUp(postgres.url);
      await service.kill();
    } finally {
      await postgres.stop();
      rmSync(folder, { recursive: true, force: true, maxRetries: 3 });
    }
  });
});
