import type { QuotaLimits } from './quota';
import { RollingWindow } from './rolling-window';

/** Network and event loop delay starts by different times: the windows are a little longer than Klaviyo's. */
const GUARD_MS = { burst: 250, steady: 1000, daily: 60_000 };
/** Below that a 4 % margin is less than one call, and the longer window alone must do. */
const STEADY_MARGIN = 0.04;

/** The state of one of Klaviyo's counters as this process knows it. */
export class QuotaCounter {
  private windows: RollingWindow[] = [];
  private blockedUntil = 0;

  constructor(
    private limits: QuotaLimits,
    private readonly share: number,
  ) {
    this.windows = sizesOf(limits, share).map(([capacity, windowMs]) => new RollingWindow(capacity, windowMs));
  }

  /** The earliest start of the next call but `ahead` others, as far as is known. */
  freeAt(now: number, background: boolean, ahead = 0): number {
    return Math.max(this.blockedUntil, now, ...this.windows.map((window) => window.freeAt(now, background, ahead)));
  }

  take(now: number): void {
    for (const window of this.windows) window.take(now);
  }

  blockUntil(time: number): void {
    this.blockedUntil = Math.max(this.blockedUntil, time);
  }

  /** Takes over what Klaviyo says it allows; the calls made so far still count. Was it anything new? */
  adopt(limits: QuotaLimits): boolean {
    const { burst, steady, daily } = this.limits;
    if (limits.burst === burst && limits.steady === steady && (limits.daily ?? daily) === daily) return false;
    this.limits = { ...limits, daily: limits.daily ?? daily };
    // The longest window remembers all that the shorter ones do.
    const longest = this.windows.at(-1);
    this.windows = sizesOf(this.limits, this.share).map(
      ([capacity, windowMs]) => longest?.resized(capacity, windowMs) ?? new RollingWindow(capacity, windowMs),
    );
    return true;
  }

  idle(now: number): boolean {
    return this.blockedUntil <= now && this.windows.every((window) => window.idle(now));
  }
}

/**
 * Capacity and length of each window. Klaviyo's are fixed and their phase unknown; of a burst of B, B - 1 are used
 * (at 1/s one call in two seconds), of the minute 96 %, of both only the configured share.
 */
function sizesOf({ burst, steady, daily }: QuotaLimits, share: number): [capacity: number, windowMs: number][] {
  const sizes: [number, number][] = [
    burst * share >= 2 ? [Math.floor(burst * share) - 1, 1000 + GUARD_MS.burst] : scaled(burst * share, 2000),
    scaled(steady * share - Math.floor(steady * share * STEADY_MARGIN), 60_000 + GUARD_MS.steady),
  ];
  if (daily !== undefined) sizes.push(scaled(daily * share, 86_400_000 + GUARD_MS.daily));
  return sizes;
}

/** Whole calls in a window; less than one call makes the window longer. */
function scaled(capacity: number, windowMs: number): [number, number] {
  return capacity >= 1 ? [Math.floor(capacity), windowMs] : [1, Math.ceil(windowMs / capacity)];
}
