import {
  Inject,
  Injectable,
  Logger,
  type OnApplicationBootstrap,
  type OnModuleDestroy,
  type OnModuleInit,
} from '@nestjs/common';
import { v4 as uuidv4 } from 'uuid';
import { Drain } from '../common/drain';
import { WorkLoop } from '../common/work-loop';
import { ENV, type Env } from '../config/env';
import { ConnectionService } from '../connection/connection.service';
import { KlaviyoClient } from '../klaviyo/klaviyo.client';
import { Alerts } from '../observability/alerts';
import { Metrics } from '../observability/metrics';
import { settlementOf, type Address, type Settlement, type Verdict } from './delivery';
import { EventDelivery, type Batch } from './event-delivery';
import { EventsRepository } from './events.repository';
import { EventsSystemRepository, type ClaimedEvent } from './events.system.repository';
import { Settlements } from './settlements';

/** Events on their way at once, of everybody and of one connection. */
const MAX_IN_FLIGHT = 100;
const PER_CONNECTION = 20;
/** A connection whose account does not answer is tried with one event at a time. */
const PER_SICK_CONNECTION = 1;
/** Beyond one attempt's time: waiting for quota, then for writing the outcome down. */
const QUOTA_WAIT_MS = 2000;
const LEASE_MARGIN_MS = 15_000;
/** Longer than a process takes to end once it stopped waiting. */
const GIVEN_BACK_SECONDS = 5;

/**
 * Delivers what waits, of all users, on workers: takes due events under a lease, sends them a few at a time and
 * writes the outcomes down in bulk. A process that dies loses nothing: its leases run out.
 */
@Injectable()
export class EventDispatcher implements OnModuleInit, OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('EventDispatcher');
  private readonly loop: WorkLoop;
  /** What is being sent now, by lease and id. */
  private readonly onWay = new Map<string, Address>();
  /** Connections whose account did not answer the last time. */
  private readonly sick = new Set<string>();
  private readonly settlements: Settlements;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly klaviyo: KlaviyoClient,
    private readonly connections: ConnectionService,
    private readonly events: EventsRepository,
    private readonly system: EventsSystemRepository,
    private readonly delivery: EventDelivery,
    private readonly metrics: Metrics,
    alerts: Alerts,
    drain: Drain,
  ) {
    const work = {
      name: 'the delivery of events',
      look: () => this.look(),
      gauge: async () => this.metrics.eventsWaiting.set(await this.system.countWaiting()),
      isBusy: () => this.onWay.size > 0,
    };
    this.loop = new WorkLoop(work, this.logger, drain);
    this.settlements = new Settlements(system, metrics, alerts, () => this.loop.wake());
  }

  /** On every role: whoever learns that an account or a key works again makes its events due, in the database. */
  onModuleInit(): void {
    this.klaviyo.onRecovered((accountId) => void this.quietly(() => this.recovered(accountId)));
    this.connections.onRevived(async (userId, connectionId) => {
      await this.quietly(() => this.events.wake(userId, connectionId));
      this.sick.delete(connectionId);
      this.loop.wake();
    });
    this.connections.onDisconnect(async (userId, connectionIds) => {
      const discarded = await this.events.discardWaiting(userId, connectionIds);
      for (const connectionId of connectionIds) this.sick.delete(connectionId);
      if (discarded > 0) this.metrics.events.inc({ status: 'cancelled' }, discarded);
      return discarded;
    });
  }

  onApplicationBootstrap(): void {
    if (this.env.role !== 'api') this.loop.start();
  }

  /** What is not finished in time is given back, before anything else of the service closes. */
  async onModuleDestroy(): Promise<void> {
    await this.loop.end();
    for (const address of this.onWay.values()) this.settlements.add(givenBack(address));
    // Without a database the leases run out by themselves.
    await this.quietly(() => this.settlements.flush());
  }

  private async look(): Promise<void> {
    await this.settlements.flush();
    await this.takeDue();
  }

  private async takeDue(): Promise<void> {
    const limit = MAX_IN_FLIGHT - this.onWay.size;
    if (limit <= 0) return;
    const lease = uuidv4();
    const attemptMs = this.env.klaviyoTimeoutMs + QUOTA_WAIT_MS;
    const deadline = Date.now() + attemptMs;
    const claimed = await this.system.claim({
      lease,
      leaseSeconds: (attemptMs + LEASE_MARGIN_MS) / 1000,
      limit,
      perConnection: PER_CONNECTION,
      rooms: this.rooms(),
    });
    const batch = this.delivery.batch(lease, deadline);
    for (const event of claimed) void this.deliver(batch, event);
  }

  /** Connections that may not have the usual number just now. */
  private rooms(): { connectionId: string; room: number }[] {
    const busy = new Map<string, number>([...this.sick].map((connectionId) => [connectionId, 0]));
    for (const { connectionId } of this.onWay.values()) busy.set(connectionId, (busy.get(connectionId) ?? 0) + 1);
    return [...busy].map(([connectionId, taken]) => {
      const most = this.sick.has(connectionId) ? PER_SICK_CONNECTION : PER_CONNECTION;
      return { connectionId, room: Math.max(0, most - taken) };
    });
  }

  private async deliver(batch: Batch, event: ClaimedEvent): Promise<void> {
    const { userId, connectionId, id } = event;
    const address = { userId, connectionId, id, lease: batch.lease };
    const key = `${batch.lease} ${id}`;
    this.onWay.set(key, address);
    const verdict = await this.delivery.deliver(batch, event);
    this.onWay.delete(key);
    if (verdict === undefined) return;
    this.judge(connectionId, verdict);
    this.settlements.add(settlementOf(address, event.attempts, verdict));
  }

  private judge(connectionId: string, verdict: Verdict): void {
    const unanswered = verdict.kind === 'later' && verdict.code !== 'KLAVIYO_RATE_LIMITED';
    if (unanswered) this.sick.add(connectionId);
    else this.sick.delete(connectionId);
  }

  private async recovered(accountId: string): Promise<void> {
    await this.system.wakeAccount(accountId);
    this.loop.wake();
  }

  private async quietly(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg: 'waiting events were not touched; they come by their plan', reason });
    }
  }
}

/** What a stopping process did not finish: somebody else sends it again under the same `uniqueId`. */
function givenBack(address: Address): Settlement {
  return { ...address, status: 'queued', error: 'SERVICE_UNAVAILABLE', pause: GIVEN_BACK_SECONDS, attempts: 0 };
}
