import { setTimeout as wait } from 'node:timers/promises';
import { Drain } from '../../src/common/drain';
import { SyncRunsRepository } from '../../src/sync/sync-runs.repository';
import { startApp, type RunningApp } from '../support/app';
import { API, openStage, until, type Reader, type ReadsStage } from './reads-stage';

interface Event {
  name: string;
  id?: string;
  data: Record<string, unknown>;
}

/** Reads server-sent events as they come. */
class Listener {
  readonly events: Event[] = [];
  comments = 0;
  /** Resolves when the other side ends the stream. */
  readonly ended: Promise<void>;
  isEnded = false;
  private readonly stop: AbortController;

  private constructor(
    readonly answer: Response,
    stop: AbortController,
  ) {
    this.stop = stop;
    this.ended = this.read().then(
      () => {
        this.isEnded = true;
      },
      () => undefined,
    );
  }

  static async open(url: string, headers: Record<string, string>): Promise<Listener> {
    const stop = new AbortController();
    return new Listener(await fetch(url, { headers, signal: stop.signal }), stop);
  }

  /** Hangs up. */
  close(): void {
    this.stop.abort();
  }

  private async read(): Promise<void> {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of this.answer.body ?? []) {
      text += decoder.decode(chunk as Uint8Array, { stream: true });
      const blocks = text.split('\n\n');
      text = blocks.pop() ?? '';
      for (const block of blocks) this.take(block);
    }
  }

  private take(block: string): void {
    if (block.startsWith(':')) this.comments += 1;
    const lines = new Map(block.split('\n').map((line) => [line.split(': ', 1)[0], line.replace(/^\w+: /, '')]));
    const [name, data, id] = [lines.get('event'), lines.get('data'), lines.get('id')];
    if (name !== undefined && data !== undefined)
      this.events.push({ name, data: JSON.parse(data) as Event['data'], ...(id === undefined ? {} : { id }) });
  }
}

