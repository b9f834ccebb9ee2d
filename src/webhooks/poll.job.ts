import { Inject, Injectable, Logger, type OnModuleDestroy, type OnModuleInit } from '@nestjs/common';
import { v4 as uuidv4 } from 'uuid';
import { Clock } from '../common/clock';
import { AppError } from '../common/errors';
import { pauseAfter } from '../common/transient';
import { ENV, type Env } from '../config/env';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import { JobsService, type JobData } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { LEASE_SECONDS, PollReader } from './poll-reader';
import { PollRepository } from './poll.repository';
import type { Webhook } from './webhook.entity';

/** Connections read at once: one whose Klaviyo hangs must not hold up the others. */
const WORKERS = 4;
const SLICE_MS = 40_000;
/** After failures that do not pass by themselves: somebody has to do something at Klaviyo. */
const LONG_PAUSE_SECONDS = 900;
const MAX_PAUSE_SECONDS = 900;

type FilledListener = (connection: Connection, webhook: Webhook, found: number) => Promise<void>;

/** Reads events from Klaviyo where it does not send them: one job a connection, which plans the next. */
@Injectable()
export class PollJob implements OnModuleInit, OnModuleDestroy {
  private readonly logger = new Logger('WebhookPoll');
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private filled: FilledListener | undefined;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly clock: Clock,
    private readonly jobs: JobsService,
    private readonly connections: ConnectionService,
    private readonly reader: PollReader,
    private readonly rows: PollRepository,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.webhookPoll, (data) => this.run(data), WORKERS);
  }

  /** Told after a gap of a webhook that Klaviyo sends was filled, with the events that were missing. */
  onFilled(listener: FilledListener): void {
    this.filled = listener;
  }

  /** @param seconds from now */
  async plan(userId: number, connectionId: string, seconds: number): Promise<void> {
    const startAfter = Math.ceil(seconds);
    // One that is for later must not stand in the way of one that is for now.
    const options =
      startAfter > 0 ? { singletonKey: connectionId, startAfter } : { singletonKey: `${connectionId} now` };
    await this.jobs.enqueue(QUEUES.webhookPoll, { userId, connectionId }, options);
  }

  onModuleDestroy(): void {
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  /**
   * A job for later is noticed seconds late by the queue: while this process lives it makes one for now when the time
   * has come, and the other finds nothing to do.
   */
  private async planAhead(userId: number, connectionId: string, seconds: number): Promise<void> {
    await this.plan(userId, connectionId, seconds);
    clearTimeout(this.timers.get(connectionId));
    const timer = setTimeout(() => {
      this.timers.delete(connectionId);
      this.plan(userId, connectionId, 0).catch(() => undefined);
    }, seconds * 1000);
    this.timers.set(connectionId, timer.unref());
  }

  /** @param data `userId`, `connectionId` */
  async run(data: JobData): Promise<void> {
    const userId = Number(data['userId']);
    const connectionId = String(data['connectionId']);
    const until = this.clock.now() + SLICE_MS;
    const connection = await this.connectionOf(userId, connectionId);
    if (!connection) return;
    const lease = uuidv4();
    const claimed = await this.rows.claim(userId, connectionId, lease, LEASE_SECONDS + SLICE_MS / 1000);
    // Each has its share of the time, those that have long been reading last: the others need little, and leave the rest.
    const order = [...claimed.filter(isNew), ...claimed.filter((webhook) => !isNew(webhook))];
    for (const [place, webhook] of order.entries()) {
      const now = this.clock.now();
      await this.work(connection, webhook, lease, now + (until - now) / (order.length - place));
    }
    const seconds = await this.rows.dueIn(userId, connectionId);
    if (seconds !== null) await this.planAhead(userId, connectionId, seconds);
  }

  /** Undefined while there is nobody to read for: the clock looks again. */
  private async connectionOf(userId: number, connectionId: string): Promise<Connection | undefined> {
    try {
      const connection = await this.connections.resolve({ userId }, connectionId);
      return connection.status === 'active' ? connection : undefined;
    } catch (error) {
      if (error instanceof AppError && error.code === 'CONNECTION_NOT_FOUND') return undefined;
      throw error;
    }
  }

  private async work(connection: Connection, webhook: Webhook, lease: string, until: number): Promise<void> {
    const userId = Number(connection.userId);
    const held = { id: webhook.id, lease };
    try {
      const access = await this.connections.accessOf(connection);
      const outcome = await this.reader.read(access, connection, webhook, lease, until);
      if (outcome.kind === 'lost') return;
      if (outcome.kind === 'more') {
        await this.rows.putOff(userId, held, 0, false);
        return;
      }
      const isPoll = webhook.delivery === 'poll';
      await this.rows.finish(userId, held, outcome.progress, isPoll ? this.env.webhookPollIntervalSeconds : null);
      if (!isPoll) await this.filled?.(connection, webhook, outcome.progress.found);
    } catch (error) {
      if (!(error instanceof AppError)) throw error;
      this.logger.warn({
        msg: 'events could not be read',
        code: error.code,
        webhookId: webhook.id,
        ...where(connection),
      });
      await this.rows.putOff(userId, held, this.pause(error, webhook), true);
    }
  }

  private pause(error: AppError, { readFailures }: Webhook): number {
    const pause = pauseAfter(error);
    if (pause === null) return LONG_PAUSE_SECONDS;
    if (error.code === 'KLAVIYO_RATE_LIMITED') return pause;
    return Math.min(this.env.webhookPollIntervalSeconds * 2 ** Math.min(readFailures, 10), MAX_PAUSE_SECONDS);
  }
}

function isNew({ readProgress }: Webhook): boolean {
  return readProgress === null;
}

function where(connection: Connection): { userId: number; connectionId: string } {
  return { userId: Number(connection.userId), connectionId: connection.id };
}
