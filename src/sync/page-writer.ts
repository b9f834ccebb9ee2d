import { Signal } from './halt';

/** Rows of one commit: enough that its fixed cost does not count, few enough that it is short. */
const MOST_ROWS = 3000;
/** Rows that wait to be stored; whoever reads waits beyond that, so that memory is bounded. */
const MOST_WAITING = 6000;

/** What the writer must know of a page. */
interface Writable {
  readonly rows: readonly unknown[];
  /** Told once it is stored. */
  readonly stored: () => void;
}

/**
 * Stores the pages of a run, whichever resource they are of: all that have come while the last ones were stored go
 * together, so that commits are few and their size follows the pace by itself.
 */
export class PageWriter<Page extends Writable> {
  private ready: Page[] = [];
  private rows = 0;
  private writing = false;
  /** Nothing is stored any more. */
  private over = false;
  private readonly moved = new Signal();

  /** @param store one commit. @param failure told once; nothing is stored after it */
  constructor(
    private readonly store: (pages: readonly Page[]) => Promise<void>,
    private readonly failure: (error: unknown) => void,
  ) {}

  push(page: Page): void {
    if (this.over) return;
    this.ready.push(page);
    this.rows += page.rows.length;
    if (!this.writing) void this.write();
  }

  /** Resolves when there is room for another page. */
  async room(): Promise<void> {
    while (this.rows > MOST_WAITING && !this.over) await this.moved.wait();
  }

  /** Resolves when everything is stored, or nothing more will be. */
  async settled(): Promise<void> {
    while (this.writing && !this.over) await this.moved.wait();
  }

  /** What comes later is not stored. */
  close(): void {
    this.over = true;
    this.ready = [];
    this.moved.fire();
  }

  private async write(): Promise<void> {
    this.writing = true;
    try {
      while (this.ready.length > 0 && !this.over) {
        const pages = this.take();
        await this.store(pages);
        for (const page of pages) page.stored();
        this.moved.fire();
      }
    } catch (error) {
      this.over = true;
      this.failure(error);
    } finally {
      this.writing = false;
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
