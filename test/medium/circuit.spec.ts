import { Clock } from '../../src/common/clock';
import { CircuitSystemRepository } from '../../src/klaviyo/circuit.system.repository';
import { operations } from '../../src/klaviyo/operations';
import { createDatabase, type TestDatabase } from '../support/database';
import { DatabaseClock } from '../support/database-clock';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';
import { accessTo, startClient, timed, type ClientUnderTest } from './klaviyo-harness';

/** The process's clock, some time ahead. */
class AheadClock extends Clock {
  ahead = 0;
  override now(): number {
    return Date.now() + this.ahead;
  }
}

describe('the circuit of an account', () => {
  let sandbox: Sandbox;
  let database: TestDatabase;
  let databaseClock: DatabaseClock;
  const clock = new AheadClock();
  const replicas: ClientUnderTest[] = [];
  let account: SandboxAccount;

  beforeAll(async () => {
    sandbox = await startSandbox();
    database = await createDatabase();
    databaseClock = await DatabaseClock.take(database);
    for (let count = 0; count < 2; count += 1)
      replicas.push(await startClient(sandbox.url, { KLAVIYO_TIMEOUT_MS: '300' }, clock, database));
  });
  afterAll(async () => {
    for (const replica of replicas) await replica.stop();
    await databaseClock.end();
    await database.drop();
    await sandbox.stop();
  });
  beforeEach(async () => {
    account = await sandbox.createAccount({ limits: 'huge' });
  });

  const [ONE, OTHER] = [0, 1];
  const call = (replica: number, options = {}) =>
    timed(
      replicas[replica]!.client.call(accessTo(account.id, account.key), operations.getEvents, {
        maxRetries: 0,
        ...options,
      }),
    );
  const fail = async (count: number, preset = '503') => {
    await sandbox.fault(account.id, { preset, times: 'forever' });
    for (let made = 0; made < count; made += 1) await call(ONE);
  };
  const received = async () => (await sandbox.requests(account.id)).length;
  const state = () => replicas[ONE]!.get(CircuitSystemRepository).stateOf(account.id);
  /** The opening is written down by the time the next call asks. */
  const settled = async (expected: string) => {
    const deadline = Date.now() + 3000;
    while ((await state()) !== expected && Date.now() < deadline) await new Promise((done) => setTimeout(done, 10));
    expect(await state()).toBe(expected);
  };
  const openIt = async () => {
    await fail(10);
    clock.ahead += 10_000;
    await fail(10);
    await settled('open');
  };

  it('stays closed while failures come all at once, or are few', async () => {
    await fail(30);
    expect(await state()).toBe('closed');
    await sandbox.clearFaults(account.id);
    await call(ONE);
    await fail(10);
    clock.ahead += 60_000;
    await fail(9);
    expect(await state()).toBe('closed');
    expect(await received()).toBe(50);
  });

  it.each(['503', 'reset', 'hang-headers'])(
    'opens after 20 failures in a row over ten seconds (%s), and then nothing is sent, on no replica',
    async (preset) => {
      await fail(19, preset);
      clock.ahead += 10_000;
      await call(ONE);
      await settled('open');
      const before = await received();
      for (const replica of [ONE, OTHER]) {
        const times: number[] = [];
        for (let made = 0; made < 3; made += 1) {
          const { error, ms } = await call(replica);
          expect(error).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE', status: 502 });
          const { retryAfter } = error as { retryAfter: number };
          expect(retryAfter).toBeGreaterThanOrEqual(1);
          expect(retryAfter).toBeLessThanOrEqual(5);
          times.push(ms);
        }
        // The quickest: what else the machine does may hold one of them up.
        expect(Math.min(...times)).toBeLessThan(250);
      }
      expect(await received()).toBe(before);
    },
  );

  it('concerns no other account', async () => {
    await openIt();
    const other = await sandbox.createAccount({ limits: 'huge' });
    const answer = await replicas[ONE]!.client.call(accessTo(other.id, other.key), operations.getEvents);
    expect(answer.status).toBe(200);
  });

  it('tries with one call of all replicas after five seconds, and opens again when it fails', async () => {
    await openIt();
    await databaseClock.advance(5000);
    expect(await state()).toBe('half_open');
    const before = await received();
    const many = await Promise.all(Array.from({ length: 20 }, (_, index) => call(index % 2)));
    expect(many.every(({ error }) => (error as { code?: string }).code === 'KLAVIYO_UNAVAILABLE')).toBe(true);
    expect(await received()).toBe(before + 1);
    await settled('open');
    await call(OTHER);
    expect(await received()).toBe(before + 1);
  });

  it('closes for all when the try is answered, and tells that the account is well, wherever that was', async () => {
    await openIt();
    const recovered: string[] = [];
    replicas[OTHER]!.client.onRecovered((id) => recovered.push(id));
    await sandbox.clearFaults(account.id);
    await databaseClock.advance(5000);
    expect((await call(OTHER)).value?.status).toBe(200);
    expect(recovered).toEqual([account.id]);
    for (const replica of [OTHER, ONE]) expect((await call(replica)).value?.status).toBe(200);
    expect(await state()).toBe('closed');
  });

  it.each([
    ['a refusal', '403-scope'],
    ['a 404', '404'],
    ['a 429', '429'],
    ['a page of something between', '403-html'],
  ])('closes at any answer below 500: %s', async (_, preset) => {
    await openIt();
    await sandbox.clearFaults(account.id);
    await databaseClock.advance(5000);
    await sandbox.fault(account.id, { preset, times: 1 });
    expect((await call(ONE)).error).toBeDefined();
    await settled('closed');
  });

  it('begins to count anew after any answer below 500', async () => {
    await fail(10);
    clock.ahead += 10_000;
    await sandbox.clearFaults(account.id);
    await sandbox.fault(account.id, { preset: '403-html', times: 1 });
    await call(ONE);
    await sandbox.clearFaults(account.id);
    await fail(15);
    expect(await state()).toBe('closed');
  });

  it('gives up a try that was never heard of', async () => {
    await openIt();
    await sandbox.clearFaults(account.id);
    await databaseClock.advance(5000);
    // Cut short by its caller: it says nothing of Klaviyo, so the try stays without an outcome.
    await sandbox.fault(account.id, { preset: 'hang-headers', times: 1 });
    await call(ONE, { deadline: clock.now() + 60 });
    expect((await call(OTHER)).error).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE' });
    await databaseClock.advance(15_000);
    expect((await call(OTHER)).value?.status).toBe(200);
  });

  it('fails those who wait for quota rather than let them wait', async () => {
    const slow = await sandbox.createAccount({ limits: { getEvents: { burst: 1, steady: 15 } } });
    account = slow;
    await replicas[OTHER]!.client.call(accessTo(slow.id, slow.key), operations.getEvents);
    const waiting = [1, 2, 3].map(() => call(OTHER));
    await replicas[ONE]!.get(CircuitSystemRepository).open(slow.id);
    const told = await Promise.all(waiting);
    expect(told.map(({ error }) => (error as { code?: string } | undefined)?.code)).toContain('KLAVIYO_UNAVAILABLE');
  });

  it('is seen in the metrics', async () => {
    await openIt();
    const gauge = await replicas[ONE]!.metrics.klaviyoCircuitsOpen.get();
    expect(gauge.values[0]?.value).toBeGreaterThanOrEqual(1);
  });
});
