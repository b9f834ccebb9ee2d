import { Signal } from './halt';

/** Rows of one commit: enough that its fixed cost does not count, few enough that it is short. */
const MOST_ROWS = 3000;
/** Rows that wait to be stored; whoever reads waits beyond that, so that memory is bounded. */
const MOST_WAITING = 6000;

/** Commits under way, the last of them behind the others. */
const MOST_COMMITS = 2;
/** Rows that are worth a commit of their own while another one is under way. */
const AHEAD_ROWS = 500;

/** What the writer must know of a page. */
interface Writable {
  readonly rows: readonly unknown[];
  /** Told once it is stored. */
  readonly stored: () => void;
}

/**
 * Stores the pages of a run, whichever resource they are of: all that have come while the last ones were stored go
 * together, so that commits are few and their size follows the pace by itself. Where many wait, the next commit is on its
 * way before the last one has ended.
 */
export class PageWriter<Page extends Writable> {
  private ready: Page[] = [];
  private rows = 0;
  private storing = 0;
  /** Nothing is stored any more. */
  private over = false;
  private readonly moved = new Signal();

  /**
   * @param store one commit; called in the order of the pages, perhaps before the last call has ended
   * @param failure told once; nothing is stored after it
   */
  constructor(
    private readonly store: (pages: readonly Page[]) => Promise<void>,
    private readonly failure: (error: unknown) => void,
  ) {}

  push(page: Page): void {
    if (this.over) return;
    this.ready.push(page);
    this.rows += page.rows.length;
    this.go();
  }

  /** Resolves when there is room for another page. */
  async room(): Promise<void> {
    while (this.rows > MOST_WAITING && !this.over) await this.moved.wait();
  }

  /** Resolves when everything is stored, or nothing more will be. */
  async settled(): Promise<void> {
    while (this.storing > 0) await this.moved.wait();
  }

  /** What comes later is not stored. */
  close(): void {
    this.over = true;
    this.ready = [];
    this.moved.fire();
  }

  private go(): void {
    while (this.ready.length > 0 && !this.over && (this.storing === 0 || this.isWorthMore())) void this.write();
  }

  private isWorthMore(): boolean {
    return this.storing < MOST_COMMITS && this.rows >= AHEAD_ROWS;
  }

  private async write(): Promise<void> {
    const pages = this.take();
    this.storing += 1;
    try {
      await this.store(pages);
      for (const page of pages) page.stored();
    } catch (error) {
      if (!this.over) this.failure(error);
      this.over = true;
    } finally {
      this.storing -= 1;
      this.go();
      this.moved.fire();
    }
  }

  private take(): Page[] {
    let rows = 0;
    let count = 0;
    while (count < this.ready.length && (count === 0 || rows + (this.ready[count]?.rows.length ?? 0) <= MOST_ROWS)) {
      rows += this.ready[count]?.rows.length ?? 0;
      count += 1;
    }
    this.rows -= rows;
    return this.ready.splice(0, count);
  }
}
