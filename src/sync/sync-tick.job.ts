import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { MirrorEraseJob } from './mirror-erase.job';
import { SyncAlerts } from './sync-alerts';
import { SyncClock } from './sync-clock';
import { SyncReconciler } from './sync-reconciler';
import { SyncRetention } from './sync-retention';
import { SyncSystemRepository } from './sync.system.repository';

const EVERY_MINUTE = '* * * * *';
const ERASURES_AT_ONCE = 100;

/** Once a minute, on one replica: begins what is due, takes up what was left lying, tells of what went wrong. */
@Injectable()
export class SyncTickJob implements OnModuleInit {
  private readonly logger = new Logger('SyncTick');

  constructor(
    private readonly jobs: JobsService,
    private readonly clock: SyncClock,
    private readonly reconciler: SyncReconciler,
    private readonly system: SyncSystemRepository,
    private readonly erasing: MirrorEraseJob,
    private readonly alerts: SyncAlerts,
    private readonly retention: SyncRetention,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.syncTick, () => this.run());
    this.jobs.every(EVERY_MINUTE, QUEUES.syncTick);
  }

  /** What fails of it does not keep the rest from being done; the next minute does it all again. */
  async run(): Promise<void> {
    await this.attempt('runs are not begun', () => this.clock.begin());
    await this.attempt('runs that nobody works on are not taken up', () => this.reconciler.reconcile());
    await this.attempt('removals are not taken up again', () => this.resumeErasures());
    await this.attempt('runs are not judged', () => this.alerts.look());
    await this.attempt('old runs are not removed', () => this.retention.turn());
  }

  private async resumeErasures(): Promise<void> {
    for (const { userId, connectionId } of await this.system.erasures(ERASURES_AT_ONCE))
      await this.erasing.enqueue(userId, connectionId);
  }

  private async attempt(held: string, work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg: `by the clock: ${held}`, reason });
    }
  }
}
