import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Clock } from '../common/clock';
import { ConnectionService } from '../connection/connection.service';
import { JobsService, type EnqueueOptions, type JobData } from '../jobs/jobs.service';
import { QUEUES } from '../jobs/queues';
import { MirrorStatesRepository } from '../mirror/mirror-states.repository';
import { Syncers } from '../mirror/syncers';
import { MirrorErasuresRepository } from './mirror-erasures.repository';

/** Rows of one statement, and time of one job; the rest is the next one's. */
const CHUNK = 5000;
const SLICE_MS = 45_000;
/** A disconnect of a large account must not hold up that of a small one. */
const WORKERS = 2;

/**
 * Removes the mirror of connections that are gone. What is small goes with the connection itself; a million profiles
 * go here, chunk by chunk, while nobody can reach them any more.
 */
@Injectable()
export class MirrorEraseJob implements OnModuleInit {
  constructor(
    private readonly jobs: JobsService,
    private readonly connections: ConnectionService,
    private readonly states: MirrorStatesRepository,
    private readonly erasures: MirrorErasuresRepository,
    private readonly syncers: Syncers,
    private readonly clock: Clock,
  ) {}

  onModuleInit(): void {
    this.jobs.handle(QUEUES.mirrorErase, (data) => this.run(data), WORKERS);
    this.connections.onDisconnect(async (userId, connectionIds) => {
      await this.states.remove(userId, connectionIds);
      await this.erasures.request(userId, connectionIds, async (manager) => {
        for (const connectionId of connectionIds) await this.enqueue(userId, connectionId, manager);
      });
      return 0;
    });
  }

  /** @param data `userId`, `connectionId` */
  async run(data: JobData): Promise<void> {
    const userId = Number(data['userId']);
    const connectionId = String(data['connectionId']);
    if (await this.erase(userId, connectionId)) {
      await this.erasures.done(userId, connectionId);
      return;
    }
    await this.erasures.goesOn(userId, connectionId);
    await this.enqueue(userId, connectionId);
  }

  /** Enqueues the removal; one that waits already is enough. */
  async enqueue(userId: number, connectionId: string, manager?: EnqueueOptions['manager']): Promise<void> {
    const options = { singletonKey: connectionId, ...(manager ? { manager } : {}) };
    await this.jobs.enqueue(QUEUES.mirrorErase, { userId, connectionId }, options);
  }

  /** @returns whether nothing is left */
  private async erase(userId: number, connectionId: string): Promise<boolean> {
    const until = this.clock.now() + SLICE_MS;
    for (const syncer of this.syncers.all().reverse()) {
      let removed: number;
      do {
        if (this.clock.now() >= until) return false;
        removed = await syncer.erase(userId, [connectionId], CHUNK);
      } while (removed > 0);
    }
    return true;
  }
}
