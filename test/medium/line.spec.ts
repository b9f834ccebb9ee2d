import type { DataSource } from 'typeorm';
import { DatabaseError } from '../../src/database/errors';
import { JoinedTexts, takenApart } from '../../src/database/joined-texts';
import type { FlownStatement, Line } from '../../src/database/line';
import type { Db } from '../../src/database/scope';
import { openBareDatabase, type BareDatabase } from '../support/bare-database';
import { until } from '../support/until';

const USER = 1;

/** Transactions that are sent at once, on connections of their own. */
describe('a line', () => {
  let database: BareDatabase;
  let source: DataSource;
  let db: Db;
  let line: Line;

  beforeEach(async () => {
    database = await openBareDatabase(3);
    ({ source, db } = database);
    await source.query('CREATE TABLE thing (n int PRIMARY KEY, of bigint DEFAULT txid_current())');
    line = await db.line(USER);
  });

  afterEach(async () => {
    await line.release();
    await database.drop();
  });

  const add = (n: number): FlownStatement => ({ sql: 'INSERT INTO thing VALUES ($1) RETURNING n', params: [n] });
  const many = (...numbers: number[]): FlownStatement => ({
    sql: `INSERT INTO thing SELECT n::int FROM ${takenApart('$1')} AS n RETURNING n`,
    columns: [JoinedTexts.of(numbers.map(String))],
  });
  const SEEN: FlownStatement = { sql: 'SELECT count(*)::int AS seen FROM thing', params: [] };
  const kept = async () => (await source.query<{ n: number }[]>('SELECT n FROM thing ORDER BY n')).map(({ n }) => n);
  const prepared = async () =>
    (await line.fly([{ sql: 'SELECT count(*)::int AS n FROM pg_prepared_statements', params: [] }]))[0];

  it('answers with the rows of each statement of one transaction', async () => {
    expect(await line.fly([many(1, 2), SEEN, add(3)])).toEqual([[{ n: 1 }, { n: 2 }], [{ seen: 2 }], [{ n: 3 }]]);
    expect(await kept()).toEqual([1, 2, 3]);
    expect(await source.query('SELECT count(DISTINCT of)::int AS n FROM thing')).toEqual([{ n: 1 }]);
  });

  it('lets transactions take place in the order of sending, each seeing the one before', async () => {
    const sent = [1, 2, 3].map((n) => line.fly([many(n), SEEN]));
    expect((await Promise.all(sent)).map(([, seen]) => seen)).toEqual([[{ seen: 1 }], [{ seen: 2 }], [{ seen: 3 }]]);
  });

  it('leaves nothing of a transaction of which one statement fails, and all of the next', async () => {
    const failing = line.fly([add(1), { sql: 'SELECT 1 / $1::int', params: [0] }, add(2)]);
    const next = line.fly([add(3), SEEN]);
    await expect(failing).rejects.toMatchObject({ name: 'DatabaseError', sqlState: '22012' });
    expect(await next).toEqual([[{ n: 3 }], [{ seen: 1 }]]);
    expect(await kept()).toEqual([3]);
  });

  it('tells of the first failure, not of those that follow from it, and neither statement nor parameters', async () => {
    const failing = line.fly([{ sql: 'SELECT $1::int', params: ['sécrète'] }, add(1)]);
    await expect(failing).rejects.toBeInstanceOf(DatabaseError);
    await expect(failing).rejects.toMatchObject({ sqlState: '22P02' });
    await expect(failing).rejects.not.toThrow(/sécrète|SELECT/);
  });

  it('fails where only the commit does', async () => {
    await source.query('CREATE TABLE of_thing (n int REFERENCES thing DEFERRABLE INITIALLY DEFERRED)');
    const failing = line.fly([add(1), { sql: 'INSERT INTO of_thing VALUES ($1)', params: [7] }]);
    await expect(failing).rejects.toMatchObject({ sqlState: '23503' });
    expect(await kept()).toEqual([]);
  });

  it('keeps its statements prepared, those about many rows too', async () => {
    for (const n of [1, 2, 3]) await line.fly([add(n), many(n + 10, n + 20)]);
    // Two, and the one that asks.
    expect(await prepared()).toEqual([{ n: 3 }]);
  });

  it('goes on without prepared statements where a pooler gave its connection another one', async () => {
    await line.fly([add(1), many(2)]);
    await line.fly([{ sql: 'DEALLOCATE ALL', params: [] }]);
    expect(await line.fly([add(3), many(4)])).toEqual([[{ n: 3 }], [{ n: 4 }]]);
    expect(await kept()).toEqual([1, 2, 3, 4]);
    expect(await line.fly([add(5), many(6)])).toEqual([[{ n: 5 }], [{ n: 6 }]]);
  });

  it('keeps its statements prepared though one fails that was to prepare them for the next', async () => {
    const failing = line.fly([{ sql: 'SELECT 1 / $1::int', params: [0] }, add(1), many(2)]);
    const next = line.fly([add(3), many(4)]);
    await expect(failing).rejects.toMatchObject({ sqlState: '22012' });
    expect(await next).toEqual([[{ n: 3 }], [{ n: 4 }]]);
    expect(await kept()).toEqual([3, 4]);
    // Two, the one that failed, and the one that asks.
    expect(await prepared()).toEqual([{ n: 4 }]);
  });

  it('begins a transaction anew that PostgreSQL ended to resolve a deadlock', async () => {
    await line.fly([many(1, 2)]);
    const take = (n: number): FlownStatement => ({ sql: 'SELECT n FROM thing WHERE n = $1 FOR UPDATE', params: [n] });
    const gate: FlownStatement = { sql: 'SELECT pg_advisory_xact_lock_shared(1)', params: [] };
    const other = await db.line(USER);
    try {
      const both = await db.inTransaction(USER, async (manager) => {
        await manager.query('SELECT pg_advisory_xact_lock(1)');
        // Each has one row, and asks for the other's once both have theirs.
        const sent = [line.fly([take(1), gate, take(2)]), other.fly([take(2), gate, take(1)])];
        const waiting = `SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'`;
        await until('both wait', async () => (await manager.query<unknown[]>(waiting)).length === 2, 10_000);
        // As a list: what is promised is not to be waited for in here.
        return sent;
      });
      expect((await Promise.all(both)).map((rows) => rows.at(-1))).toEqual([[{ n: 2 }], [{ n: 1 }]]);
    } finally {
      await other.release();
    }
  });

  it('says that the database is out of reach when its connection is lost, and undoes what was under way', async () => {
    const [[{ pid }]] = (await line.fly([{ sql: 'SELECT pg_backend_pid() AS pid', params: [] }])) as [
      [{ pid: number }],
    ];
    const lost = line.fly([add(1), { sql: 'SELECT pg_sleep(30)', params: [] }]);
    const behind = line.fly([add(2)]);
    lost.catch(() => undefined);
    behind.catch(() => undefined);
    const asleep = `SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND query LIKE '%pg_sleep%'`;
    await until('it sleeps', async () => (await source.query<unknown[]>(asleep, [pid])).length > 0, 10_000);
    await source.query('SELECT pg_terminate_backend($1)', [pid]);
    await expect(lost).rejects.toMatchObject({ name: 'DatabaseError', down: true });
    await expect(behind).rejects.toMatchObject({ name: 'DatabaseError', down: true });
    expect(await kept()).toEqual([]);
  });
});
