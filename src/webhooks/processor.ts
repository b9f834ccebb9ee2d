import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { AppError } from '../common/errors';
import { Drain } from '../common/drain';
import { WorkLoop } from '../common/work-loop';
import { ENV, type Env } from '../config/env';
import { Metrics } from '../observability/metrics';
import { WebhookIntake } from './intake';
import { ProcessWorker } from './process-worker';
import { ProcessSystemRepository, type Tenant } from './process.system.repository';

/** Connections at once in this process, and how long one keeps its place while others wait. */
const LANES = 2;
const SLICE_MS = 5000;
const MOST_TENANTS = 50;

/**
 * Sees to it, on workers, that what was received is worked off: the rows themselves are the queue, so that taking
 * events in costs no job. A process that dies loses nothing: its lanes run out.
 */
@Injectable()
export class WebhookProcessor implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly loop: WorkLoop;
  private readonly active = new Set<string>();

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly system: ProcessSystemRepository,
    private readonly worker: ProcessWorker,
    private readonly intake: WebhookIntake,
    private readonly metrics: Metrics,
    drain: Drain,
  ) {
    const work = {
      name: 'working received events off',
      look: () => this.look(),
      gauge: async () => this.metrics.webhookBacklog.set(await this.system.countWaiting()),
      isBusy: () => this.active.size > 0,
      // What was begun may still meet what held the rest up.
      isProven: () => this.active.size === 0,
    };
    this.loop = new WorkLoop(work, new Logger('WebhookProcessing'), drain);
  }

  onApplicationBootstrap(): void {
    if (this.env.role === 'api') return;
    // What arrives in the next moment is worked off together with what is there.
    this.intake.onTaken(() => this.loop.wakeSoon());
    this.loop.start();
  }

  async onModuleDestroy(): Promise<void> {
    await this.loop.end();
  }

  /** Looks for what is due now. */
  wake(): void {
    this.loop.wake();
  }

  private async look(): Promise<void> {
    if (this.active.size >= LANES) return;
    for (const tenant of await this.system.due(MOST_TENANTS)) this.begin(tenant);
  }

  private begin(tenant: Tenant): void {
    const { connectionId } = tenant;
    if (this.active.size >= LANES || this.active.has(connectionId)) return;
    this.active.add(connectionId);
    void this.run(tenant).finally(() => {
      this.active.delete(connectionId);
      this.loop.wake();
    });
  }

  private async run(tenant: Tenant): Promise<void> {
    const until = Date.now() + SLICE_MS;
    try {
      await this.worker.work(tenant, () => Date.now() < until && !this.loop.isStopped);
      this.loop.succeeded();
    } catch (error) {
      // A refusal is about this connection, and says itself when it is worth another try.
      if (!(error instanceof AppError)) this.loop.failed(error);
    }
  }
}
