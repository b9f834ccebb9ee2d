import type { DataSource } from 'typeorm';
import { DatabaseError } from '../../src/database/errors';
import { JoinedTexts, takenApart } from '../../src/database/joined-texts';
import type { Db } from '../../src/database/scope';
import { openBareDatabase, type BareDatabase } from '../support/bare-database';

const USER = 7;
const INSERT = `
  INSERT INTO thing SELECT $1, $2, id, name, document::jsonb
  FROM ROWS FROM (${takenApart('$3')}, ${takenApart('$4')}, ${takenApart('$5')}) AS row (id, name, document)`;

interface Thing {
  id: string;
  name: string | null;
  document: unknown;
}

/** Statements whose columns are joined texts, on two connections of the pool. */
describe('a bulk statement', () => {
  let database: BareDatabase;
  let source: DataSource;
  let db: Db;

  beforeEach(async () => {
    database = await openBareDatabase(2);
    ({ source, db } = database);
    await source.query('CREATE TABLE thing (user_id bigint, of text, id text PRIMARY KEY, name text, document jsonb)');
  });

  afterEach(() => database.drop());

  const write = (things: readonly Thing[]) =>
    db.bulk(USER, INSERT, [
      USER,
      'Zoë',
      JoinedTexts.of(things.map(({ id }) => id)),
      JoinedTexts.of(things.map(({ name }) => name)),
      JoinedTexts.ofJson(things.map(({ document }) => JSON.stringify(document))),
    ]);
  const kept = () => source.query<Thing[]>('SELECT id, name, document FROM thing ORDER BY id COLLATE "C"');

  it('writes every row as it was given', async () => {
    const things = [
      { id: 'a', name: 'Zoë 🎂 ключ', document: { emoji: '🎂', quote: '"\\', control: '\u001e\u001f\n' } },
      { id: 'b', name: null, document: {} },
      { id: 'c', name: '', document: [1, null, 'é'] },
      { id: 'd', name: `'"\\{},NULL`, document: 'text' },
    ];
    await write(things);
    expect(await kept()).toEqual(things);
    expect(await source.query('SELECT DISTINCT user_id, of FROM thing')).toEqual([{ user_id: '7', of: 'Zoë' }]);
  });

  it('replaces in texts what it puts between them', async () => {
    await write([{ id: 'a', name: 'one\u001etwo\u001f', document: null }]);
    expect(await kept()).toEqual([{ id: 'a', name: 'one\ufffdtwo\ufffd', document: null }]);
  });

  it('writes megabytes, again and again and on two lines at once, and each their own', async () => {
    const batch = (of: string, size: number): Thing[] =>
      Array.from({ length: 500 }, (_, at) => ({ id: `${of}${at}`, name: `${of}é`, document: { of: of.repeat(size) } }));
    for (let round = 0; round < 4; round += 1) {
      const batches = [batch(`x${round}.`, 900 - 200 * round), batch(`y${round}.`, 100 + 200 * round)];
      await Promise.all(batches.map((things) => write(things)));
      const all = await kept();
      for (const thing of batches.flat()) expect(all.find(({ id }) => id === thing.id)).toEqual(thing);
    }
  });

  it('answers rows', async () => {
    const sql = `SELECT text, length(text) AS length FROM ${takenApart('$1')} AS text`;
    expect(await db.bulk(USER, sql, [JoinedTexts.of(['a', 'bcd', null])])).toEqual([
      { text: 'a', length: 1 },
      { text: 'bcd', length: 3 },
      { text: null, length: null },
    ]);
  });

  it('belongs to the transaction around it', async () => {
    const failing = db.inTransaction(USER, async () => {
      await write([{ id: 'a', name: null, document: 1 }]);
      throw new Error('no');
    });
    await expect(failing).rejects.toThrow('no');
    expect(await kept()).toEqual([]);
  });

  it('tells of a failure neither statement nor parameters, and leaves the line usable', async () => {
    const failing = write([
      { id: 'a', name: 'sécrète', document: 1 },
      { id: 'a', name: 'sécrète', document: 1 },
    ]);
    await expect(failing).rejects.toThrow(DatabaseError);
    await failing.catch((error: unknown) => {
      expect(error).toMatchObject({ sqlState: '23505' });
      expect(JSON.stringify(error)).not.toContain('sécrète');
    });
    await Promise.all([1, 2].map((at) => write([{ id: `b${at}`, name: null, document: at }])));
    expect(await kept()).toHaveLength(2);
  });

  it('says that the database is gone when its line is cut', async () => {
    const cut = db.bulk(USER, 'SELECT pg_terminate_backend(pg_backend_pid()), $1::text', [JoinedTexts.of(['x'])]);
    await expect(cut).rejects.toMatchObject({ down: true });
    await write([{ id: 'a', name: null, document: 1 }]);
    expect(await kept()).toHaveLength(1);
  });
});
