import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { LoopLoad } from '../common/loop-load';
import { Precedence } from '../common/precedence';
import { isDatabaseDown } from '../database/errors';
import { Metrics } from '../observability/metrics';
import type { DeliverySource } from './delivery.entity';
import { readEvent } from './intake-event';
import { intakeId } from './intake-id';
import { IntakeSystemRepository, type IncomingDelivery, type KeptDelivery } from './intake.system.repository';

/** Events that arrived together, as Klaviyo writes them in a delivery. */
export interface GivenDelivery {
  webhook: { userId: number; connectionId: string; id: string };
  source: DeliverySource;
  /** `{ external_id, topic, payload: { data: <event as of GET /events> } }` each; anything else is quarantined. */
  events: readonly unknown[];
  /** Epoch milliseconds: when events happened that do not say it themselves; now, when unsaid. */
  at?: number;
  /** In hexadecimal: by which the same delivery is known again. Without one only its events are. */
  digest?: string;
  late?: boolean;
}

/** What became of a delivery, once it is committed. */
export interface Taken {
  received: number;
  /** Of them, known before. */
  duplicates: number;
  /** Of them, malformed and not known before. */
  quarantined: number;
}

interface Waiting {
  delivery: IncomingDelivery;
  /** What its events take, roughly. */
  bytes: number;
  /** Everybody who brought it in the same moment. */
  askers: { done: (taken: Taken | null) => void; fail: (error: unknown) => void }[];
}

/** Lines of the database that write at once, and what goes into one statement. */
const WRITERS = 2;
const MAX_DELIVERIES = 400;
const MAX_EVENTS = 4000;
const MAX_BYTES = 16 * 1024 * 1024;
/** What may wait: more than that would not be written within Klaviyo's patience. */
const MAX_WAITING_EVENTS = 40_000;
const MAX_WAITING_DELIVERIES = 20_000;
const MAX_WAITING_BYTES = 64 * 1024 * 1024;
/** What an event takes beside its properties. */
const EVENT_BYTES = 500;
const RETRY_SECONDS = 5;
/** Deliveries that are no further apart keep coming. */
const APART_MS = 25;
/** With more than that part of its time at work a process keeps who calls it waiting. */
const BUSY = 0.6;

/**
 * Takes events in, wherever they come from: committed when it resolves, each event once. What arrives while the database
 * writes goes into its next statement together, so that the more arrives, the less each costs.
 */
@Injectable()
export class WebhookIntake {
  private readonly logger = new Logger('WebhookIntake');
  private readonly waiting = new Map<string, Waiting>();
  private readonly listeners: (() => void)[] = [];
  private waitingEvents = 0;
  private waitingBytes = 0;
  private writing = 0;
  private lastAt = -Infinity;
  private readonly load = new LoopLoad();

  constructor(
    private readonly system: IntakeSystemRepository,
    private readonly clock: Clock,
    private readonly metrics: Metrics,
    precedence: Precedence,
  ) {
    // Also between two writes, where it is this process that deliveries wait for.
    precedence.claim(() => this.writing > 0 || (performance.now() - this.lastAt < APART_MS && this.load.now > BUSY));
  }

  /** Told after something was committed. */
  onTaken(listener: () => void): void {
    this.listeners.push(listener);
  }

  private get isFull(): boolean {
    if (this.waitingEvents >= MAX_WAITING_EVENTS || this.waitingBytes >= MAX_WAITING_BYTES) return true;
    return this.waiting.size >= MAX_WAITING_DELIVERIES;
  }

  /**
   * Keeps a delivery; null where its webhook is gone.
   * @throws AppError SERVICE_UNAVAILABLE when too much waits already; DatabaseError: nothing was kept, and the same
   * may be given again
   */
  async take(given: GivenDelivery): Promise<Taken | null> {
    if (this.isFull)
      throw new AppError('SERVICE_UNAVAILABLE', { retryAfter: RETRY_SECONDS, reason: 'too many deliveries wait' });
    this.lastAt = performance.now();
    const { webhook, digest } = given;
    const name = digest === undefined ? intakeId() : `${webhook.connectionId} ${digest}`;
    return new Promise((done, fail) => {
      const known = this.waiting.get(name);
      if (known) {
        known.askers.push({ done, fail });
        return;
      }
      const delivery = this.deliveryOf(given);
      const bytes = bytesOf(delivery);
      this.waiting.set(name, { delivery, bytes, askers: [{ done, fail }] });
      this.waitingEvents += delivery.events.length;
      this.waitingBytes += bytes;
      if (this.writing < WRITERS) void this.write();
    });
  }

