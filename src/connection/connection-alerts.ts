import { Injectable, type OnModuleInit } from '@nestjs/common';
import { Alerts } from '../observability/alerts';
import { ConnectionService } from './connection.service';

/** Tells operators of keys that Klaviyo refuses, until a good one is there or the connection is gone. */
@Injectable()
export class ConnectionAlerts implements OnModuleInit {
  constructor(
    private readonly connections: ConnectionService,
    private readonly alerts: Alerts,
  ) {}

  onModuleInit(): void {
    this.connections.onInvalidated((userId, connectionId) => {
      this.alerts.raise({
        type: 'connection.key_refused',
        key: keyOf(connectionId),
        severity: 'error',
        userId,
        connectionId,
        summary: `Klaviyo refused the key of connection ${connectionId}: nothing is read or sent until a new key is given.`,
      });
    });
    this.connections.onRevived((_, connectionId) => {
      this.alerts.resolve(keyOf(connectionId));
      return Promise.resolve();
    });
    this.connections.onDisconnect((_, connectionIds) => {
      for (const connectionId of connectionIds) this.alerts.resolve(keyOf(connectionId));
      return Promise.resolve(0);
    });
  }
}

function keyOf(connectionId: string): string {
  return `connection.key_refused:${connectionId}`;
}
