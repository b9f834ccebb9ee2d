import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { v7 as uuidv7 } from 'uuid';
import { dataSourceOptions } from '../../src/database/options';
import { Db } from '../../src/database/scope';
import type { Settlement } from '../../src/events/delivery';
import { EventsRepository } from '../../src/events/events.repository';
import { EventsSystemRepository, type Claim } from '../../src/events/events.system.repository';
import { createDatabase, type TestDatabase } from '../support/database';

/** The queue of events in the database itself: who may take what, and who may say what became of it. */
describe('the queue of events', () => {
  let database: TestDatabase;
  let source: DataSource;
  let events: EventsRepository;
  let system: EventsSystemRepository;

  beforeAll(async () => {
    database = await createDatabase();
    source = await new DataSource(dataSourceOptions(database.url)).initialize();
    const db = new Db(source);
    events = new EventsRepository(db);
    system = new EventsSystemRepository(db);
  });

  afterAll(async () => {
    await source.destroy();
    await database.drop();
  });

  beforeEach(async () => {
    await source.query('DELETE FROM connection');
  });

  async function connection(userId: number, status = 'active', accountId = `A${userId}`): Promise<string> {
    const id = randomUUID();
    await source.query(
      `INSERT INTO connection (user_id, id, account_id, is_default, status, masked_key, sealed_key, capabilities)
       VALUES ($1, $2, $3, true, $4, 'pk', 'x', '{}')`,
      [userId, id, accountId, status],
    );
    return id;
  }

  async function waiting(userId: number, connectionId: string, more: { uniqueId?: string } = {}): Promise<string> {
    const id = uuidv7();
    const accepted = await events.accept(userId, {
      connectionId,
      id,
      eventType: 'X',
      uniqueId: more.uniqueId ?? id,
      profileKey: 'p',
      sealedProfile: 's',
      sealedPayload: 's',
      time: new Date(),
      value: 1.5,
      currency: null,
      lease: randomUUID(),
      leaseSeconds: 60,
    });
    expect(accepted).toBeInstanceOf(Date);
    return id;
  }

  async function due(userId: number, connectionId: string, count: number, agoSeconds = 1): Promise<string[]> {
    const ids: string[] = [];
    for (let i = 0; i < count; i++) ids.push(await waiting(userId, connectionId));
    await source.query(
      'UPDATE sent_event SET lease = NULL, next_attempt_at = now() - make_interval(secs => $2) WHERE id = ANY($1)',
      [ids, agoSeconds],
    );
    return ids;
  }

  const claim = (more: Partial<Claim> = {}) =>
    system.claim({ lease: randomUUID(), leaseSeconds: 60, limit: 100, perConnection: 20, rooms: [], ...more });
  const row = async (id: string): Promise<Record<string, unknown>> =>
    (
      await source.query(
        `SELECT *, extract(epoch FROM next_attempt_at - now())::float8 AS pause FROM sent_event WHERE id = $1`,
        [id],
      )
    )[0];
  const settlement = (userId: number, connectionId: string, id: string, lease: string, more: Partial<Settlement>) => ({
    userId,
    connectionId,
    id,
    lease,
    status: 'queued' as const,
    error: null,
    pause: 5,
    attempts: 1 as const,
    ...more,
  });

  it('gives out what is due, once, with all that is needed to send it', async () => {
    const home = await connection(1);
    const [id] = await due(1, home, 1);
    await waiting(1, home);
    const lease = randomUUID();
    const claimed = await claim({ lease });
    expect(claimed).toEqual([
      {
        userId: 1,
        connectionId: home,
        id,
        eventType: 'X',
        uniqueId: id,
        sealedProfile: 's',
        sealedPayload: 's',
        time: expect.any(Date),
        value: 1.5,
        currency: null,
        attempts: 0,
      },
    ]);
    expect(await row(id!)).toMatchObject({ lease, status: 'queued' });
    expect(await claim()).toEqual([]);
  });

  it('never gives one event to two replicas that ask at once', async () => {
    const homes = [await connection(1), await connection(2), await connection(3)];
    for (const [index, home] of homes.entries()) await due(index + 1, home, 15);
    const got = await Promise.all(Array.from({ length: 6 }, () => claim({ limit: 20, perConnection: 10 })));
    const ids = got.flat().map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    for (let more = await claim(); more.length > 0; more = await claim()) ids.push(...more.map(({ id }) => id));
    expect(new Set(ids).size).toBe(45);
    expect(ids).toHaveLength(45);
  });

  it('lets nobody wait behind another who has much', async () => {
    const [much, little, late] = [await connection(1), await connection(2), await connection(3)];
    await due(1, much, 40, 3600);
    await due(2, little, 2, 10);
    await due(3, late, 1, 1);
    const share = (claimed: { userId: number }[]) =>
      [1, 2, 3].map((userId) => claimed.filter((event) => event.userId === userId).length);
    expect(share(await claim({ limit: 6 }))).toEqual([2, 2, 1]);
    expect(share(await claim({ limit: 100, perConnection: 20 }))).toEqual([20, 0, 0]);
    expect(share(await claim({ limit: 100, rooms: [{ connectionId: much, room: 1 }] }))).toEqual([1, 0, 0]);
    expect(share(await claim({ limit: 100, rooms: [{ connectionId: much, room: 0 }] }))).toEqual([0, 0, 0]);
  });

  it('gives out the oldest of a connection first', async () => {
    const home = await connection(1);
    const [young] = await due(1, home, 1, 5);
    const [old] = await due(1, home, 1, 500);
    expect((await claim({ limit: 1 })).map(({ id }) => id)).toEqual([old]);
    expect((await claim({ limit: 1 })).map(({ id }) => id)).toEqual([young]);
  });

  it('keeps the events of a refused key where they are, and makes them due with a new one', async () => {
    const home = await connection(1, 'invalid');
    const [id] = await due(1, home, 1);
    await source.query(
      `UPDATE sent_event SET expires_at = now() - interval '1 day', next_attempt_at = now() + interval '1 hour'`,
    );
    expect(await claim()).toEqual([]);
    await source.query(`UPDATE connection SET status = 'active'`);
    await events.wake(2, home);
    expect(await claim()).toEqual([]);
    await events.wake(1, home);
    expect((await claim()).map((event) => event.id)).toEqual([id]);
    expect(((await row(id!))['expires_at'] as Date).getTime()).toBeGreaterThan(Date.now() + 86_000_000);
  });

  it('wakes what waits for a recovered account, of every user who has it, and of no other', async () => {
    const homes = [await connection(1, 'active', 'SAME'), await connection(2, 'active', 'SAME'), await connection(3)];
    for (const [index, home] of homes.entries()) await due(index + 1, home, 2);
    await source.query(`UPDATE sent_event SET next_attempt_at = now() + interval '10 minutes'`);
    await system.wakeAccount('SAME');
    expect((await claim()).map(({ userId }) => userId).sort()).toEqual([1, 1, 2, 2]);
  });

  it('gives an event out again when its lease has run out', async () => {
    const home = await connection(1);
    const id = await waiting(1, home);
    expect(await claim()).toEqual([]);
    await source.query(`UPDATE sent_event SET next_attempt_at = now() - interval '1 second'`);
    expect((await claim()).map((event) => event.id)).toEqual([id]);
  });

  it('writes many outcomes down in one statement', async () => {
    const home = await connection(1);
    const ids = await due(1, home, 4);
    const lease = randomUUID();
    await claim({ lease });
    const [sent, failed, queued, free] = ids as [string, string, string, string];
    const moved = await system.settle([
      settlement(1, home, sent, lease, { status: 'sent' }),
      settlement(1, home, failed, lease, { status: 'failed', error: 'KLAVIYO_REJECTED' }),
      settlement(1, home, queued, lease, { error: 'KLAVIYO_TIMEOUT', pause: 20 }),
      settlement(1, home, free, lease, { error: 'KLAVIYO_KEY_INVALID', attempts: 0 }),
    ]);
    expect(moved).toHaveLength(4);
    expect(await row(sent)).toMatchObject({
      status: 'sent',
      attempts: 1,
      last_error: null,
      lease: null,
      sealed_payload: null,
      sent_at: expect.any(Date),
    });
    expect(await row(failed)).toMatchObject({ status: 'failed', last_error: 'KLAVIYO_REJECTED', sealed_payload: 's' });
    const waits = await row(queued);
    expect(waits).toMatchObject({ status: 'queued', attempts: 1, lease: null, sent_at: null });
    expect(waits['pause']).toBeGreaterThan(18);
    expect(await row(free)).toMatchObject({ status: 'queued', attempts: 0 });
  });

  it('believes only the holder of the lease, but for "sent"', async () => {
    const home = await connection(1);
    const [id] = (await due(1, home, 1)) as [string];
    const [stale, holder] = [randomUUID(), randomUUID()];
    await claim({ lease: holder });
    expect(await system.settle([settlement(1, home, id, stale, { status: 'failed', error: 'CONFLICT' })])).toEqual([]);
    expect(await system.settle([settlement(2, home, id, holder, { status: 'sent' })])).toEqual([]);
    expect(await row(id)).toMatchObject({ status: 'queued', lease: holder, attempts: 0 });
    expect(await system.settle([settlement(1, home, id, stale, { status: 'sent' })])).toMatchObject([
      { status: 'sent' },
    ]);
    expect(await system.settle([settlement(1, home, id, holder, { status: 'failed' })])).toEqual([]);
    expect(await row(id)).toMatchObject({ status: 'sent' });
  });

  it('gives up when the next attempt would come after 24 hours, unless only the key was in the way', async () => {
    const home = await connection(1);
    const [id, other] = (await due(1, home, 2)) as [string, string];
    await source.query(`UPDATE sent_event SET expires_at = now() + interval '10 minutes'`);
    const lease = randomUUID();
    await claim({ lease });
    const moved = await system.settle([
      settlement(1, home, id, lease, { error: 'KLAVIYO_UNAVAILABLE', pause: 900 }),
      settlement(1, home, other, lease, { error: 'KLAVIYO_KEY_INVALID', pause: 900, attempts: 0 }),
    ]);
    expect(moved.find((event) => event.id === id)?.status).toBe('dead');
    expect(await row(id)).toMatchObject({ status: 'dead', last_error: 'KLAVIYO_UNAVAILABLE', sealed_payload: 's' });
    expect(await row(other)).toMatchObject({ status: 'queued' });
  });

  it('takes a repetition only in the place of one that failed for good', async () => {
    const home = await connection(1);
    const id = await waiting(1, home, { uniqueId: 'U' });
    const again = () =>
      events.accept(1, {
        connectionId: home,
        id: uuidv7(),
        eventType: 'X',
        uniqueId: 'U',
        profileKey: 'p',
        sealedProfile: 'n',
        sealedPayload: 'n',
        time: new Date(),
        value: null,
        currency: 'EUR',
        lease: randomUUID(),
        leaseSeconds: 60,
      });
    for (const [status, taken] of [
      ['queued', false],
      ['sent', false],
      ['failed', true],
      ['dead', true],
      ['cancelled', true],
    ] as const) {
      await source.query('UPDATE sent_event SET status = $1, attempts = 7, last_error = $2', [status, 'CONFLICT']);
      expect((await again()) !== undefined).toBe(taken);
      if (!taken) continue;
      const [only, ...others] = await source.query('SELECT * FROM sent_event');
      expect(others).toEqual([]);
      expect(only).toMatchObject({ status: 'queued', attempts: 0, last_error: null, currency: 'EUR' });
      expect(only.id).not.toBe(id);
    }
  });

  it('forgets settled events after 30 days, and never one that waits', async () => {
    const home = await connection(1);
    const [old, young, waits] = (await due(1, home, 3)) as [string, string, string];
    await source.query(`UPDATE sent_event SET status = 'sent' WHERE id = ANY($1)`, [[old, young]]);
    await source.query(`UPDATE sent_event SET created_at = now() - interval '31 days' WHERE id = ANY($1)`, [
      [old, waits],
    ]);
    expect(await system.removeSettled(30, 100)).toBe(1);
    expect((await source.query('SELECT id FROM sent_event')).map((event: { id: string }) => event.id).sort()).toEqual(
      [young, waits].sort(),
    );
    expect(await system.countWaiting()).toBe(1);
  });

  it('goes with its connection', async () => {
    const home = await connection(1);
    await due(1, home, 2);
    expect(await events.discardWaiting(2, [home])).toBe(0);
    expect(await events.discardWaiting(1, [home])).toBe(2);
    await due(1, home, 2);
    await source.query('DELETE FROM connection WHERE id = $1', [home]);
    expect(await source.query('SELECT 1 FROM sent_event')).toEqual([]);
  });
});
