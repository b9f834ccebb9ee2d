import { Clock } from '../../src/common/clock';
import { JobsService } from '../../src/jobs/jobs.service';
import { QUEUES } from '../../src/jobs/queues';
import { SyncTickJob } from '../../src/sync/sync-tick.job';
import { startApp, type RunningApp } from '../support/app';
import { API, openStage, until, type Reader, type ReadsStage } from './reads-stage';

/** Nobody works the queue off, and the clock turns when the spec says so. */
const CALLERS = { ROLE: 'api', SYNC_INTERVAL_MINUTES: '60' };

interface Schedule {
  connectionId: string;
  enabled: boolean;
  intervalMinutes: number | null;
  nextRunAt: string | null;
}

describe('synchronisation by the clock', () => {
  let stage: ReadsStage;
  let second: RunningApp;
  let off: RunningApp;
  let user = 500;
  beforeAll(async () => {
    stage = await openStage({ env: CALLERS });
    const shared = { klaviyoUrl: stage.sandbox.url, database: stage.app.database };
    second = await startApp({ ...shared, env: CALLERS });
    off = await startApp({ ...shared, env: { ...CALLERS, SYNC_INTERVAL_MINUTES: '0' } });
  });
  afterAll(async () => {
    await Promise.all([second.stop(), off.stop()]);
    await stage.stop();
  });

  const someone = () => stage.connect(++user, {});
  const tick = (app: RunningApp = stage.app) => app.app.get(SyncTickJob, { strict: false }).run();
  const put = async (reader: Reader, body: object, app: RunningApp = stage.app) => {
    const { status, body: answer } = await app.http
      .put(`${API}/sync/schedule`)
      .set({ ...app.asService, 'Accept-Language': 'en' })
      .send({ userId: reader.userId, ...body });
    return { status, body: answer, schedule: answer.schedule as Schedule };
  };
  const runs = (reader: Reader) =>
    stage.sql<{ mode: string; trigger: string; status: string; resources: string[] }>(
      'SELECT mode, trigger, status, resources FROM sync_run WHERE user_id = $1 ORDER BY created_at',
      [reader.userId],
    );
  const overNow = (reader: Reader) =>
    stage.sql(`UPDATE sync_run SET status = 'succeeded', finished_at = now() WHERE user_id = $1`, [reader.userId]);
  const dueNow = (reader: Reader) =>
    stage.sql(`UPDATE sync_schedule SET next_run_at = now() - interval '1 second' WHERE user_id = $1`, [reader.userId]);
  const nextRunAt = async (reader: Reader) =>
    Date.parse(((await reader.get('/sync')).body as { nextRunAt: string }).nextRunAt);
  const inMinutes = (at: number) => (at - Date.now()) / 60_000;

  it('begins soon after connecting with a run in full, goes on with what changed, and reads all of it once a day', async () => {
    let reader = await someone();
    // Their turn is any moment of the first minute: one whose turn is not just now.
    while (inMinutes(await nextRunAt(reader)) < 0.1) reader = await someone();
    expect(inMinutes(await nextRunAt(reader))).toBeLessThan(1.1);
    await tick();
    expect(inMinutes(await nextRunAt(reader))).toBeLessThan(1.1);
    await dueNow(reader);
    await tick();
    expect(await runs(reader)).toMatchObject([
      {
        mode: 'full',
        trigger: 'schedule',
        status: 'queued',
        resources: ['lists', 'segments', 'profiles', 'memberships', 'campaigns', 'metrics', 'events'],
      },
    ]);
    const next = inMinutes(await nextRunAt(reader));
    expect(next).toBeGreaterThan(14);
    expect(next).toBeLessThan(76);

    await overNow(reader);
    await dueNow(reader);
    await tick();
    expect((await runs(reader)).map(({ mode }) => mode)).toEqual(['full', 'incremental']);
    await overNow(reader);
    await stage.sql('UPDATE sync_schedule SET next_full_at = now() WHERE user_id = $1', [reader.userId]);
    await dueNow(reader);
    await tick();
    expect((await runs(reader)).map(({ mode }) => mode)).toEqual(['full', 'incremental', 'full']);
  });

  it('begins nothing while it is not due, and nothing more while a run is under way', async () => {
    const reader = await someone();
    await tick();
    await dueNow(reader);
    await tick();
    await tick();
    await dueNow(reader);
    await tick();
    expect(await runs(reader)).toHaveLength(1);
  });

  it('begins a run once, however many replicas look at the same moment', async () => {
    const readers = [await someone(), await someone(), await someone()];
    await tick();
    for (const reader of readers) await dueNow(reader);
    await Promise.all([tick(), tick(second), tick(), tick(second)]);
    for (const reader of readers) expect(await runs(reader)).toHaveLength(1);
  });

  it('gives each connection a time of its own, and the same after every run', async () => {
    const readers = await Promise.all(Array.from({ length: 12 }, () => someone()));
    await tick();
    const places = new Set<number>();
    for (const reader of readers) {
      const seen = new Set<number>();
      for (const time of ['first', 'second']) {
        await dueNow(reader);
        await tick();
        seen.add((await nextRunAt(reader)) % 3_600_000);
        expect([time, seen.size]).toEqual([time, 1]);
      }
      places.add([...seen][0] ?? -1);
    }
    expect(places.size).toBeGreaterThan(8);
  });

  it('leaves a connection alone whose key is refused, and makes up for it once there is a good one', async () => {
    const reader = await someone();
    await tick();
    await dueNow(reader);
    await stage.sql(`UPDATE connection SET status = 'invalid' WHERE user_id = $1`, [reader.userId]);
    await tick();
    expect(await runs(reader)).toEqual([]);
    expect((await reader.get('/sync')).body.nextRunAt).toBeNull();
    await stage.sql(`UPDATE sync_schedule SET next_run_at = now() + interval '50 minutes' WHERE user_id = $1`, [
      reader.userId,
    ]);
    await stage.app.http
      .post(`${API}/connect`)
      .set(stage.app.asService)
      .send({ userId: reader.userId, privateApiKey: reader.account.key })
      .expect(200);
    expect(inMinutes(await nextRunAt(reader))).toBeLessThan(1.1);
  });

  it('is turned off and on, and given an interval of its own', async () => {
    const reader = await someone();
    const { connectionId } = reader;
    const first = await put(reader, { intervalMinutes: 30 });
    expect(first.body).toEqual({
      success: true,
      schedule: { connectionId, enabled: true, intervalMinutes: 30, nextRunAt: expect.stringMatching(/Z$/) },
    });
    await tick();
    await dueNow(reader);
    await tick();
    expect((await runs(reader)).length).toBe(1);

    expect((await put(reader, { enabled: false })).schedule).toEqual({
      connectionId,
      enabled: false,
      intervalMinutes: 30,
      nextRunAt: null,
    });
    await overNow(reader);
    await dueNow(reader);
    await tick();
    expect((await runs(reader)).length).toBe(1);

    const on = (await put(reader, { enabled: true })).schedule;
    expect(on).toMatchObject({ enabled: true, intervalMinutes: 30 });
    expect(inMinutes(Date.parse(on.nextRunAt ?? ''))).toBeLessThan(30.1);
    const standard = (await put(reader, { intervalMinutes: null })).schedule;
    expect(standard).toMatchObject({ enabled: true, intervalMinutes: 60 });
    expect(inMinutes(Date.parse(standard.nextRunAt ?? ''))).toBeLessThan(60.1);
    // The same again changes nothing.
    expect((await put(reader, { intervalMinutes: null, enabled: true })).schedule).toEqual(standard);
  });

  it.each([
    [{}, 'enabled'],
    [{ intervalMinutes: 4 }, 'intervalMinutes'],
    [{ intervalMinutes: 10_081 }, 'intervalMinutes'],
    [{ intervalMinutes: 7.5 }, 'intervalMinutes'],
    [{ intervalMinutes: '60' }, 'intervalMinutes'],
    [{ enabled: 'yes' }, 'enabled'],
    [{ enabled: null }, 'enabled'],
    [{ cron: '* * * * *' }, 'cron'],
  ])('refuses %j, naming the field', async (body, field) => {
    const reader = await someone();
    const { status, body: answer } = await put(reader, body);
    expect([status, answer.code, answer.errors[0].field]).toEqual([400, 'VALIDATION_FAILED', field]);
  });

  it('begins nothing by itself where the service does not, but for who asks for it with an interval', async () => {
    const [reader, asking] = [await someone(), await someone()];
    await stage.sql('DELETE FROM sync_schedule');
    await tick(off);
    expect(await stage.sql('SELECT 1 FROM sync_schedule')).toEqual([]);
    const look = (of: Reader) => off.http.get(`${API}/sync`).set(off.asService).query({ userId: of.userId });
    expect((await look(reader)).body.nextRunAt).toBeNull();
    const without = await put(asking, { enabled: true }, off);
    expect([without.status, without.body.errors[0].field]).toEqual([400, 'intervalMinutes']);
    expect((await put(asking, { enabled: true, intervalMinutes: 15 }, off)).schedule.intervalMinutes).toBe(15);
    await dueNow(asking);
    await tick(off);
    expect([(await runs(asking)).length, (await runs(reader)).length]).toEqual([1, 0]);
    // A connection that goes by the service's own interval stops with it.
    await put(reader, { enabled: false });
    await stage.sql(`UPDATE sync_schedule SET enabled = true, next_run_at = now() WHERE user_id = $1`, [reader.userId]);
    await tick(off);
    expect(await runs(reader)).toEqual([]);
  });

  it('does not begin all at once where connections were there before', async () => {
    const readers = await Promise.all(Array.from({ length: 8 }, () => someone()));
    const users = readers.map(({ userId }) => userId);
    await stage.sql(`UPDATE connection SET connected_at = now() - interval '2 days' WHERE user_id = ANY($1)`, [users]);
    await tick();
    const [row] = await stage.sql<{ spread: number; soon: number }>(
      `SELECT extract(epoch FROM max(next_run_at) - min(next_run_at))::float8 AS spread,
         count(*) FILTER (WHERE next_run_at <= now())::int AS soon FROM sync_schedule WHERE user_id = ANY($1)`,
      [users],
    );
    expect(row?.soon).toBe(0);
    expect(row?.spread).toBeGreaterThan(600);
  });

  describe('and what it looks after', () => {
    it('puts a run on the queue again whose job was lost', async () => {
      const reader = await someone();
      await stage.app.http.post(`${API}/sync`).set(stage.app.asService).send({ userId: reader.userId }).expect(202);
      const jobs = () =>
        stage.sql(`SELECT 1 FROM pgboss.job WHERE name = 'sync' AND (data->>'userId')::int = $1`, [reader.userId]);
      await stage.sql(`DELETE FROM pgboss.job WHERE name = 'sync' AND (data->>'userId')::int = $1`, [reader.userId]);
      expect(await jobs()).toEqual([]);
      await tick();
      expect(await jobs()).toHaveLength(1);
    });

    it('tells of failed, partial and overdue synchronisation, each once, in the log where no address is given', async () => {
      const reader = await someone();
      await tick();
      // Nest has one logger a process: that of the service made last.
      const logged = () => [stage.app, second, off].flatMap(({ logs }) => logs.entries);
      const alerts = () =>
        logged()
          .filter((entry) => entry['connectionId'] === reader.connectionId && /^alert:/.test(String(entry['msg'])))
          .map((entry) => entry['type']);
      await stage.sql(
        `INSERT INTO sync_run (user_id, id, connection_id, mode, trigger, status, resources, error_code, finished_at)
         VALUES ($1, gen_random_uuid(), $2, 'full', 'api', 'failed', '{lists}', 'KLAVIYO_UNAVAILABLE', now())`,
        [reader.userId, reader.connectionId],
      );
      await tick();
      await tick();
      expect(alerts()).toEqual(['sync.failed']);
      await stage.sql(`UPDATE sync_schedule SET since = now() - interval '4 hours' WHERE user_id = $1`, [
        reader.userId,
      ]);
      await tick();
      await tick();
      expect(alerts()).toEqual(['sync.failed', 'sync.overdue']);
      expect(JSON.stringify(logged())).toContain('(KLAVIYO_UNAVAILABLE)');
    });

    it('tells those who are to be told when it is over, and when the connection is gone', async () => {
      const [reader, leaving] = [await someone(), await someone()];
      const alerting = await startApp({
        klaviyoUrl: stage.sandbox.url,
        database: stage.app.database,
        // Nobody listens there: what is to be told waits in the database.
        env: { ...CALLERS, ALERT_WEBHOOK_URL: 'http://127.0.0.1:9/' },
      });
      const ended = (of: Reader, status: string) =>
        stage.sql(
          `INSERT INTO sync_run (user_id, id, connection_id, mode, trigger, status, resources, finished_at)
           VALUES ($1, gen_random_uuid(), $2, 'full', 'api', $3, '{lists}', now())`,
          [of.userId, of.connectionId, status],
        );
      const incidents = (of: Reader, isOver: boolean) =>
        until(
          () =>
            stage.sql<{ type: string; severity: string; over: boolean }>(
              `SELECT type, severity, resolved_at IS NOT NULL AS over FROM alert_incident WHERE connection_id = $1`,
              [of.connectionId],
            ),
          (rows) => rows.length === 1 && rows[0]?.over === isOver,
        );
      try {
        await ended(reader, 'partial');
        await ended(leaving, 'failed');
        await tick(alerting);
        expect(await incidents(reader, false)).toMatchObject([{ type: 'sync.failed', severity: 'warning' }]);
        expect(await incidents(leaving, false)).toMatchObject([{ type: 'sync.failed', severity: 'error' }]);
        await ended(reader, 'succeeded');
        await tick(alerting);
        await incidents(reader, true);
        await alerting.http
          .delete(`${API}/connect`)
          .set(alerting.asService)
          .query({ userId: leaving.userId })
          .expect(200);
        await incidents(leaving, true);
      } finally {
        await alerting.stop();
      }
    });

    it('shows how old the mirrors are as metrics, whoever’s they are', async () => {
      const [reader, other] = [await someone(), await someone()];
      for (const [of, hours, rows] of [
        [reader, 5, 70],
        [other, 1, 8],
      ] as const)
        await stage.sql(
          `INSERT INTO mirror_state (user_id, connection_id, resource, complete_at, synced_at, live_rows)
           VALUES ($1, $2, 'segments', now(), now() - make_interval(hours => $3), $4)`,
          [of.userId, of.connectionId, hours, rows],
        );
      // One that was not asked within the last seconds.
      const asked = await startApp({ klaviyoUrl: stage.sandbox.url, database: stage.app.database, env: CALLERS });
      try {
        const { text } = await asked.http.get('/metrics').expect(200);
        const value = (series: string) => Number(text.split(`${series} `)[1]?.split('\n', 1)[0]);
        expect(value('klaviyo_mirror_lag_seconds{resource="segments"}')).toBeGreaterThanOrEqual(18_000);
        expect(value('klaviyo_mirror_late_connections{resource="segments"}')).toBe(1);
        expect(value('klaviyo_mirror_rows{resource="segments"}')).toBe(78);
        expect(value('klaviyo_sync_open_runs{status="queued"}')).toBeGreaterThanOrEqual(1);
        expect(text).not.toContain(reader.connectionId);
      } finally {
        await asked.stop();
      }
    });

    it('removes the log after 7 days, and runs after 90 but for the newest 20', async () => {
      const reader = await someone();
      await stage.sql(
        `INSERT INTO sync_run (user_id, id, connection_id, mode, trigger, status, resources, created_at, finished_at)
         SELECT $1, gen_random_uuid(), $2, 'full', 'api', 'failed', '{lists}', at, at
         FROM (SELECT now() - make_interval(days => n * 5) AS at FROM generate_series(1, 30) n) AS times`,
        [reader.userId, reader.connectionId],
      );
      await stage.sql(
        `INSERT INTO sync_page (user_id, sync_id, resource, part, window_no, rows, ms, waited_ms)
         SELECT user_id, id, 'lists', 'all', 1, 1, 1, 0 FROM sync_run WHERE user_id = $1`,
        [reader.userId],
      );
      await stage.sql(
        `INSERT INTO sync_window (user_id, sync_id, resource, part, window_no, divisible)
         SELECT user_id, id, 'lists', 'all', 1, false FROM sync_run WHERE user_id = $1`,
        [reader.userId],
      );
      // A clock that is an hour on is due to clean up, whatever the one before did.
      const later = await startApp({
        klaviyoUrl: stage.sandbox.url,
        database: stage.app.database,
        env: CALLERS,
        clock: new Later(),
      });
      try {
        await tick(later);
      } finally {
        await later.stop();
      }
      const kept = await stage.sql<{ days: number; pages: number; windows: number }>(
        `SELECT round(extract(epoch FROM now() - r.finished_at) / 86400)::int AS days,
           (SELECT count(*)::int FROM sync_page p WHERE p.user_id = r.user_id AND p.sync_id = r.id) AS pages,
           (SELECT count(*)::int FROM sync_window w WHERE w.user_id = r.user_id AND w.sync_id = r.id) AS windows
         FROM sync_run r WHERE user_id = $1 ORDER BY finished_at DESC`,
        [reader.userId],
      );
      // The 20 newest are of 5 to 100 days ago; older ones are over 90 days old anyway.
      expect(kept.map(({ days }) => days)).toEqual(Array.from({ length: 20 }, (_, index) => (index + 1) * 5));
      expect(kept.slice(0, 2).map(({ pages, windows }) => [pages, windows])).toEqual([
        [1, 0],
        [0, 1],
      ]);
    });
  });
});

