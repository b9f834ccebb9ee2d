import { Inject, Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { ENV, type Env } from '../config/env';
import { stopping, Waits } from './waits';
import { rateLimited } from './klaviyo-error';
import { KlaviyoQuota, parseRateLimit, type QuotaBucket, type QuotaRequest } from './quota';
import { QuotaCounter } from './quota-counter';

interface Waiter {
  request: QuotaRequest;
  start: () => void;
  fail: (error: Error) => void;
}

/** Calls of one account that count on the same counters wait in one line: interactive first, then in order of arrival. */
interface Lane {
  counters: QuotaCounter[];
  interactive: Waiter[];
  background: Waiter[];
  /** Not later than the first deadline of those who wait. */
  firstDeadline: number;
  timer: NodeJS.Timeout | undefined;
}

interface Account {
  counters: Map<string, QuotaCounter>;
  lanes: Map<string, Lane>;
  usedAt: number;
}

/** An account that was quiet that long is forgotten, with what Klaviyo said of its limits. */
const QUIET_MS = 3_600_000;
const LONGEST_TIMER_MS = 60_000;

/** Keeps to Klaviyo's quota as far as one process can: it knows its own calls and what Klaviyo answers. */
@Injectable()
export class LocalQuota extends KlaviyoQuota {
  private readonly accounts = new Map<string, Account>();
  private sweptAt = 0;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly clock: Clock,
    private readonly waits: Waits,
  ) {
    super();
    waits.onStop(() => {
      for (const account of this.accounts.values()) for (const lane of account.lanes.values()) this.pump(lane, true);
    });
  }

  override acquire(request: QuotaRequest): Promise<void> {
    const now = this.clock.now();
    this.sweep(now);
    const lane = this.laneOf(request);
    const line = lane[request.priority];
    const background = request.priority === 'background';
    const ahead = lane.interactive.length + (background ? lane.background.length : 0);
    const at = freeAt(lane, now, background, ahead);
    if (ahead === 0 && at <= now) {
      for (const counter of lane.counters) counter.take(now);
      return Promise.resolve();
    }
    if (at >= request.deadline) return Promise.reject(tooLong(request, at - now));
    return new Promise((start, fail) => {
      line.push({ request, start, fail });
      lane.firstDeadline = Math.min(lane.firstDeadline, request.deadline);
      this.pump(lane);
    });
  }

  override learn(request: QuotaRequest, rateLimit: string): void {
    const [own, ...extra] = request.buckets;
    // With a second budget the header describes that one, or not: nothing is certain enough to be taken over.
    if (own === undefined || extra.length > 0) return;
    const limits = parseRateLimit(rateLimit);
    const account = this.accountOf(request.accountId);
    if (limits !== undefined && this.counterOf(account, own).adopt(limits))
      for (const lane of account.lanes.values()) this.pump(lane, true);
  }

  override refused(request: QuotaRequest, retryAfterMs: number): void {
    const until = this.clock.now() + retryAfterMs;
    const account = this.accountOf(request.accountId);
    for (const bucket of request.buckets) this.counterOf(account, bucket).blockUntil(until);
    for (const lane of account.lanes.values()) this.pump(lane, true);
  }

  /**
   * Starts what may start and sets the timer for the next. Those who wait are judged again, and refused when they can
   * no longer start in time, when something became worse or a deadline is there.
   */
  private pump(lane: Lane, worse = false): void {
    clearTimeout(lane.timer);
    lane.timer = undefined;
    const now = this.clock.now();
    for (;;) {
      const background = lane.interactive.length === 0;
      const line = background ? lane.background : lane.interactive;
      if (line.length === 0) return;
      const at = freeAt(lane, now, background);
      if (at > now) {
        if (worse || now >= lane.firstDeadline) this.giveUp(lane, now);
        if (lane.interactive.length + lane.background.length > 0) this.wakeAt(lane, at, now);
        return;
      }
      for (const counter of lane.counters) counter.take(now);
      line.shift()?.start();
    }
  }

  private giveUp(lane: Lane, now: number): void {
    const judge = (line: Waiter[], background: boolean, before: number): Waiter[] => {
      const staying: Waiter[] = [];
      for (const waiter of line) {
        const at = freeAt(lane, now, background, before + staying.length);
        if (at >= waiter.request.deadline) waiter.fail(tooLong(waiter.request, at - now));
        else if (!this.waits.allow(at)) waiter.fail(stopping());
        else staying.push(waiter);
      }
      return staying;
    };
    lane.interactive = judge(lane.interactive, false, 0);
    lane.background = judge(lane.background, true, lane.interactive.length);
    const waiting = [...lane.interactive, ...lane.background];
    lane.firstDeadline = waiting.reduce((first, { request }) => Math.min(first, request.deadline), Infinity);
  }

  private wakeAt(lane: Lane, at: number, now: number): void {
    const wake = Math.min(at, lane.firstDeadline) - now + 1;
    lane.timer = setTimeout(() => this.pump(lane), Math.min(wake, LONGEST_TIMER_MS));
  }

  private laneOf(request: QuotaRequest): Lane {
    const account = this.accountOf(request.accountId);
    const key = request.buckets.map(({ name }) => name).join('\n');
    let lane = account.lanes.get(key);
    if (!lane) {
      const counters = request.buckets.map((bucket) => this.counterOf(account, bucket));
      lane = { counters, interactive: [], background: [], firstDeadline: Infinity, timer: undefined };
      account.lanes.set(key, lane);
    }
    return lane;
  }

  private counterOf(account: Account, bucket: QuotaBucket): QuotaCounter {
    let counter = account.counters.get(bucket.name);
    if (!counter) {
      counter = new QuotaCounter(bucket.limits, this.env.klaviyoRateLimitShare);
      account.counters.set(bucket.name, counter);
    }
    return counter;
  }

  private accountOf(accountId: string): Account {
    let account = this.accounts.get(accountId);
    if (!account) {
      account = { counters: new Map(), lanes: new Map(), usedAt: 0 };
      this.accounts.set(accountId, account);
    }
    account.usedAt = this.clock.now();
    return account;
  }

  /** Forgets accounts that are quiet and of which nothing counts any more. */
  private sweep(now: number): void {
    if (now - this.sweptAt < QUIET_MS) return;
    this.sweptAt = now;
    for (const [id, { counters, lanes, usedAt }] of this.accounts) {
      const waiting = [...lanes.values()].some((lane) => lane.interactive.length + lane.background.length > 0);
      const idle = [...counters.values()].every((counter) => counter.idle(now));
      if (now - usedAt >= QUIET_MS && idle && !waiting) this.accounts.delete(id);
    }
  }
}

function freeAt(lane: Lane, now: number, background: boolean, ahead = 0): number {
  return Math.max(...lane.counters.map((counter) => counter.freeAt(now, background, ahead)));
}

function tooLong(request: QuotaRequest, waitMs: number): Error {
  return rateLimited(waitMs / 1000, `no quota for ${request.operation.name} within the deadline`);
}