describe('the stream of a run', () => {
  let stage: ReadsStage;
  let user = 700;
  const open: Listener[] = [];
  beforeAll(async () => {
    stage = await openStage({ env: { ROLE: 'api' } });
  });
  afterAll(async () => {
    await stage.stop();
  });
  afterEach(() => {
    jest.restoreAllMocks();
    for (const listener of open.splice(0)) listener.close();
  });

  async function begun(): Promise<{ reader: Reader; id: string }> {
    const reader = await stage.connect(++user, {});
    const { body } = await stage.app.http.post(`${API}/sync`).set(stage.app.asService).send({ userId: reader.userId });
    return { reader, id: body.sync.id as string };
  }
  async function listen(
    { reader, id }: { reader: Reader; id: string },
    headers: Record<string, string> = {},
    app: RunningApp = stage.app,
  ): Promise<Listener> {
    const url = `${app.url}${API}/sync/${id}/stream?userId=${reader.userId}`;
    const listener = await Listener.open(url, { ...app.asService, 'accept-language': 'en', ...headers });
    open.push(listener);
    return listener;
  }
  const set = (id: string, columns: string) => stage.sql(`UPDATE sync_run SET ${columns} WHERE id = $1`, [id]);
  const seen = (listener: Listener, isSo: (events: Event[]) => boolean) =>
    until(() => Promise.resolve(listener.events), isSo);
  const slots = (reader: Reader) => stage.sql('SELECT 1 FROM sync_stream_slot WHERE user_id = $1', [reader.userId]);

  it('tells the run as it is, each change of it, and its end', async () => {
    const run = await begun();
    const listener = await listen(run);
    expect(listener.answer.status).toBe(200);
    expect(listener.answer.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(listener.answer.headers.get('cache-control')).toBe('no-store');
    await seen(listener, (events) => events.length === 1);
    const { body } = await run.reader.get(`/sync/${run.id}`);
    expect(listener.events[0]).toEqual({ name: 'sync', id: expect.any(String), data: body.sync });
    await set(run.id, `status = 'running', started_at = now()`);
    await seen(listener, (events) => events.length === 2);
    expect(listener.events[1]).toMatchObject({ name: 'sync', data: { status: 'running' } });
    await set(run.id, `status = 'succeeded', finished_at = now()`);
    await listener.ended;
    expect(listener.events.slice(2)).toMatchObject([
      { name: 'sync', data: { status: 'succeeded' } },
      { name: 'end', data: { id: run.id, status: 'succeeded' } },
    ]);
    expect(new Set(listener.events.map(({ id }) => id)).size).toBe(4);
    await until(
      () => slots(run.reader),
      (rows) => rows.length === 0,
    );
  });

  it('ends at once for a run that is over', async () => {
    const run = await begun();
    await set(run.id, `status = 'cancelled', finished_at = now()`);
    const listener = await listen(run);
    await listener.ended;
    expect(listener.events.map(({ name }) => name)).toEqual(['sync', 'end']);
  });

  it('does not tell again what Last-Event-ID names', async () => {
    const run = await begun();
    const first = await listen(run);
    await seen(first, (events) => events.length === 1);
    const headers = { 'last-event-id': first.events[0]?.id ?? '' };
    const second = await listen(run, headers);
    await set(run.id, `status = 'running', started_at = now()`);
    await seen(second, (events) => events.length > 0);
    expect(second.events.map(({ data }) => data['status'])).toEqual(['running']);
    await set(run.id, `status = 'failed', finished_at = now()`);
    await second.ended;
    const third = await listen(run, { 'last-event-id': second.events.at(-2)?.id ?? '' });
    await third.ended;
    expect(third.events.map(({ name }) => name)).toEqual(['end']);
  });

  it('is the same on every replica, with the same ids', async () => {
    const run = await begun();
    const other = await startApp({
      klaviyoUrl: stage.sandbox.url,
      database: stage.app.database,
      env: { ROLE: 'api' },
    });
    try {
      const [here, there] = [await listen(run), await listen(run, {}, other)];
      await set(run.id, `status = 'running', started_at = now()`);
      for (const listener of [here, there])
        await seen(listener, (events) => events.some(({ data }) => data['status'] === 'running'));
      expect(there.events.at(-1)).toEqual(here.events.at(-1));
    } finally {
      await other.stop();
    }
  });

  it('may be open five times a user, on all replicas together; who hangs up makes room', async () => {
    const run = await begun();
    const other = await startApp({
      klaviyoUrl: stage.sandbox.url,
      database: stage.app.database,
      env: { ROLE: 'api' },
    });
    try {
      const five = await Promise.all([1, 2, 3, 4, 5].map((n) => listen(run, {}, n % 2 ? stage.app : other)));
      expect(five.map(({ answer }) => answer.status)).toEqual([200, 200, 200, 200, 200]);
      for (const app of [stage.app, other]) {
        const sixth = await listen(run, {}, app);
        expect([sixth.answer.status, sixth.answer.headers.get('retry-after')]).toEqual([429, '15']);
      }
      expect((await listen(await begun())).answer.status).toBe(200);
      five[1]?.close();
      await until(
        async () => (await listen(run)).answer.status,
        (status) => status === 200,
      );
    } finally {
      await other.stop();
    }
  });

  it('asks the database once a second, however many watch', async () => {
    const run = await begun();
    const looked = jest.spyOn(SyncRunsRepository.prototype, 'one');
    const five = await Promise.all([1, 2, 3, 4, 5].map(() => listen(run)));
    const from = Date.now();
    looked.mockClear();
    await wait(3_200);
    const seconds = (Date.now() - from) / 1000;
    expect(looked.mock.calls.length).toBeGreaterThanOrEqual(1);
    expect(looked.mock.calls.length).toBeLessThanOrEqual(Math.ceil(seconds) + 1);
    for (const listener of five) listener.close();
    // Nobody watches: nobody asks.
    await until(
      () => slots(run.reader),
      (rows) => rows.length === 0,
    );
    looked.mockClear();
    await wait(1_500);
    expect(looked.mock.calls.filter(([, , id]) => id === run.id)).toEqual([]);
  });

  it('ends when the connection is removed', async () => {
    const run = await begun();
    const listener = await listen(run);
    await seen(listener, (events) => events.length === 1);
    await stage.app.http
      .delete(`${API}/connect`)
      .set(stage.app.asService)
      .query({ userId: run.reader.userId })
      .expect(200);
    await listener.ended;
    expect(listener.events.at(-1)).toEqual({ name: 'end', data: { id: run.id, status: null } });
  });

  it('ends without a word when the service stops, so that who watches goes on elsewhere', async () => {
    const app = await startApp({ klaviyoUrl: stage.sandbox.url, database: stage.app.database, env: { ROLE: 'api' } });
    try {
      const run = await begun();
      const listener = await listen(run, {}, app);
      await seen(listener, (events) => events.length === 1);
      app.app.get(Drain).begin();
      await listener.ended;
      expect(listener.isEnded).toBe(true);
      expect(listener.events.map(({ name }) => name)).toEqual(['sync']);
      const late = await listen(run, {}, app);
      expect([late.answer.status, late.answer.headers.get('retry-after')]).toEqual([503, '5']);
    } finally {
      await app.stop();
    }
  });

  it('goes on when the database was away for a moment', async () => {
    const run = await begun();
    const listener = await listen(run);
    await seen(listener, (events) => events.length === 1);
    await stage.sql(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
       WHERE datname = current_database() AND pid <> pg_backend_pid()`,
    );
    await set(run.id, `status = 'running', started_at = now()`);
    await seen(listener, (events) => events.length === 2);
  });

  it('says every 15 seconds that it is alive, and keeps its place by that', async () => {
    const run = await begun();
    const listener = await listen(run);
    await seen(listener, (events) => events.length === 1);
    await stage.sql(`UPDATE sync_stream_slot SET leased_until = now() + interval '30 seconds' WHERE user_id = $1`, [
      run.reader.userId,
    ]);
    const until45 = () =>
      stage.sql(`SELECT 1 FROM sync_stream_slot WHERE user_id = $1 AND leased_until > now() + interval '45 seconds'`, [
        run.reader.userId,
      ]);
    await until(until45, (rows) => rows.length === 1, 25_000);
    await until(
      () => Promise.resolve(listener.comments),
      (comments) => comments === 1,
    );
  });

  it('answers HEAD without holding anything open', async () => {
    const run = await begun();
    const answer = await fetch(`${stage.app.url}${API}/sync/${run.id}/stream?userId=${run.reader.userId}`, {
      method: 'HEAD',
      headers: stage.app.asService,
    });
    expect(answer.status).toBe(200);
    await until(
      () => slots(run.reader),
      (rows) => rows.length === 0,
    );
  });

  it('takes the caller’s token in the header only, and no parameter that it does not know', async () => {
    const { reader, id } = await begun();
    const path = `${stage.app.url}${API}/sync/${id}/stream?userId=${reader.userId}`;
    const token = await stage.app.tokenFor(reader.userId);
    for (const query of [`&access_token=${token}`, `&token=${token}`, ''])
      expect((await fetch(path + query)).status).toBe(401);
    const unknown = await fetch(`${path}&token=${token}`, { headers: stage.app.asService });
    expect(unknown.status).toBe(400);
    const mine = await Listener.open(`${stage.app.url}${API}/sync/${id}/stream`, { authorization: `Bearer ${token}` });
    open.push(mine);
    await seen(mine, (events) => events.length === 1);
  });
});

describe('the stream of a run at work', () => {
  it('follows it to its end', async () => {
    const stage = await openStage();
    try {
      const reader = await stage.connect(1, { profiles: 300, lists: [{ name: 'A', members: 20 }] });
      const { body } = await stage.app.http
        .post(`${API}/sync`)
        .set(stage.app.asService)
        .send({ userId: 1, resources: ['memberships', 'profiles'] });
      const listener = await Listener.open(`${stage.app.url}${API}/sync/${body.sync.id as string}/stream?userId=1`, {
        ...stage.app.asService,
      });
      await listener.ended;
      expect(listener.events.at(-1)).toEqual({ name: 'end', data: { id: body.sync.id, status: 'succeeded' } });
      const { sync } = (await reader.get(`/sync/${body.sync.id as string}`)).body;
      expect(listener.events.at(-2)?.data).toEqual(sync);
      expect(sync).toMatchObject({ status: 'succeeded', progress: { percent: 100 }, error: null });
      const fetched = (sync.progress.resources as { resource: string; fetched: number; requests: number }[]).map(
        ({ resource, fetched: rows }) => [resource, rows > 0],
      );
      expect(fetched).toEqual([
        ['lists', true],
        ['segments', false],
        ['profiles', true],
        ['memberships', true],
      ]);
      expect((await reader.get('/sync')).body.lastSuccessAt).toBe(sync.finishedAt);
      const { logs } = (await reader.get(`/sync/${body.sync.id as string}/logs`, { resource: 'profiles' })).body;
      const total = (logs as { rows: number }[]).reduce((sum, { rows }) => sum + rows, 0);
      expect(total).toBeGreaterThanOrEqual(300);
      const again = await stage.app.http
        .post(`${API}/sync`)
        .set(stage.app.asService)
        .send({ userId: 1, resources: ['lists'] });
      expect(again.body.estimate).toMatchObject({ requests: expect.any(Number), minutes: expect.any(Number) });
    } finally {
      await stage.stop();
    }
  });
});
