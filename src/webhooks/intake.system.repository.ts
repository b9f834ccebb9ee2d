import { Injectable } from '@nestjs/common';
import { JoinedTexts, takenApart } from '../database/joined-texts';
import { Db, query, queryBulk } from '../database/scope';
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
      queryBulk<KeptDelivery>(manager, KEEP, [...columnsOf(deliveries, DELIVERY), ...columnsOf(events, EVENT)]),
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

/** A column as it is given: its type, and the text of it. */
type Columns<Row> = Readonly<Record<string, readonly [type: string, text: (row: Row) => string | null]>>;
type Event = IncomingEvent & { delivery: string };

const DELIVERY: Columns<IncomingDelivery> = {
  user_id: ['bigint', ({ userId }) => String(userId)],
  connection_id: ['uuid', ({ connectionId }) => connectionId],
  webhook_id: ['uuid', ({ webhookId }) => webhookId],
  id: ['uuid', ({ id }) => id],
  source: ['text', ({ source }) => source],
  digest: ['text', ({ digest }) => digest],
  late: ['boolean', ({ late }) => String(late)],
  events: ['int', ({ events }) => String(events.length)],
  first_id: ['uuid', ({ events }) => events[0]?.id ?? null],
  last_id: ['uuid', ({ events }) => events.at(-1)?.id ?? null],
  repeats: ['int', ({ repeats }) => String(repeats)],
  malformed: ['int', ({ events }) => String(events.filter(({ fault }) => fault !== null).length)],
};
const EVENT: Columns<Event> = {
  delivery: ['uuid', ({ delivery }) => delivery],
  id: ['uuid', ({ id }) => id],
  external_id: ['text', ({ externalId }) => externalId],
  topic: ['text', ({ topic }) => topic],
  metric_id: ['text', ({ metricId }) => metricId],
  profile_id: ['text', ({ profileId }) => profileId],
  properties: ['jsonb', ({ properties }) => properties],
  occurred_at: ['float8', ({ occurredAt }) => String(occurredAt / 1000)],
  fault: ['text', ({ fault }) => fault],
};

function columnsOf<Row>(rows: readonly Row[], columns: Columns<Row>): JoinedTexts[] {
  return Object.values(columns).map(([type, text]) =>
    type === 'jsonb' ? JoinedTexts.ofJson(rows.map(text)) : JoinedTexts.of(rows.map(text)),
  );
}

/** The rows in SQL. @param first number of their first parameter */
function rowsOf(columns: Columns<never>, first: number): string {
  const names = Object.keys(columns);
  const typed = Object.entries(columns).map(([name, [type]]) => `${name}::${type} AS ${name}`);
  const parts = names.map((_, place) => takenApart(`$${first + place}`));
  return `SELECT ${typed.join(', ')} FROM ROWS FROM (${parts.join(', ')}) AS row (${names.join(', ')})`;
}

/** Sorted by the keys of both tables, so that two writers never wait for each other crosswise. */
const KEEP = `
  WITH given AS MATERIALIZED (
    ${rowsOf(DELIVERY, 1)}
  ), living AS MATERIALIZED (
    SELECT w.user_id, w.connection_id, w.id FROM webhook w
    WHERE w.user_id = ANY(ARRAY(SELECT user_id FROM given)) AND w.id = ANY(ARRAY(SELECT webhook_id FROM given))
    FOR KEY SHARE
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
      e.properties, to_timestamp(e.occurred_at), t.late,
      CASE WHEN e.fault IS NOT NULL THEN 'quarantined' END, e.fault
    FROM (${rowsOf(EVENT, 1 + Object.keys(DELIVERY).length)}) AS e
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
