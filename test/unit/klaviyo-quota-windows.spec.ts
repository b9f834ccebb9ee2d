import { figuresOf } from '../../src/klaviyo/quota-figures';
import type { QuotaLimits } from '../../src/klaviyo/quota';
import { QuotaModel } from '../support/quota-model';
import { chance } from '../support/drill';

/** Klaviyo's fixed windows of one endpoint: of unknown phase, and with another integration that eats a part evenly. */
class FixedWindows {
  private readonly used = new Map<string, number>();

  constructor(
    private readonly limits: QuotaLimits,
    private readonly phaseMs: number,
    private readonly foreign = 0,
  ) {}

  /** Seconds of `Retry-After` where it refuses; a refused call is not counted. */
  arrive(atMs: number): number | null {
    const windows = [
      [1000, this.limits.burst],
      [60_000, this.limits.steady],
    ] as const;
    let retryAfter = 0;
    for (const [length, limit] of windows) {
      const elapsed = (((atMs - this.phaseMs) % length) + length) % length;
      const others = Math.floor(limit * this.foreign * ((elapsed + 1) / length));
      if ((this.used.get(this.keyOf(atMs, length)) ?? 0) + others >= limit)
        retryAfter = Math.max(retryAfter, Math.ceil((length - elapsed) / 1000), 1);
    }
    if (retryAfter > 0) return retryAfter;
    for (const [length] of windows) {
      const key = this.keyOf(atMs, length);
      this.used.set(key, (this.used.get(key) ?? 0) + 1);
    }
    return null;
  }

  private keyOf(atMs: number, length: number): string {
    return `${length} ${Math.floor((atMs - this.phaseMs) / length)}`;
  }
}

interface Run {
  accepted: number;
  refused: number;
  perMinute: number[];
}

/**
 * Background work that never ends, from `replicas` processes that take what they get and come back when told, against
 * Klaviyo's windows; each call takes up to `delayMs` to arrive. Event by event, so that hours take a moment.
 */
function saturate(
  limits: QuotaLimits,
  options: { seed: number; minutes: number; delayMs: number; foreign?: number; replicas?: number; share?: number },
): Run {
  const random = chance(options.seed);
  let now = 1_000_000_000_000 + random() * 60_000;
  const start = now;
  const ledger = new QuotaModel(() => now);
  void ledger.open('A', [{ name: 'op', limits }], options.share ?? 1);
  const klaviyo = new FixedWindows(limits, random() * 60_000, options.foreign);
  const run: Run = { accepted: 0, refused: 0, perMinute: [] };
  const arrivals: number[] = [];
  const replicas = Array.from({ length: options.replicas ?? 1 }, () => ({ at: now + random() * 5 }));
  const end = start + options.minutes * 60_000;
  for (;;) {
    const replica = replicas.reduce((first, one) => (one.at < first.at ? one : first));
    const arrival = arrivals[0] ?? Infinity;
    now = Math.min(replica.at, arrival);
    if (now >= end) return run;
    if (arrival <= replica.at) {
      arrivals.shift();
      const retryAfter = klaviyo.arrive(now);
      if (retryAfter !== null) {
        run.refused += 1;
        void ledger.block('A', ['op'], retryAfter);
      } else {
        run.accepted += 1;
        const minute = Math.floor((now - start) / 60_000);
        run.perMinute[minute] = (run.perMinute[minute] ?? 0) + 1;
      }
      continue;
    }
    const taken = ledger.takeNow('A', ['op'], { interactive: 0, background: 50 })!;
    for (let index = 0; index < taken.background; index += 1) arrivals.push(now + random() * options.delayMs);
    arrivals.sort((a, b) => a - b);
    const bucket = taken.buckets[0]!;
    const wait = Math.max(
      bucket.steadyWait + bucket.steadyKept * bucket.steadyGap,
      bucket.burstWait + bucket.burstKept * bucket.burstGap,
      bucket.heldBackground,
    );
    replica.at = now + Math.max(1, wait * 1000 + random() * 3);
  }
}

const SEED = Number(process.env['SEED'] ?? Date.now() % 1_000_000);
const TIERS: [name: string, limits: QuotaLimits, leastUsed: number][] = [
  ['1/s 15/m', { burst: 1, steady: 15 }, 0.85],
  ['3/s 60/m', { burst: 3, steady: 60 }, 0.9],
  ['10/s 150/m', { burst: 10, steady: 150 }, 0.94],
  ['75/s 700/m', { burst: 75, steady: 700 }, 0.94],
  ['75/s 750/m', { burst: 75, steady: 750 }, 0.94],
  ['350/s 3500/m', { burst: 350, steady: 3500 }, 0.94],
];

describe(`the shared quota against Klaviyo's fixed windows (SEED=${SEED})`, () => {
  it.each(TIERS)(
    'is never refused on %s from the first call on, whatever the phase, and uses it',
    (_, limits, leastUsed) => {
      for (let round = 0; round < (limits.steady > 1000 ? 5 : 15); round += 1) {
        const replicas = 1 + (round % 3);
        const run = saturate(limits, { seed: SEED + round, minutes: 5, delayMs: 200, replicas });
        expect({ round, refused: run.refused }).toEqual({ round, refused: 0 });
        expect(run.accepted / (5 * limits.steady)).toBeGreaterThanOrEqual(leastUsed);
      }
    },
  );

  it.each(TIERS)('holds within any minute and any second on %s, an idle account in a hurry included', (_, limits) => {
    const { steadyGap, steadyRoom, burstGap, burstRoom } = figuresOf(limits, 1);
    expect(steadyRoom + Math.ceil(60 / steadyGap) - 1).toBeLessThanOrEqual(limits.steady);
    expect(burstRoom + Math.ceil(1 / burstGap) - 1).toBeLessThanOrEqual(limits.burst);
  });

  // Fifty windows' worth of calls at least: where only 15 a minute are allowed, finding out costs a longer while.
  it.each(TIERS)(
    'gives way on %s where another integration eats half: few refusals, and the other half used',
    (_, limits) => {
      const minutes = Math.max(5, 6000 / limits.steady);
      for (let round = 0; round < 4; round += 1) {
        const run = saturate(limits, { seed: SEED + round, minutes, delayMs: 200, foreign: 0.5, replicas: 2 });
        expect(run.refused / (run.accepted + run.refused)).toBeLessThan(0.01);
        expect(run.refused).toBeGreaterThan(0);
        expect(run.accepted / (minutes * limits.steady * 0.5)).toBeGreaterThan(0.9);
      }
    },
  );

  it('comes back to the whole once the other integration is gone', async () => {
    let now = 1_000_000_000_000;
    const ledger = new QuotaModel(() => now);
    void ledger.open('A', [{ name: 'op', limits: { burst: 10, steady: 150 } }], 1);
    void ledger.block('A', ['op'], 20);
    const pace = async (): Promise<number> => (await ledger.use('A'))[0]!.pace;
    expect(await pace()).toBeLessThan(0.6);
    now += 60_000;
    expect(await pace()).toBeLessThan(0.6);
    now += 10 * 60_000;
    expect(await pace()).toBe(1);
  });

  it('keeps to a share of the limits', () => {
    const run = saturate({ burst: 75, steady: 750 }, { seed: SEED, minutes: 5, delayMs: 100, share: 0.2 });
    expect(run.refused).toBe(0);
    expect(Math.max(...run.perMinute)).toBeLessThanOrEqual(150);
    expect(run.accepted).toBeGreaterThan(5 * 150 * 0.9);
  });
});
