import { Inject, Injectable, Logger, type OnModuleInit } from '@nestjs/common';
import { ENV, type Env } from '../config/env';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { ForwardAlerts } from './forward-alerts';
import { ForwardRetentionSystemRepository } from './forward-retention.system.repository';
import { WebhookHealth } from './health';
import { Removals } from './removals';

const EVERY_MINUTE = '* * * * *';
/** As long as received events are shown. */
const KEEP_DAYS = 30;
/** Rows of one statement; what is left goes in the next minute. */
const CHUNK = 5000;

/** What the clock looks after: what is still to be removed at Klaviyo, webhooks that are not well, readings that nobody planned, what is over. */
@Injectable()
export class WebhookTickJob implements OnModuleInit {
  private readonly logger = new Logger('WebhookTick');

  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly jobs: JobsService,
    private readonly removals: Removals,
    private readonly health: WebhookHealth,
    private readonly forwards: ForwardRetentionSystemRepository,
    private readonly forwardAlerts: ForwardAlerts,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.webhookTick, () => this.run());
    this.jobs.every(EVERY_MINUTE, QUEUES.webhookTick);
  }

  /** Each part by itself: one that fails does not stop the others. */
  async run(): Promise<void> {
    await Promise.all([
      this.part('planning readings', () => this.health.planReadings()),
      this.part('removing at Klaviyo', () => this.removals.turn()),
      this.part('looking at webhooks', () => this.health.turn()),
      this.part('removing what is over', async () => {
        for (const connectionId of await this.forwards.removeOrphans(CHUNK)) this.forwardAlerts.over(connectionId);
        // What waits goes as soon as the address takes it, however long that lasts: unless there is none any more.
        await this.forwards.removeOld(KEEP_DAYS, CHUNK, this.env.eventForwardUrl === undefined);
      }),
    ]);
  }

  private async part(what: string, work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.error({ msg: `${what} failed`, reason });
    }
  }
}
