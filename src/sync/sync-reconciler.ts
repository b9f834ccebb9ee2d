import { Inject, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';
import { ENV, type Env } from '../config/env';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { StrandedRunsSystemRepository } from './stranded-runs.system.repository';

const AT_ONCE = 500;

/** Sees to it that every run goes on: one whose worker died, or whose job was lost, gets a new one. */
@Injectable()
export class SyncReconciler implements OnApplicationBootstrap {
  private readonly logger = new Logger('Sync');

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly jobs: JobsService,
    private readonly stranded: StrandedRunsSystemRepository,
  ) {}

  /** A process that starts may be the one that died. */
  async onApplicationBootstrap(): Promise<void> {
    if (this.env.role === 'api') return;
    try {
      await this.reconcile();
    } catch {
      this.logger.warn({ msg: 'runs that nobody works on are looked for by the clock' });
    }
  }

  /** Called by the clock, on any replica. A run that has a job already is not queued twice. @returns runs looked at */
  async reconcile(): Promise<number> {
    const runs = await this.stranded.find(AT_ONCE);
    for (const { userId, id } of runs)
      await this.jobs.enqueue(QUEUES.sync, { userId, syncId: id }, { singletonKey: id });
    return runs.length;
  }
}
