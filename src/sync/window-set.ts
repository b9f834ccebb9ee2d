import type { StoredWindow } from './window';
import { Window } from './window';

/** What is left of a window must come to so many pages, or cutting it costs more than it gains. */
const WORTH_PAGES = 3;
const MOST_WINDOWS = 2000;
/** How long what was computed of the whole is told again. */
const COVERAGE_MS = 1000;

/** Where a window is to be cut, and what becomes of its far part. */
export interface Cut {
  near: Window;
  far: StoredWindow & { from: number };
}

/** The windows of a pass: which is read next, and which is cut when somebody has nothing to read. */
export class WindowSet {
  private readonly windows: Window[];
  private readonly ends = new Map<string, number>();
  private pageRows = 1;
  private covered: { at: number; value: number | null } = { at: -Infinity, value: null };

  constructor(stored: readonly StoredWindow[]) {
    this.windows = stored.map((window) => new Window(window));
  }

  /** Whether anything is left to be read. */
  get open(): boolean {
    return this.windows.some(({ open }) => open);
  }

  /** Windows that were being read when the last slice ended. */
  get begun(): number {
    return this.windows.filter(({ open, pages }) => open && pages > 0).length;
  }

  /** One that nobody reads: those begun go first, so that few are open at once. */
  free(): Window | undefined {
    const free = this.windows.filter(({ open, taken }) => open && !taken);
    return free.find(({ pages }) => pages > 0) ?? free[0];
  }

  /** A page has come with so many rows. */
  saw(rows: number): void {
    this.pageRows = Math.max(this.pageRows, rows);
  }

  /** What the part belongs to is gone. */
  drop(part: string): void {
    for (const window of this.windows) if (window.part === part && window.open) window.status = 'gone';
  }

  /** A part with an open end that somebody might share, of which nobody knows yet where its newest row stands. */
  unknownEnd(): string | undefined {
    return this.shared().find(({ to, part }) => to === null && !this.ends.has(part))?.part;
  }

  /** Where the newest row of a part stands, or may. */
  endsAt(part: string, at: number): void {
    this.ends.set(part, at);
  }

  /** The best cut there is: the middle of the window of which most rows are left. Null where none is worth it. */
  cut(): Cut | null {
    if (this.windows.length >= MOST_WINDOWS) return null;
    let best: { near: Window; at: number; left: number } | null = null;
    for (const near of this.shared()) {
      const end = this.ends.get(near.part) ?? -Infinity;
      const left = near.left(end);
      const at = near.middle(end);
      if (at === null || left <= WORTH_PAGES * this.pageRows || (best && left <= best.left)) continue;
      best = { near, at, left };
    }
    if (!best) return null;
    const { near, at } = best;
    const windowNo = this.windows.filter(({ part }) => part === near.part).length;
    const none = { position: null, cursor: null, fetched: 0, pages: 0 };
    return {
      near,
      far: { part: near.part, windowNo, divisible: true, from: at, to: near.to, status: 'open', ...none },
    };
  }

  /** The cut is stored: the near window ends where the far one begins. */
  apply({ near, far }: Cut): void {
    near.endAt(far.from);
    this.windows.push(new Window(far));
  }

  /** The part of the whole that is read, 0 to 1; null before anything is known. @param now epoch milliseconds */
  coverage(now: number): number | null {
    if (now - this.covered.at < COVERAGE_MS) return this.covered.value;
    const parts = new Map<string, { read: number; whole: number }>();
    for (const window of this.windows) {
      const { read, whole } = window.coverage(this.ends.get(window.part) ?? now) ?? {
        read: window.open ? 0 : 1,
        whole: 1,
      };
      const part = parts.get(window.part) ?? { read: 0, whole: 0 };
      parts.set(window.part, { read: part.read + read, whole: part.whole + whole });
    }
    const shares = [...parts.values()].map(({ read, whole }) => read / whole);
    const value = shares.length === 0 ? null : shares.reduce((sum, share) => sum + share, 0) / shares.length;
    this.covered = { at: now, value };
    return value;
  }

  /** Windows whose far part may be given away: their density is known. */
  private shared(): Window[] {
    return this.windows.filter((window) => window.taken && window.open && window.divisible && window.position !== null);
  }
}
