import { setTimeout as wait } from 'node:timers/promises';
import { Injectable, Logger } from '@nestjs/common';
import { v4 as uuidv4 } from 'uuid';
import { AppError } from '../common/errors';
import { isTransient, pauseAfter } from '../common/transient';
import { Precedence } from '../common/precedence';
import { DatabaseError } from '../database/errors';
import { Db } from '../database/scope';
import { Alerts } from '../observability/alerts';
import { Metrics } from '../observability/metrics';
import { Consumers } from './consumers';
import { ProcessRepository, type PendingDelivery, type WorkEvent } from './process.repository';
import type { Tenant } from './process.system.repository';

/** Events of one transaction, and deliveries that are looked at for it. */
const CHUNK_EVENTS = 1000;
const CHUNK_DELIVERIES = 500;
/** Events that are tried again, each by itself. */
const DUE_EVENTS = 100;
/** Much longer than a chunk takes: only a process that died lets it run out. */
const LANE_SECONDS = 20;
/** Fewer are worth a moment's wait for more of them. */
const FEW_EVENTS = 250;
const GATHER_MS = 50;
/** While more arrives than is being written, a chunk waits, but not for good. */
const LONGEST_YIELD_MS = 250;
/** Pauses between the attempts at an event; after the last it is dead, a day after it came. */
const PAUSES_SECONDS = [60, 300, 900, 3600, 10_800, 21_600, 43_200];

/** The lane is somebody else's: nothing more is ours to write. */
class LostLane extends Error {
  override readonly name = 'LostLane';
}

interface Lane extends Tenant {
  lease: string;
}

/**
 * Works the events of one connection off, in the order of their arrival, a chunk in a transaction. An event that
 * cannot be worked off is set apart and tried again by itself, so that it holds nothing else up.
 */
@Injectable()
export class ProcessWorker {
  private readonly logger = new Logger('WebhookProcessing');

  constructor(
    private readonly db: Db,
    private readonly rows: ProcessRepository,
    private readonly consumers: Consumers,
    private readonly precedence: Precedence,
    private readonly metrics: Metrics,
    private readonly alerts: Alerts,
  ) {}

  /**
   * Works until nothing is due, or `goOn` says no.
   * @throws DatabaseError, AppError: what is not done stays due
   */
  async work(tenant: Tenant, goOn: () => boolean): Promise<void> {
    const lane: Lane = { ...tenant, lease: uuidv4() };
    const { userId, connectionId, lease } = lane;
    if (!(await this.rows.takeLane(userId, connectionId, lease, LANE_SECONDS))) return;
    try {
      while (goOn()) {
        const done = (await this.workDeliveries(lane)) || (await this.workDue(lane));
        if (done === 0) return;
        if (done < FEW_EVENTS) await wait(GATHER_MS);
        await this.precedence.giveWay(LONGEST_YIELD_MS);
      }
    } catch (error) {
      if (error instanceof LostLane) return;
      throw error;
    } finally {
      await this.rows.releaseLane(userId, connectionId, lease).catch(() => undefined);
    }
  }

  /** @returns how many events and empty deliveries there were */
  private async workDeliveries(lane: Lane): Promise<number> {
    const { userId, connectionId } = lane;
    const deliveries = chunkOf(await this.rows.pending(userId, connectionId, CHUNK_DELIVERIES));
    if (deliveries.length === 0) return 0;
    const events = await this.rows.eventsOf(userId, connectionId, deliveries);
    const settle = () => this.rows.settle(userId, connectionId, deliveries, countsOf(events));
    try {
      await this.together(lane, async () => {
        await this.consumers.consume(userId, connectionId, events);
        await settle();
      });
      this.metrics.webhookEvents.inc({ outcome: 'processed' }, events.length);
    } catch (error) {
      if (!isOfAnEvent(error)) return this.postpone(lane, deliveries, error);
      await this.apart(lane, events);
      await this.together(lane, settle);
    }
    return Math.max(events.length, deliveries.length);
  }

