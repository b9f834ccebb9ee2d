import { setTimeout as wait } from 'node:timers/promises';
import { Db, query } from '../../src/database/scope';
import { Syncers } from '../../src/mirror/syncers';
import { SyncTransactions } from '../../src/sync/sync-transactions';
import { until, type Reader } from './reads-stage';
import { openSyncStage, resourceOf, type ShownSync, type SyncStage } from './sync-engine-stage';

const DAY = 86_400_000;
const NOW = Date.now();
const at = (ms: number): string => new Date(ms).toISOString();

/** Rows of people with a time of their own. */
const people = (count: number, created: (n: number) => number) =>
  Array.from({ length: count }, (_, n) => ({
    email: `p${n}@example.com`,
    created: at(created(n)),
    updated: at(created(n)),
  }));

describe('a synchronisation', () => {
  let stage: SyncStage;
  beforeAll(async () => {
    stage = await openSyncStage({ env: { KLAVIYO_MAX_RETRIES: '2' } });
  });
  afterAll(async () => {
    await stage.stop();
  });

  const control = (method: string, reader: Reader, path: string, body?: unknown) =>
    stage.sandbox.control(method, `/accounts/${reader.account.id}${path}`, body);
  const gone = (reader: Reader) =>
    stage.sql<{ id: string }>(
      `SELECT klaviyo_id AS id FROM mirrored_profile WHERE connection_id = $1 AND deleted_at IS NOT NULL ORDER BY 1`,
      [reader.connectionId],
    );
  const profileIds = async (reader: Reader, limit: number): Promise<string[]> => {
    const { profiles } = (await control('GET', reader, `/profiles?limit=${limit}`)) as { profiles: { id: string }[] };
    return profiles.map(({ id }) => id);
  };
  const succeeded = (sync: ShownSync): void =>
    expect([sync.status, sync.progress.resources.filter(({ error }) => error !== null)]).toEqual(['succeeded', []]);
  /** Until pages of it are stored. */
  const underWay = (reader: Reader, id: string, pages = 3) =>
    until(
      () => stage.look(reader, id),
      (sync) => sync.progress.resources.reduce((sum, one) => sum + one.pages, 0) >= pages,
    );

  describe('of everything', () => {
    it('mirrors it row for row: lists, members, a large list, campaigns, events', async () => {
      const lists = Array.from({ length: 34 }, (_, n) => ({ name: `L${n}`, members: n }));
      const reader = await stage.someone({
        profiles: 3200,
        lists: [{ name: 'Large', members: 3000 }, ...lists],
        segments: 3,
        campaigns: 12,
        events: 4000,
      });
      await reader.seed('campaigns', { name: 'Without messages', channel: 'email', messages: [] });
      const sync = await stage.sync(reader);
      succeeded(sync);
      expect(sync).toMatchObject({ error: null, progress: { percent: 100 } });
      expect(await stage.differences(reader)).toEqual([]);
      expect(resourceOf(sync, 'profiles').fetched).toBeGreaterThanOrEqual(3200);
      expect(sync.quota.floorSeconds).toBeGreaterThan(0);
    });

    it('finds nothing new the second time, and asks no more than it must', async () => {
      const reader = await stage.someone({ profiles: 900, lists: 2, campaigns: 3, events: 300 });
      succeeded(await stage.sync(reader));
      await reader.quiet();
      const again = await stage.sync(reader);
      succeeded(again);
      expect(again.progress.resources.map(({ resource, upserted }) => [resource, upserted])).toEqual(
        again.progress.resources.map(({ resource }) => [resource, 0]),
      );
      // Metrics are asked for by others too, e.g. to choose the one that campaigns are judged by.
      const operations = ['getLists', 'getSegments', 'getProfiles', 'getCampaigns', 'getEvents'];
      const requests = await reader.requests();
      const asked = operations.map((name) => [name, requests.filter(({ operation }) => operation === name).length]);
      const rows = await stage.sql<{ name: string; n: number }>(
        `SELECT key AS name, sum((value->>'requests')::int)::int AS n
         FROM sync_resource CROSS JOIN jsonb_each(requests_by_operation) WHERE sync_id = $1 GROUP BY key`,
        [again.id],
      );
      expect(operations.map((name) => [name, rows.find((row) => row.name === name)?.n ?? 0])).toEqual(asked);
    });
  });

  describe('along the axis of time', () => {
    it('reads ten thousand people of the same second in one chain', async () => {
      const reader = await stage.someone();
      const second = NOW - 30 * DAY;
      await reader.seed('profiles', [
        ...people(300, (n) => second - DAY + n * 60_000),
        ...people(10_000, () => second).map((row, n) => ({ ...row, email: `same${n}@example.com` })),
        ...people(300, (n) => second + n * 60_000).map((row, n) => ({ ...row, email: `later${n}@example.com` })),
      ]);
      const sync = await stage.sync(reader, { resources: ['profiles'] });
      succeeded(sync);
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
      // No page of them was asked for again and again by windows that share the second.
      expect(resourceOf(sync, 'profiles').fetched).toBeLessThan(10_600 + 2500);
    });

    it('crosses years without anybody at the price of a few requests', async () => {
      const reader = await stage.someone();
      await reader.seed('profiles', [
        ...people(350, (n) => Date.parse('2013-03-01') + n * 1000),
        ...people(900, (n) => NOW - DAY + n * 1000).map((row, n) => ({ ...row, email: `new${n}@example.com` })),
      ]);
      const sync = await stage.sync(reader, { resources: ['profiles'] });
      succeeded(sync);
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
      expect(resourceOf(sync, 'profiles').requests).toBeLessThan(60);
    });

    it('asks for hardly a row twice where a window was cut and ends earlier than its cursor does', async () => {
      const reader = await stage.someone({ profiles: 4000 });
      const sync = await stage.sync(reader, { resources: ['profiles'] });
      succeeded(sync);
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
      const [{ windows } = { windows: 0 }] = await stage.sql<{ windows: number }>(
        'SELECT count(*)::int AS windows FROM sync_window WHERE sync_id = $1',
        [sync.id],
      );
      expect(windows).toBeGreaterThan(3);
      // Half a page for each window but the last, if their cursors were followed beyond their ends.
      expect(resourceOf(sync, 'profiles').fetched).toBeLessThan(4000 + 10 * windows);
    });

    it('goes on from its place when Klaviyo takes the cursor no more', async () => {
      const reader = await stage.someone({ profiles: 2000 });
      await stage.sandbox.fault(reader.account.id, {
        fault: { kind: 'expireCursors' },
        match: { operation: 'getProfiles' },
        after: 6,
        times: 3,
      });
      succeeded(await stage.sync(reader, { resources: ['profiles'] }));
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
    });

    it('finds what comes late, and is not led astray by what is dated in the future', async () => {
      const reader = await stage.someone({ profiles: 200, events: 500 });
      const [profileId] = await profileIds(reader, 1);
      const { metrics } = (await control('GET', reader, '/metrics')) as { metrics: { id: string }[] };
      const event = (time: number) => ({ profileId, metricId: metrics[0]!.id, datetime: at(time) });
      await reader.seed('events', event(NOW + 400 * DAY));
      succeeded(await stage.sync(reader, { resources: ['metrics', 'events', 'profiles'] }));
      await reader.seed('events', [event(NOW - 60_000), event(NOW - 6 * DAY)]);
      await control('PATCH', reader, `/profiles/${profileId}`, { first_name: 'Changed' });
      await stage.sql(`UPDATE mirror_state SET reconciled_at = now() - interval '2 days' WHERE connection_id = $1`, [
        reader.connectionId,
      ]);
      await reader.quiet();
      const sync = await stage.sync(reader, { resources: ['metrics', 'events', 'profiles'], mode: 'incremental' });
      succeeded(sync);
      expect(await stage.differences(reader, ['metrics', 'events', 'profiles'])).toEqual([]);
      expect(resourceOf(sync, 'profiles').fetched).toBeLessThan(50);
      const states = await stage.sql<{ ahead: boolean }>(
        'SELECT high_water > now() AS ahead FROM mirror_state WHERE connection_id = $1',
        [reader.connectionId],
      );
      expect(states.filter(({ ahead }) => ahead)).toEqual([]);
    });

    it('reads five hundred changes with fewer than twenty requests', async () => {
      const reader = await stage.someone({ profiles: 3000 });
      succeeded(await stage.sync(reader, { resources: ['profiles'] }));
      for (const id of await profileIds(reader, 500))
        await control('PATCH', reader, `/profiles/${id}`, { title: 'Changed' });
      const sync = await stage.sync(reader, { resources: ['profiles'], mode: 'incremental' });
      succeeded(sync);
      expect(resourceOf(sync, 'profiles').upserted).toBeGreaterThanOrEqual(500);
      expect(resourceOf(sync, 'profiles').requests).toBeLessThan(20);
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
    });
  });

  describe('of what vanishes', () => {
    it('marks who is gone, and who was merged into another during the pass', async () => {
      const reader = await stage.someone({ profiles: 1200, latencyMs: 80 });
      succeeded(await stage.sync(reader, { resources: ['profiles'] }));
      const [kept, merged, removed] = await profileIds(reader, 3);
      await control('DELETE', reader, `/profiles/${removed}`);
      const id = await stage.begin(reader, { resources: ['profiles'] });
      await underWay(reader, id, 1);
      await control('POST', reader, `/profiles/${merged}/merge`, { into: kept });
      succeeded(await stage.over(reader, id));
      // Seen before it was merged, it is gone for the next pass.
      succeeded(await stage.sync(reader, { resources: ['profiles'] }));
      expect(await gone(reader)).toEqual([{ id: merged }, { id: removed }].sort((a, b) => (a.id! < b.id! ? -1 : 1)));
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
    });

    it('does not believe a pass that sees less than half, until a second one sees the same', async () => {
      const reader = await stage.someone({ profiles: 400 });
      succeeded(await stage.sync(reader, { resources: ['profiles'] }));
      for (const id of await profileIds(reader, 300)) await control('DELETE', reader, `/profiles/${id}`);
      const doubted = await stage.sync(reader, { resources: ['profiles'] });
      expect(doubted).toMatchObject({ status: 'failed', error: { code: 'SYNC_TOO_FEW_ROWS' } });
      expect(await gone(reader)).toEqual([]);
      succeeded(await stage.sync(reader, { resources: ['profiles'] }));
      expect(await gone(reader)).toHaveLength(300);
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
    });

    it('reads on when a list is deleted under its hands', async () => {
      const reader = await stage.someone({
        profiles: 1500,
        lists: [
          { name: 'Stays', members: 900 },
          { name: 'Goes', members: 1400 },
        ],
        latencyMs: 120,
      });
      const id = await stage.begin(reader, { resources: ['lists', 'segments', 'memberships'] });
      await until(
        () => stage.look(reader, id),
        (sync) => resourceOf(sync, 'memberships').pages >= 1,
      );
      const { lists } = (await control('GET', reader, '/lists')) as { lists: { id: string; name: string }[] };
      await control('DELETE', reader, `/lists/${lists.find(({ name }) => name === 'Goes')!.id}`);
      succeeded(await stage.over(reader, id));
      succeeded(await stage.sync(reader, { resources: ['lists', 'segments', 'memberships'] }));
      expect(await stage.differences(reader, ['lists', 'segments', 'memberships'])).toEqual([]);
    });
  });

  describe('that meets trouble', () => {
    it('does not let a resource that may not be read stop the others', async () => {
      const reader = await stage.someone({ profiles: 150, campaigns: 3 });
      await stage.sandbox.fault(reader.account.id, {
        preset: '403-scope',
        times: 'forever',
        match: { operation: 'getCampaigns' },
      });
      const sync = await stage.sync(reader);
      expect(sync).toMatchObject({ status: 'partial', error: null });
      expect(
        sync.progress.resources
          .filter(({ status }) => status !== 'succeeded')
          .map((one) => [one.resource, one.error?.code]),
      ).toEqual([['campaigns', 'KLAVIYO_SCOPE_MISSING']]);
    });

    it('does not let a fault of ours in one resource keep those from beginning that begin with it', async () => {
      const reader = await stage.someone({ profiles: 150, campaigns: 3 });
      const told = jest
        .spyOn(stage.app.app.get(Syncers).of('metrics'), 'parts')
        .mockRejectedValue(new TypeError('ours'));
      try {
        const sync = await stage.sync(reader);
        expect(sync).toMatchObject({ status: 'partial', error: null });
        expect(resourceOf(sync, 'metrics')).toMatchObject({ status: 'failed', error: { code: 'INTERNAL' } });
        expect(resourceOf(sync, 'profiles')).toMatchObject({ status: 'succeeded', upserted: 150 });
        expect(resourceOf(sync, 'campaigns')).toMatchObject({ status: 'succeeded', upserted: 3 });
      } finally {
        told.mockRestore();
      }
      succeeded(await stage.sync(reader));
    });

    it('gives a resource up at a page that cannot be taken apart, and stores nothing of what comes after it', async () => {
      const reader = await stage.someone({ profiles: 450 });
      const people = stage.app.app.get(Syncers).of('profiles');
      const told = jest.spyOn(people, 'mapped').mockImplementation(() => {
        throw new TypeError('ours');
      });
      try {
        const sync = await stage.sync(reader);
        expect(resourceOf(sync, 'profiles')).toMatchObject({
          status: 'failed',
          upserted: 0,
          error: { code: 'INTERNAL' },
        });
        expect(resourceOf(sync, 'metrics').status).toBe('succeeded');
      } finally {
        told.mockRestore();
      }
      succeeded(await stage.sync(reader));
      expect(await stage.differences(reader)).toEqual([]);
    });

    it('gets over a Klaviyo that fails for a while', async () => {
      const reader = await stage.someone({ profiles: 800 });
      await stage.sandbox.fault(reader.account.id, {
        preset: '500',
        after: 3,
        times: 4,
        match: { operation: 'getProfiles' },
      });
      await stage.sandbox.fault(reader.account.id, {
        preset: 'truncated',
        after: 2,
        times: 2,
        match: { operation: 'getProfiles' },
      });
      const sync = await stage.sync(reader, { resources: ['profiles'] });
      succeeded(sync);
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
    });

    it('leaves its worker to others while Klaviyo is down, and goes on by itself', async () => {
      const reader = await stage.someone({ profiles: 600 });
      const fault = { preset: '503', times: 'forever' as const, after: 2, match: { operation: 'getProfiles' } };
      await stage.sandbox.fault(reader.account.id, fault);
      const id = await stage.begin(reader, { resources: ['profiles', 'lists'] });
      const [waiting] = await until(
        () =>
          stage.sql<{ failing: boolean; lease: string | null }>(
            `SELECT failing_since IS NOT NULL AS failing, lease FROM sync_resource
             JOIN sync_run r ON r.user_id = sync_resource.user_id AND r.id = sync_id
             WHERE sync_id = $1 AND resource = 'profiles'`,
            [id],
          ),
        ([seen]) => seen?.failing === true && seen.lease === null,
        60_000,
      );
      expect(waiting).toEqual({ failing: true, lease: null });
      expect(resourceOf(await stage.look(reader, id), 'lists').status).toBe('succeeded');
      await stage.sandbox.clearFaults(reader.account.id);
      succeeded(await stage.over(reader, id, 90_000));
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
    }, 180_000);

    it('gives a resource up of which nothing but errors came for ten minutes, and says why', async () => {
      const reader = await stage.someone({ profiles: 300 });
      const fault = { preset: '503', times: 'forever' as const, match: { operation: 'getProfiles' } };
      await stage.sandbox.fault(reader.account.id, fault);
      const id = await stage.begin(reader, { resources: ['profiles', 'metrics'] });
      await until(
        () =>
          stage.sql<{ since: Date | null }>(
            `UPDATE sync_resource SET failing_since = failing_since - interval '11 minutes'
           WHERE sync_id = $1 AND failing_since IS NOT NULL RETURNING failing_since AS since`,
            [id],
          ),
        (rows) => rows.length > 0,
        60_000,
      );
      const sync = await stage.over(reader, id, 90_000);
      expect(sync.status).toBe('partial');
      expect(resourceOf(sync, 'profiles')).toMatchObject({ status: 'failed', error: { code: 'KLAVIYO_UNAVAILABLE' } });
    }, 180_000);

    it('is never endless where Klaviyo leads in a circle', async () => {
      const reader = await stage.someone({ profiles: 900 });
      const href = `${stage.sandbox.url}/api/profiles?page%5Bcursor%5D=circle`;
      await stage.sandbox.fault(reader.account.id, {
        fault: { kind: 'nextLink', href },
        times: 'forever',
        match: { operation: 'getProfiles' },
      });
      const sync = await stage.sync(reader, { resources: ['profiles'] });
      expect(sync).toMatchObject({ status: 'failed', error: { code: 'SYNC_PAGES_REPEAT' } });
      expect((await reader.requests('getProfiles')).length).toBeLessThan(50);
    });

    it('ends as a whole when the key is refused, and begins again with a good one', async () => {
      const reader = await stage.someone({ profiles: 1500, latencyMs: 100 });
      const id = await stage.begin(reader);
      await underWay(reader, id);
      await stage.sandbox.patchAccount(reader.account.id, { keys: [{ key: reader.account.key, invalid: true }] });
      const sync = await stage.over(reader, id);
      expect(sync).toMatchObject({ status: 'failed', error: { code: 'KLAVIYO_KEY_INVALID' } });
      expect(sync.progress.resources.filter(({ status }) => ['pending', 'running'].includes(status))).toEqual([]);
    });

    it('reads again what a PostgreSQL that broke down and came back has lost', async () => {
      const reader = await stage.someone({ profiles: 2500, latencyMs: 200 });
      const id = await stage.begin(reader, { resources: ['profiles'] });
      const stored = async () => {
        const [row] = await stage.sql<{ pages: string }>('SELECT pages FROM sync_resource WHERE sync_id = $1', [id]);
        return Number(row?.pages);
      };
      await until(stored, (pages) => pages >= 2);
      await stage.sql(`BEGIN ISOLATION LEVEL REPEATABLE READ;
        CREATE TABLE kept_resource AS SELECT * FROM sync_resource WHERE sync_id = '${id}';
        CREATE TABLE kept_window AS SELECT * FROM sync_window WHERE sync_id = '${id}';
        CREATE TABLE kept_profile AS SELECT klaviyo_id FROM mirrored_profile
          WHERE connection_id = '${reader.connectionId}';
        COMMIT`);
      try {
        const [kept] = await stage.sql<{ pages: string }>('SELECT pages FROM kept_resource');
        await until(stored, (pages) => pages >= Number(kept?.pages) + 4);
        // What was committed since is gone, all of it at once.
        const lost = await stage.sql(`WITH resource AS (
            UPDATE sync_resource r SET pages = k.pages, fetched = k.fetched
            FROM kept_resource k WHERE r.sync_id = k.sync_id
          ), cut AS (
            DELETE FROM sync_window WHERE sync_id = '${id}' AND window_no NOT IN (SELECT window_no FROM kept_window)
          ), place AS (
            UPDATE sync_window w SET span_from = k.span_from, span_to = k.span_to, position = k.position,
              cursor = k.cursor, status = k.status, pages = k.pages, fetched = k.fetched
            FROM kept_window k WHERE w.sync_id = k.sync_id AND w.window_no = k.window_no
          ), gone AS (
            DELETE FROM mirrored_profile WHERE connection_id = '${reader.connectionId}'
              AND klaviyo_id NOT IN (SELECT klaviyo_id FROM kept_profile) RETURNING 1
          )
          SELECT 1 FROM gone`);
        expect(lost.length).toBeGreaterThan(100);
      } finally {
        await stage.sql('DROP TABLE IF EXISTS kept_resource, kept_window, kept_profile');
      }
      succeeded(await stage.over(reader, id));
      expect(await stage.differences(reader, ['profiles'])).toEqual([]);
    });

    it('stores everything but the rows that the database refuses, and says so', async () => {
      const reader = await stage.someone({ profiles: 250 });
      await reader.seed('profiles', { email: 'poison@example.com' });
      await stage.sql(`ALTER TABLE mirrored_profile ADD CONSTRAINT no_poison CHECK (email <> 'poison@example.com')`);
      try {
        const sync = await stage.sync(reader, { resources: ['profiles', 'lists'] });
        expect(sync.status).toBe('partial');
        expect(resourceOf(sync, 'profiles')).toMatchObject({ status: 'failed', error: { code: 'SYNC_ROWS_REFUSED' } });
        const [stored] = await stage.sql<{ n: number }>(
          'SELECT count(*)::int AS n FROM mirrored_profile WHERE connection_id = $1',
          [reader.connectionId],
        );
        expect(stored!.n).toBe(250);
        const { body } = await reader.get(`/sync/${sync.id}/logs`, { resource: 'profiles', limit: 200 });
        const refused = (body.logs as { quarantined: number }[]).reduce((sum, line) => sum + line.quarantined, 0);
        expect(refused).toBeGreaterThanOrEqual(1);
      } finally {
        await stage.sql('ALTER TABLE mirrored_profile DROP CONSTRAINT no_poison');
      }
    });
  });

  describe('among others', () => {
    it('ends where it is when it is cancelled, marks nothing, and the one that waits begins', async () => {
      const reader = await stage.someone({ profiles: 3000, latencyMs: 150 });
      const id = await stage.begin(reader, { resources: ['profiles'], mode: 'incremental' });
      await underWay(reader, id);
      const wider = await stage.begin(reader, { resources: ['profiles', 'lists'] });
      expect(wider).not.toBe(id);
      expect((await stage.look(reader, wider)).status).toBe('queued');
      const { status } = await stage.app.http
        .post(`/api/v1/klaviyo/sync/${id}/cancel`)
        .set(stage.app.asService)
        .send({ userId: reader.userId });
      expect(status).toBe(202);
      const cancelled = await stage.over(reader, id);
      expect(cancelled.status).toBe('cancelled');
      expect(resourceOf(cancelled, 'profiles')).toMatchObject({ status: 'cancelled', deleted: 0 });
      expect(resourceOf(cancelled, 'profiles').fetched).toBeLessThan(3000);
      succeeded(await stage.over(reader, wider));
      expect(await stage.differences(reader, ['profiles', 'lists'])).toEqual([]);
    });

    it('leaves most of the pool to callers, however many runs there are', async () => {
      const [transactions, db] = [stage.app.app.get(SyncTransactions), stage.app.app.get(Db)];
      const rest = Math.ceil(stage.app.env.databasePoolSize / 2);
      let running = 0;
      let most = 0;
      const results = await Promise.allSettled(
        Array.from({ length: 40 }, (_, n) =>
          transactions.run(1, async () => {
            most = Math.max(most, (running += 1));
            await db.forUser(1, (manager) => query(manager, 'SELECT 1'));
            running -= 1;
            if (n % 7 === 0) throw new Error('one that fails gives its turn on as well');
          }),
        ),
      );
      expect(most).toBeGreaterThan(1);
      expect(most).toBeLessThanOrEqual(rest);
      expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(34);
    });

    it('writes nothing any more once its connection is gone', async () => {
      const reader = await stage.someone({ profiles: 3000, latencyMs: 100 });
      const id = await stage.begin(reader);
      await underWay(reader, id);
      const { status } = await stage.app.http
        .delete('/api/v1/klaviyo/connect')
        .set(stage.app.asService)
        .query({ userId: reader.userId });
      expect(status).toBe(200);
      const left = () =>
        stage.sql<{ n: number }>(
          `SELECT (SELECT count(*) FROM mirrored_profile WHERE connection_id = $1)::int
             + (SELECT count(*) FROM membership WHERE connection_id = $1)::int
             + (SELECT count(*) FROM sync_page WHERE sync_id = $2)::int AS n`,
          [reader.connectionId, id],
        );
      await until(left, ([seen]) => seen!.n === 0);
      // Whoever was still at it has met its end by now: the pages that were on their way took a tenth of a second.
      await wait(700);
      expect(await left()).toEqual([{ n: 0 }]);
    });
  });
});
