import { Injectable } from '@nestjs/common';
import type { OptionalUserScope, UserScope } from '../auth/user-scope';
import { AppError } from '../common/errors';
import type { Language } from '../common/messages';
import { Cursors, DEFAULT_LIMIT, type Pagination } from '../common/page';
import { currentContext } from '../common/request-context';
import { ConnectionService } from '../connection/connection.service';
import { AccountMetrics } from './account-metrics';
import { EVENT_TYPES } from './event-catalogue';
import type { EventType } from './event-type';
import { EventVault } from './event-vault';
import type { EventView } from './event-view';
import type { AccountMetric } from './events.klaviyo';
import { EventsRepository } from './events.repository';
import type { EventStatus } from './sent-event.entity';

export interface Catalogue {
  eventTypes: readonly EventType[];
  language: Language;
  /** Of the account; undefined without one, or where Klaviyo does not answer. */
  metrics?: AccountMetric[];
}

export interface EventPageQuery {
  connectionId?: string;
  status?: EventStatus[];
  limit?: number;
  cursor?: string;
}

/** What was sent, and what can be. */
@Injectable()
export class EventsService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly events: EventsRepository,
    private readonly vault: EventVault,
    private readonly cursors: Cursors,
    private readonly accountMetrics: AccountMetrics,
  ) {}

  /**
   * The predefined types, with the account's own metrics where a user with a connection asks.
   * @throws AppError USER_ID_REQUIRED for a connection without its user; CONNECTION_NOT_FOUND for one that is not theirs
   */
  async catalogue(scope: OptionalUserScope, connectionId: string | undefined): Promise<Catalogue> {
    const catalogue: Catalogue = { eventTypes: EVENT_TYPES, language: currentContext()?.language ?? 'fr' };
    const metrics = await this.metrics(scope, connectionId);
    return metrics === undefined ? catalogue : { ...catalogue, metrics };
  }

  /** The events of one connection, newest first. */
  async page(scope: UserScope, query: EventPageQuery): Promise<{ events: EventView[]; pagination: Pagination }> {
    const { userId } = scope;
    const { limit = DEFAULT_LIMIT, status: statuses } = query;
    const connection = await this.connections.resolve(scope, query.connectionId);
    const binding = { userId, scope: JSON.stringify(['events', connection.id, [...(statuses ?? [])].sort()]) };
    const before = this.cursors.decode(binding, query.cursor) as string | undefined;
    const [rows, total] = await Promise.all([
      this.events.page(userId, connection.id, {
        limit: limit + 1,
        ...(statuses === undefined ? {} : { statuses }),
        ...(before === undefined ? {} : { before }),
      }),
      this.events.count(userId, connection.id, statuses),
    ]);
    const shown = rows.slice(0, limit);
    const last = rows.length > limit ? shown.at(-1) : undefined;
    return {
      events: await Promise.all(shown.map((row) => this.vault.view(row))),
      pagination: {
        limit,
        nextCursor: last === undefined ? null : this.cursors.encode(binding, last.id),
        ...(total === undefined ? {} : { total }),
      },
    };
  }

  /** @throws AppError EVENT_NOT_FOUND, for another user's exactly as for an unknown one */
  async one(scope: UserScope, id: string, connectionId: string | undefined): Promise<EventView> {
    const connection = await this.connections.resolve(scope, connectionId);
    const row = await this.events.one(scope.userId, connection.id, id);
    if (!row) throw new AppError('EVENT_NOT_FOUND');
    return this.vault.view(row);
  }

  private async metrics(scope: OptionalUserScope, connectionId?: string): Promise<AccountMetric[] | undefined> {
    const { userId } = scope;
    if (userId === undefined) {
      if (connectionId !== undefined) throw new AppError('USER_ID_REQUIRED');
      return undefined;
    }
    const connection = await this.connections.resolve({ userId }, connectionId).catch((error: unknown) => {
      const none = error instanceof AppError && error.code === 'CONNECTION_NOT_FOUND' && connectionId === undefined;
      if (!none) throw error;
      return undefined;
    });
    return connection && this.accountMetrics.of(connection);
  }
}
