import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { ENV, type Env } from '../config/env';
import { ConnectionService } from '../connection/connection.service';
import { Db } from '../database/scope';
import { SyncRequests } from './sync-requests';
import { SyncSchedulesRepository } from './sync-schedules.repository';
import { scopeOf } from './sync-scope';
import { SyncSystemRepository, type Tenant } from './sync.system.repository';

/** Runs begun in one turn of the clock; the next minute has the rest. */
const MOST_AT_ONCE = 200;

/** Begins runs by the clock, each connection at its own time. */
@Injectable()
export class SyncClock implements OnModuleInit {
  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly db: Db,
    private readonly connections: ConnectionService,
    private readonly system: SyncSystemRepository,
    private readonly schedules: SyncSchedulesRepository,
    private readonly requests: SyncRequests,
  ) {}

  onModuleInit(): void {
    this.connections.onRevived((userId, connectionId) => this.schedules.hasten(userId, connectionId));
  }

  /** Begins what is due. Whoever else does the same at the same moment begins none of it again. @returns how many */
  async begin(): Promise<number> {
    const standard = this.env.syncIntervalMinutes;
    if (standard > 0) await this.system.scheduleAll(standard);
    let begun = 0;
    for (const tenant of await this.system.due(standard, MOST_AT_ONCE)) if (await this.beginOne(tenant)) begun += 1;
    return begun;
  }

  /** The place in the schedule moves on in the transaction that makes the run: neither is there without the other. */
  private async beginOne({ userId, connectionId }: Tenant): Promise<boolean> {
    return this.db.inTransaction(userId, async () => {
      const mode = await this.schedules.claim(userId, connectionId, this.env.syncIntervalMinutes);
      if (!mode) return false;
      const requested = await this.requests.request(userId, connectionId, scopeOf({ mode }), 'schedule');
      return requested !== undefined && !requested.alreadyRunning;
    });
  }
}