  private deliveryOf(given: GivenDelivery): IncomingDelivery {
    const { webhook, source, digest = null, late = false, at = this.clock.now() } = given;
    const { userId, connectionId, id: webhookId } = webhook;
    const events = given.events.map((event) => readEvent(event, at));
    return { id: intakeId(), userId, connectionId, webhookId, source, digest, late, events, repeats: 0 };
  }

  private async write(): Promise<void> {
    this.writing += 1;
    try {
      while (this.waiting.size > 0) await this.writeOnce(this.nextBatch());
    } finally {
      this.writing -= 1;
    }
  }

  private nextBatch(): Waiting[] {
    const batch: Waiting[] = [];
    let events = 0;
    let bytes = 0;
    for (const [name, item] of this.waiting) {
      const isFull =
        batch.length >= MAX_DELIVERIES ||
        events + item.delivery.events.length > MAX_EVENTS ||
        bytes + item.bytes > MAX_BYTES;
      if (batch.length > 0 && isFull) break;
      events += item.delivery.events.length;
      bytes += item.bytes;
      batch.push(item);
      this.waiting.delete(name);
    }
    this.waitingEvents -= events;
    this.waitingBytes -= bytes;
    return batch;
  }

  private async writeOnce(batch: readonly Waiting[]): Promise<void> {
    try {
      const kept = await this.system.keep(
        batch.map(({ delivery, askers }) => ({ ...delivery, repeats: askers.length - 1 })),
      );
      const byId = new Map(kept.map((item) => [item.id, item]));
      for (const item of batch) this.answer(item, byId.get(item.delivery.id));
      this.countRepeats(batch, byId);
    } catch (error) {
      // Something of one of them, unless there is no database: it alone shall fail.
      if (batch.length === 1 || isDatabaseDown(error)) this.refuse(batch, error);
      else {
        const half = Math.ceil(batch.length / 2);
        await this.writeOnce(batch.slice(0, half));
        await this.writeOnce(batch.slice(half));
      }
      return;
    }
    for (const listener of this.listeners) listener();
  }

  private answer({ delivery, askers }: Waiting, kept: KeptDelivery | undefined): void {
    const received = delivery.events.length;
    const again = { received, duplicates: received, quarantined: 0 };
    const isKept = kept?.living === true && kept.fresh;
    if (kept?.living !== true) for (const { done } of askers) done(null);
    else
      askers.forEach(({ done }, place) =>
        done(
          place === 0 && isKept ? { received, duplicates: received - kept.kept, quarantined: kept.quarantined } : again,
        ),
      );
    if (!isKept) return;
    this.metrics.webhookEvents.inc({ outcome: 'taken' }, kept.kept - kept.quarantined);
    this.metrics.webhookEvents.inc({ outcome: 'quarantined' }, kept.quarantined);
    this.metrics.webhookEvents.inc({ outcome: 'duplicate' }, received - kept.kept);
    if (kept.quarantined > 0) {
      const { userId, connectionId, webhookId } = delivery;
      this.logger.warn({ msg: 'malformed events', userId, connectionId, webhookId, count: kept.quarantined });
    }
  }

  /** Figures only: nobody waits for them. */
  private countRepeats(batch: readonly Waiting[], kept: ReadonlyMap<string, KeptDelivery>): void {
    const repeated = batch.flatMap(({ delivery, askers }) => {
      const now = kept.get(delivery.id);
      const times = askers.length - (now?.fresh === true ? 1 : 0);
      return now?.living === true && times > 0 ? [{ delivery, times }] : [];
    });
    if (repeated.length === 0) return;
    this.metrics.webhookEvents.inc(
      { outcome: 'duplicate' },
      repeated.reduce((sum, { delivery, times }) => sum + delivery.events.length * times, 0),
    );
    this.system
      .countRepeats(
        repeated.map(({ delivery }) => delivery),
        repeated.map(({ times }) => times),
      )
      .catch((error: unknown) => this.logger.warn({ msg: 'repetitions were not counted', err: error }));
  }

  private refuse(batch: readonly Waiting[], error: unknown): void {
    for (const { askers } of batch) for (const { fail } of askers) fail(error);
  }
}

function bytesOf({ events }: IncomingDelivery): number {
  return events.reduce((sum, { properties }) => sum + properties.length + EVENT_BYTES, 0);
}
