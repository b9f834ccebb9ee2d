import { Inject, Injectable, type OnModuleDestroy } from '@nestjs/common';
import { Clock } from '../common/clock';
import { ENV, type Env } from '../config/env';
import { Alerts } from '../observability/alerts';
import { AccountHealth } from './account-health';
import { KlaviyoQuota, type QuotaRequest } from './quota';
import { QuotaLane, type LaneContext } from './quota-lane';
import { QuotaLedger, type Taken } from './quota-ledger';
import { QuotaLessons } from './quota-lessons';
import { Waits } from './waits';

/** A lane that was quiet that long is forgotten; what Klaviyo said of the limits is in the ledger. */
const QUIET_MS = 600_000;
const SWEEP_MS = 60_000;
/** A longer pause than a minute's window is a day's. */
const LONGEST_MINUTE_MS = 61_000;

/**
 * Klaviyo's quota, one budget for all replicas: lines up the calls of this process by priority, and lets each start when
 * the shared ledger gives it its slots.
 */
@Injectable()
export class SharedQuota extends KlaviyoQuota implements OnModuleDestroy {
  /** By account, then by the counters that a call counts on. */
  private readonly lanes = new Map<string, Map<string, QuotaLane>>();
  private readonly lessons: QuotaLessons;
  private readonly sweeper: NodeJS.Timeout;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly ledger: QuotaLedger,
    private readonly clock: Clock,
    private readonly waits: Waits,
    private readonly health: AccountHealth,
    private readonly alerts: Alerts,
  ) {
    super();
    this.lessons = new QuotaLessons(ledger, env.klaviyoRateLimitShare, clock);
    this.sweeper = setInterval(() => this.sweep(), SWEEP_MS).unref();
    waits.onStop(() => {
      for (const lane of this.everyLane()) lane.release();
    });
  }

  override acquire(request: QuotaRequest): Promise<void> {
    return this.laneOf(request).acquire(request);
  }

  override learn(request: QuotaRequest, rateLimit: string, remaining: string | undefined): void {
    const { accountId } = request.access;
    const lane = this.laneOf(request);
    const states = request.buckets.map(({ name }) => lane.stateOf(name));
    const changed = this.lessons.limits(accountId, states, rateLimit);
    if (changed) this.reconsider(accountId, [changed.name]);
    const [own, extra] = states;
    if (own && extra === undefined && remaining !== undefined) this.lessons.remaining(accountId, own, remaining);
  }

  override refused(request: QuotaRequest, retryAfterMs: number): void {
    const { accountId } = request.access;
    const names = request.buckets.map(({ name }) => name);
    this.lessons.refused(accountId, names, retryAfterMs / 1000);
    if (retryAfterMs > LONGEST_MINUTE_MS)
      for (const { name, limits } of request.buckets) if (limits.daily !== undefined) this.dayIsOver(request, name);
    this.reconsider(accountId, names);
  }

  onModuleDestroy(): void {
    clearInterval(this.sweeper);
  }

  private reconsider(accountId: string, counters: readonly string[]): void {
    for (const lane of this.lanes.get(accountId)?.values() ?? [])
      if (lane.buckets.some(({ name }) => counters.includes(name))) lane.reconsider();
  }

  private laneOf(request: QuotaRequest): QuotaLane {
    const { accountId } = request.access;
    const lanes = this.lanes.get(accountId) ?? new Map<string, QuotaLane>();
    this.lanes.set(accountId, lanes);
    const key = request.buckets.map(({ name }) => name).join('\n');
    const known = lanes.get(key);
    if (known) return known;
    const lane = new QuotaLane(accountId, request.buckets, this.contextOf(accountId, request));
    lanes.set(key, lane);
    return lane;
  }

  private contextOf(accountId: string, { buckets }: QuotaRequest): LaneContext {
    const { ledger, clock, waits, lessons, health } = this;
    return {
      ledger,
      clock,
      waits,
      share: this.env.klaviyoRateLimitShare,
      learnt: () => Promise.all([lessons.written(accountId), health.written(accountId)]),
      onTaken: (taken, request) => {
        health.noticed(accountId, taken.circuit);
        lessons.settle(accountId, taken.buckets, buckets);
        this.watchDay(taken, request);
      },
    };
  }

  private watchDay(taken: Taken, request: QuotaRequest): void {
    for (const { name, limits, dayOver } of taken.buckets) {
      if (limits.daily === undefined) continue;
      if (dayOver) this.dayIsOver(request, name);
      else if (taken.interactive + taken.background > 0) this.alerts.resolveKnown(dayKey(request, name));
    }
  }

  private dayIsOver(request: QuotaRequest, bucket: string): void {
    const { userId, connectionId, accountId } = request.access;
    this.alerts.raise({
      type: 'quota.daily_exhausted',
      key: dayKey(request, bucket),
      severity: 'warning',
      userId,
      connectionId,
      summary: `Klaviyo's daily budget for ${bucket} of account ${accountId} is used up.`,
    });
  }

  private *everyLane(): Generator<QuotaLane> {
    for (const lanes of this.lanes.values()) yield* lanes.values();
  }

  private sweep(): void {
    const quiet = this.clock.now() - QUIET_MS;
    for (const [accountId, lanes] of this.lanes) {
      for (const [key, lane] of lanes) if (lane.idle && lane.usedAt < quiet) lanes.delete(key);
      if (lanes.size > 0) continue;
      this.lanes.delete(accountId);
      this.lessons.forget(accountId);
    }
  }
}

function dayKey({ access }: QuotaRequest, bucket: string): string {
  return `quota.daily_exhausted:${access.accountId}:${bucket}`;
}
