import { Injectable } from '@nestjs/common';

/** What a webhook has brought. */
export interface WebhookStats {
  received: number;
  processed: number;
  failed: number;
  duplicates: number;
  /** RFC 3339. */
  lastReceivedAt: string | null;
  p95ProcessingMs: number | null;
}

/** The figures of webhooks. */
@Injectable()
export class WebhookStatistics {
  of(userId: number, connectionId: string, ids: readonly string[]): Promise<Map<string, WebhookStats>> {
    void [userId, connectionId, ids];
    return Promise.resolve(new Map());
  }
}
