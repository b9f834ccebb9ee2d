import { Logger } from '@nestjs/common';
import type { Alerts } from '../observability/alerts';
import type { Metrics } from '../observability/metrics';
import type { Settlement } from './delivery';
import type { EventsSystemRepository } from './events.system.repository';
import type { EventStatus } from './sent-event.entity';

/** How long outcomes are gathered, and how many go into one statement. */
const GATHER_MS = 50;
const MAX_ROWS = 500;

/** Gathers the outcomes of deliveries and writes many down in one statement. */
export class Settlements {
  private readonly logger = new Logger('EventDispatcher');
  private waiting: Settlement[] = [];
  private timer: NodeJS.Timeout | undefined;
  private flushing: Promise<void> | undefined;

  /** @param onRoom told that outcomes were gathered: time to write them down and to take more events */
  constructor(
    private readonly system: EventsSystemRepository,
    private readonly metrics: Metrics,
    private readonly alerts: Alerts,
    private readonly onRoom: () => void,
  ) {}

  add(settlement: Settlement): void {
    this.waiting.push(settlement);
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      this.onRoom();
    }, GATHER_MS).unref();
  }

  /**
   * Writes down what was gathered. What could not be written is kept for the next time.
   * @throws DatabaseError
   */
  async flush(): Promise<void> {
    await this.flushing;
    while (this.waiting.length > 0) {
      const rows = this.waiting.splice(0, MAX_ROWS);
      this.flushing = this.write(rows);
      try {
        await this.flushing;
      } catch (error) {
        this.waiting.unshift(...rows);
        throw error;
      } finally {
        this.flushing = undefined;
      }
    }
  }

  private async write(rows: readonly Settlement[]): Promise<void> {
    const moved = await this.system.settle(rows);
    for (const { status, id, userId, connectionId } of moved) {
      if (status === 'queued') continue;
      this.metrics.events.inc({ status });
      this.tellOperators(status, userId, connectionId);
      if (status === 'sent') continue;
      const error = rows.find((row) => row.id === id)?.error;
      this.logger.warn({ msg: `an event is ${status}`, eventId: id, userId, connectionId, code: error });
    }
  }

  /** A dead event is over once the connection's events arrive again; it stays to be sent again by hand. */
  private tellOperators(status: EventStatus, userId: number, connectionId: string): void {
    const key = `events.dead:${connectionId}`;
    if (status === 'sent') this.alerts.resolveKnown(key);
    if (status !== 'dead') return;
    const summary = `Events of connection ${connectionId} could not be delivered within their time and are dead: see GET /events?status=dead.`;
    this.alerts.raise({ type: 'events.dead', key, severity: 'warning', userId, connectionId, summary });
  }
}
