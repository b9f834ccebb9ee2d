import { setTimeout as wait } from 'node:timers/promises';
import { SECRET, Target } from '../medium/webhook-forward-stage';
import { createDatabase, type TestDatabase } from '../support/database';
import { chance, PATIENT, SEED, sql } from '../support/drill';
import { startSandbox, type Sandbox } from '../support/sandbox';
import { BuiltService, type ServiceProcess } from '../support/service';
import { until } from '../support/until';
import { deliver, hookOf, signedDelivery, type KlaviyoHook } from './webhook-crash-stage';
import { klaviyoEvent } from './webhook-receiver-stage';

/** `CRASH_ROUNDS` has more of them. */
const ROUNDS = Number(process.env['CRASH_ROUNDS'] ?? 3);
const USER = 809;
const PROFILES = 40;
/** Events of one delivery, and how many may be on their way through the service. */
const SIZE = 60;
const MOST_ON_WAY = 300;
const LONGEST_ANSWER_MS = 40;
/** What one process has sent and not yet written down: what it has under way, and what was answered meanwhile. */
const MOST_REPEATED = 200;
const LIMIT_MS = 90_000;
jest.setTimeout(180_000 + ROUNDS * 60_000);

/** One arrival at whoever events are passed on to. */
interface Arrival {
  n: number;
  profileId: string;
  webhookId: string;
  sequence: number;
}

/** Klaviyo, which brings events without end, one delivery after the other, each until it is taken. */
class Klaviyo {
  /** Events that were acknowledged. */
  acknowledged = 0;
  private running = false;
  private feeding: Promise<void> | undefined;

  constructor(
    private readonly url: string,
    private readonly hook: KlaviyoHook,
    private readonly random: () => number,
    private readonly arrived: () => number,
  ) {}

  begin(): void {
    this.running = true;
    this.feeding = this.feed();
  }

  /** Resolves when the last delivery is acknowledged. */
  async end(): Promise<void> {
    this.running = false;
    await this.feeding;
  }

  private isRunning(): boolean {
    return this.running;
  }

  private async feed(): Promise<void> {
    while (this.isRunning()) {
      if (this.acknowledged - this.arrived() > MOST_ON_WAY) {
        await wait(10);
        continue;
      }
      const delivery = signedDelivery(this.hook, this.events());
      while ((await deliver(this.url, delivery)) !== 200) await wait(50);
      this.acknowledged += SIZE;
    }
  }

  private events(): unknown[] {
    return Array.from({ length: SIZE }, (_, at) => {
      const n = this.acknowledged + at;
      const event = klaviyoEvent(`ev${n}`, { n }, 'event:klaviyo.opened_email');
      const { attributes, relationships } = event.payload.data;
      attributes.datetime = new Date(Date.UTC(2026, 8, 4) + n * 1000).toISOString();
      relationships.profile.data.id = `01PROFILE${Math.floor(this.random() * PROFILES)}`;
      return event;
    });
  }
}

