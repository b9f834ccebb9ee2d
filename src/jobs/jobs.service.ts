import {
  Inject,
  Injectable,
  Logger,
  type BeforeApplicationShutdown,
  type OnApplicationBootstrap,
} from '@nestjs/common';
import { PgBoss } from 'pg-boss';
import type { EntityManager } from 'typeorm';
import { Drain } from '../common/drain';
import { runInContext } from '../common/request-context';
import { ENV, type Env } from '../config/env';
import type { QueueName } from './queues';

/** What a job may know: ids. */
export type JobData = Readonly<Record<string, string | number | readonly string[]>>;
type Handler = (data: JobData) => Promise<void>;

export interface EnqueueOptions {
  /** Work with the same key that still waits is not queued twice. */
  singletonKey: string;
  /** Seconds from now. */
  startAfter?: number;
  /** The transaction that writes the row which the job is about. */
  manager?: EntityManager;
}

const POLL_SECONDS = 2;
/** Of queues whose workers are woken by NOTIFY: for delayed jobs, and should a notification be lost. */
const NOTIFIED_POLL_SECONDS = 5;
const STOP_TIMEOUT_MS = 6000;
/** A job is a slice of at most a minute (the queue gives it up after two). */
const SLICE_MS = 60_000;

/** The wiring of the queue engine (pg-boss on our PostgreSQL): retries, backoff, dead letters and cron are the engine's. */
@Injectable()
export class JobsService implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Jobs');
  private readonly handlers = new Map<QueueName, { handler: Handler; workers: number }>();
  private readonly crons: { queue: QueueName; cron: string; data: JobData }[] = [];
  private boss: PgBoss | undefined;

  private stopped: Promise<void> | undefined;

  constructor(
    @Inject(ENV) private readonly env: Env,
    drain: Drain,
  ) {
    drain.onBegin(() => void this.stop());
  }

  /**
   * Names who works a queue off. Called by features while Nest builds them.
   * @param workers jobs at once in this process: more than one where a job mostly waits for somebody else
   */
  handle(queue: QueueName, handler: Handler, workers = 1): void {
    this.handlers.set(queue, { handler, workers });
  }

  /** Enqueues by the clock (cron, UTC), once for all replicas. */
  every(cron: string, queue: QueueName, data: JobData = {}): void {
    this.crons.push({ queue, cron, data });
  }

  /** Enqueues; inside `manager`'s transaction when one is given, so that row and job live or die together. */
  async enqueue(queue: QueueName, data: JobData, options: EnqueueOptions): Promise<void> {
    const { manager, singletonKey, startAfter } = options;
    await this.engine().send(queue, data, {
      singletonKey,
      ...(startAfter === undefined ? {} : { startAfter }),
      ...(manager
        ? { db: { executeSql: async (text, values) => ({ rows: await rowsOf(manager, text, values) }) } }
        : {}),
    });
  }

  async onApplicationBootstrap(): Promise<void> {
    const works = this.env.role !== 'api';
    const boss = new PgBoss({
      connectionString: this.env.databaseDirectUrl,
      application_name: 'klaviyo-service-jobs',
      max: 3,
      schema: 'pgboss',
      // The schema is a migration of ours and the service may be a plain role: nothing that needs DDL runs here.
      migrate: false,
      createSchema: false,
      useListenNotify: works,
      persistQueueStats: false,
      persistWarnings: false,
      reindex: false,
      monitorVacuum: false,
      supervise: works,
      schedule: works,
    });
    boss.on('error', (error) => this.logger.error({ msg: 'queue engine', reason: error.message }));
    await boss.start();
    this.boss = boss;
    if (!works) return;
    for (const [queue, { handler, workers }] of this.handlers) {
      const options = {
        pollingIntervalSeconds: POLL_SECONDS,
        notifyPollingIntervalSeconds: NOTIFIED_POLL_SECONDS,
        batchSize: 1,
        localConcurrency: workers,
      };
      await boss.work<JobData>(queue, options, async (jobs) => {
        for (const job of jobs)
          await runInContext({ requestId: job.id, language: 'fr', deadline: Date.now() + SLICE_MS }, () =>
            handler(job.data),
          );
      });
    }
    for (const { queue, cron, data } of this.crons) await boss.schedule(queue, cron, data, { tz: 'UTC' });
  }

  async beforeApplicationShutdown(): Promise<void> {
    await this.stop();
  }

  /** From the stop signal on nothing is fetched; what is not done in a few seconds goes back to its queue. */
  private stop(): Promise<void> {
    this.stopped ??= this.boss?.stop({ graceful: true, timeout: STOP_TIMEOUT_MS }) ?? Promise.resolve();
    return this.stopped;
  }

  private engine(): PgBoss {
    if (!this.boss) throw new Error('The queue engine has not started');
    return this.boss;
  }
}

async function rowsOf(manager: EntityManager, text: string, values?: unknown[]): Promise<Record<string, unknown>[]> {
  return manager.query(text, values);
}
