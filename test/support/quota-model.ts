import type { QuotaBucket, QuotaLimits } from '../../src/klaviyo/quota';
import { figuresOf, type QuotaFigures } from '../../src/klaviyo/quota-figures';
import { QuotaLedger, type BucketState, type BucketUse, type Taken, type Wanted } from '../../src/klaviyo/quota-ledger';

interface Row {
  limits: QuotaLimits;
  learned: boolean;
  share: number;
  figures: QuotaFigures;
  steadyAt: number;
  burstAt: number;
  blockedUntil: number;
  pace: number;
  pacedAt: number;
  others: number;
  othersAt: number;
  second: number;
  secondUsed: number;
  secondBefore: number;
  hour: number;
  hours: Map<number, number>;
}

/**
 * The quota's arithmetic said once more, in memory and by any clock: what the statement in PostgreSQL is held against,
 * and what simulations of hours run on.
 */
export class QuotaModel extends QuotaLedger {
  private readonly rows = new Map<string, Row>();
  /** Calls taken. */
  taken = 0;
  asked = 0;

  /** @param clock epoch milliseconds */
  constructor(private readonly clock: () => number) {
    super();
  }

  override take(accountId: string, buckets: readonly string[], wanted: Wanted): Promise<Taken | undefined> {
    this.asked += 1;
    return Promise.resolve(this.takeNow(accountId, buckets, wanted));
  }

  takeNow(accountId: string, buckets: readonly string[], wanted: Wanted): Taken | undefined {
    const rows = buckets.map((name) => this.rows.get(`${accountId}\n${name}`));
    if (rows.some((row) => row === undefined)) return undefined;
    const now = this.clock() / 1000;
    const views = rows.map((row) => viewOf(row!, now));
    const interactive = Math.max(0, Math.min(wanted.interactive, ...views.map((view) => view.free)));
    const background = Math.max(
      0,
      Math.min(wanted.background, Math.min(...views.map((view) => view.freeBackground)) - interactive),
    );
    const n = interactive + background;
    this.taken += n;
    views.forEach((view, index) => note(rows[index]!, view, n, now));
    const states = rows.map((row, index) => stateOf(buckets[index]!, row!, views[index]!, n, now));
    return { interactive, background, circuit: 'closed', openFor: 0, buckets: states };
  }

  override open(accountId: string, buckets: readonly QuotaBucket[], share: number): Promise<void> {
    for (const { name, limits } of buckets) {
      const key = `${accountId}\n${name}`;
      if (this.rows.has(key)) continue;
      this.rows.set(key, {
        limits,
        learned: false,
        share,
        figures: figuresOf(limits, share),
        steadyAt: 0,
        burstAt: 0,
        blockedUntil: 0,
        pace: 1,
        pacedAt: 0,
        others: 0,
        othersAt: 0,
        second: 0,
        secondUsed: 0,
        secondBefore: 0,
        hour: 0,
        hours: new Map(),
      });
    }
    return Promise.resolve();
  }

  override adopt(accountId: string, { name, limits }: QuotaBucket, share: number, learned: boolean): Promise<void> {
    const row = this.rows.get(`${accountId}\n${name}`);
    if (!row) return Promise.resolve();
    const figures = figuresOf(limits, share);
    const now = this.clock() / 1000;
    const calls = (before: number, after: number, at: number, gap: number, room: number) =>
      after < before ? room : Math.max(0, at - now) / gap;
    const { limits: old, figures: was } = row;
    const steady = calls(old.steady, limits.steady, row.steadyAt, was.steadyGap, figures.steadyRoom);
    const burst = calls(old.burst, limits.burst, row.burstAt, was.burstGap, figures.burstRoom);
    row.steadyAt = now + steady * figures.steadyGap;
    row.burstAt = now + burst * figures.burstGap;
    Object.assign(row, { limits, learned, share, figures });
    return Promise.resolve();
  }

  override block(accountId: string, buckets: readonly string[], seconds: number): Promise<void> {
    const now = this.clock() / 1000;
    const rows = buckets.map((name) => this.rows.get(`${accountId}\n${name}`)).filter((row) => row !== undefined);
    const strictest = Math.min(...rows.map((row) => row.limits.steady));
    for (const row of rows) {
      if (row.blockedUntil <= now && seconds <= 60 && row.limits.steady === strictest) {
        const pace = paceOf(row, now);
        row.pace = Math.max(0.1, 0.98 * Math.max(0.4 * pace, pace - seconds / Math.max(1, 60 - seconds)));
        row.pacedAt = now;
      }
      row.blockedUntil = Math.max(row.blockedUntil, now + seconds);
    }
    return Promise.resolve();
  }

