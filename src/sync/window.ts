import type { FetchedPage, Span } from '../mirror/syncer';
import type { WindowStatus } from './sync-window.entity';

/** A window as it is stored; times are epoch milliseconds. */
export interface StoredWindow {
  part: string;
  windowNo: number;
  divisible: boolean;
  from: number | null;
  to: number | null;
  position: number | null;
  cursor: string | null;
  status: WindowStatus;
  fetched: number;
  pages: number;
}

/** Narrower than twice this is not cut: Klaviyo counts whole seconds and bounds overlap by one. */
const NARROWEST_MS = 2000;
/** Beginnings again from the same place. */
const MOST_RESTARTS = 3;
/** A window that was cut begins anew where it stands when no more rows than this would probably come twice. */
const FEW_TWICE = 10;
/** Of the axis, before a beginning and at it: rows there are given again. */
const TWICE_MS = 2000;
/** How fast the density that was seen last replaces what was seen before. */
const NEWS = 0.5;

/** A stretch of a part, read page after page by one reader at a time. What is stored of it follows what is read. */
export class Window {
  readonly part: string;
  readonly windowNo: number;
  readonly divisible: boolean;
  from: number | null;
  to: number | null;
  /** Of the last row read. */
  position: number | null;
  /** For the next page. */
  cursor: string | null;
  status: WindowStatus;
  /** Rows and pages that are stored. */
  fetched: number;
  pages: number;
  /** Whether somebody reads it. */
  taken = false;
  /** Pages read and not stored yet. */
  unstored = 0;
  /** Addresses followed in this slice, to notice a circle. */
  private readonly followed = new Set<string>();
  /** Where it begins, as far as is known. */
  private origin: number | null;
  /** Where it began again last, and how often there. */
  private restartedAt: number | null = null;
  private restarts = 0;
  /** Rows a millisecond where it is being read; null before a first page. */
  private density: number | null = null;
  /** Whether its cursor leads past its end, for the end came later. */
  private overlong = false;

  constructor(stored: StoredWindow) {
    this.part = stored.part;
    this.windowNo = stored.windowNo;
    this.divisible = stored.divisible;
    this.from = stored.from;
    this.to = stored.to;
    this.position = stored.position;
    this.cursor = stored.cursor;
    this.status = stored.status;
    this.fetched = stored.fetched;
    this.pages = stored.pages;
    this.origin = stored.from ?? stored.position;
  }

  get open(): boolean {
    return this.status === 'open';
  }

  get span(): Span {
    return { from: this.from, to: this.to };
  }

  /** It ends earlier than it did. */
  endAt(to: number): void {
    this.to = to;
    this.overlong = true;
  }

  /**
   * Before its next page: a cursor leads where it led when it was given, and the last page would be half full of rows of
   * the next window. Where hardly any row comes twice by it, the window is asked for anew from its place to its end.
   */
  straighten(): void {
    if (!this.overlong || this.cursor === null || this.position === null) return;
    if ((this.density ?? Infinity) * TWICE_MS > FEW_TWICE || this.position <= (this.from ?? -Infinity)) return;
    this.beginAnew();
  }

  /** @returns false when Klaviyo leads in a circle */
  advance(page: FetchedPage<unknown>): boolean {
    if (page.last !== null) {
      this.learn(page.rows.length, page.last);
      this.position = Math.max(page.last, this.position ?? page.last);
    }
    this.cursor = page.next;
    const past = this.to !== null && page.last !== null && page.last >= this.to;
    if (page.next === null || past) {
      this.status = 'done';
      return true;
    }
    if (this.followed.has(page.next)) return false;
    this.followed.add(page.next);
    return true;
  }

  /** Klaviyo takes the cursor no more: it goes on from where it stands. @returns false when it never comes any further */
  restart(): boolean {
    this.restarts = this.position === this.restartedAt ? this.restarts + 1 : 1;
    this.restartedAt = this.position;
    if (this.cursor === null || this.restarts > MOST_RESTARTS) return false;
    this.beginAnew();
    return true;
  }

  /** Without a cursor, from its place to its end as that is now. */
  private beginAnew(): void {
    this.cursor = null;
    this.overlong = false;
    if (this.divisible && this.position !== null) this.from = this.position;
    this.followed.clear();
  }

  /**
   * Rows that are probably left between its place and its end.
   * @param end where an open window ends
   */
  left(end: number): number {
    const to = this.to ?? end;
    if (this.position === null || this.density === null) return 0;
    return this.density * Math.max(0, to - this.position);
  }

  /** In the middle of what is left, on a whole second; null where it is too narrow. */
  middle(end: number): number | null {
    const to = this.to ?? end;
    if (this.position === null || to - this.position < 2 * NARROWEST_MS) return null;
    return Math.ceil((this.position + to) / 2000) * 1000;
  }

  /** How much of its stretch is read, in milliseconds, and how long it is; null where nobody knows. */
  coverage(end: number): { read: number; whole: number } | null {
    if (!this.divisible || this.origin === null) return null;
    const whole = Math.max(1, (this.to ?? end) - this.origin);
    if (!this.open) return { read: whole, whole };
    return { read: Math.min(whole, Math.max(0, (this.position ?? this.origin) - this.origin)), whole };
  }

  private learn(rows: number, last: number): void {
    const before = this.position ?? this.from;
    this.origin ??= last;
    // Without a beginning nothing is known yet: as dense as can be, so that the first cut is made at once.
    if (before === null) this.density = Infinity;
    else {
      const seen = rows / Math.max(1, last - before);
      const known = this.density === null || this.density === Infinity ? seen : this.density;
      this.density = known + (seen - known) * NEWS;
    }
  }
}
