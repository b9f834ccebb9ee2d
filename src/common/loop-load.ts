import { performance, type EventLoopUtilization } from 'node:perf_hooks';

/** Long enough that one piece of work does not make it look busy. */
const STRETCH_MS = 50;

/** How busy this process is: the part of the time for which its event loop was at work, 0 to 1. */
export class LoopLoad {
  private last: EventLoopUtilization = performance.eventLoopUtilization();
  private at = performance.now();
  private share = 0;

  /** Of the stretch up to now, or up to a moment ago. */
  get now(): number {
    const at = performance.now();
    if (at - this.at >= STRETCH_MS) {
      const current = performance.eventLoopUtilization();
      this.share = performance.eventLoopUtilization(current, this.last).utilization;
      this.last = current;
      this.at = at;
    }
    return this.share;
  }
}
