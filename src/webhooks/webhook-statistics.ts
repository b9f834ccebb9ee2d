import { Injectable } from '@nestjs/common';
import { DeliveryFiguresRepository } from './delivery-figures.repository';

/** What a webhook has brought. */
export interface WebhookStats {
  /** Events of all its deliveries, those that came again included. */
  received: number;
  /** Of them, worked off. */
  processed: number;
  /** Of them, failed for now or given up. */
  failed: number;
  /** Of them, known before. */
  duplicates: number;
  /** RFC 3339. */
  lastReceivedAt: string | null;
  /** Milliseconds from arrival to worked off, of 95 % of the latest thousand deliveries; null before the first. */
  p95ProcessingMs: number | null;
}

/** The figures of webhooks. */
@Injectable()
export class WebhookStatistics {
  constructor(private readonly figures: DeliveryFiguresRepository) {}

  /** By webhook; what brought nothing yet has zeros. */
  async of(userId: number, connectionId: string, ids: readonly string[]): Promise<Map<string, WebhookStats>> {
    if (ids.length === 0) return new Map();
    const rows = await this.figures.of(userId, connectionId, ids);
    return new Map(
      rows.map(({ webhookId, lastReceivedAt, ...rest }) => [
        webhookId,
        { ...rest, lastReceivedAt: lastReceivedAt?.toISOString() ?? null },
      ]),
    );
  }
}
