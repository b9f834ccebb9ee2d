import { setTimeout as wait } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '../support/database';
import { chance, PATIENT, SEED, sql } from '../support/drill';
import { OwnPostgres } from '../support/own-postgres';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';
import { BuiltService } from '../support/service';
import { until } from '../support/until';
import { atOnce, Callers, marksOf } from './crash-stage';

/** `npm run drill:crash` has more rounds. */
const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 2);
const LONG = 120_000 + ROUNDS * 30_000;
jest.setTimeout(LONG);

const USER = 707;
const WAITING = `SELECT status, attempts, last_error, lease IS NOT NULL AS leased, next_attempt_at - now() AS due
  FROM sent_event WHERE status <> 'sent' ORDER BY next_attempt_at LIMIT 5`;

describe(`a service that dies (seed ${SEED}, ${ROUNDS} rounds)`, () => {
  let built: BuiltService;
  let sandbox: Sandbox;
  let stopped: Promise<void>;
  beforeAll(async () => {
    console.log(`CRASH_SEED=${SEED} CRASH_ROUNDS=${ROUNDS}`);
    sandbox = await startSandbox();
    built = new BuiltService('crash', { KLAVIYO_API_BASE_URL: sandbox.url });
    await built.build();
    // Most of this one is waiting, so it goes on beside the others; its failure is told by its own test.
    stopped = stopsInTime();
    stopped.catch(() => undefined);
  });
  afterAll(async () => {
    await stopped.catch(() => undefined);
    await built.stop();
    await sandbox.stop();
  });

  /** Events that a caller was told are taken, and that are not exactly once at Klaviyo. */
  async function wrong(callers: Callers, account: SandboxAccount): Promise<string[]> {
    const marks = await marksOf(sandbox, account);
    return callers.accepted.flatMap(({ kind, mark, unanswered }) => {
      if (kind === 'subscription') return [];
      const count = marks.get(mark) ?? 0;
      // An answer that was never made cannot be remembered: without a `uniqueId` it is another event that is asked for.
      const isFine = kind === 'keyed-event' && unanswered > 0 ? count >= 1 : count === 1;
      return isFine ? [] : [`${kind} ${mark}: ${count} times, ${unanswered} times unanswered`];
    });
  }

  async function allSent(databaseUrl: string): Promise<void> {
    let waiting: object[] = [];
    const none = async () => (waiting = await sql(databaseUrl, WAITING)).length === 0;
    await until('every event is sent', none, 90_000).catch((error: unknown) => {
      throw new Error(`${String(error)}: ${JSON.stringify(waiting)}`);
    });
  }

  it('at any moment keeps what it accepted, and does nothing again that it answered', async () => {
    const random = chance(SEED);
    const database = await createDatabase();
    try {
      // The unkind reading of what Klaviyo leaves open: an append that arrives twice adds twice.
      const switches = { appendDuplicates: true };
      const account = await sandbox.createAccount({ limits: 'off', latencyMs: 20, jitterMs: 40, switches });
      const service = await built.launch(database.url, { REQUEST_DEADLINE_MS: '6000', KLAVIYO_TIMEOUT_MS: '2000' });
      await service.connect(USER, account);
      const callers = new Callers(service, USER, SEED);
      for (let round = 0; round < ROUNDS; round++) {
        callers.begin();
        // A Klaviyo that is down as well leaves events that wait when the process dies.
        if (random() < 0.5)
          await sandbox.fault(account.id, { preset: '503', times: 5, match: { operation: 'createEvent' } });
        await wait(300 + random() * 1200);
        await service.kill();
        await callers.end();
        await expireLeases(database);
        await service.start();
      }
      callers.begin();
      await wait(500);
      await callers.end();
      const unanswered = callers.wishes.filter((wish) => wish.unanswered > 0).length;
      console.log(`${callers.accepted.length} of ${callers.wishes.length} accepted, ${unanswered} unanswered at first`);
      expect(callers.accepted.length).toBeGreaterThan(ROUNDS * 5);
      expect(unanswered).toBeGreaterThan(0);
      // Klaviyo is well again, and whatever it answers says so.
      await sandbox.clearFaults(account.id);
      expect((await service.get(`/get-lists?userId=${USER}`)).status).toBe(200);
      await allSent(database.url);
      expect(await wrong(callers, account)).toEqual([]);
      await askedAgain(callers, account.id);
      expect(await wrong(callers, account)).toEqual([]);
    } finally {
      await database.drop();
    }
  });

  /** A dead process's leases run out by themselves, in up to half a minute: time is moved instead of waited for. */
  async function expireLeases(database: TestDatabase): Promise<void> {
    if (PATIENT) return;
    await sql(database.url, `UPDATE sent_event SET next_attempt_at = now() WHERE status = 'queued'`);
    await sql(database.url, `UPDATE idempotency_key SET expires_at = now() WHERE answer IS NULL`);
  }

  /** Everything that was answered, asked for once more in the same words: the same answer, and nothing at Klaviyo. */
  async function askedAgain(callers: Callers, accountId: string): Promise<void> {
    await sandbox.clearRequests(accountId);
    await atOnce(callers.accepted, async (wish) => {
      const again = await callers.ask(wish);
      if (wish.kind === 'event')
        expect([again?.status, JSON.parse(again?.text ?? '{}')]).toEqual([
          202,
          expect.objectContaining({ duplicate: true }),
        ]);
      else expect([wish.mark, again?.replayed, again?.text]).toEqual([wish.mark, true, wish.first?.text]);
    });
    expect(await sandbox.requests(accountId)).toEqual([]);
    const people = callers.accepted.filter(({ kind }) => kind === 'subscription');
    await atOnce(people, async ({ mark }) => {
      const path = `/accounts/${accountId}/profiles?email=${encodeURIComponent(`${mark}@example.com`)}`;
      const { profiles } = await sandbox.control<{ profiles: { properties: object }[] }>('GET', path);
      expect([mark, profiles.map(({ properties }) => properties)]).toEqual([mark, [{ tags: ['t'] }]]);
    });
  }

  it('leaves nothing waiting for its turn once Klaviyo answers its successor', async () => {
    const database = await createDatabase();
    try {
      const account = await sandbox.createAccount({ limits: 'off' });
      const service = await built.launch(database.url);
      await service.connect(USER, account);
      await sandbox.fault(account.id, { preset: '503', times: 'forever', match: { operation: 'createEvent' } });
      const callers = new Callers(service, USER, SEED);
      const event = { eventType: 'Waiting', eventData: { mark: 'waiting' }, profile: { externalId: 'p' } };
      const body = { userId: USER, event };
      const wish = {
        kind: 'event',
        mark: 'waiting',
        path: '/trigger-event',
        headers: {},
        unanswered: 0,
        body,
      } as const;
      expect((await callers.ask(wish))?.status).toBe(202);
      await service.kill();
      // Late in its plan: what knew that the account was unwell has died.
      await sql(
        database.url,
        `UPDATE sent_event SET attempts = 6, lease = NULL, next_attempt_at = now() + interval '10 minutes'`,
      );
      await sandbox.clearFaults(account.id);
      await service.start();
      expect((await service.get(`/get-lists?userId=${USER}`)).status).toBe(200);
      await until('the event is sent', async () => (await marksOf(sandbox, account)).get('waiting') === 1, 15_000);
    } finally {
      await database.drop();
    }
  });

  it('asked to stop lets calls finish, answers the others 503 after 8 s, and is gone within 10 s with 0', async () => {
    await stopped;
  });

  async function stopsInTime(): Promise<void> {
    const database = await createDatabase();
    try {
      const account = await sandbox.createAccount({ limits: 'off' });
      const service = await built.launch(database.url, { REQUEST_DEADLINE_MS: '60000', KLAVIYO_TIMEOUT_MS: '60000' });
      await service.connect(USER, account);
      for (const [operation, ms] of [
        ['getLists', 3000],
        ['getSegments', 60_000],
        ['createEvent', 60_000],
      ] as const)
        await sandbox.fault(account.id, { match: { operation }, fault: { kind: 'delay', ms }, times: 'forever' });
      const callers = new Callers(service, USER, SEED);
      const event = { eventType: 'Stopped', eventData: { mark: 'stopped' }, profile: { externalId: 'p' } };
      const began = performance.now();
      const finishes = service.get(`/get-lists?userId=${USER}`);
      const hangs = service.get(`/get-segments?userId=${USER}`).then(async (answer) => ({
        answer,
        body: (await answer.json()) as Record<string, unknown>,
        ms: performance.now() - began,
      }));
      const triggered = callers.ask({
        kind: 'event',
        mark: 'stopped',
        path: '/trigger-event',
        headers: {},
        unanswered: 0,
        body: { userId: USER, event },
      });
      await until('all three are at Klaviyo', async () => (await faultsHit(account.id)) === 3, 10_000);
      const ended = service.terminate();
      const { answer, body, ms } = await hangs;
      expect([(await finishes).status, answer.status, body['code']]).toEqual([200, 503, 'SERVICE_UNAVAILABLE']);
      expect(Number(answer.headers.get('retry-after'))).toBeGreaterThanOrEqual(1);
      expect(ms).toBeGreaterThan(7_500);
      expect((await triggered)?.status).toBe(202);
      const { code, ms: endedAfter } = await ended;
      expect(code).toBe(0);
      expect(endedAfter).toBeGreaterThan(7_500);
      expect(endedAfter).toBeLessThan(10_500);

      // What it had accepted is sent by the next one.
      await sandbox.clearFaults(account.id);
      await sql(database.url, `UPDATE sent_event SET next_attempt_at = now() WHERE status = 'queued'`);
      await service.start();
      await until('the event is sent', async () => (await marksOf(sandbox, account)).get('stopped') === 1, 30_000);
      await service.kill();
    } finally {
      await database.drop();
    }
  }

  async function faultsHit(accountId: string): Promise<number> {
    const { faults } = await sandbox.control<{ faults: { hits: number }[] }>('GET', `/accounts/${accountId}/faults`);
    return faults.filter(({ hits }) => hits > 0).length;
  }

  describe('with its database', () => {
    let postgres: OwnPostgres;
    beforeAll(async () => {
      postgres = await OwnPostgres.open();
    });
    afterAll(() => postgres.remove());

    it('says 503 with Retry-After, and goes on by itself when it is back', async () => {
      const account = await sandbox.createAccount({ limits: 'off', latencyMs: 20 });
      const service = await built.launch(postgres.url);
      await service.connect(USER, account);
      const callers = new Callers(service, USER, SEED);
      callers.begin();
      await wait(700);
      await postgres.stop();
      await until('calls are refused', () => callers.refused.length >= 6, 15_000);
      expect((await fetch(`${service.url}/health/live`)).status).toBe(200);
      expect((await fetch(`${service.url}/health/ready`)).status).toBe(503);
      await postgres.start();
      const before = callers.accepted.length;
      await until('calls are taken again', () => callers.accepted.length > before + 5, 30_000);
      await callers.end();
      expect(service.isRunning).toBe(true);
      for (const { status, text, retryAfter } of callers.refused) {
        expect([status, JSON.parse(text)]).toEqual([503, expect.objectContaining({ code: 'SERVICE_UNAVAILABLE' })]);
        expect(Number(retryAfter)).toBeGreaterThanOrEqual(1);
      }
      await sql(postgres.url, `UPDATE sent_event SET next_attempt_at = now() WHERE status = 'queued'`);
      await allSent(postgres.url);
      expect(await wrong(callers, account)).toEqual([]);
    });
  });
});
