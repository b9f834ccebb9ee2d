import { Injectable } from '@nestjs/common';
import type { Connection } from '../connection/connection.entity';
import { Alerts } from '../observability/alerts';
import type { Webhook } from './webhook.entity';

/** What may be wrong with a webhook. */
export type Trouble = 'gone' | 'off' | 'silent' | 'refused';

const SUMMARIES: Record<Trouble, (id: string) => string> = {
  gone: (id) => `Klaviyo does not have webhook ${id} any more: remove it, and make another if it is still wanted.`,
  off: (id) => `Klaviyo had switched webhook ${id} off: it is on again, and what was missed is being read.`,
  refused: (id) =>
    `Klaviyo refuses to have webhook ${id} as it should be: see its status and the log; what it does not send is read.`,
  silent: (id) => `Klaviyo had not sent events of webhook ${id}: they were read from it. Look at its state at Klaviyo.`,
};

/** Tells operators of webhooks that are not well, until they are. */
@Injectable()
export class HealthAlerts {
  constructor(private readonly alerts: Alerts) {}

  raise(trouble: Trouble, connection: Connection, webhook: Webhook): void {
    this.alerts.raise({
      type: `webhook.${trouble}`,
      key: keyOf(trouble, webhook.id),
      severity: trouble === 'gone' || trouble === 'refused' ? 'error' : 'warning',
      userId: Number(connection.userId),
      connectionId: connection.id,
      summary: SUMMARIES[trouble](webhook.id),
    });
  }

  over(trouble: Trouble, webhookId: string): void {
    this.alerts.resolveKnown(keyOf(trouble, webhookId));
  }

  /** It was removed: nothing of it matters any more. */
  forget(webhookId: string): void {
    for (const trouble of ['gone', 'off', 'silent', 'refused'] as const) this.over(trouble, webhookId);
  }
}

function keyOf(trouble: Trouble, webhookId: string): string {
  return `webhook.${trouble}:${webhookId}`;
}
