import { setTimeout as wait } from 'node:timers/promises';
import { createDatabase, type TestDatabase } from '../support/database';
import { DatabaseLine } from '../support/database-line';
import { chance, SEED, sql } from '../support/drill';
import { startSandbox, type Sandbox } from '../support/sandbox';
import { BuiltService, type ServiceProcess } from '../support/service';
import { until } from '../support/until';
import { deliver, hookOf, signedDelivery, type KlaviyoHook, type SignedDelivery } from './webhook-crash-stage';
import { klaviyoEvent } from './webhook-receiver-stage';

/** `CRASH_ROUNDS` has more of them. */
const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 2);
const USER = 808;
const BACK_MS = 10_000;
jest.setTimeout(180_000 + ROUNDS * 30_000);

/** Delivers without a pause, remembers what was acknowledged, and brings again what was not. */
class Klaviyo {
  readonly acknowledged = new Set<string>();
  readonly statuses = new Map<number, number>();
  lastGood = 0;
  private made = 0;
  private running = false;
  private lanes: Promise<void>[] = [];

  constructor(
    private readonly url: string,
    private readonly hook: KlaviyoHook,
  ) {}

  begin(lanes = 4): void {
    this.running = true;
    this.lanes = Array.from({ length: lanes }, () => this.lane());
  }

  async end(): Promise<void> {
    this.running = false;
    await Promise.all(this.lanes);
  }

  private isRunning(): boolean {
    return this.running;
  }

  private async lane(): Promise<void> {
    while (this.isRunning()) {
      const ids = Array.from({ length: 20 }, () => `ev${++this.made}`);
      const delivery = signedDelivery(
        this.hook,
        ids.map((id) => klaviyoEvent(id)),
      );
      // As Klaviyo does: the same again until it is taken.
      let taken = false;
      while (!taken && this.isRunning()) {
        taken = await this.post(delivery);
        if (!taken) await wait(50);
      }
      if (taken) for (const id of ids) this.acknowledged.add(id);
    }
  }

  private async post(delivery: SignedDelivery): Promise<boolean> {
    const status = await deliver(this.url, delivery);
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1);
    if (status === 200) this.lastGood = Date.now();
    return status === 200;
  }
}

describe(`a receiver that loses its process or its database (seed ${SEED}, ${ROUNDS} rounds)`, () => {
  let sandbox: Sandbox;
  let database: TestDatabase;
  let line: DatabaseLine;
  let built: BuiltService;
  let service: ServiceProcess;
  let klaviyo: Klaviyo;

  beforeAll(async () => {
    console.log(`CRASH_SEED=${SEED} CRASH_ROUNDS=${ROUNDS}`);
    sandbox = await startSandbox();
    built = new BuiltService('webhook-crash', { KLAVIYO_API_BASE_URL: sandbox.url });
    await built.build();
    database = await createDatabase();
    line = new DatabaseLine(new URL(database.url));
    await line.mend();
    service = await built.launch(line.url, { PUBLIC_BASE_URL: 'https://hooks.example.com' });
    const account = await sandbox.createAccount({ limits: 'off', profiles: 3, plan: { advancedKdp: true } });
    klaviyo = new Klaviyo(service.url, await hookOf(service, USER, sandbox, account));
  });
  afterAll(async () => {
    await built.stop();
    await line.cut();
    await database.drop();
    await sandbox.stop();
  });

  /** Acknowledged, and not there exactly once. */
  async function lost(): Promise<string[]> {
    const rows = await sql<{ external_id: string }>(database.url, 'SELECT external_id FROM received_event');
    const there = rows.map(({ external_id }) => external_id);
    expect(new Set(there).size).toBe(there.length);
    const known = new Set(there);
    return [...klaviyo.acknowledged].filter((id) => !known.has(id));
  }

  const backSince = (moment: number) => until('deliveries are taken again', () => klaviyo.lastGood > moment, BACK_MS);

  it('has everything that it acknowledged, each event once, whenever it is killed', async () => {
    const random = chance(SEED);
    klaviyo.begin();
    for (let round = 0; round < ROUNDS; round++) {
      const before = klaviyo.acknowledged.size;
      await until('something is taken', () => klaviyo.acknowledged.size > before, BACK_MS);
      await wait(random() * 1500);
      await service.kill();
      await service.start();
      await backSince(Date.now());
    }
    await klaviyo.end();
    expect(klaviyo.acknowledged.size).toBeGreaterThan(0);
    expect(await lost()).toEqual([]);
  });

  it('answers 503 without its database, is back within ten seconds, and has lost nothing', async () => {
    klaviyo.begin();
    await wait(300);
    await line.cut();
    klaviyo.statuses.clear();
    await until('503', () => (klaviyo.statuses.get(503) ?? 0) > 0, BACK_MS);
    const answer = await fetch(`${service.url}/health/live`);
    expect(answer.status).toBe(200);
    await line.mend();
    await backSince(Date.now());
    await klaviyo.end();
    expect([...klaviyo.statuses.keys()].filter((status) => ![0, 200, 503].includes(status))).toEqual([]);
    expect(await lost()).toEqual([]);
  });

  it('works off everything that is there, also what dead processes had begun', async () => {
    await until(
      'nothing waits',
      async () =>
        (await sql(database.url, 'SELECT 1 FROM webhook_delivery WHERE processed_at IS NULL LIMIT 1')).length === 0,
      90_000,
    );
    const [counted] = await sql<{ received: number; mirrored: number }>(
      database.url,
      `SELECT (SELECT count(*)::int FROM received_event) AS received,
         (SELECT count(*)::int FROM mirrored_event) AS mirrored`,
    );
    expect(counted?.mirrored).toBe(counted?.received);
  });
});
