import { operations, type Operation } from '../../src/klaviyo/operations';
import { createDatabase, type TestDatabase } from '../support/database';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';
import { accessTo, startClient, timed, type ClientUnderTest } from './klaviyo-harness';

const SEED = Number(process.env['SEED'] ?? Date.now() % 60_000);
const ACCOUNT = { lists: 1, segments: 1, events: 10, profiles: 5, campaigns: 1 };

/** Two replicas on one PostgreSQL, against limits that the sandbox enforces in windows of any phase. */
describe(`two replicas and Klaviyo's limits (SEED=${SEED})`, () => {
  let sandbox: Sandbox;
  let database: TestDatabase;
  const replicas: ClientUnderTest[] = [];

  beforeAll(async () => {
    sandbox = await startSandbox();
    database = await createDatabase();
    for (let count = 0; count < 2; count += 1) replicas.push(await startClient(sandbox.url, {}, undefined, database));
  });
  afterAll(async () => {
    for (const replica of replicas) await replica.stop();
    await database.drop();
    await sandbox.stop();
  });

  const account = (options = {}) =>
    sandbox.createAccount({ ...ACCOUNT, windowPhaseMs: (SEED * 7919) % 60_000, ...options });

  /** Calls without end in so many lanes of each replica, until the time is up. */
  function saturate(target: SandboxAccount, operation: Operation, milliseconds: number, lanes: number) {
    const until = Date.now() + milliseconds;
    const call = {
      priority: 'background' as const,
      query: operation === operations.getEvents ? { 'page[size]': 1 } : {},
      maxRetries: 0,
    };
    const lane = async (replica: ClientUnderTest): Promise<void> => {
      const access = accessTo(target.id, target.key);
      while (Date.now() < until)
        await replica.client.call(access, operation, { ...call, deadline: until }).catch(() => undefined);
    };
    return Promise.all(replicas.flatMap((replica) => Array.from({ length: lanes }, () => lane(replica))));
  }

  async function statuses(target: SandboxAccount, operation: string): Promise<Record<number, number>> {
    const counts: Record<number, number> = {};
    for (const { status } of await sandbox.requests(target.id, operation)) counts[status] = (counts[status] ?? 0) + 1;
    return counts;
  }

  it('use what an account allows from the first call on, and are never refused', async () => {
    const target = await account();
    const tiers = [
      [operations.getEvents, 50],
      [operations.getSegments, 20],
      [operations.getMetrics, 5],
      [operations.getTags, 2],
      [operations.getWebhookTopics, 2],
    ] as const;
    await Promise.all(tiers.map(([operation, lanes]) => saturate(target, operation, 8000, lanes)));
    for (const [operation] of tiers) {
      const { 200: answered = 0, 403: forbidden = 0, ...others } = await statuses(target, operation.name);
      expect([operation.name, others]).toEqual([operation.name, {}]);
      const { steady } = operation.limits.at(-1)!;
      expect([operation.name, answered + forbidden >= (0.8 * steady * 8) / 60]).toEqual([operation.name, true]);
    }
  }, 40_000);

  it('let a person’s call wait no longer than a slot while background work of both wants everything', async () => {
    const target = await account();
    const work = saturate(target, operations.getMetrics, 7000, 10);
    await new Promise((done) => setTimeout(done, 3000));
    const waits: number[] = [];
    for (let call = 0; call < 5; call += 1) {
      const access = accessTo(target.id, target.key);
      const { ms, error } = await timed(replicas[call % 2]!.client.call(access, operations.getMetrics));
      expect(error).toBeUndefined();
      waits.push(ms);
      await new Promise((done) => setTimeout(done, 500));
    }
    await work;
    // 150 a minute: one slot is 430 ms; the rest is what a busy machine needs.
    expect(Math.max(...waits)).toBeLessThan(1500);
    expect(await statuses(target, 'getMetrics')).toEqual({ 200: expect.any(Number) as number });
  }, 30_000);

  it('pause together after a 429, exactly as long as Klaviyo said', async () => {
    const target = await account({ limits: 'huge' });
    const access = accessTo(target.id, target.key);
    for (const { client } of replicas) await client.call(access, operations.getSegments);
    await sandbox.fault(target.id, { preset: '429', retryAfter: 2, times: 1 });
    await timed(replicas[0]!.client.call(access, operations.getSegments, { maxRetries: 0 }));
    const from = performance.now();
    await Promise.all(replicas.map(({ client }) => client.call(access, operations.getSegments)));
    const paused = performance.now() - from;
    expect(paused).toBeGreaterThan(1900);
    expect(paused).toBeLessThan(3500);
  });
});
