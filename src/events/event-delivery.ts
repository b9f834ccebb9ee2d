import { Injectable, Logger } from '@nestjs/common';
import { AppError } from '../common/errors';
import { runInContext } from '../common/request-context';
import type { Connection } from '../connection/connection.entity';
import { ConnectionService } from '../connection/connection.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { verdictOf, type Verdict } from './delivery';
import { EventSender } from './event-sender';
import { EventVault } from './event-vault';
import type { OutgoingEvent } from './events.klaviyo';
import type { ClaimedEvent } from './events.system.repository';

interface OpenConnection {
  connection: Connection;
  access: KlaviyoAccess;
}

/** Events that were claimed together: they share a lease, a deadline and what was looked up for them. */
export interface Batch {
  lease: string;
  /** Epoch milliseconds; the lease lasts longer. */
  deadline: number;
  connections: Map<string, Promise<OpenConnection>>;
}

/** Delivers one claimed event: opens what is sealed, sends it, says what came of it. */
@Injectable()
export class EventDelivery {
  private readonly logger = new Logger('EventDispatcher');

  constructor(
    private readonly connections: ConnectionService,
    private readonly vault: EventVault,
    private readonly sender: EventSender,
  ) {}

  batch(lease: string, deadline: number): Batch {
    return { lease, deadline, connections: new Map() };
  }

  /** Never throws. Undefined when the event went with its connection. */
  async deliver(batch: Batch, event: ClaimedEvent): Promise<Verdict | undefined> {
    const { userId, connectionId, id } = event;
    const context = {
      requestId: `event-${id}`,
      language: 'fr' as const,
      deadline: batch.deadline,
      userId,
      connectionId,
    };
    return runInContext(context, async () => {
      try {
        const { connection, access } = await this.open(batch, event);
        const outgoing = await this.outgoing(event);
        const options = { deadline: batch.deadline, priority: 'background' as const };
        return await this.sender.send(connection, access, outgoing, options);
      } catch (error) {
        if (error instanceof AppError && error.code === 'CONNECTION_NOT_FOUND') return undefined;
        const reason = error instanceof Error ? error.message : 'unknown';
        this.logger.warn({ msg: 'an event could not be prepared', eventId: id, userId, connectionId, reason });
        return verdictOf(error);
      }
    });
  }

  private open(batch: Batch, { userId, connectionId }: ClaimedEvent): Promise<OpenConnection> {
    const known = batch.connections.get(connectionId);
    if (known) return known;
    const opened = this.connections
      .resolve({ userId }, connectionId)
      .then(async (connection) => ({ connection, access: await this.connections.accessOf(connection) }));
    batch.connections.set(connectionId, opened);
    return opened;
  }

  private async outgoing(event: ClaimedEvent): Promise<OutgoingEvent> {
    if (event.sealedPayload === null) throw new Error('a queued event has no payload');
    const [profile, payload] = await Promise.all([
      this.vault.openProfile(event, event.sealedProfile),
      this.vault.openPayload(event, event.sealedPayload),
    ]);
    const { eventType, uniqueId, time, value, currency } = event;
    return { eventType, uniqueId, time, value, currency, profile, ...payload };
  }
}