/** An hour and a minute on. */
class Later extends Clock {
  override now(): number {
    return Date.now() + 3_660_000;
  }
}

describe('the mirror of a connection that is gone', () => {
  let stage: ReadsStage;
  beforeAll(async () => {
    stage = await openStage();
  });
  afterAll(async () => {
    await stage.stop();
  });

  it('is removed to the last row, and that of others is not', async () => {
    const [gone, stays] = [
      await stage.connect(1, { profiles: 30, lists: [{ name: 'A', members: 5 }], events: 40 }),
      await stage.connect(2, { profiles: 10 }),
    ];
    const tables = await stage.sql<{ name: string }>(
      `SELECT table_name AS name FROM information_schema.columns
       WHERE table_schema = 'public' AND column_name = 'connection_id'
         AND table_name NOT IN ('klaviyo_usage', 'alert_incident')`,
    );
    const rows = async (reader: Reader) => {
      let count = 0;
      for (const { name } of tables)
        count += (await stage.sql(`SELECT 1 FROM "${name}" WHERE connection_id = $1`, [reader.connectionId])).length;
      return count;
    };
    for (const { userId } of [gone, stays]) {
      const { body } = await stage.app.http.post(`${API}/sync`).set(stage.app.asService).send({ userId });
      await until(
        async () =>
          (await stage.sql<{ status: string }>('SELECT status FROM sync_run WHERE id = $1', [body.sync.id]))[0],
        (run) => run?.status === 'succeeded',
        60_000,
      );
    }
    expect(await rows(gone)).toBeGreaterThan(60);
    const before = await rows(stays);
    await stage.app.http.delete(`${API}/connect`).set(stage.app.asService).query({ userId: 1 }).expect(200);
    await until(
      () => rows(gone),
      (left) => left === 0,
    );
    expect(await rows(stays)).toBe(before);
  });

  it('is removed although the job was lost: the clock finds it', async () => {
    const reader = await stage.connect(3, {});
    await stage.sql(
      `INSERT INTO mirror_erasure (user_id, connection_id, requested_at) VALUES (3, $1, now() - interval '6 minutes')`,
      [reader.connectionId],
    );
    await stage.app.app.get(SyncTickJob, { strict: false }).run();
    await until(
      () => stage.sql('SELECT 1 FROM mirror_erasure WHERE user_id = 3'),
      (left) => left.length === 0,
    );
  });
});

