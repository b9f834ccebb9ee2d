import { setTimeout as wait } from 'node:timers/promises';
import { randomUUID } from 'node:crypto';
import { Client } from 'pg';
import { DataSource } from 'typeorm';
import { Metrics } from '../../src/observability/metrics';
import { startApp, type RunningApp } from '../support/app';
import { createDatabase } from '../support/database';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';

const BASE = '/api/v1/klaviyo';
const ADA = { email: 'ada@example.com' };

interface EventRow {
  id: string;
  status: string;
  attempts: number;
  lease: string | null;
  last_error: string | null;
  pause: number;
}

describe('the delivery of events', () => {
  let sandbox: Sandbox;
  let app: RunningApp;
  let account: SandboxAccount;
  let user = 3000;

  beforeAll(async () => {
    sandbox = await startSandbox();
    app = await startApp({ klaviyoUrl: sandbox.url, env: { KLAVIYO_TIMEOUT_MS: '1000' } });
  });

  afterAll(async () => {
    await app.stop();
    await sandbox.stop();
  });

  beforeEach(async () => {
    user++;
    account = await connected(user);
  });

  const post = (path: string, body: object, by = app) =>
    by.http.post(`${BASE}${path}`).set(by.asService).set('Accept-Language', 'en').send(body);
  const order = (uniqueId: string) => ({
    eventType: 'Placed Order',
    eventData: { OrderId: uniqueId },
    profile: ADA,
    uniqueId,
  });
  const trigger = (uniqueId: string, by = app, userId = user) =>
    post('/trigger-event', { userId, event: order(uniqueId) }, by);
  const received = (of = account) => sandbox.requests(of.id, 'createEvent');
  const query = async <T>(sql: string, params: unknown[] = [], by = app): Promise<T[]> =>
    by.app.get(DataSource).query(sql, params);
  const stored = (by = app, userId = user) =>
    query<EventRow>(
      `SELECT *, extract(epoch FROM next_attempt_at - now())::float8 AS pause FROM sent_event WHERE user_id = $1 ORDER BY id`,
      [userId],
      by,
    );
  const eventsAtKlaviyo = async (of = account) =>
    (await sandbox.control<{ events: { properties: Record<string, unknown> }[] }>('GET', `/accounts/${of.id}/events`))
      .events;
  const uniqueIdOf = (request: { body: unknown }) =>
    (request.body as { data: { attributes: { unique_id: string; time: string } } }).data.attributes;
  const down = (times: number | 'forever' = 1, preset = '503', of = account) =>
    sandbox.fault(of.id, { match: { operation: 'createEvent' }, preset, times });
  const makeDue = () =>
    query('UPDATE sent_event SET next_attempt_at = now() WHERE user_id = $1 AND lease IS NULL', [user]);
  const makeLate = () =>
    query(`UPDATE sent_event SET next_attempt_at = now() + interval '1 hour' WHERE user_id = $1 AND lease IS NULL`, [
      user,
    ]);

  async function connected(userId: number, by = app): Promise<SandboxAccount> {
    const made = await sandbox.createAccount({ limits: 'huge' });
    expect((await post('/connect', { userId, privateApiKey: made.key }, by)).status).toBe(201);
    return made;
  }

  async function until<T>(what: string, read: () => Promise<T>, holds: (value: T) => boolean, ms = 15_000): Promise<T> {
    const deadline = Date.now() + ms;
    for (;;) {
      const value = await read();
      if (holds(value)) return value;
      if (Date.now() > deadline) throw new Error(`never: ${what}; last ${JSON.stringify(value)}`);
      await wait(50);
    }
  }
  const allSent = (by = app, userId = user) =>
    until(
      'all events are sent',
      () => stored(by, userId),
      (rows) => rows.every(({ status }) => status === 'sent'),
    );

  it('comes by itself after two seconds, with the same uniqueId and time, and arrives once', async () => {
    await down();
    const answer = await trigger('ORD-1');
    expect(answer.body.event).toMatchObject({ status: 'queued', attempts: 1, lastError: 'KLAVIYO_UNAVAILABLE' });
    await allSent();
    const [first, second, ...more] = await received();
    expect(more).toEqual([]);
    expect(second?.body).toEqual(first?.body);
    expect(Date.parse(second!.at) - Date.parse(first!.at)).toBeGreaterThanOrEqual(1900);
    expect(await eventsAtKlaviyo()).toHaveLength(1);
    const view = await app.http.get(`${BASE}/events/${answer.body.event.id}?userId=${user}`).set(app.asService);
    expect(view.body.event).toMatchObject({ status: 'sent', attempts: 2, lastError: null, sentAt: expect.any(String) });
    expect(JSON.stringify(await stored())).not.toContain('ada@example');
  });

  it('is kept once by Klaviyo even if its first answer got lost', async () => {
    await sandbox.fault(account.id, { match: { operation: 'createEvent' }, fault: { kind: 'applyThenReset' } });
    expect((await trigger('LOST')).body.event.status).toBe('queued');
    await allSent();
    expect((await received()).map((request) => uniqueIdOf(request).unique_id)).toEqual(['LOST', 'LOST']);
    expect(await eventsAtKlaviyo()).toHaveLength(1);
  });

  it('waits 2, 5, 10, 20 and 60 seconds, 5 minutes, then 15 minutes each time', async () => {
    await down('forever');
    await trigger('PLAN');
    const pauses: number[] = [];
    for (let attempts = 1; attempts <= 8; attempts++) {
      const [row] = await until(
        'the next attempt',
        () => stored(),
        ([only]) => only?.attempts === attempts && only.lease === null,
      );
      pauses.push(row!.pause);
      await makeDue();
    }
    [2, 5, 10, 20, 60, 300, 900, 900].forEach((planned, index) => {
      expect(pauses[index]).toBeLessThanOrEqual(planned);
      expect(pauses[index]).toBeGreaterThan(planned - 2);
    });
    await sandbox.clearFaults(account.id);
    await makeDue();
    await allSent();
  });

  it('goes on at once for everything that waits when the account answers again', async () => {
    await down(5);
    for (let i = 0; i < 5; i++) expect((await trigger(`W${i}`)).body.event.status).toBe('queued');
    await makeLate();
    expect((await trigger('NOW')).body.event.status).toBe('sent');
    await allSent();
    expect(await eventsAtKlaviyo()).toHaveLength(6);
  });

  it('waits for a new key without burning attempts, then goes on at once', async () => {
    await down('forever');
    await trigger('BEFORE');
    // The second attempt may be under way already.
    const [waiting] = await until(
      'the event to wait',
      async () => [await makeLate(), await stored()] as const,
      ([, rows]) => rows.every(({ lease, pause }) => lease === null && pause > 60),
    ).then(([, rows]) => rows);
    const { attempts } = waiting!;
    await sandbox.patchAccount(account.id, { keys: [{ key: account.key, invalid: true }] });
    await sandbox.clearFaults(account.id);
    expect((await trigger('REFUSED')).status).toBe(401);
    await makeDue();
    const before = (await received()).length;
    await wait(1500);
    expect((await received()).length).toBe(before);
    expect(await stored()).toMatchObject([{ status: 'queued', attempts }]);
    await sandbox.patchAccount(account.id, { keys: [{ key: 'pk_anotherkey0123456789' }] });
    const answer = await post('/connect', { userId: user, privateApiKey: 'pk_anotherkey0123456789' });
    expect(answer.status).toBe(200);
    await allSent();
    expect(await stored()).toMatchObject([{ attempts: attempts + 1 }]);
    expect(await eventsAtKlaviyo()).toHaveLength(1);
  });

  it('does not burn an attempt when the key turns out to be refused on the way', async () => {
    await down(1);
    await trigger('KEY');
    await sandbox.patchAccount(account.id, { keys: [{ key: account.key, invalid: true }] });
    await makeDue();
    const [row] = await until(
      'the refusal',
      () => stored(),
      ([only]) => only?.last_error === 'KLAVIYO_KEY_INVALID',
    );
    expect(row).toMatchObject({ status: 'queued', attempts: 1, lease: null });
    const { body } = await app.http.get(`${BASE}/connect?userId=${user}`).set(app.asService);
    expect(body.connections[0].status).toBe('invalid');
  });

  it('ends as failed when Klaviyo refuses the event later', async () => {
    await down(1);
    const { body } = await trigger('BAD');
    await down(1, '400');
    await until(
      'failed',
      () => stored(),
      ([only]) => only?.status === 'failed',
    );
    const view = await app.http.get(`${BASE}/events/${body.event.id}?userId=${user}`).set(app.asService);
    expect(view.body.event).toMatchObject({
      status: 'failed',
      lastError: 'KLAVIYO_REJECTED',
      attempts: 2,
      sentAt: null,
    });
    expect(await received()).toHaveLength(2);
  });

  it('is given up after 24 hours, said in the log and the metrics', async () => {
    const dead = async () => {
      const { values } = await app.app.get(Metrics).events.get();
      return values.find(({ labels }) => labels.status === 'dead')?.value ?? 0;
    };
    const before = await dead();
    await down('forever');
    const { body } = await trigger('OLD');
    await query('UPDATE sent_event SET expires_at = now(), next_attempt_at = now() WHERE user_id = $1', [user]);
    await until(
      'dead',
      () => stored(),
      ([only]) => only?.status === 'dead',
    );
    expect(await dead()).toBe(before + 1);
    const line = app.logs.entries.find(
      (entry) => entry['msg'] === 'an event is dead' && entry['eventId'] === body.event.id,
    );
    expect(line).toMatchObject({ userId: user, code: 'KLAVIYO_UNAVAILABLE' });
    await makeDue();
    await wait(1200);
    expect(await stored()).toMatchObject([{ status: 'dead', attempts: 2 }]);
  });

  it('goes on from where a process was killed', async () => {
    await down(1);
    await trigger('KILLED');
    // As a process leaves it that dies between taking the event and writing down what came of it.
    await query(`UPDATE sent_event SET lease = $2, next_attempt_at = now() + interval '1 second' WHERE user_id = $1`, [
      user,
      randomUUID(),
    ]);
    await allSent();
    expect(await eventsAtKlaviyo()).toHaveLength(1);
  });

  it('does not make others wait behind an account that hangs', async () => {
    const slow = account;
    const slowUser = user;
    await down(40);
    for (let i = 0; i < 40; i++) await trigger(`S${i}`);
    await down('forever', 'hang-headers', slow);
    await query('UPDATE sent_event SET next_attempt_at = now() WHERE user_id = $1', [slowUser]);
    user++;
    account = await connected(user);
    await down(1);
    await trigger('QUICK');
    const begun = Date.now();
    await allSent();
    expect(Date.now() - begun).toBeLessThan(6000);
    await sandbox.clearFaults(slow.id);
    await allSent(app, slowUser);
    expect(await eventsAtKlaviyo(slow)).toHaveLength(40);
  });

  it('counts what waits', async () => {
    await down(1);
    await trigger('COUNTED');
    await makeLate();
    const difference = async () => {
      const [row] = await query<{ count: number }>(`SELECT count(*)::int FROM sent_event WHERE status = 'queued'`);
      const { values } = await app.app.get(Metrics).eventsWaiting.get();
      return (values[0]?.value ?? 0) - row!.count;
    };
    await until('the gauge says as many as there are', difference, (value) => value === 0, 20_000);
    await query('DELETE FROM sent_event');
    await until('the gauge is empty', difference, (value) => value === 0, 20_000);
  });

  it('never happens twice with two replicas at work', async () => {
    const database = await createDatabase();
    const two = [
      await startApp({ klaviyoUrl: sandbox.url, database }),
      await startApp({ klaviyoUrl: sandbox.url, database }),
    ] as const;
    try {
      const many = await connected(user, two[0]);
      await sandbox.patchAccount(many.id, { latencyMs: 30 });
      await down(60, '503', many);
      await Promise.all(Array.from({ length: 60 }, (_, i) => trigger(`R${i}`, two[i % 2 === 0 ? 0 : 1])));
      await sandbox.clearRequests(many.id);
      await query('UPDATE sent_event SET next_attempt_at = now() WHERE lease IS NULL', [], two[0]);
      await allSent(two[0]);
      const ids = (await received(many)).map((request) => uniqueIdOf(request).unique_id);
      expect(new Set(ids).size).toBe(60);
      expect(ids).toHaveLength(60);
    } finally {
      for (const replica of two) await replica.stop();
      await database.drop();
    }
  });

  it('gives back what a stopping process has not finished', async () => {
    const database = await createDatabase();
    const first = await startApp({ klaviyoUrl: sandbox.url, database, env: { KLAVIYO_TIMEOUT_MS: '9000' } });
    const mine = await connected(user, first);
    await down(1, '503', mine);
    await trigger('STOP', first);
    await sandbox.fault(mine.id, { match: { operation: 'createEvent' }, preset: 'hang-headers' });
    await until(
      'on its way',
      () => stored(first),
      ([only]) => only?.lease !== null,
    );
    const begun = Date.now();
    await first.stop();
    expect(Date.now() - begun).toBeLessThan(8_000);
    const second = await startApp({ klaviyoUrl: sandbox.url, database });
    try {
      expect(await stored(second)).toMatchObject([{ status: 'queued', lease: null, attempts: 1 }]);
      await allSent(second);
      expect(await eventsAtKlaviyo(mine)).toHaveLength(1);
    } finally {
      await second.stop();
      await database.drop();
    }
  });

  it('survives a database that is gone for a while', async () => {
    const database = await createDatabase();
    const own = await startApp({ klaviyoUrl: sandbox.url, database });
    const url = new URL(database.url);
    const name = url.pathname.slice(1);
    url.pathname = '/postgres';
    const admin = new Client({ connectionString: url.toString() });
    await admin.connect();
    try {
      const mine = await connected(user, own);
      await down(1, '503', mine);
      await trigger('GONE', own);
      await admin.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS false`);
      await admin.query('SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1', [name]);
      await until(
        'noticed',
        () => Promise.resolve(own.logs.text),
        (text) => text.includes('delivery of events is held up'),
      );
      await admin.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS true`);
      await allSent(own);
      expect(await eventsAtKlaviyo(mine)).toHaveLength(1);
    } finally {
      await admin.query(`ALTER DATABASE "${name}" ALLOW_CONNECTIONS true`);
      await admin.end();
      await own.stop();
      await database.drop();
    }
  });

  describe.each(['2023-10-15', '2025-01-15', '2026-07-15'])('under the base revision %s', (revision) => {
    let own: RunningApp;
    beforeAll(async () => {
      own = await startApp({ klaviyoUrl: sandbox.url, env: { KLAVIYO_API_REVISION: revision } });
    });
    afterAll(() => own.stop());

    it('sends a plain event under it, and what is younger under the oldest live one that has it', async () => {
      const mine = await connected(user, own);
      const event = { eventType: 'X', eventData: {}, profile: ADA };
      const answers = [
        await post('/trigger-event', { userId: user, event }, own),
        await post('/trigger-event', { userId: user, event: { ...event, value: 1, currency: 'EUR' } }, own),
        await post('/trigger-event', { userId: user, event: { ...event, backfill: true } }, own),
      ];
      expect(answers.map(({ body }) => body.event?.status)).toEqual(['sent', 'sent', 'sent']);
      const younger = revision === '2023-10-15' ? '2025-01-15' : revision;
      expect((await received(mine)).map((request) => request.revision)).toEqual([revision, younger, '2026-07-15']);
      expect(await eventsAtKlaviyo(mine)).toHaveLength(3);
      const { body } = await own.http.get(`${BASE}/trigger-event?userId=${user}`).set(own.asService);
      expect(body.metrics).toContainEqual({ id: expect.any(String), name: 'X', integration: 'API' });
    });

    it('delivers later what it could not send at once', async () => {
      const mine = await connected(user, own);
      await down(1, '503', mine);
      await post('/trigger-event', { userId: user, event: { ...order('L'), value: 2, currency: 'EUR' } }, own);
      await allSent(own);
      const [first, second] = await received(mine);
      expect(second?.body).toEqual(first?.body);
    });

    it('takes times as far back as Klaviyo does', async () => {
      const mine = await connected(user, own);
      const event = { ...order('T'), time: '1995-06-01T00:00:00Z' };
      const answer = await post('/trigger-event', { userId: user, event }, own);
      expect(answer.status).toBe(revision === '2026-07-15' ? 202 : 400);
      if (answer.status === 400) expect(answer.body.errors).toMatchObject([{ field: 'event.time' }]);
      expect(await received(mine)).toHaveLength(answer.status === 202 ? 1 : 0);
    });
  });
});
