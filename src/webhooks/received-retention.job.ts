import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { ENV, type Env } from '../config/env';
import { ConnectionService } from '../connection/connection.service';
import { Db } from '../database/scope';
import { JobsService, type JobData } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { Alerts } from '../observability/alerts';
import { alertKey } from './process-worker';
import { ProcessSystemRepository } from './process.system.repository';
import { ReceivedErasureRepository } from './received-erasure.repository';

const EVERY_HOUR = '23 * * * *';
/** What was worked off; what was given up or is malformed, which somebody may still want to look at. */
const KEEP_DAYS = 30;
const KEEP_APART_DAYS = 90;
/** Rows of one statement, and time of one job; what is left goes in the next. */
const CHUNK = 5000;
const SLICE_MS = 45_000;

/** Removes what was received: once its time is over, and when its connection goes. */
@Injectable()
export class ReceivedRetention implements OnModuleInit {
  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly db: Db,
    private readonly jobs: JobsService,
    private readonly connections: ConnectionService,
    private readonly system: ProcessSystemRepository,
    private readonly erasure: ReceivedErasureRepository,
    private readonly alerts: Alerts,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.webhookProcess, (data) => (data.userId === undefined ? this.tidy() : this.erase(data)));
    this.jobs.every(EVERY_HOUR, QUEUES.webhookProcess);
    this.connections.onDisconnect(async (userId, connectionIds) => {
      await this.plan(userId, connectionIds);
      for (const connectionId of connectionIds) this.alerts.resolveKnown(alertKey({ connectionId }));
      return 0;
    });
  }

  /** The memory of deliveries outlives the time in which Klaviyo may send them again. */
  private get keepDays(): number {
    return Math.max(KEEP_DAYS, Math.ceil((this.env.webhookRetryHorizonHours + 1) / 24));
  }

  /** Chunk by chunk, at most a minute. */
  async tidy(): Promise<void> {
    for (const { userId, connectionId } of await this.system.orphans()) await this.plan(userId, [connectionId]);
    const until = Date.now() + SLICE_MS;
    const rounds = [
      () => this.system.removeEvents('over', this.keepDays, CHUNK),
      () => this.system.removeEvents('apart', Math.max(KEEP_APART_DAYS, this.keepDays), CHUNK),
      () => this.system.removeDeliveries(this.keepDays, CHUNK),
    ];
    for (const round of rounds) while (Date.now() < until && (await round()) === CHUNK);
  }

  private async erase(data: JobData): Promise<void> {
    const userId = Number(data.userId);
    const connectionIds = Array.isArray(data.connectionIds) ? data.connectionIds.map(String) : [];
    const until = Date.now() + SLICE_MS;
    while ((await this.erasure.erase(userId, connectionIds, CHUNK)) === CHUNK)
      if (Date.now() > until) return this.plan(userId, connectionIds);
  }

  /** In the transaction under way, where there is one. */
  private async plan(userId: number, connectionIds: readonly string[]): Promise<void> {
    await this.db.forUser(userId, (manager) =>
      this.jobs.enqueue(
        QUEUES.webhookProcess,
        { userId, connectionIds: [...connectionIds] },
        { singletonKey: `erase:${[...connectionIds].sort().join(',')}`.slice(0, 200), manager },
      ),
    );
  }
}
