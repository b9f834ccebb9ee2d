import { Client } from 'pg';
import type { Resource } from '../../src/mirror/resources';
import type { Reader } from '../e2e/reads-stage';
import { openMirrorStage, type MirrorStage } from './event-mirror-stage';

/** Each with what tells its rows in the table. */
const TABLES: [Resource, string, string][] = [
  ['profiles', 'mirrored_profile', 'true'],
  ['events', 'mirrored_event', 'true'],
  ['metrics', 'mirrored_metric', 'true'],
  ['lists', 'mirrored_group', `kind = 'list'`],
  ['segments', 'mirrored_group', `kind = 'segment'`],
  ['campaigns', 'mirrored_campaign', 'true'],
];

describe('the end of a pass over', () => {
  let stage: MirrorStage;
  let writer: Client;
  let user = 6100;
  const someone = () =>
    stage.connect(++user, { limits: 'huge', profiles: 6, lists: 5, segments: 5, campaigns: 5, events: 6 });
  const live = async (reader: Reader, table: string, only: string): Promise<string[]> => {
    const found = await stage.sql<{ id: string }>(
      `SELECT klaviyo_id AS id FROM ${table} WHERE ${only} AND user_id = $1 AND connection_id = $2 AND deleted_at IS NULL ORDER BY 1`,
      [reader.userId, reader.connectionId],
    );
    return found.map(({ id }) => id);
  };

  beforeAll(async () => {
    stage = await openMirrorStage();
    writer = new Client({ connectionString: stage.app.database.url });
    await writer.connect();
  });
  afterAll(async () => {
    await writer.end();
    await stage.stop();
  });

  /** Until a statement of the service waits for a lock. */
  async function waits(): Promise<void> {
    const deadline = Date.now() + 10_000;
    const waiting = `SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`;
    while ((await stage.sql(waiting)).length === 0) {
      if (Date.now() > deadline) throw new Error('nobody waits');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  it.each(TABLES)(
    '%s leaves a row that is seen just before it is marked, and marks the others',
    async (resource, table, only) => {
      const reader = await someone();
      const neighbour = await someone();
      for (const one of [reader, neighbour]) await stage.pass(one, resource);
      const before = await live(reader, table, only);
      const others = await live(neighbour, table, only);
      const pass = await stage.begin(reader, resource, 'full');
      const syncer = stage.syncer(resource);
      expect(before.length).toBeGreaterThan(2);
      expect(await syncer.unseen(pass)).toEqual({ live: before.length, unseen: before.length });

      await writer.query('BEGIN');
      await writer.query(
        `UPDATE ${table} SET synced_at = clock_timestamp() WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = $3`,
        [reader.userId, reader.connectionId, before[1]],
      );
      const swept = syncer.sweep(pass, 100);
      await waits();
      await writer.query('COMMIT');
      expect(await swept).toBe(before.length - 1);
      expect(await live(reader, table, only)).toEqual([before[1]]);
      expect(await syncer.sweep(pass, 100)).toBe(0);
      expect(await live(neighbour, table, only)).toEqual(others);
    },
  );

  it.each(TABLES)('%s marks in the order of ids, so many at a time', async (resource, table, only) => {
    const reader = await someone();
    await stage.pass(reader, resource);
    const before = await live(reader, table, only);
    const pass = await stage.begin(reader, resource, 'full');
    const syncer = stage.syncer(resource);
    expect(await syncer.sweep(pass, 2)).toBe(2);
    expect(await live(reader, table, only)).toEqual(before.slice(2));
    for (let chunk = -1; chunk !== 0;) chunk = await syncer.sweep(pass, 2);
    expect(await live(reader, table, only)).toEqual([]);
    expect(await syncer.unseen(pass)).toEqual({ live: 0, unseen: 0 });
  });
});
