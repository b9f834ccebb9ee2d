import { Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { Removals } from './removals';

const EVERY_MINUTE = '* * * * *';

/** What the clock looks after: what is still to be removed at Klaviyo, hooks that are not well, readings that nobody planned. */
@Injectable()
export class WebhookTickJob implements OnModuleInit {
  private readonly logger = new Logger('WebhookTick');

  constructor(
    private readonly jobs: JobsService,
    private readonly removals: Removals,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.webhookTick, () => this.run());
    this.jobs.every(EVERY_MINUTE, QUEUES.webhookTick);
  }

  /** Each part by itself: one that fails does not stop the others. */
  async run(): Promise<void> {
    for (const work of [() => this.removals.turn()]) {
      try {
        await work();
      } catch (error) {
        const reason = error instanceof Error ? error.message : 'unknown';
        this.logger.error({ msg: 'a part of the minute’s work failed', reason });
      }
    }
  }
}
