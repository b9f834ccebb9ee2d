import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../common/clock';
import type { BulkWrite } from '../database/bulk-statement';
import { SweepPlace } from '../mirror/sweep-place';
import type { FetchedPage, PageCall, PageRequest, Part, Pass, Syncer } from '../mirror/syncer';
import { Syncers } from '../mirror/syncers';
import { EventMirrorRepository, type EventRow } from './event-mirror.repository';
import { EventReadingKlaviyo } from './event-reading.klaviyo';

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** An event is to be seen minutes after it was sent. */
const LOOK_BACK_MS = 15 * MINUTE_MS;
/** Some come up to 7 days late: looked for once a day. */
const LATE_MS = 7 * DAY_MS;
const PART = 'all';

/** Synchronises events: read by the time they happened, which never moves. */
@Injectable()
export class EventsSyncer implements Syncer<EventRow>, OnModuleInit {
  readonly resource = 'events';
  readonly after = [];
  private readonly place = new SweepPlace();

  constructor(
    private readonly syncers: Syncers,
    private readonly events: EventMirrorRepository,
    private readonly atKlaviyo: EventReadingKlaviyo,
    private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.syncers.register(this);
  }

  /** Everything, or what happened since the last pass; once a day also what happened in the week before it. */
  parts(pass: Pass): Promise<Part[]> {
    const back = this.reconciles(pass) ? LATE_MS : LOOK_BACK_MS;
    const from = pass.kind === 'full' || pass.highWater === null ? null : pass.highWater.getTime() - back;
    return Promise.resolve([{ key: PART, divisible: true, span: { from, to: null } }]);
  }

  reconciles({ kind, startedAt, reconciledAt }: Pass): boolean {
    return kind === 'full' || reconciledAt === null || startedAt.getTime() - reconciledAt.getTime() >= DAY_MS;
  }

  fetch({ access }: Pass, { span, cursor }: PageRequest, call: PageCall): Promise<FetchedPage<EventRow>> {
    return this.atKlaviyo.page(access, span, { cursor, ...call });
  }

  newest({ access }: Pass, _part: Part, call: PageCall): Promise<number | null> {
    return this.atKlaviyo.newest(access, this.clock.now(), call);
  }

  write({ userId, connectionId }: Pass, rows: readonly EventRow[]): Promise<number> {
    return this.events.upsert(userId, connectionId, rows);
  }

  statements({ userId, connectionId }: Pass, rows: readonly EventRow[]): BulkWrite[] {
    return [this.events.upserting(userId, connectionId, rows)];
  }

  unseen({ userId, connectionId, startedAt }: Pass): Promise<{ live: number; unseen: number }> {
    return this.events.unseen(userId, connectionId, startedAt);
  }

  sweep(pass: Pass, limit: number): Promise<number> {
    const { userId, connectionId, startedAt } = pass;
    return this.place.next(pass, (after) => this.events.sweep(userId, connectionId, startedAt, after, limit));
  }

  erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.events.erase(userId, connectionIds, limit);
  }
}
