import type { QuotaLimits } from './quota';

/**
 * How one of Klaviyo's counters is kept: calls come back one by one, each after a gap, and so many may go at once
 * (GCRA). Seconds and calls. `keep` calls of each room are left to interactive work.
 */
export interface QuotaFigures {
  readonly steadyGap: number;
  readonly steadyRoom: number;
  readonly steadyKeep: number;
  readonly burstGap: number;
  readonly burstRoom: number;
  readonly burstKeep: number;
  /** Calls of a day; null where Klaviyo counts none. */
  readonly dailyRoom: number | null;
  readonly dailyKeep: number;
  /** Seconds that `pace` takes its first step back up in: see `QUOTA_PACE`. */
  readonly paceScale: number;
}

/**
 * Network and event loop delay calls by different times, so our windows are that much longer than Klaviyo's. Measured
 * against fixed windows of random phase with delays of up to 200 ms: test/unit/klaviyo-quota-windows.spec.ts.
 */
const GUARD = { burst: 0.25, steady: 1 };
/** The part of a minute that an idle account may send at once; the more, the slower the rest must go. */
const AT_ONCE = 0.03;
/** Where 1 call a second is allowed, two in a row are this far apart: Klaviyo's second may begin between them. */
const ALONE_SECONDS = 2;
/** One 429 in so many calls is what looking for room beside another integration may cost. */
const CALLS_PER_PROBE = 150;

/**
 * The figures of a counter. Klaviyo's windows are fixed and their phase is unknown, so at most S calls may fall into
 * any 60 s and at most B into any second: with `room` calls at once and one more every `gap`, a window of W seconds
 * holds `room + ceil(W / gap) - 1` at most, hence `gap = W / (S - room + 1)`. Of a burst of B, B - 1 are used.
 *
 * Over five minutes that uses 95 % of the minute's limit on 10/s and above (3 % at once, one guard second in sixty).
 * @param share the part of each limit that this service may use, (0, 1]
 */
export function figuresOf(limits: QuotaLimits, share: number): QuotaFigures {
  const steady = gcra(limits.steady * share, 60 + GUARD.steady, roomOf(limits.steady * share));
  const burst = burstOf(limits.burst * share, steady.gap);
  const daily = limits.daily === undefined ? null : Math.max(1, Math.floor(limits.daily * share));
  return {
    steadyGap: steady.gap,
    steadyRoom: steady.room,
    steadyKeep: keptOf(steady.room),
    burstGap: burst.gap,
    burstRoom: burst.room,
    burstKeep: keptOf(burst.room),
    dailyRoom: daily,
    dailyKeep: daily === null || daily < 20 ? 0 : Math.ceil(daily / 20),
    paceScale: Math.max(60, (60 * CALLS_PER_PROBE) / (limits.steady * share)),
  };
}

/** Less than one call a window makes the window longer. */
function gcra(limit: number, seconds: number, room: number): { gap: number; room: number } {
  return limit < 1 ? { gap: seconds / limit, room: 1 } : { gap: seconds / (Math.floor(limit) - room + 1), room };
}

/** Two calls more than the 3 %, so that the small tiers do not crawl from their first call on. */
function roomOf(limit: number): number {
  if (limit < 6) return Math.max(1, Math.min(2, Math.floor(limit)));
  return Math.ceil(AT_ONCE * limit) + 2;
}

/** As many at once as leave the steady rate unhindered, by a quarter; a quarter of the burst where that cannot be. */
function burstOf(limit: number, steadyGap: number): { gap: number; room: number } {
  if (limit < 2) return { gap: ALONE_SECONDS / limit, room: 1 };
  const seconds = 1 + GUARD.burst;
  const usable = Math.floor(limit) - 1;
  const room = Math.max(1, Math.floor(usable / 4), Math.floor(usable - (1.25 * seconds) / steadyGap));
  return gcra(usable, seconds, room);
}

/** What background work leaves to interactive calls: a quarter of the room, where there is more than one call. */
function keptOf(room: number): number {
  return room < 2 ? 0 : Math.ceil(room / 4);
}
