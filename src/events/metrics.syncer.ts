import { Injectable, type OnModuleInit } from '@nestjs/common';
import type { FetchedPage, PageCall, PageRequest, Part, Pass, Syncer } from '../mirror/syncer';
import { Syncers } from '../mirror/syncers';
import { EventReadingKlaviyo } from './event-reading.klaviyo';
import { MetricMirrorRepository, type MetricRow } from './metric-mirror.repository';

/** Synchronises metrics: few, in one chain of pages that Klaviyo sizes, read whole each time. */
@Injectable()
export class MetricsSyncer implements Syncer<MetricRow>, OnModuleInit {
  readonly resource = 'metrics';
  readonly after = [];

  constructor(
    private readonly syncers: Syncers,
    private readonly metrics: MetricMirrorRepository,
    private readonly atKlaviyo: EventReadingKlaviyo,
  ) {}

  onModuleInit(): void {
    this.syncers.register(this);
  }

  parts(): Promise<Part[]> {
    return Promise.resolve([{ key: 'all', divisible: false, span: { from: null, to: null } }]);
  }

  fetch({ access }: Pass, { cursor }: PageRequest, call: PageCall): Promise<FetchedPage<MetricRow>> {
    return this.atKlaviyo.metrics(access, { cursor, ...call });
  }

  write({ userId, connectionId }: Pass, rows: readonly MetricRow[]): Promise<number> {
    return this.metrics.upsert(userId, connectionId, rows);
  }

  unseen({ userId, connectionId, startedAt }: Pass): Promise<{ live: number; unseen: number }> {
    return this.metrics.unseen(userId, connectionId, startedAt);
  }

  sweep({ userId, connectionId, startedAt }: Pass, limit: number): Promise<number> {
    return this.metrics.sweep(userId, connectionId, startedAt, limit);
  }

  erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.metrics.erase(userId, connectionIds, limit);
  }
}
