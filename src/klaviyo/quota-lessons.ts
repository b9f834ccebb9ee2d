import { Logger } from '@nestjs/common';
import type { Clock } from '../common/clock';
import { parseRateLimit, sameLimits, type QuotaBucket, type QuotaLimits } from './quota';
import type { BucketState, QuotaLedger } from './quota-ledger';

/** What others use is told at most that often a counter. */
const TELL_OTHERS_MS = 1000;
/** Answers that are on their way together all say the same. */
const SAME_LESSON_MS = 1000;
/** Fewer calls, or a smaller part of the burst, may be another replica's that started meanwhile. */
const FEWEST_OTHERS = 2;
const LEAST_PART = 0.1;

/** What Klaviyo's answers say of an account's quota, written down for all replicas. */
export class QuotaLessons {
  private readonly logger = new Logger('KlaviyoQuota');
  /** By account: what is on its way to the ledger. */
  private readonly writing = new Map<string, Promise<unknown>>();
  /** By account and counter: calls of others seen in the last answer, and when it was told. */
  private readonly others = new Map<string, { calls: number; toldAt: number }>();
  /** By account and counter: the limits written down last, and when. */
  private readonly adopted = new Map<string, { limits: QuotaLimits; at: number }>();
  /** Counters whose figures this process already brought in line with its own share. */
  private readonly settled = new Set<string>();

  constructor(
    private readonly ledger: QuotaLedger,
    private readonly share: number,
    private readonly clock: Clock,
  ) {}

  /** Resolves when what was learnt of the account so far is written down, or failed to be. */
  written(accountId: string): Promise<unknown> {
    return this.writing.get(accountId) ?? Promise.resolve();
  }

  /**
   * Rows outlive processes: another share, or a lower published limit, counts from the first call on. Once a process
   * and counter: where replicas disagree, the one that came last wins.
   */
  settle(accountId: string, states: readonly BucketState[], published: readonly QuotaBucket[]): void {
    for (const state of states) {
      const key = `${accountId}\n${state.name}`;
      if (this.settled.has(key)) continue;
      this.settled.add(key);
      const ours = published.find(({ name }) => name === state.name)?.limits;
      const lower = ours !== undefined && !state.learned && ours.steady < state.limits.steady;
      const limits = lower ? ours : state.limits;
      if (lower || state.share !== this.share) this.adopt(accountId, state.name, limits, state.learned);
    }
  }

  /**
   * The table of `RateLimit-Limit`. With one counter it is that one's. With a second budget it describes the stricter
   * of both, so it is the second's wherever the first is known from Klaviyo itself and is another.
   * @param states the request's counters, its endpoint's own first; undefined where nothing is known
   * @returns the counter that has other limits now
   */
  limits(accountId: string, states: readonly (BucketState | undefined)[], rateLimit: string): BucketState | undefined {
    const limits = parseRateLimit(rateLimit);
    const [own, extra, more] = states;
    if (limits === undefined || own === undefined) return undefined;
    if (states.length === 1) {
      const merged = { ...limits, daily: limits.daily ?? own.limits.daily };
      const same = sameLimits(merged, own.limits);
      if (!own.learned || !same) this.adopt(accountId, own.name, merged, true);
      return same ? undefined : own;
    }
    if (more !== undefined || extra === undefined || !own.learned || sameLimits(limits, own.limits)) return undefined;
    if (limits.steady >= own.limits.steady || sameLimits(limits, extra.limits)) return undefined;
    this.adopt(accountId, extra.name, limits, true);
    return extra;
  }

  /**
   * `RateLimit-Remaining` speaks of the second. What is gone of it and is not ours was used by others; believed when
   * two answers in a row show it.
   */
  remaining(accountId: string, state: BucketState, header: string): void {
    if (!/^\d{1,9}$/.test(header)) return;
    const { burst } = state.limits;
    const calls = burst - Number(header) - state.recent;
    const key = `${accountId}\n${state.name}`;
    const last = this.others.get(key);
    if (calls < Math.max(FEWEST_OTHERS, burst * LEAST_PART)) {
      if (last) last.calls = 0;
      return;
    }
    const sure = Math.min(calls, last?.calls ?? 0);
    const now = this.clock.now();
    const tell = sure > 0 && now - (last?.toldAt ?? 0) >= TELL_OTHERS_MS;
    this.others.set(key, { calls, toldAt: tell ? now : (last?.toldAt ?? 0) });
    if (tell) this.write(accountId, () => this.ledger.seeOthers(accountId, state.name, sure));
  }

  /** A 429. */
  refused(accountId: string, buckets: readonly string[], seconds: number): void {
    this.write(accountId, () => this.ledger.block(accountId, buckets, seconds));
  }

  /** Forgets what is only of use while an account is spoken to. */
  forget(accountId: string): void {
    for (const known of [this.settled, this.others, this.adopted])
      for (const key of known.keys()) if (key.startsWith(`${accountId}\n`)) known.delete(key);
  }

  private adopt(accountId: string, name: string, limits: QuotaLimits, learned: boolean): void {
    const key = `${accountId}\n${name}`;
    const last = this.adopted.get(key);
    const now = this.clock.now();
    if (learned && last && sameLimits(last.limits, limits) && now - last.at < SAME_LESSON_MS) return;
    if (learned) this.adopted.set(key, { limits, at: now });
    this.write(accountId, () => this.ledger.adopt(accountId, { name, limits }, this.share, learned));
  }

  /** One after the other; a lesson that is lost comes again with the next answer. */
  private write(accountId: string, work: () => Promise<void>): void {
    const task = this.written(accountId)
      .then(work)
      .catch((error: unknown) => {
        const reason = error instanceof Error ? error.message : 'unknown';
        this.logger.warn({ msg: 'what Klaviyo said of its quota was not written down', accountId, reason });
      })
      .finally(() => {
        if (this.writing.get(accountId) === task) this.writing.delete(accountId);
      });
    this.writing.set(accountId, task);
  }
}
