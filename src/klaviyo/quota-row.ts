import type { QuotaLimits } from './quota';
import { figuresOf } from './quota-figures';
import type { BucketState, Taken } from './quota-ledger';

/** What one counter comes back as. */
export interface QuotaRow {
  bucket: string;
  burst: number;
  steady: number;
  daily: number | null;
  learned: boolean;
  share: number;
  interactive: number;
  background: number;
  openFor: number | null;
  recent: number;
  rows: number;
  steadyWait: number;
  steadyGap: number;
  steadyKept: number;
  burstWait: number;
  burstGap: number;
  burstKept: number;
  blocked: number;
  dayLeft: number | null;
  dayKept: number;
  dayWait: number;
}

/** The columns that `valuesOf` fills after the limits. */
export const FIGURES = [
  'steady_gap',
  'steady_room',
  'steady_keep',
  'burst_gap',
  'burst_room',
  'burst_keep',
  'daily_room',
  'daily_keep',
  'pace_scale',
] as const;

/** Limits, then figures, in the order of their columns. */
export function valuesOf(limits: QuotaLimits, share: number): (number | null)[] {
  const figures = figuresOf(limits, share);
  return [
    limits.burst,
    limits.steady,
    limits.daily ?? null,
    figures.steadyGap,
    figures.steadyRoom,
    figures.steadyKeep,
    figures.burstGap,
    figures.burstRoom,
    figures.burstKeep,
    figures.dailyRoom,
    figures.dailyKeep,
    figures.paceScale,
  ];
}

function stateOf(row: QuotaRow): BucketState {
  const { burst, steady, daily, dayLeft, dayKept, dayWait, blocked } = row;
  const dayHeld = (kept: number): number => (dayLeft !== null && dayLeft - kept < 1 ? dayWait : 0);
  return {
    name: row.bucket,
    limits: { burst, steady, daily: daily ?? undefined },
    learned: row.learned,
    share: row.share,
    recent: row.recent,
    steadyWait: row.steadyWait,
    steadyGap: row.steadyGap,
    steadyKept: row.steadyKept,
    burstWait: row.burstWait,
    burstGap: row.burstGap,
    burstKept: row.burstKept,
    held: Math.max(blocked, dayHeld(0)),
    heldBackground: Math.max(blocked, dayHeld(dayKept)),
    dayOver: dayLeft !== null && dayLeft < 1,
  };
}

/** What the rows of one answer say together: what was given stands in each. */
export function takenOf(rows: readonly QuotaRow[]): Taken {
  const { interactive = 0, background = 0, openFor = null } = rows[0] ?? {};
  return {
    interactive,
    background,
    circuit: openFor === null ? 'closed' : interactive + background > 0 ? 'probe' : 'open',
    openFor: openFor ?? 0,
    buckets: rows.map(stateOf),
  };
}
