/** Limits of one endpoint: calls a second, a minute and, where there is one, a day. */
export interface Limits {
  burst: number;
  steady: number;
  daily?: number;
}

export const TIERS = {
  XS: { burst: 1, steady: 15 },
  S: { burst: 3, steady: 60 },
  M: { burst: 10, steady: 150 },
  L: { burst: 75, steady: 750 },
  XL: { burst: 350, steady: 3500 },
  report: { burst: 1, steady: 2, daily: 225 },
  listCreate: { burst: 10, steady: 150, daily: 150 },
  segmentWrite: { burst: 1, steady: 15, daily: 100 },
} as const satisfies Record<string, Limits>;
export type Tier = keyof typeof TIERS;

const WINDOWS = [
  { name: 'burst', seconds: 1 },
  { name: 'steady', seconds: 60 },
  { name: 'daily', seconds: 86_400 },
] as const;

export type LimitsMode = 'klaviyo' | 'off' | 'huge' | Record<string, Limits>;
const HUGE: Limits = { burst: 100_000, steady: 6_000_000 };

interface Window {
  startedAt: number;
  used: number;
}

/** One bucket that a call draws from: an endpoint's own, or a stricter one that several endpoints share. */
export interface Bucket {
  key: string;
  limits: Limits;
}

export type Verdict = { allowed: true; headers: Record<string, string> } | { allowed: false; retryAfter: number };

/** Fixed windows of one account: per endpoint and for the shared second buckets; all keys draw from the same ones. */
export class Quota {
  mode: LimitsMode = 'klaviyo';
  /** Where within a second and a minute Klaviyo's windows begin, in milliseconds; unknown to clients. */
  phaseMs = 0;
  /** The part of every window that another integration of the same account eats, spread evenly over it. */
  foreignShare = 0;
  private readonly windows = new Map<string, Window>();

  /** Limits in force for a bucket, null when nothing is enforced or said. */
  limitsOf(operation: string, tier: Tier, published: Limits): Limits | null {
    if (this.mode === 'off') return null;
    if (this.mode === 'huge') return HUGE;
    if (this.mode === 'klaviyo') return published;
    return this.mode[operation] ?? this.mode[tier] ?? this.mode.default ?? published;
  }

  /** Takes one call from every bucket, or none at all. `force` counts it even when refused limits would say no. */
  take(buckets: readonly Bucket[], now: number, force = false): Verdict {
    let retryAfter = 0;
    for (const { key, limits } of buckets) {
      for (const { name, seconds } of WINDOWS) {
        const limit = limits[name];
        if (limit === undefined) continue;
        const window = this.window(key, name, seconds, now);
        if (window.used + this.foreign(limit, seconds, now) >= limit)
          retryAfter = Math.max(retryAfter, Math.ceil((window.startedAt + seconds * 1000 - now) / 1000), 1);
      }
    }
    if (retryAfter > 0 && !force) return { allowed: false, retryAfter };
    for (const { key, limits } of buckets)
      for (const { name, seconds } of WINDOWS)
        if (limits[name] !== undefined) this.window(key, name, seconds, now).used += 1;
    return { allowed: true, headers: this.headers(buckets, now) };
  }

  /** Calls drawn so far in the windows that run now. */
  used(now: number): Record<string, Record<string, number>> {
    const out: Record<string, Record<string, number>> = {};
    for (const [key, window] of this.windows) {
      const [bucket, name] = key.split('|') as [string, string];
      const seconds = WINDOWS.find((known) => known.name === name)?.seconds ?? 1;
      if (window.startedAt + seconds * 1000 > now) (out[bucket] ??= {})[name] = window.used;
    }
    return out;
  }

  reset(): void {
    this.windows.clear();
  }

  private headers(buckets: readonly Bucket[], now: number): Record<string, string> {
    // The strictest bucket speaks, and it speaks of its burst window, as recorded.
    const strictest = [...buckets].sort((a, b) => a.limits.steady - b.limits.steady)[0];
    if (strictest === undefined) return {};
    const { burst, steady, daily } = strictest.limits;
    const window = this.window(strictest.key, 'burst', 1, now);
    const left = Math.max(Math.floor(burst - window.used - this.foreign(burst, 1, now)), 0);
    return {
      'ratelimit-limit': `${burst}, ${burst};w=1, ${steady};w=60${daily === undefined ? '' : `, ${daily};w=86400`}`,
      'ratelimit-remaining': String(left),
      'ratelimit-reset': String(Math.floor((window.startedAt + 1000 - now) / 1000)),
    };
  }

  private foreign(limit: number, seconds: number, now: number): number {
    if (this.foreignShare === 0) return 0;
    const length = seconds * 1000;
    const elapsed = (((now - this.phaseMs) % length) + length) % length;
    return Math.floor(limit * this.foreignShare * ((elapsed + 1) / length));
  }

  private window(bucket: string, name: string, seconds: number, now: number): Window {
    const key = `${bucket}|${name}`;
    const length = seconds * 1000;
    const startedAt = now - ((((now - this.phaseMs) % length) + length) % length);
    let window = this.windows.get(key);
    if (window?.startedAt !== startedAt) {
      window = { startedAt, used: 0 };
      this.windows.set(key, window);
    }
    return window;
  }
}
