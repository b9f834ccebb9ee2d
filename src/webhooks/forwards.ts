import { Inject, Injectable } from '@nestjs/common';
import { ENV, type Env } from '../config/env';
import { ForwardAlerts } from './forward-alerts';
import { Forwarder } from './forwarder';
import { ForwardsRepository, type Forwardable, type ForwardView } from './forwards.repository';

export type { Forwardable, ForwardView } from './forwards.repository';

/** What is to be passed on to `EVENT_FORWARD_URL`: planned, planned again, shown. Without that address, nothing is. */
@Injectable()
export class Forwards {
  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly rows: ForwardsRepository,
    private readonly forwarder: Forwarder,
    private readonly alerts: ForwardAlerts,
  ) {}

  get enabled(): boolean {
    return this.env.eventForwardUrl !== undefined;
  }

  /**
   * Plans events, in the transaction under way where there is one; an event that was planned before is not planned
   * again. @returns how many are new
   */
  async plan(userId: number, connectionId: string, events: readonly Forwardable[]): Promise<number> {
    if (!this.enabled) return 0;
    const planned = await this.rows.plan(userId, connectionId, events);
    if (planned > 0) this.forwarder.wakeSoon();
    return planned;
  }

  /** Passes events on (again), whatever became of them before. @returns how many will go */
  async replay(userId: number, connectionId: string, events: readonly Forwardable[]): Promise<number> {
    if (!this.enabled) return 0;
    const planned = await this.rows.replay(userId, connectionId, events);
    if (planned > 0) this.forwarder.wakeSoon();
    if (planned > 0 && !(await this.rows.hasDead(userId, connectionId))) this.alerts.over(connectionId);
    return planned;
  }

  /** What became of one event; undefined where it is not passed on. */
  of(userId: number, connectionId: string, eventId: string): Promise<ForwardView | undefined> {
    return this.rows.of(userId, connectionId, eventId);
  }
}
