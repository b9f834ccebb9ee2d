import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import type { DeliverySource } from './delivery.entity';
import type { IncomingEvent } from './intake-event';

/** Events that arrived together, ready to be kept. */
export interface IncomingDelivery {
  id: string;
  userId: number;
  connectionId: string;
  webhookId: string;
  source: DeliverySource;
  /** By which the same delivery is known again, in hexadecimal; null: it cannot come twice. */
  digest: string | null;
  late: boolean;
  events: readonly IncomingEvent[];
  /** The same delivery arrived so often more, in the same moment. */
  repeats: number;
}

/** What became of a delivery. */
export interface KeptDelivery {
  id: string;
  /** Whether its webhook is still there; if not, nothing was kept. */
  living: boolean;
  /** False: the same delivery was here before, and this one had no effect. */
  fresh: boolean;
  /** Events that nobody had brought before, malformed ones included. */
  kept: number;
  /** Of them, malformed ones. */
  quarantined: number;
}

/** Writes what arrives, of all users, many deliveries in one statement. */
@Injectable()
export class IntakeSystemRepository {
  constructor(private readonly db: Db) {}

  /**
   * Keeps deliveries and their events: all of them or, when it throws, none. No digest twice. The webhooks' rows are
   * held meanwhile, so that nothing of one that goes away at the same time is kept.
   * @throws DatabaseError
   */
  async keep(deliveries: readonly IncomingDelivery[]): Promise<KeptDelivery[]> {
    const events = deliveries.flatMap(({ id, events: of }) => of.map((event) => ({ delivery: id, ...event })));
    return this.db.inSystemTransaction((manager) =>
      query<KeptDelivery>(manager, KEEP, [
        deliveries.map(({ userId }) => userId),
        deliveries.map(({ connectionId }) => connectionId),
        deliveries.map(({ webhookId }) => webhookId),
        deliveries.map(({ id }) => id),
        deliveries.map(({ source }) => source),
        deliveries.map(({ digest }) => digest),
        deliveries.map(({ late }) => late),
        deliveries.map((delivery) => delivery.events.length),
        deliveries.map((delivery) => delivery.events[0]?.id ?? null),
        deliveries.map((delivery) => delivery.events.at(-1)?.id ?? null),
        deliveries.map(({ repeats }) => repeats),
        events.map(({ delivery }) => delivery),
        events.map(({ id }) => id),
        events.map(({ externalId }) => externalId),
        events.map(({ topic }) => topic),
        events.map(({ metricId }) => metricId),
        events.map(({ profileId }) => profileId),
        events.map(({ properties }) => properties),
        events.map(({ occurredAt }) => occurredAt / 1000),
        events.map(({ fault }) => fault),
        deliveries.map((delivery) => delivery.events.filter(({ fault }) => fault !== null).length),
      ]),
    );
  }

  /** Counts events that came again with a delivery that was here before. */
  async countRepeats(deliveries: readonly IncomingDelivery[], repeats: readonly number[]): Promise<void> {
    await this.db.system((manager) =>
      query(
        manager,
        `INSERT INTO webhook_figure AS f (user_id, connection_id, webhook_id, received, duplicates, last_received_at)
         SELECT w.user_id, w.connection_id, w.id, sum(g.events), sum(g.events), now()
         FROM unnest($1::bigint[], $2::uuid[], $3::int[]) AS g (user_id, webhook_id, events)
         JOIN webhook w ON w.user_id = g.user_id AND w.id = g.webhook_id
         GROUP BY w.user_id, w.connection_id, w.id ORDER BY w.user_id, w.connection_id, w.id
         ON CONFLICT (user_id, connection_id, webhook_id) DO UPDATE SET received = f.received + EXCLUDED.received,
           duplicates = f.duplicates + EXCLUDED.duplicates, last_received_at = EXCLUDED.last_received_at`,
        [
          deliveries.map(({ userId }) => userId),
          deliveries.map(({ webhookId }) => webhookId),
          deliveries.map(({ events }, place) => events.length * (repeats[place] ?? 0)),
        ],
      ),
    );
  }
}

/** Sorted by the keys of both tables, so that two writers never wait for each other crosswise. */
const KEEP = `
  WITH given AS MATERIALIZED (
    SELECT * FROM unnest($1::bigint[], $2::uuid[], $3::uuid[], $4::uuid[], $5::text[], $6::text[], $7::boolean[],
        $8::int[], $9::uuid[], $10::uuid[], $11::int[], $21::int[])
      AS d (user_id, connection_id, webhook_id, id, source, digest, late, events, first_id, last_id, repeats, malformed)
  ), living AS MATERIALIZED (
    SELECT w.user_id, w.connection_id, w.id FROM webhook w
    WHERE w.user_id = ANY($1) AND w.id = ANY($3) FOR KEY SHARE
  ), taken AS (
    INSERT INTO webhook_delivery AS d (user_id, connection_id, id, webhook_id, source, digest, late, events,
      first_event_id, last_event_id, repeats, malformed)
    SELECT g.user_id, g.connection_id, g.id, g.webhook_id, g.source, decode(g.digest, 'hex'), g.late, g.events,
      g.first_id, g.last_id, g.repeats, g.malformed
    FROM given g JOIN living l ON l.user_id = g.user_id AND l.connection_id = g.connection_id AND l.id = g.webhook_id
    ORDER BY g.user_id, g.connection_id, decode(g.digest, 'hex')
    ON CONFLICT ON CONSTRAINT webhook_delivery_once DO UPDATE SET repeats = d.repeats + EXCLUDED.repeats + 1
    RETURNING d.user_id, d.connection_id, d.webhook_id, d.id, d.late
  ), kept AS (
    INSERT INTO received_event (user_id, connection_id, id, external_id, webhook_id, delivery_id, topic, metric_id,
      profile_id, properties, occurred_at, late, status, last_error)
    SELECT t.user_id, t.connection_id, e.id, e.external_id, t.webhook_id, t.id, e.topic, e.metric_id, e.profile_id,
      e.properties::jsonb, to_timestamp(e.occurred_at), t.late,
      CASE WHEN e.fault IS NOT NULL THEN 'quarantined' END, e.fault
    FROM unnest($12::uuid[], $13::uuid[], $14::text[], $15::text[], $16::text[], $17::text[], $18::text[],
        $19::float8[], $20::text[])
      AS e (delivery, id, external_id, topic, metric_id, profile_id, properties, occurred_at, fault)
    JOIN taken t ON t.id = e.delivery
    ORDER BY t.user_id, t.connection_id, e.external_id COLLATE "C"
    ON CONFLICT ON CONSTRAINT received_event_once DO NOTHING
    RETURNING delivery_id, status
  ), counted AS (
    SELECT delivery_id, count(*)::int AS kept, count(status)::int AS quarantined FROM kept GROUP BY delivery_id
  )
  SELECT g.id, l.id IS NOT NULL AS living, t.id IS NOT NULL AS fresh, coalesce(c.kept, 0) AS kept,
    coalesce(c.quarantined, 0) AS quarantined
  FROM given g
  LEFT JOIN living l ON l.user_id = g.user_id AND l.connection_id = g.connection_id AND l.id = g.webhook_id
  LEFT JOIN taken t ON t.id = g.id
  LEFT JOIN counted c ON c.delivery_id = g.id`;