  override seeOthers(accountId: string, bucket: string, calls: number): Promise<void> {
    const row = this.rows.get(`${accountId}\n${bucket}`);
    const now = this.clock() / 1000;
    if (row) Object.assign(row, { others: Math.max(calls, othersOf(row, now)), othersAt: now });
    return Promise.resolve();
  }

  override use(accountId: string): Promise<BucketUse[]> {
    const now = this.clock() / 1000;
    const mine = [...this.rows].filter(([key]) => key.startsWith(`${accountId}\n`));
    return Promise.resolve(
      mine.map(([key, row]) => ({
        name: key.slice(accountId.length + 1),
        limits: row.limits,
        day: dayOf(row, now),
        share: row.share,
        pace: paceOf(row, now),
        others: othersOf(row, now),
        held: Math.max(0, row.blockedUntil - now),
      })),
    );
  }
}

interface View {
  gap: number;
  room: number;
  burstKept: number;
  steadyAt: number;
  burstAt: number;
  dayLeft: number | null;
  free: number;
  freeBackground: number;
}

function viewOf(row: Row, now: number): View {
  const { figures } = row;
  const gap = figures.steadyGap / paceOf(row, now);
  const room = Math.max(1, figures.burstRoom - othersOf(row, now));
  const burstKept = room - Math.max(1, room - figures.burstKeep);
  const arrival = (at: number, full: number) =>
    at > now + 2 * full + 1 ? now : Math.min(Math.max(at, now), now + full);
  const steadyAt = arrival(row.steadyAt, figures.steadyRoom * gap);
  const burstAt = arrival(row.burstAt, figures.burstRoom * figures.burstGap);
  const dayLeft = figures.dailyRoom === null ? null : figures.dailyRoom - dayOf(row, now);
  const steady = figures.steadyRoom - (steadyAt - now) / gap;
  const burst = room - (burstAt - now) / figures.burstGap;
  const day = dayLeft ?? Infinity;
  const held = row.blockedUntil > now;
  return {
    gap,
    room,
    burstKept,
    steadyAt,
    burstAt,
    dayLeft,
    free: held ? 0 : Math.floor(Math.min(steady, burst, day) + 1e-6),
    freeBackground: held
      ? 0
      : Math.floor(Math.min(steady - figures.steadyKeep, burst - burstKept, day - figures.dailyKeep) + 1e-6),
  };
}

function note(row: Row, view: View, n: number, now: number): void {
  if (n === 0) return;
  row.steadyAt = view.steadyAt + n * view.gap;
  row.burstAt = view.burstAt + n * row.figures.burstGap;
  const second = Math.floor(now);
  row.secondBefore = second === row.second ? row.secondBefore : second === row.second + 1 ? row.secondUsed : 0;
  row.secondUsed = n + (second === row.second ? row.secondUsed : 0);
  row.second = second;
  if (row.figures.dailyRoom === null) return;
  const hour = Math.floor(now / 3600);
  row.hours.set(hour, (row.hours.get(hour) ?? 0) + n);
}

function stateOf(name: string, row: Row, view: View, n: number, now: number): BucketState {
  const { figures, limits, learned, share } = row;
  const blocked = Math.max(0, row.blockedUntil - now);
  const left = view.dayLeft === null ? Infinity : view.dayLeft - n;
  const first = Math.min(...[...row.hours].filter(([, used]) => used > 0).map(([hour]) => hour));
  const dayWait = (first + 25) * 3600 - now;
  return {
    name,
    limits,
    learned,
    share,
    recent: n > 0 ? row.secondUsed + row.secondBefore : 0,
    steadyWait: view.steadyAt + n * view.gap - now - (figures.steadyRoom - 1) * view.gap,
    steadyGap: view.gap,
    steadyKept: figures.steadyKeep,
    burstWait: view.burstAt + n * figures.burstGap - now - (view.room - 1) * figures.burstGap,
    burstGap: figures.burstGap,
    burstKept: view.burstKept,
    held: Math.max(blocked, left < 1 ? dayWait : 0),
    heldBackground: Math.max(blocked, left - figures.dailyKeep < 1 ? dayWait : 0),
    dayOver: left < 1,
  };
}

function paceOf(row: Row, now: number): number {
  return Math.min(1, row.pace + 0.01 * (Math.max(0, now - row.pacedAt) / row.figures.paceScale) ** 2);
}

function othersOf(row: Row, now: number): number {
  return row.others * Math.max(0, 1 - Math.max(0, now - row.othersAt) / 60);
}

function dayOf(row: Row, now: number): number {
  const hour = Math.floor(now / 3600);
  for (const known of row.hours.keys()) if (known <= hour - 25) row.hours.delete(known);
  return [...row.hours.values()].reduce((sum, used) => sum + used, 0);
}
