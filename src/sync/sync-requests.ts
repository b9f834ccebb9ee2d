import { Injectable } from '@nestjs/common';
import { JobsService } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import type { RunTrigger } from './sync-run.entity';
import { SyncRequestsRepository, type Requested } from './sync-requests.repository';
import type { SyncScope } from './sync-scope';

/** Where runs begin, whoever wants one: a caller, the clock, a webhook. */
@Injectable()
export class SyncRequests {
  constructor(
    private readonly requests: SyncRequestsRepository,
    private readonly jobs: JobsService,
  ) {}

  /** See `SyncRequestsRepository.request`; run and job are one transaction. */
  async request(
    userId: number,
    connectionId: string,
    scope: SyncScope,
    trigger: RunTrigger,
  ): Promise<Requested | undefined> {
    return this.requests.request(userId, connectionId, scope, trigger, (syncId, manager) =>
      this.jobs.enqueue(QUEUES.sync, { userId, syncId }, { singletonKey: syncId, manager }),
    );
  }
}
