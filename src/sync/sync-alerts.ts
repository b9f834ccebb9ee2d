import { Inject, Injectable, type OnModuleInit } from '@nestjs/common';
import { ENV, type Env } from '../config/env';
import { ConnectionService } from '../connection/connection.service';
import { Alerts } from '../observability/alerts';
import { SyncSystemRepository, type Standing } from './sync.system.repository';

/** Tells operators of connections whose last run failed, or brought only a part, and of those that are overdue. */
@Injectable()
export class SyncAlerts implements OnModuleInit {
  constructor(
    @Inject(ENV) private readonly env: Env,
    private readonly connections: ConnectionService,
    private readonly system: SyncSystemRepository,
    private readonly alerts: Alerts,
  ) {}

  onModuleInit(): void {
    this.connections.onDisconnect((_, connectionIds) => {
      for (const connectionId of connectionIds) {
        this.alerts.resolve(failedKey(connectionId));
        this.alerts.resolve(overdueKey(connectionId));
      }
      return Promise.resolve(0);
    });
  }

  /** Looks how runs stand now, whichever replica they were on: what began is told once, and once when it is over. */
  async look(): Promise<void> {
    for (const standing of await this.system.standings(this.env.syncIntervalMinutes)) {
      this.judgeRun(standing);
      this.judgeTime(standing);
    }
  }

  private judgeRun({ userId, connectionId, status, syncId, codes }: Standing): void {
    if (status !== 'failed' && status !== 'partial') {
      this.alerts.resolveKnown(failedKey(connectionId));
      return;
    }
    const outcome = status === 'failed' ? 'failed' : 'brought only a part';
    this.alerts.raise({
      type: 'sync.failed',
      key: failedKey(connectionId),
      severity: status === 'failed' ? 'error' : 'warning',
      userId,
      connectionId,
      summary: `The synchronisation ${syncId ?? ''} of connection ${connectionId} ${outcome} (${codes.join(', ')}).`,
    });
  }

  private judgeTime({ userId, connectionId, overdue }: Standing): void {
    if (!overdue) {
      this.alerts.resolveKnown(overdueKey(connectionId));
      return;
    }
    this.alerts.raise({
      type: 'sync.overdue',
      key: overdueKey(connectionId),
      severity: 'error',
      userId,
      connectionId,
      summary: `Connection ${connectionId} is overdue: for two intervals and an hour no synchronisation brought anything.`,
    });
  }
}

function failedKey(connectionId: string): string {
  return `sync.failed:${connectionId}`;
}

function overdueKey(connectionId: string): string {
  return `sync.overdue:${connectionId}`;
}
