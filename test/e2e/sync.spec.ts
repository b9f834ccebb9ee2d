import type { Response } from 'supertest';
import { API, openStage, type Query, type Reader, type ReadsStage } from './reads-stage';

const ALL = ['lists', 'segments', 'profiles', 'memberships', 'campaigns', 'metrics', 'events'];
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}$/;
const UNKNOWN = '0190c7a0-0000-7000-8000-000000000001';

/** Callers alone: nobody works the queue off, so that each run stays as the spec leaves it. */
describe('synchronisation, asked for and looked at', () => {
  let stage: ReadsStage;
  let user = 300;
  beforeAll(async () => {
    stage = await openStage({ env: { ROLE: 'api' } });
  });
  afterAll(async () => {
    await stage.stop();
  });

  const someone = () => stage.connect(++user, { lists: 1 });
  const post = (reader: Reader, path: string, body: object = {}): Promise<Response> =>
    Promise.resolve(
      stage.app.http
        .post(`${API}${path}`)
        .set({ ...stage.app.asService, 'Accept-Language': 'en' })
        .send({ userId: reader.userId, ...body }),
    );
  const start = async (reader: Reader, body: object = {}) => {
    const { status, body: answer } = await post(reader, '/sync', body);
    expect(status).toBe(202);
    return answer as { sync: { id: string }; alreadyRunning?: true };
  };
  const set = (id: string, columns: string, ...params: unknown[]) =>
    stage.sql(`UPDATE sync_run SET ${columns} WHERE id = $1`, [id, ...params]);
  const runs = (reader: Reader) =>
    stage.sql<{ id: string; status: string; mode: string; resources: string[] }>(
      'SELECT id, status, mode, resources FROM sync_run WHERE user_id = $1 ORDER BY created_at',
      [reader.userId],
    );

  it('begins as a run that waits, with its job, in the shape that is promised', async () => {
    const reader = await someone();
    const { status, body } = await post(reader, '/sync');
    expect(status).toBe(202);
    const none = { fetched: 0, upserted: 0, deleted: 0, pages: 0, requests: 0, throttled: 0, waitedMs: 0, error: null };
    expect(body).toEqual({
      success: true,
      sync: {
        id: expect.stringMatching(UUID),
        connectionId: reader.connectionId,
        mode: 'full',
        status: 'queued',
        trigger: 'api',
        createdAt: expect.stringMatching(/Z$/),
        startedAt: null,
        finishedAt: null,
        progress: { percent: 0, resources: ALL.map((resource) => ({ resource, status: 'pending', ...none })) },
        quota: { floorSeconds: null, percentOfFloor: null },
        error: null,
      },
      estimate: body.estimate,
    });
    const jobs = await stage.sql<{ data: object }>(
      `SELECT data FROM pgboss.job WHERE name = 'sync' AND data->>'syncId' = $1`,
      [body.sync.id],
    );
    expect(jobs).toEqual([{ data: { userId: reader.userId, syncId: body.sync.id } }]);
    expect((await reader.get(`/sync/${body.sync.id as string}`)).body).toEqual({ success: true, sync: body.sync });
  });

  it('is answered with the run under way where that reads as much, and more', async () => {
    const reader = await someone();
    const first = await start(reader, { resources: ['lists', 'events'] });
    expect(first.alreadyRunning).toBeUndefined();
    for (const body of [
      { resources: ['events', 'lists'] },
      { resources: ['lists'] },
      { resources: ['events'], mode: 'incremental' },
    ]) {
      const again = await start(reader, body);
      expect(again.alreadyRunning).toBe(true);
      expect(again.sync.id).toBe(first.sync.id);
      await set(first.sync.id, `status = 'running', started_at = now()`);
    }
    expect(await runs(reader)).toHaveLength(1);
  });

  it('is queued behind the run under way where it wants more, and whoever wants more still widens that', async () => {
    const reader = await someone();
    const first = await start(reader, { resources: ['lists'], mode: 'incremental' });
    await set(first.sync.id, `status = 'running', started_at = now()`);
    const behind = await start(reader, { resources: ['lists'], mode: 'full' });
    expect(behind.sync.id).not.toBe(first.sync.id);
    expect(behind.alreadyRunning).toBeUndefined();
    const wider = await start(reader, { resources: ['metrics'], mode: 'incremental' });
    expect(wider.sync).toMatchObject({ id: behind.sync.id, status: 'queued', mode: 'full' });
    expect(await runs(reader)).toMatchObject([
      { id: first.sync.id, status: 'running', mode: 'incremental', resources: ['lists'] },
      { id: behind.sync.id, status: 'queued', mode: 'full', resources: ['lists', 'metrics'] },
    ]);
    expect((await start(reader, { resources: ['metrics'] })).alreadyRunning).toBe(true);
  });

  it('is not answered with a run that is being cancelled', async () => {
    const reader = await someone();
    const first = await start(reader);
    await set(first.sync.id, `status = 'running', started_at = now()`);
    await post(reader, `/sync/${first.sync.id}/cancel`);
    const next = await start(reader);
    expect(next.sync.id).not.toBe(first.sync.id);
  });

  it('is one run, however many ask at once', async () => {
    const reader = await someone();
    const answers = await Promise.all(Array.from({ length: 50 }, () => start(reader)));
    expect(new Set(answers.map(({ sync }) => sync.id)).size).toBe(1);
    expect(answers.filter(({ alreadyRunning }) => !alreadyRunning)).toHaveLength(1);
    expect(await runs(reader)).toHaveLength(1);
  });

  it('comes to one wide run when fifty ask for different things at once', async () => {
    const reader = await someone();
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        start(reader, { resources: [ALL[index % 7]], mode: index % 2 ? 'full' : 'incremental' }),
      ),
    );
    expect(new Set(answers.map(({ sync }) => sync.id)).size).toBe(1);
    expect(await runs(reader)).toMatchObject([{ status: 'queued', mode: 'full', resources: ALL }]);
  });

  it('reads lists and segments with memberships', async () => {
    const reader = await someone();
    const { sync } = await start(reader, { resources: ['memberships'] });
    expect(sync).toMatchObject({
      progress: { resources: [{ resource: 'lists' }, { resource: 'segments' }, { resource: 'memberships' }] },
    });
  });

  it('is refused once Klaviyo refused the key', async () => {
    const reader = await someone();
    await stage.sql(`UPDATE connection SET status = 'invalid' WHERE user_id = $1`, [reader.userId]);
    const { status, body } = await post(reader, '/sync');
    expect([status, body.code]).toEqual([401, 'KLAVIYO_KEY_INVALID']);
    expect(await runs(reader)).toEqual([]);
  });

  it.each([
    [{ resources: [] }, 'resources'],
    [{ resources: ['lists', 'lists'] }, 'resources'],
    [{ resources: ['everything'] }, 'resources'],
    [{ resources: 'lists' }, 'resources'],
    [{ resources: [7] }, 'resources'],
    [{ mode: 'fast' }, 'mode'],
    [{ since: '2026-01-01' }, 'since'],
    [{ connectionId: 'mine' }, 'connectionId'],
  ])('refuses %j, naming the field', async (body, field) => {
    const reader = await someone();
    const answer = await post(reader, '/sync', body);
    expect([answer.status, answer.body.code, answer.body.errors[0].field]).toEqual([400, 'VALIDATION_FAILED', field]);
    expect(await runs(reader)).toEqual([]);
  });

  it('is cancelled at once while it waits, asked to end while it runs, and a conflict when it is over', async () => {
    const reader = await someone();
    const { sync } = await start(reader);
    const waiting = await post(reader, `/sync/${sync.id}/cancel`);
    expect(waiting.status).toBe(202);
    expect(waiting.body.sync).toMatchObject({ status: 'cancelled', finishedAt: expect.stringMatching(/Z$/) });
    expect(waiting.body.sync.progress.resources[0].status).toBe('cancelled');
    const again = await post(reader, `/sync/${sync.id}/cancel`);
    expect([again.status, again.body.code]).toEqual([409, 'CONFLICT']);

    const next = await start(reader);
    await set(next.sync.id, `status = 'running', started_at = now()`);
    for (const time of ['first', 'again']) {
      const running = await post(reader, `/sync/${next.sync.id}/cancel`);
      expect([time, running.status, running.body.sync.status]).toEqual([time, 202, 'running']);
    }
    expect(
      await stage.sql('SELECT 1 FROM sync_run WHERE id = $1 AND cancel_requested_at IS NOT NULL', [next.sync.id]),
    ).toHaveLength(1);
  });

  it('knows no run of others, of another connection, or that never was', async () => {
    const [reader, other] = [await someone(), await someone()];
    const { sync } = await start(other);
    const second = await stage.sandbox.createAccount({ limits: 'huge' });
    const connected = await post(reader, '/connect', { privateApiKey: second.key });
    const own = await start(reader, { connectionId: connected.body.connection.id as string });
    for (const id of [sync.id, own.sync.id, UNKNOWN, 'latest'])
      for (const path of [`/sync/${id}`, `/sync/${id}/logs`, `/sync/${id}/stream`]) {
        const { status, body } = await reader.get(path);
        expect([path, status, body.code]).toEqual([path, 404, 'SYNC_NOT_FOUND']);
      }
    expect((await post(reader, `/sync/${sync.id}/cancel`)).body.code).toBe('SYNC_NOT_FOUND');
    expect((await reader.get('/sync', { syncId: sync.id })).body.code).toBe('SYNC_NOT_FOUND');
    const { connectionId } = other;
    expect((await reader.get(`/sync/${sync.id}`, { connectionId })).body.code).toBe('CONNECTION_NOT_FOUND');
    const named = await reader.get(`/sync/${own.sync.id}`, { connectionId: connected.body.connection.id as string });
    expect(named.status).toBe(200);
  });

  describe('GET /sync', () => {
    it('says that there was none', async () => {
      const reader = await someone();
      const { status, body } = await reader.get('/sync');
      expect(status).toBe(200);
      expect(body).toEqual({ success: true, sync: null, lastSuccessAt: null, nextRunAt: null, history: [] });
    });

    it('shows the latest run, or the one that is named, the newest twenty, and the last success', async () => {
      const reader = await someone();
      const ids: string[] = [];
      for (let at = 0; at < 22; at++) {
        const { sync } = await start(reader, { resources: ['lists'] });
        ids.unshift(sync.id);
        const [status, minutes] = [at === 20 ? 'succeeded' : 'failed', 100 - at];
        await set(
          sync.id,
          `status = $2, created_at = now() - make_interval(mins => $3), started_at = now(), finished_at = $4`,
          status,
          minutes,
          `2026-11-01T00:00:${String(at + 10)}Z`,
        );
      }
      const { body } = await reader.get('/sync');
      expect(body.sync).toEqual(body.history[0]);
      expect((body.history as { id: string }[]).map(({ id }) => id)).toEqual(ids.slice(0, 20));
      expect(body.lastSuccessAt).toBe('2026-11-01T00:00:30.000Z');
      const named = await reader.get('/sync', { syncId: ids[21]!.toUpperCase() });
      expect([named.body.sync.id, named.body.history.length]).toEqual([ids[21], 20]);
    });
  });

  it('says how far it is, what it cost, and why not, in the caller’s language', async () => {
    const reader = await someone();
    const { sync } = await start(reader, { resources: ['lists', 'profiles', 'campaigns'] });
    await set(sync.id, `status = 'running', started_at = '2026-11-01T00:00:00Z', floor_seconds = 29.96`);
    const resource = (name: string, status: string, fetched: number, expected: number | null, code: string | null) =>
      stage.sql(
        `INSERT INTO sync_resource (user_id, sync_id, resource, status, fetched, expected_rows, error_code, requests)
         VALUES ($1, $2, $3, $4, $5, $6, $7, 3)`,
        [reader.userId, sync.id, name, status, fetched, expected, code],
      );
    const look = async (language: string) =>
      (
        await stage.app.http
          .get(`${API}/sync/${sync.id}`)
          .query({ userId: reader.userId })
          .set({ ...stage.app.asService, 'Accept-Language': language })
      ).body.sync as Record<'progress' | 'error', { resources: { error: unknown }[] }>;
    await resource('lists', 'succeeded', 99, null, null);
    await resource('profiles', 'running', 199, 799, null);
    // Nobody knows yet how many campaigns there are.
    expect((await look('en')).progress).toMatchObject({ percent: null });
    await resource('campaigns', 'failed', 0, null, 'KLAVIYO_SCOPE_MISSING');
    expect((await look('en')).progress).toMatchObject({ percent: 24 });
    await set(sync.id, `status = 'partial', finished_at = '2026-11-01T00:01:00Z'`);
    const english = await look('en');
    expect(english).toMatchObject({ status: 'partial', quota: { floorSeconds: 30, percentOfFloor: 49.9 } });
    const errors = (shown: Awaited<ReturnType<typeof look>>) => shown.progress.resources.map(({ error }) => error);
    expect(errors(english)).toEqual([
      null,
      null,
      { code: 'KLAVIYO_SCOPE_MISSING', detail: expect.stringContaining('lacks a permission') },
    ]);
    expect(errors(await look('fr'))[2]).toMatchObject({ detail: expect.stringContaining('campaigns:read') });
    await set(sync.id, `status = 'failed', error_code = 'KLAVIYO_KEY_INVALID'`);
    expect((await look('fr')).error).toEqual({
      code: 'KLAVIYO_KEY_INVALID',
      detail: expect.stringContaining('Klaviyo'),
    });
  });

  describe('GET /sync/:id/logs', () => {
    let reader: Reader;
    let id: string;
    beforeAll(async () => {
      reader = await someone();
      id = (await start(reader)).sync.id;
      await stage.sql(
        `INSERT INTO sync_page (user_id, sync_id, at, resource, part, window_no, rows, upserted, ms, waited_ms)
         SELECT $1, $2, '2026-11-01T00:00:00Z'::timestamptz + n * interval '1 second',
           CASE WHEN n % 2 = 0 THEN 'lists' ELSE 'events' END, '=part', 1, n, nullif(n, 3), 20, 5
         FROM generate_series(1, 5) n`,
        [reader.userId, id],
      );
    });
    const walk = async (query: Query) => {
      const pages = await reader.walk(`/sync/${id}/logs`, 'logs', query);
      return pages.map((page) => page.map(({ rows }) => rows));
    };

    it('gives page after page, the newest first unless asked otherwise', async () => {
      const { status, body } = await reader.get(`/sync/${id}/logs`);
      expect(status).toBe(200);
      expect(body.pagination).toEqual({ limit: 50, nextCursor: null, total: 5 });
      expect(body.logs[2]).toEqual({
        at: '2026-11-01T00:00:03.000Z',
        resource: 'events',
        part: '=part',
        window: 1,
        rows: 3,
        upserted: null,
        quarantined: 0,
        ms: 20,
        waitedMs: 5,
      });
      expect(await walk({ limit: 2 })).toEqual([[5, 4], [3, 2], [1]]);
      expect(await walk({ limit: 2, order: 'oldest' })).toEqual([[1, 2], [3, 4], [5]]);
      expect(await walk({ resource: 'events', limit: 2 })).toEqual([[5, 3], [1]]);
    });

    it('gives them as a table, formulas disarmed', async () => {
      const { text, headers } = await stage.app.http
        .get(`${API}/sync/${id}/logs`)
        .query({ userId: reader.userId, limit: 1 })
        .set({ ...stage.app.asService, Accept: 'text/csv' });
      expect(text).toBe(
        'at,resource,part,window,rows,upserted,quarantined,ms,waitedMs\r\n' +
          "2026-11-01T00:00:05.000Z,events,'=part,1,5,5,0,20,5\r\n",
      );
      expect(headers['x-next-cursor']).toEqual(expect.any(String));
    });

    it('refuses a cursor of another order, filter or run', async () => {
      const { body } = await reader.get(`/sync/${id}/logs`, { limit: 2 });
      const cursor = body.pagination.nextCursor as string;
      const stranger = await someone();
      const other = (await start(stranger)).sync.id;
      for (const answer of [
        await reader.get(`/sync/${id}/logs`, { cursor, order: 'oldest' }),
        await reader.get(`/sync/${id}/logs`, { cursor, resource: 'events' }),
        await stranger.get(`/sync/${other}/logs`, { cursor }),
      ])
        expect([answer.status, answer.body.errors[0].field]).toEqual([400, 'cursor']);
    });
  });

  it('ends with the connection: runs, schedule and state go, and the rest of the mirror is left to a job', async () => {
    const reader = await someone();
    const { sync } = await start(reader);
    await stage.sql(
      `INSERT INTO mirror_state (user_id, connection_id, resource, complete_at, synced_at) VALUES ($1, $2, 'lists', now(), now())`,
      [reader.userId, reader.connectionId],
    );
    await stage.app.http
      .put(`${API}/sync/schedule`)
      .set(stage.app.asService)
      .send({ userId: reader.userId, intervalMinutes: 30 })
      .expect(200);
    await stage.app.http.delete(`${API}/connect`).set(stage.app.asService).query({ userId: reader.userId }).expect(200);
    for (const table of ['sync_run', 'sync_schedule', 'mirror_state'])
      expect(await stage.sql(`SELECT 1 FROM ${table} WHERE user_id = $1`, [reader.userId])).toEqual([]);
    const jobs = await stage.sql<{ data: object }>(
      `SELECT data FROM pgboss.job WHERE name = 'mirror-erase' AND singleton_key = $1`,
      [reader.connectionId],
    );
    expect(jobs).toEqual([{ data: { userId: reader.userId, connectionId: reader.connectionId } }]);
    expect(await stage.sql('SELECT 1 FROM mirror_erasure WHERE user_id = $1', [reader.userId])).toHaveLength(1);
    expect((await reader.get(`/sync/${sync.id}`)).body.code).toBe('CONNECTION_NOT_FOUND');
  });
});
