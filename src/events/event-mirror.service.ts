import { Injectable } from '@nestjs/common';
import { ConnectionService } from '../connection/connection.service';
import { MirrorStatesRepository } from '../mirror/mirror-states.repository';
import { storedJson } from '../mirror/stored-json';
import { AccountMetrics } from './account-metrics';
import { EventMirrorRepository } from './event-mirror.repository';
import { valueOf } from './event-document.klaviyo';
import type { AccountMetric } from './events.klaviyo';
import { MetricMirrorRepository } from './metric-mirror.repository';

/** An event that Klaviyo told of otherwise than in a pass. */
export interface ReceivedEvent {
  /** Klaviyo's. */
  id: string;
  /** Klaviyo's id; null where it does not say. */
  metricId: string | null;
  /** Klaviyo's id; null where it does not say. */
  profileId: string | null;
  occurredAt: Date;
  /** `event_properties`. */
  properties: Readonly<Record<string, unknown>>;
}

/** The mirror of events and metrics for other features: what they received goes in, names come out. */
@Injectable()
export class EventMirrorService {
  constructor(
    private readonly events: EventMirrorRepository,
    private readonly mirrored: MetricMirrorRepository,
    private readonly states: MirrorStatesRepository,
    private readonly accountMetrics: AccountMetrics,
    private readonly connections: ConnectionService,
  ) {}

  /**
   * Puts events into the mirror, in the transaction under way or one of its own; nothing where the connection is gone.
   * What a pass said of them already stays, but for the person that they belong to. @returns how many are new
   */
  async keep(userId: number, connectionId: string, events: readonly ReceivedEvent[]): Promise<number> {
    if (events.length === 0) return 0;
    const rows = events.map(({ id, metricId, profileId, occurredAt, properties }) => ({
      id,
      metricId,
      profileId,
      occurredAt: occurredAt.getTime() / 1000,
      value: valueOf(properties),
      document: storedJson({
        attributes: {
          timestamp: Math.floor(occurredAt.getTime() / 1000),
          datetime: occurredAt.toISOString(),
          event_properties: properties,
        },
      }),
    }));
    return this.events.keep(userId, connectionId, rows);
  }

  /**
   * The account's metrics by id: those of the mirror; asked of Klaviyo (at most once a minute) where it has none, or
   * lacks one that is wanted. Fewer where Klaviyo does not answer.
   * @throws AppError CONNECTION_NOT_FOUND
   */
  async metrics(
    userId: number,
    connectionId: string,
    wanted: readonly string[] = [],
  ): Promise<ReadonlyMap<string, AccountMetric>> {
    const known = byId(await this.mirrored.all(userId, connectionId));
    const enough = known.size > 0 && wanted.every((id) => known.has(id));
    if (enough && (await this.states.of(userId, connectionId)).has('metrics')) return known;
    const connection = await this.connections.resolve({ userId }, connectionId);
    const live = await this.accountMetrics.live(connection);
    return new Map([...known, ...byId(live ?? [])]);
  }
}

function byId(metrics: readonly AccountMetric[]): Map<string, AccountMetric> {
  return new Map(metrics.map((metric) => [metric.id, metric]));
}