describe('a worker', () => {
  it('turns the clock every minute, and what is due is read without anybody asking', async () => {
    const stage = await openStage({ env: { SYNC_INTERVAL_MINUTES: '60' } });
    try {
      const reader = await stage.connect(1, { profiles: 20, lists: [{ name: 'A', members: 3 }] });
      expect(await stage.sql(`SELECT cron FROM pgboss.schedule WHERE name = 'sync-tick'`)).toEqual([
        { cron: '* * * * *' },
      ]);
      const jobs = stage.app.app.get(JobsService);
      const turn = async () => jobs.enqueue(QUEUES.syncTick, {}, { singletonKey: 'now' });
      await turn();
      await until(
        () => stage.sql('SELECT 1 FROM sync_schedule'),
        (rows) => rows.length === 1,
      );
      await stage.sql(`UPDATE sync_schedule SET next_run_at = now() - interval '1 second'`);
      await turn();
      const { sync } = await until(
        async () => (await reader.get('/sync')).body as { sync: { status: string; trigger: string } | null },
        (body) => body.sync?.status === 'succeeded',
        60_000,
      );
      expect(sync).toMatchObject({ trigger: 'schedule', mode: 'full', progress: { percent: 100 } });
      const mirrored = await reader.get('/get-lists');
      expect(mirrored.body).toMatchObject({ source: 'mirror', stale: false, lists: [{ name: 'A' }] });
    } finally {
      await stage.stop();
    }
  }, 120_000);
});
