import { Injectable, type OnModuleInit } from '@nestjs/common';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { EventsSystemRepository } from './events.system.repository';

const EVERY_HOUR = '7 * * * *';
const KEEP_DAYS = 30;
/** Rows of one statement, and time of one run; what is left goes in the next hour. */
const CHUNK = 5000;
const SLICE_MS = 45_000;

/** Removes what is over and no longer shown: settled events after 30 days. */
@Injectable()
export class HousekeepingJob implements OnModuleInit {
  constructor(
    private readonly jobs: JobsService,
    private readonly events: EventsSystemRepository,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.housekeeping, () => this.run());
    this.jobs.every(EVERY_HOUR, QUEUES.housekeeping);
  }

  async run(): Promise<void> {
    const until = Date.now() + SLICE_MS;
    while (Date.now() < until) if ((await this.events.removeSettled(KEEP_DAYS, CHUNK)) < CHUNK) return;
  }
}