  /** Events that failed before, or that somebody wants worked off again. */
  private async workDue(lane: Lane): Promise<number> {
    const events = await this.rows.dueEvents(lane.userId, lane.connectionId, DUE_EVENTS);
    for (const event of events) await this.apart(lane, [event]);
    if (events.length > 0 && !(await this.rows.hasDead(lane.userId, lane.connectionId)))
      this.alerts.resolveKnown(alertKey(lane));
    return events.length;
  }

  /** Finds, by halves, the events that cannot be worked off; the others are. */
  private async apart(lane: Lane, events: readonly WorkEvent[]): Promise<void> {
    const { userId, connectionId } = lane;
    try {
      await this.together(lane, async () => {
        await this.consumers.consume(userId, connectionId, events);
        await this.rows.noteProcessed(
          userId,
          connectionId,
          events.map(({ id }) => id),
        );
      });
      this.metrics.webhookEvents.inc({ outcome: 'processed' }, events.length);
    } catch (error) {
      if (!isOfAnEvent(error)) throw error;
      const [first, ...others] = events;
      if (first && others.length === 0) return this.fail(lane, first, error);
      const half = Math.ceil(events.length / 2);
      await this.apart(lane, events.slice(0, half));
      await this.apart(lane, events.slice(half));
    }
  }

  private async fail(lane: Lane, event: WorkEvent, error: unknown): Promise<void> {
    const { userId, connectionId } = lane;
    const pauseSeconds = PAUSES_SECONDS[event.attempts] ?? null;
    const status = pauseSeconds === null ? 'dead' : 'failed';
    const code = codeOf(error);
    await this.together(lane, () =>
      this.rows.noteFailed(userId, connectionId, { id: event.id, status, error: code, pauseSeconds }),
    );
    this.metrics.webhookEvents.inc({ outcome: status });
    this.logger.warn({
      msg: `a received event is ${status}`,
      userId,
      connectionId,
      eventId: event.id,
      code,
      err: error,
    });
    if (status !== 'dead') return;
    const summary = `Received events of connection ${connectionId} could not be worked off and are dead: see GET /webhooks/events?status=dead.`;
    this.alerts.raise({
      type: 'webhook.dead',
      key: alertKey(lane),
      severity: 'warning',
      userId,
      connectionId,
      summary,
    });
  }

  /** What is about no single event: everything waits, and the later the longer it lasts. */
  private async postpone(lane: Lane, deliveries: readonly PendingDelivery[], error: unknown): Promise<never> {
    if (error instanceof AppError) {
      const seconds = pauseAfter(error) ?? 60;
      const ids = deliveries.map(({ id }) => id);
      await this.rows.postpone(lane.userId, lane.connectionId, ids, error.code, seconds);
    }
    throw error;
  }

  private async together(lane: Lane, work: () => Promise<unknown>): Promise<void> {
    const { userId, connectionId, lease } = lane;
    await this.db.inTransaction(userId, async () => {
      if (!(await this.rows.holdLane(userId, connectionId, lease, LANE_SECONDS))) throw new LostLane();
      await work();
    });
  }
}

function chunkOf(deliveries: readonly PendingDelivery[]): PendingDelivery[] {
  const chunk: PendingDelivery[] = [];
  let events = 0;
  for (const delivery of deliveries) {
    if (chunk.length > 0 && events + delivery.events > CHUNK_EVENTS) break;
    events += delivery.events;
    chunk.push(delivery);
  }
  return chunk;
}

function countsOf(events: readonly WorkEvent[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const { deliveryId } of events) counts.set(deliveryId, (counts.get(deliveryId) ?? 0) + 1);
  return counts;
}

/** Whether it is one of the events that cannot be worked off, rather than all of them not now. */
function isOfAnEvent(error: unknown): boolean {
  if (error instanceof LostLane || isTransient(error)) return false;
  return !(error instanceof DatabaseError && error.down);
}

function codeOf(error: unknown): string {
  if (error instanceof AppError) return error.code;
  return error instanceof DatabaseError && error.sqlState !== undefined ? `DATABASE_${error.sqlState}` : 'INTERNAL';
}

/** Of the incident that events of a connection were given up. */
export function alertKey({ connectionId }: Pick<Tenant, 'connectionId'>): string {
  return `webhook.dead:${connectionId}`;
}