describe(`a process that dies while it passes events on (seed ${SEED}, ${ROUNDS} rounds)`, () => {
  const random = chance(SEED);
  const arrivals: Arrival[] = [];
  const firsts = new Map<number, Arrival>();
  let sandbox: Sandbox;
  let database: TestDatabase;
  let target: Target;
  let built: BuiltService;
  let service: ServiceProcess;
  let klaviyo: Klaviyo;
  /** Arrived and not yet answered. */
  let open = 0;

  beforeAll(async () => {
    console.log(`CRASH_SEED=${SEED} CRASH_ROUNDS=${ROUNDS}`);
    sandbox = await startSandbox();
    built = new BuiltService('webhook-forward-crash', { KLAVIYO_API_BASE_URL: sandbox.url });
    await built.build();
    database = await createDatabase();
    target = await Target.open();
    target.answer = ({ headers, body }, response) => {
      const { properties, profile } = body.data as { properties: { n: number }; profile: { id: string } };
      const arrival = {
        n: properties.n,
        profileId: profile.id,
        webhookId: String(headers['webhook-id']),
        sequence: Number(headers['webhook-sequence']),
      };
      arrivals.push(arrival);
      if (!firsts.has(arrival.n)) firsts.set(arrival.n, arrival);
      open += 1;
      setTimeout(() => {
        open -= 1;
        response.writeHead(204).end();
      }, random() * LONGEST_ANSWER_MS);
    };
    service = await built.launch(database.url, {
      PUBLIC_BASE_URL: 'https://hooks.example.com',
      EVENT_FORWARD_URL: target.url,
      EVENT_FORWARD_SECRET: SECRET,
    });
    const account = await sandbox.createAccount({ limits: 'off', profiles: 3, plan: { advancedKdp: true } });
    const hook = await hookOf(service, USER, sandbox, account);
    klaviyo = new Klaviyo(service.url, hook, random, () => firsts.size);
  });
  afterAll(async () => {
    await built.stop();
    await target.close();
    await database.drop();
    await sandbox.stop();
  });

  /** A dead process's leases run out by themselves, in up to half a minute: time is moved instead of waited for. */
  async function expireLeases(): Promise<void> {
    if (PATIENT) return;
    await sql(database.url, `UPDATE event_forward SET next_at = now() WHERE lease IS NOT NULL`);
    await sql(database.url, `UPDATE webhook_lane SET leased_until = now()`);
  }

  it('has passed on every event that it acknowledged, whenever it is killed', async () => {
    klaviyo.begin();
    for (let round = 0; round < ROUNDS; round++) {
      const before = firsts.size;
      await until('events arrive', () => firsts.size > before, LIMIT_MS);
      await wait(random() * 800);
      // At a moment when something has arrived of which it cannot know yet.
      await until('something is under way', () => open > 0, LIMIT_MS);
      await service.kill();
      await expireLeases();
      await service.start();
    }
    await klaviyo.end();
    await until('all have arrived', () => firsts.size >= klaviyo.acknowledged, LIMIT_MS);
    const numbers = [...firsts.keys()].sort((a, b) => a - b);
    expect(numbers).toEqual(Array.from({ length: klaviyo.acknowledged }, (_, n) => n));
    expect(klaviyo.acknowledged).toBeGreaterThan(MOST_ON_WAY);
  });

  it('gives what comes again the same webhook-id and sequence, and brings little again', () => {
    const repeats = arrivals.length - firsts.size;
    expect(repeats).toBeGreaterThan(0);
    expect(repeats).toBeLessThanOrEqual(ROUNDS * MOST_REPEATED);
    expect(arrivals.filter((one) => one.webhookId !== firsts.get(one.n)?.webhookId)).toEqual([]);
    expect(arrivals.filter((one) => one.sequence !== firsts.get(one.n)?.sequence)).toEqual([]);
    expect(new Set(arrivals.map(({ webhookId }) => webhookId)).size).toBe(firsts.size);
  });

  it('keeps to the order of each profile', () => {
    const byProfile = Map.groupBy(firsts.values(), ({ profileId }) => profileId);
    expect(byProfile.size).toBe(PROFILES);
    for (const [, ofOne] of byProfile) {
      const order = ofOne.map(({ n }) => n);
      expect(order).toEqual(order.toSorted((a, b) => a - b));
      const sequences = ofOne.map(({ sequence }) => sequence);
      expect(sequences).toEqual(sequences.toSorted((a, b) => a - b));
    }
  });

  it('has nothing left that waits', async () => {
    await until(
      'all is written down',
      async () =>
        (await sql(database.url, `SELECT 1 FROM event_forward WHERE status <> 'delivered' LIMIT 1`)).length === 0,
      LIMIT_MS,
    );
    const [counted] = await sql<{ count: number }>(database.url, 'SELECT count(*)::int FROM event_forward');
    expect(counted?.count).toBe(klaviyo.acknowledged);
  });
});
