import { setTimeout as wait } from 'node:timers/promises';
import { Inject, Injectable, Logger, type OnApplicationBootstrap, type OnModuleDestroy } from '@nestjs/common';
import { AppError } from '../common/errors';
import { Drain } from '../common/drain';
import { ENV, type Env } from '../config/env';
import { Metrics } from '../observability/metrics';
import { WebhookIntake } from './intake';
import { ProcessWorker } from './process-worker';
import { ProcessSystemRepository, type Tenant } from './process.system.repository';

/** What arrived elsewhere, and what becomes due, is found by looking. */
const TICK_MS = 1000;
const GATHER_MS = 50;
/** Connections at once in this process, and how long one keeps its place while others wait. */
const LANES = 2;
const SLICE_MS = 5000;
const MOST_TENANTS = 50;
const GAUGE_MS = 15_000;
const DRAIN_MS = 1000;
const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 30_000;

/**
 * Sees to it, on workers, that what was received is worked off: the rows themselves are the queue, so that taking
 * events in costs no job. A process that dies loses nothing: its lanes run out.
 */
@Injectable()
export class WebhookProcessor implements OnApplicationBootstrap, OnModuleDestroy {
  private readonly logger = new Logger('WebhookProcessing');
  private readonly active = new Set<string>();
  private timer: NodeJS.Timeout | undefined;
  private soon: NodeJS.Timeout | undefined;
  private turning = false;
  private again = false;
  private stopping = false;
  private failures = 0;
  private notBefore = 0;
  private gaugedAt = 0;

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly system: ProcessSystemRepository,
    private readonly worker: ProcessWorker,
    private readonly intake: WebhookIntake,
    private readonly metrics: Metrics,
    drain: Drain,
  ) {
    drain.onBegin(() => this.stop());
  }

  onApplicationBootstrap(): void {
    if (this.env.role === 'api') return;
    this.intake.onTaken(() => this.wakeSoon());
    this.timer = setInterval(() => this.wake(), TICK_MS).unref();
  }

  async onModuleDestroy(): Promise<void> {
    this.stop();
    const until = Date.now() + DRAIN_MS;
    while ((this.active.size > 0 || this.turning) && Date.now() < until) await wait(25);
  }

  /** What arrives in the next moment is worked off together with what is there. */
  private wakeSoon(): void {
    this.soon ??= setTimeout(() => {
      this.soon = undefined;
      this.wake();
    }, GATHER_MS).unref();
  }

  /** Looks for what is due now; while it looks already, once more afterwards. */
  wake(): void {
    this.again = true;
    if (this.turning || this.stopping || this.env.role === 'api') return;
    this.turning = true;
    void this.turn();
  }

  private async turn(): Promise<void> {
    while (this.again && !this.stopping) {
      this.again = false;
      if (Date.now() < this.notBefore || this.active.size >= LANES) break;
      try {
        for (const tenant of await this.system.due(MOST_TENANTS)) this.begin(tenant);
        await this.gauge();
        this.worked();
      } catch (error) {
        this.failed(error);
      }
    }
    this.turning = false;
  }

  private begin(tenant: Tenant): void {
    const { connectionId } = tenant;
    if (this.active.size >= LANES || this.active.has(connectionId)) return;
    this.active.add(connectionId);
    void this.run(tenant).finally(() => {
      this.active.delete(connectionId);
      this.wake();
    });
  }

  private async run(tenant: Tenant): Promise<void> {
    const until = Date.now() + SLICE_MS;
    try {
      await this.worker.work(tenant, () => Date.now() < until && !this.stopping);
    } catch (error) {
      // A refusal is about this connection, and says itself when it is worth another try.
      if (!(error instanceof AppError)) this.failed(error);
    }
  }

  private async gauge(): Promise<void> {
    if (Date.now() - this.gaugedAt < GAUGE_MS) return;
    this.gaugedAt = Date.now();
    this.metrics.webhookBacklog.set(await this.system.countWaiting());
  }

  private worked(): void {
    if (this.failures > 0 && this.active.size === 0) this.failures = 0;
  }

  /** PostgreSQL out of reach, most likely: what is due stays due. */
  private failed(error: unknown): void {
    const pause = Math.min(FIRST_PAUSE_MS * 2 ** this.failures, LONGEST_PAUSE_MS);
    this.failures += 1;
    this.notBefore = Date.now() + pause;
    if (this.failures === 1) this.logger.warn({ msg: 'working received events off is held up', err: error });
  }

  private stop(): void {
    this.stopping = true;
    clearInterval(this.timer);
    clearTimeout(this.soon);
  }
}
