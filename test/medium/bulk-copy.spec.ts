import type { DataSource } from 'typeorm';
import {
  bigintColumn,
  jsonbColumn,
  textColumn,
  timestampColumn,
  uuidColumn,
  type CopyColumn,
} from '../../src/database/bulk-copy';
import { DatabaseError } from '../../src/database/errors';
import type { Db } from '../../src/database/scope';
import { openBareDatabase, type BareDatabase } from '../support/bare-database';

const USER = 7;
const OF = '01a208a2-4e24-77f6-a762-0157d2b48394';

interface Thing {
  id: string;
  name: string | null;
  at: string | null;
  document: unknown;
}

const COLUMNS: readonly CopyColumn<Thing>[] = [
  bigintColumn('user_id', USER),
  uuidColumn('of', OF),
  textColumn('id', ({ id }) => id),
  textColumn('name', ({ name }) => name),
  timestampColumn('at', ({ at }) => at),
  jsonbColumn('document', ({ document }) => JSON.stringify(document)),
];

/** Rows that are copied into a table, on two connections of the pool. */
describe('a bulk copy', () => {
  let database: BareDatabase;
  let source: DataSource;
  let db: Db;

  beforeEach(async () => {
    database = await openBareDatabase(2);
    ({ source, db } = database);
    await source.query(
      `CREATE TABLE thing (user_id bigint, of uuid, id text PRIMARY KEY, name text, at timestamptz, document jsonb,
         note text DEFAULT 'ours')`,
    );
  });

  afterEach(() => database.drop());

  const copy = (...things: Thing[]) => db.copy(USER, 'thing', COLUMNS, things);
  const thing = (id: string, more: Partial<Thing> = {}): Thing => ({ id, name: null, at: null, document: {}, ...more });
  const kept = () =>
    source.query<Thing[]>(
      `SELECT id, name, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at, document
       FROM thing ORDER BY id COLLATE "C"`,
    );

  it('writes every row as it was given, and defaults where nothing was', async () => {
    const things = [
      thing('a', { name: 'Zoë 🎂 ключ', document: { emoji: '🎂', quote: '"\\', control: '\u001e\u001f\n' } }),
      thing('b', { at: '1999-12-31T23:59:59.999Z', document: [1, null, 'é'] }),
      thing('c', { name: '', at: '0001-01-01T00:00:00.000Z', document: 'text' }),
      thing('d', { name: `'"\\{},\\N\t\r\n\u001e`, at: '9999-12-31T23:59:59.001Z', document: null }),
    ];
    await copy(...things);
    expect(await kept()).toEqual(things);
    const same = await source.query('SELECT DISTINCT user_id, of, note FROM thing');
    expect(same).toEqual([{ user_id: '7', of: OF, note: 'ours' }]);
  });

  it('knows the time before all others', async () => {
    await copy(thing('a', { at: '-infinity' }));
    expect(await source.query(`SELECT at = '-infinity' AS so FROM thing`)).toEqual([{ so: true }]);
  });

  it('writes megabytes, again and again and on two lines at once, and each their own', async () => {
    const batch = (of: string, size: number): Thing[] =>
      Array.from({ length: 500 }, (_, at) =>
        thing(`${of}${at}`, { name: `${of}é`, document: { of: of.repeat(size) } }),
      );
    for (let round = 0; round < 4; round += 1) {
      const batches = [batch(`x${round}.`, 900 - 200 * round), batch(`y${round}.`, 100 + 200 * round)];
      await Promise.all(batches.map((things) => copy(...things)));
      const all = new Map((await kept()).map((row) => [row.id, row]));
      for (const row of batches.flat()) expect(all.get(row.id)).toEqual(row);
    }
  });

  it('belongs to the transaction around it', async () => {
    const failing = db.inTransaction(USER, async () => {
      await copy(thing('a'));
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await kept()).toEqual([]);
  });

  it('tells of rows that are refused neither rows nor statement, stores none, and leaves the line usable', async () => {
    const long = 'sécrète'.repeat(200_000);
    const wrong = { ...thing('z'), document: { toJSON: () => '\0' } };
    const failing = copy(...Array.from({ length: 40 }, (_, at) => thing(`a${at}`, { name: long })), wrong);
    await expect(failing).rejects.toThrow(DatabaseError);
    await failing.catch((error: unknown) => {
      expect(error).toMatchObject({ sqlState: '22P05', down: false });
      expect(JSON.stringify(error)).not.toContain('crète');
    });
    await Promise.all([1, 2].map((at) => copy(thing(`b${at}`))));
    expect(await kept()).toHaveLength(2);
  });

  it('passes over its rows where the statement itself is refused, and leaves the line usable', async () => {
    const failing = db.copy(USER, 'nothing', COLUMNS, [thing('a', { name: 'x'.repeat(3_000_000) })]);
    await expect(failing).rejects.toMatchObject({ sqlState: '42P01' });
    await copy(thing('a'));
    expect(await kept()).toHaveLength(1);
  });

  it('repeats the transaction where a key is taken, so that it can look again, and gives up in the end', async () => {
    await copy(thing('a'));
    let tries = 0;
    const once = db.inTransaction(USER, async () => {
      tries += 1;
      await copy(thing(tries === 1 ? 'a' : 'b'));
    });
    await once;
    expect(tries).toBe(2);
    await expect(copy(thing('c'), thing('a'))).rejects.toMatchObject({ sqlState: '40001', constraint: 'thing_pkey' });
    expect((await kept()).map(({ id }) => id)).toEqual(['a', 'b']);
  });

  it('says that the database is gone when its line is cut', async () => {
    const cut = db.inTransaction(USER, async (manager) => {
      const [{ pid }] = await manager.query<[{ pid: number }]>('SELECT pg_backend_pid() AS pid');
      await source.query('SELECT pg_terminate_backend($1)', [pid]);
      await copy(thing('a', { name: 'x'.repeat(3_000_000) }));
    });
    await expect(cut).rejects.toMatchObject({ down: true });
    await copy(thing('b'));
    expect((await kept()).map(({ id }) => id)).toEqual(['b']);
  });
});
