import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import type { ThrottlerStorage } from '@nestjs/throttler';
import type { Redis } from 'ioredis';
import { Clock } from '../common/clock';
import { ENV, type Env } from '../config/env';

type Counted = Awaited<ReturnType<ThrottlerStorage['increment']>>;
interface Window {
  hits: number;
  /** Milliseconds until the window ends. */
  left: number;
}

const MAX_KEYS = 100_000;
const PREFIX = 'klaviyo:throttle:';
/** One round trip: count, and start the window with its first call. */
const HIT = `
local hits = redis.call('INCR', KEYS[1])
local left = redis.call('PTTL', KEYS[1])
if left < 0 then
  redis.call('PEXPIRE', KEYS[1], ARGV[1])
  left = tonumber(ARGV[1])
end
return {hits, left}`;
const CONNECT_MS = 1000;
/** Longer than this Redis is no help: the call is counted here instead. */
const COMMAND_MS = 250;
const LONGEST_RECONNECT_MS = 5000;

/**
 * Counts callers' calls in fixed windows: in Redis, shared by the replicas, where `REDIS_URL` is set, else here.
 * Without Redis' answer it counts here, and calls go on.
 */
@Injectable()
export class ThrottleStorage implements ThrottlerStorage, OnApplicationShutdown {
  private readonly logger = new Logger('Throttling');
  private readonly windows = new Map<string, { hits: number; until: number }>();
  private readonly redis: Promise<Redis> | undefined;
  private warned = false;

  constructor(
    @Inject(ENV) env: Env,
    private readonly clock: Clock,
  ) {
    if (env.redisUrl !== undefined) this.redis = connect(env.redisUrl);
  }

  /** @param ttl the window in milliseconds. Times of the answer are seconds, as @nestjs/throttler has them. */
  async increment(key: string, ttl: number, limit: number): Promise<Counted> {
    const { hits, left } = (await this.hitRedis(key, ttl)) ?? this.hitHere(key, ttl);
    const seconds = Math.max(1, Math.ceil(left / 1000));
    const isBlocked = hits > limit;
    return { totalHits: hits, timeToExpire: seconds, isBlocked, timeToBlockExpire: isBlocked ? seconds : 0 };
  }

  async onApplicationShutdown(): Promise<void> {
    (await this.redis)?.disconnect();
  }

  private async hitRedis(key: string, ttl: number): Promise<Window | undefined> {
    if (!this.redis) return undefined;
    try {
      const answer: unknown = await (await this.redis).eval(HIT, 1, PREFIX + key, ttl);
      if (!Array.isArray(answer)) throw new Error('unexpected answer');
      if (this.warned) this.logger.log('Redis answers again: throttling is shared');
      this.warned = false;
      return { hits: Number(answer[0]), left: Number(answer[1]) };
    } catch (error) {
      if (!this.warned) this.logger.warn('Redis does not answer: this replica throttles alone', { err: error });
      this.warned = true;
      return undefined;
    }
  }

  private hitHere(key: string, ttl: number): Window {
    const now = this.clock.now();
    let window = this.windows.get(key);
    if (!window || window.until <= now) {
      this.windows.delete(key);
      if (this.windows.size >= MAX_KEYS) this.forget(now);
      window = { hits: 0, until: now + ttl };
      this.windows.set(key, window);
    }
    window.hits += 1;
    return { hits: window.hits, left: window.until - now };
  }

  /** Windows stand in the order of their start: what ended goes, at least the oldest. */
  private forget(now: number): void {
    for (const [key, window] of this.windows) {
      if (window.until > now && this.windows.size < MAX_KEYS) return;
      this.windows.delete(key);
    }
  }
}

/** The client is loaded only where Redis is used. It reconnects by itself; commands meanwhile fail at once. */
async function connect(url: string): Promise<Redis> {
  const { Redis } = await import('ioredis');
  const redis = new Redis(url, {
    connectTimeout: CONNECT_MS,
    commandTimeout: COMMAND_MS,
    lazyConnect: true,
    enableOfflineQueue: false,
    enableReadyCheck: false,
    maxRetriesPerRequest: 0,
    retryStrategy: (times) => Math.min(times * 200, LONGEST_RECONNECT_MS),
  });
  // The failure shows itself at the next command.
  redis.on('error', () => undefined);
  await redis.connect().catch(() => undefined);
  return redis;
}
