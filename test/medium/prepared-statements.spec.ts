import type { DataSource } from 'typeorm';
import { DatabaseError } from '../../src/database/errors';
import type { Db } from '../../src/database/scope';
import { openBareDatabase, type BareDatabase } from '../support/bare-database';

/** Statements that PostgreSQL keeps prepared, on one connection of the pool. */
describe('a prepared statement', () => {
  const USER = 1;
  let database: BareDatabase;
  let source: DataSource;
  let db: Db;

  beforeEach(async () => {
    database = await openBareDatabase(1);
    ({ source, db } = database);
    await source.query('CREATE TABLE thing (user_id bigint, name text)');
    await source.query(`INSERT INTO thing VALUES (1, 'mine'), (2, 'theirs')`);
  });

  afterEach(() => database.drop());

  const read = (name: string) =>
    db.prepared<{ name: string }>(USER, 'SELECT * FROM thing WHERE user_id = $1 AND name = $2', [USER, name]);
  const prepared = () => source.query<unknown[]>('SELECT name FROM pg_prepared_statements WHERE NOT from_sql');

  it('is prepared once, whatever its parameters', async () => {
    expect(await read('mine')).toMatchObject([{ name: 'mine' }]);
    expect(await read('theirs')).toEqual([]);
    expect(await prepared()).toHaveLength(1);
  });

  it('goes on after a migration changed what it answers', async () => {
    await read('mine');
    await source.query('ALTER TABLE thing ADD COLUMN added int DEFAULT 7');
    expect(await read('mine')).toMatchObject([{ name: 'mine', added: 7 }]);
    expect(await read('mine')).toMatchObject([{ name: 'mine', added: 7 }]);
  });

  it('goes on where a pooler gave its connection another one', async () => {
    await read('mine');
    await source.query('DEALLOCATE ALL');
    expect(await read('mine')).toMatchObject([{ name: 'mine' }]);
    expect(await prepared()).toEqual([]);
  });

  it('sees what its own transaction wrote', async () => {
    const seen = await db.inTransaction(USER, async (manager) => {
      await manager.query(`INSERT INTO thing VALUES (1, 'new')`);
      return read('new');
    });
    expect(seen).toMatchObject([{ name: 'new' }]);
  });

  it('that did not last begins its transaction anew, and what that wrote is there once', async () => {
    await read('mine');
    await source.query('DEALLOCATE ALL');
    let begun = 0;
    const seen = await db.inTransaction(USER, async (manager) => {
      begun += 1;
      await manager.query(`INSERT INTO thing VALUES (1, 'new')`);
      return read('new');
    });
    expect(seen).toEqual([{ user_id: '1', name: 'new' }]);
    expect(begun).toBe(2);
    expect(await read('new')).toHaveLength(1);
  });

  it('gives the rows of a change as those of a read', async () => {
    const change = () =>
      db.prepared(USER, 'UPDATE thing SET name = upper(name) WHERE user_id = $1 RETURNING name', [USER]);
    expect(await change()).toEqual([{ name: 'MINE' }]);
    await source.query('DEALLOCATE ALL');
    // From here on without prepared statements.
    expect(await change()).toEqual([{ name: 'MINE' }]);
    expect(await change()).toEqual([{ name: 'MINE' }]);
  });

  it('tells of a failure neither statement nor parameters', async () => {
    const failing = db.prepared(USER, 'SELECT 1 / $1::int', ['sécrète']);
    await expect(failing).rejects.toBeInstanceOf(DatabaseError);
    await expect(failing).rejects.not.toThrow(/sécrète|SELECT/);
  });
});
