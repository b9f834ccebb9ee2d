import type { Clock } from '../common/clock';
import { turn } from '../common/turns';
import type { FetchedPage } from '../mirror/syncer';
import { Signal, type Halt } from './halt';
import type { PageWriter } from './page-writer';
import type { ReadPage, StoredPass } from './read-page';
import type { Lanes } from './lanes';
import type { PassTally } from './pass-tally';
import type { WindowState } from './pass-records.repository';
import { PagesRepeat } from './sync-faults';
import type { Window } from './window';

/** What a reader works with. */
export interface Reading {
  readonly of: StoredPass;
  readonly tally: PassTally;
  readonly lanes: Lanes;
  readonly writer: PageWriter<ReadPage>;
  readonly halt: Halt;
  /** Waits while more urgent work does, within bounds. */
  readonly giveWay: () => Promise<void>;
  readonly clock: Clock;
  /** Epoch milliseconds until which a call may take. */
  readonly deadline: number;
  /** Told of each page: rows, and where it stands. */
  readonly onPage: (rows: number) => void;
}

/**
 * Pages of a window that were asked for and are not stored, which is what is asked for twice after a crash. Fewer would
 * leave whoever stores them without work while the next ones are taken apart.
 */
const MOST_UNSTORED = 4;

/** Reads a window page after page: the next one travels while the last is taken apart and stored. */
export class WindowReader {
  private readonly stored = new Signal();
  /** Pages one after the other, on their way to the writer. */
  private handed = Promise.resolve();
  private broken = false;

  constructor(
    private readonly reading: Reading,
    private readonly window: Window,
  ) {}

  /**
   * Until the window is read, or everybody stops. What was read is handed to the writer.
   * @throws AppError of the syncer; PagesRepeat
   */
  async read(): Promise<void> {
    const { reading, window } = this;
    const forget = reading.halt.onHalt(() => this.stored.fire());
    try {
      while (this.goesOn()) {
        await reading.writer.room();
        while (window.unstored >= MOST_UNSTORED && this.goesOn()) await this.stored.wait();
        await reading.giveWay();
        if (this.goesOn()) await this.page();
      }
    } finally {
      forget();
      await this.handed;
    }
  }

  private goesOn(): boolean {
    return this.window.open && !this.reading.halt.halted && !this.broken;
  }

  private async page(): Promise<void> {
    const { reading, window } = this;
    const { syncer, pass } = reading.of;
    window.straighten();
    const request = { part: window.part, span: window.span, cursor: window.cursor };
    const from = reading.clock.now();
    const { value: page, cost } = await reading.tally.call((tally) =>
      syncer.fetch(pass, request, { deadline: reading.deadline, tally }),
    );
    const ms = reading.clock.now() - from;
    reading.lanes.saw(ms - cost.waitedMs, cost.steady);
    // It was decided meanwhile that the part is gone, or that this worker no longer has the run.
    if (window.status === 'gone' || reading.halt.reason === 'lost') return;
    if (!window.advance(page)) throw new PagesRepeat();
    this.hand(page, ms, cost.waitedMs);
  }

  private hand(page: FetchedPage<unknown>, ms: number, waitedMs: number): void {
    const { reading, window } = this;
    const place = this.place(page.rows.length);
    window.unstored += 1;
    reading.onPage(page.rows.length);
    const push = async (): Promise<void> => {
      await turn();
      reading.writer.push({
        of: reading.of,
        rows: reading.of.syncer.mapped?.(page.rows) ?? page.rows,
        place,
        ms,
        waitedMs,
        stored: () => {
          window.unstored -= 1;
          this.stored.fire();
        },
      });
    };
    this.handed = this.handed.then(push);
    // Whoever reads hears of it at the end.
    this.handed.catch(() => {
      this.broken = true;
      this.stored.fire();
    });
  }

  private place(rows: number): WindowState {
    const { window } = this;
    window.fetched += rows;
    window.pages += 1;
    return {
      resource: this.reading.of.syncer.resource,
      part: window.part,
      windowNo: window.windowNo,
      from: window.from,
      position: window.position,
      cursor: window.status === 'done' ? null : window.cursor,
      status: window.status,
      fetched: window.fetched,
      pages: window.pages,
    };
  }
}
