import { Injectable, Logger } from '@nestjs/common';
import { Alerts } from '../observability/alerts';
import type { SettledForward } from './forwards.system.repository';

const TYPE = 'event_forward.dead';

/** Tells operators of events that could not be passed on within their time, until they were replayed or are gone. */
@Injectable()
export class ForwardAlerts {
  private readonly logger = new Logger('Forwarder');

  constructor(private readonly alerts: Alerts) {}

  settled(settled: readonly SettledForward[]): void {
    for (const { userId, connectionId, status } of settled) {
      if (status !== 'dead') continue;
      this.logger.warn({ msg: 'a received event was not passed on and is given up', userId, connectionId });
      this.alerts.raise({
        type: TYPE,
        key: keyOf(connectionId),
        severity: 'error',
        userId,
        connectionId,
        summary: `Received events of connection ${connectionId} could not be passed on within a day and are given up: replay them once EVENT_FORWARD_URL takes them.`,
      });
    }
  }

  /** None of the connection's events is given up any more. */
  over(connectionId: string): void {
    this.alerts.resolveKnown(keyOf(connectionId));
  }
}

function keyOf(connectionId: string): string {
  return `${TYPE}:${connectionId}`;
}
