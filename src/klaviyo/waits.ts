import { Injectable } from '@nestjs/common';
import { Clock } from '../common/clock';
import { Drain } from '../common/drain';
import { AppError } from '../common/errors';

/** Once the process begins to stop, waits that end within this time still end; calls have as long to be answered. */
const GRACE_MS = 7000;
/** Another replica, or this one started again, is there within that time. */
const RETRY_SECONDS = 5;

/** The waits of the client, for a retry or for quota: when the process stops before one would end, it ends at once. */
@Injectable()
export class Waits {
  /** Epoch milliseconds after which nothing waits any more. */
  private end = Infinity;
  private readonly pending = new Set<() => void>();

  constructor(
    private readonly clock: Clock,
    private readonly drain: Drain,
  ) {
    drain.onBegin(() => {
      this.end = this.clock.now() + GRACE_MS;
      for (const reconsider of [...this.pending]) reconsider();
    });
  }

  /** Is it worth waiting until then? */
  allow(until: number): boolean {
    return until <= this.end;
  }

  /** Called when the process begins to stop, after which `allow` answers anew. */
  onStop(listener: () => void): void {
    this.drain.onBegin(listener);
  }

  /** @throws AppError SERVICE_UNAVAILABLE when the process stops before the wait would end */
  sleep(ms: number): Promise<void> {
    const until = this.clock.now() + ms;
    if (!this.allow(until)) return Promise.reject(stopping());
    return new Promise((resolve, reject) => {
      // A timer may fire a millisecond early by the clock; Klaviyo's windows do not forgive that.
      const timer = setTimeout(() => {
        this.pending.delete(reconsider);
        resolve();
      }, ms + 2);
      const reconsider = (): void => {
        if (this.allow(until)) return;
        clearTimeout(timer);
        this.pending.delete(reconsider);
        reject(stopping());
      };
      this.pending.add(reconsider);
    });
  }
}

export function stopping(): AppError {
  return new AppError('SERVICE_UNAVAILABLE', {
    retryAfter: RETRY_SECONDS,
    params: { retryAfter: RETRY_SECONDS },
    reason: 'the process is stopping',
  });
}
