import { setTimeout as wait } from 'node:timers/promises';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { v4 as uuidv4, v7 as uuidv7 } from 'uuid';
import type { UserScope } from '../auth/user-scope';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { currentContext } from '../common/request-context';
import { ENV, type Env } from '../config/env';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { DatabaseError } from '../database/errors';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { Metrics } from '../observability/metrics';
import { settlementOf, type Settlement, type Verdict } from './delivery';
import { planEvent, type EventInput, type EventPlan } from './event-plan';
import { EventSender } from './event-sender';
import { EventVault } from './event-vault';
import type { EventView } from './event-view';
import { EventsKlaviyo, inCallersWords } from './events.klaviyo';
import { EventsRepository, type EventIdentity, type NewEvent } from './events.repository';
import { EventsSystemRepository } from './events.system.repository';
import type { SentEvent } from './sent-event.entity';

export interface Triggered {
  event: EventView;
  /** The same event was accepted before: this is the first one. */
  duplicate: boolean;
}

/** What the first attempt may take: the event is safe by then, so the caller need not wait for a slow Klaviyo. */
const FIRST_ATTEMPT_MS = 5000;
/** Kept back from the caller's deadline for writing down what came of it. */
const SETTLE_MS = 1000;
/** Beyond the attempt: only a process that died leaves its lease to run out. */
const LEASE_MARGIN_SECONDS = 10;
const FOREIGN_KEY_VIOLATION = '23503';

/** Takes an event from a caller: commits it, then tries once to deliver it. What is accepted is never lost. */
@Injectable()
export class EventIntake {
  private readonly logger = new Logger('Events');

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly clock: Clock,
    private readonly connections: ConnectionService,
    private readonly events: EventsRepository,
    private readonly system: EventsSystemRepository,
    private readonly vault: EventVault,
    private readonly sender: EventSender,
    private readonly atKlaviyo: EventsKlaviyo,
    private readonly metrics: Metrics,
  ) {}

  /**
   * The event is `sent`, or `queued` where Klaviyo cannot take it now.
   * @throws AppError VALIDATION_FAILED; CONNECTION_NOT_FOUND; KLAVIYO_REJECTED and the like, KLAVIYO_KEY_INVALID,
   * KLAVIYO_SCOPE_MISSING, KLAVIYO_REVISION_RETIRED: then nothing of it waits to be sent
   */
  async trigger(scope: UserScope, connectionId: string | undefined, input: EventInput): Promise<Triggered> {
    const { userId } = scope;
    const plan = planEvent(input, this.clock.now(), (event) => this.atKlaviyo.earliestTime(event));
    const connection = await this.connections.resolve(scope, connectionId);
    const access = await this.connections.accessOf(connection);
    const deadline = (currentContext()?.deadline ?? this.clock.now() + this.env.requestDeadlineMs) - SETTLE_MS;
    for (;;) {
      const event = await this.prepare(userId, connection.id, plan);
      const createdAt = await this.accept(userId, event);
      if (createdAt) {
        const verdict = await this.attempt(connection, access, event, plan, deadline);
        return { event: await this.conclude(userId, event, plan, createdAt, verdict), duplicate: false };
      }
      const first = await this.settled(userId, event, deadline);
      if (first) return { event: await this.vault.view(first), duplicate: true };
      // The first one was refused while this one waited for it: now it is this one's turn.
      if (this.clock.now() >= deadline) throw new AppError('CONFLICT', { reason: 'the same event comes and goes' });
    }
  }

  private async prepare(userId: number, connectionId: string, plan: EventPlan): Promise<NewEvent> {
    const id = uuidv7();
    const { properties, backfill, profile, eventType, time, value, currency } = plan;
    const sealed = await this.vault.seal({ userId, connectionId, id }, profile, { properties, backfill });
    return {
      connectionId,
      id,
      eventType,
      uniqueId: plan.uniqueId ?? id,
      profileKey: this.vault.profileKey(userId, connectionId, profile),
      ...sealed,
      time,
      value,
      currency,
      lease: uuidv4(),
      leaseSeconds: FIRST_ATTEMPT_MS / 1000 + LEASE_MARGIN_SECONDS,
    };
  }

  private async accept(userId: number, event: NewEvent): Promise<Date | undefined> {
    try {
      return await this.events.accept(userId, event);
    } catch (error) {
      // Disconnected since it was looked up.
      if (error instanceof DatabaseError && error.sqlState === FOREIGN_KEY_VIOLATION)
        throw new AppError('CONNECTION_NOT_FOUND');
      throw error;
    }
  }

  private attempt(
    connection: Connection,
    access: KlaviyoAccess,
    event: NewEvent,
    plan: EventPlan,
    callDeadline: number,
  ): Promise<Verdict> {
    const deadline = Math.min(callDeadline, this.clock.now() + FIRST_ATTEMPT_MS);
    const outgoing = { ...plan, uniqueId: event.uniqueId };
    return this.sender.send(connection, access, outgoing, { deadline, priority: 'interactive' });
  }

  /** Writes down what came of the first attempt, and answers it or throws the refusal. */
  private async conclude(
    userId: number,
    event: NewEvent,
    plan: EventPlan,
    createdAt: Date,
    verdict: Verdict,
  ): Promise<EventView> {
    const { connectionId, id, lease } = event;
    if (verdict.kind === 'refused') {
      await this.quietly(() => this.events.withdraw(userId, connectionId, id, lease), id);
      throw inCallersWords(verdict.error, plan.profileFields);
    }
    const settlement = settlementOf({ userId, connectionId, id, lease }, 0, verdict);
    const moved = await this.quietly(() => this.system.settle([settlement]), id);
    this.metrics.events.inc({ status: settlement.status });
    if (verdict.kind === 'rejected') throw inCallersWords(verdict.error, plan.profileFields);
    return outcomeOf(event, plan, createdAt, settlement, moved?.[0]?.sentAt ?? new Date(this.clock.now()));
  }

  /**
   * An event that is committed stays accepted even if what came of it cannot be written: the row's lease runs out and
   * it is sent again under the same `uniqueId`, of which Klaviyo keeps the first.
   */
  private async quietly<T>(work: () => Promise<T>, eventId: string): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg: 'the outcome of an event could not be written down', eventId, reason });
      return undefined;
    }
  }

  /**
   * The event that was there first, once its own first attempt is over: what its caller is refused, nobody else may
   * be promised. Undefined when it is gone or failed.
   */
  private async settled(userId: number, identity: EventIdentity, deadline: number): Promise<SentEvent | undefined> {
    for (let pause = 25; ; pause = Math.min(pause * 2, 400)) {
      const first = await this.events.same(userId, identity);
      if (!first || first.status === 'failed' || first.status === 'dead' || first.status === 'cancelled')
        return undefined;
      const tried = first.status !== 'queued' || first.attempts > 0 || first.lease === null;
      if (tried || this.clock.now() + pause > deadline) return first;
      await wait(pause);
    }
  }
}

function outcomeOf(
  event: NewEvent,
  plan: EventPlan,
  createdAt: Date,
  settlement: Settlement,
  settledAt: Date,
): EventView {
  return {
    id: event.id,
    eventType: event.eventType,
    uniqueId: event.uniqueId,
    status: settlement.status,
    profile: plan.profile,
    time: event.time,
    value: event.value,
    currency: event.currency,
    attempts: settlement.attempts,
    lastError: settlement.error,
    createdAt,
    sentAt: settlement.status === 'sent' ? settledAt : null,
  };
}
