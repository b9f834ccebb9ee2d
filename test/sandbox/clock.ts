/** What a caller may ask of the clock. `advanceMs` and `offsetMs` are milliseconds, `now` an instant (ISO 8601 or epoch ms). */
export interface ClockChange {
  offsetMs?: number;
  advanceMs?: number;
  now?: string | number;
  frozen?: boolean;
}

/** The one source of time of the sandbox: windows, jobs, revisions' lives and webhook retries all ask it. */
export class Clock {
  private offset = 0;
  private frozenAt: number | null = null;

  /** Current instant in epoch milliseconds. */
  now(): number {
    return this.frozenAt ?? Date.now() + this.offset;
  }

  /** Applies a change; a frozen clock moves only by `advanceMs` or `now`. */
  change(change: ClockChange): void {
    const before = this.now();
    let target = before;
    if (change.offsetMs !== undefined) target = Date.now() + change.offsetMs;
    if (change.now !== undefined) {
      target = typeof change.now === 'number' ? change.now : Date.parse(change.now);
      if (Number.isNaN(target)) throw new Error('clock.now: not an instant');
    }
    target += change.advanceMs ?? 0;
    const frozen = change.frozen ?? this.frozenAt !== null;
    this.offset = target - Date.now();
    this.frozenAt = frozen ? target : null;
  }

  /** State as the control address shows it. */
  state(): { now: string; nowMs: number; offsetMs: number; frozen: boolean } {
    const now = this.now();
    return { now: new Date(now).toISOString(), nowMs: now, offsetMs: now - Date.now(), frozen: this.frozenAt !== null };
  }
}

const dayTexts = new Map<number, string>();
const timeTexts: string[] = [];

function dayText(day: number): string {
  let text = dayTexts.get(day);
  if (text === undefined) {
    text = new Date(day * 86_400_000).toISOString().slice(0, 11);
    dayTexts.set(day, text);
  }
  return text;
}

function timeText(second: number): string {
  const known = timeTexts[second];
  if (known !== undefined) return known;
  const two = (n: number) => String(n).padStart(2, '0');
  const text = `${two(Math.floor(second / 3600))}:${two(Math.floor(second / 60) % 60)}:${two(second % 60)}+00:00`;
  timeTexts[second] = text;
  return text;
}

/** Klaviyo's rendering of an instant: whole seconds with an explicit offset, `2026-09-04T13:38:55+00:00`. */
export function stamp(ms: number): string {
  const second = Math.floor(ms / 1000);
  const day = Math.floor(second / 86_400);
  return dayText(day) + timeText(second - day * 86_400);
}

/** The same, for attributes that may be unset. */
export function stampOrNull(ms: number | null): string | null {
  return ms === null ? null : stamp(ms);
}

/** Microsecond rendering used by campaigns and webhooks, `2026-09-04T13:40:12.101159+00:00`. */
export function stampMicro(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000+00:00');
}

export const SECOND = 1000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;
export const DAY = 24 * HOUR;
