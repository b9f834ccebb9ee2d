import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { SyncSystemRepository } from './sync.system.repository';

const LOG_DAYS = 7;
const WINDOW_DAYS = 1;
const RUN_DAYS = 90;
const HOUR_MS = 3_600_000;
/** Rows of one statement, and time of one turn; what is left goes in the next. */
const CHUNK = 5000;
const SLICE_MS = 15_000;

/** Removes what is no longer shown: the places of a run after a day, its log after 7, itself after 90 but for the newest. */
@Injectable()
export class SyncRetention {
  private nextAt = 0;

  constructor(
    private readonly system: SyncSystemRepository,
    private readonly clock: Clock,
  ) {}

  /** Does so once an hour, and sooner where there was more than a turn could do. */
  async turn(): Promise<void> {
    const now = this.clock.now();
    if (now < this.nextAt) return;
    const until = now + SLICE_MS;
    await this.system.removeSlots();
    const done =
      (await this.remove(until, () => this.system.removeOf('sync_page', LOG_DAYS, CHUNK))) &&
      (await this.remove(until, () => this.system.removeOf('sync_window', WINDOW_DAYS, CHUNK))) &&
      (await this.remove(until, () => this.system.removeRuns(RUN_DAYS, CHUNK)));
    this.nextAt = done ? now + HOUR_MS : 0;
  }

  private async remove(until: number, chunk: () => Promise<number>): Promise<boolean> {
    while (this.clock.now() < until) if ((await chunk()) < CHUNK) return true;
    return false;
  }
}
