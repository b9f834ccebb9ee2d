import { v7 as uuidv7 } from 'uuid';
import { ForwardStage, Target, until } from './webhook-forward-stage';

const EVENTS = 3000;
const USER = 41;

describe('passing on the first events of a connection', () => {
  let target: Target;
  let stage: ForwardStage;
  beforeAll(async () => {
    target = await Target.open();
    stage = await ForwardStage.open(target.url);
  });
  afterAll(async () => {
    await stage.stop();
    await target.close();
  });

  const entriesRead = async () => {
    const [sum] = await stage.sql<{ entries: number }>(
      `SELECT sum(idx_tup_read)::int AS entries FROM pg_stat_user_indexes WHERE relname = 'received_event'`,
    );
    return sum?.entries ?? 0;
  };

  it('reads each of them once, though PostgreSQL has no statistics of them yet', async () => {
    await stage.sql('ALTER TABLE received_event SET (autovacuum_enabled = false)');
    const connectionId = await stage.connection(USER);
    const events = Array.from({ length: EVENTS }, () => ({ id: uuidv7(), profileId: null }));
    // Klaviyo's ids shorter than ours: the index over them is the smaller one, and looks as good.
    await stage.sql(
      `INSERT INTO received_event (user_id, connection_id, id, external_id, webhook_id, delivery_id, topic, metric_id,
         properties, occurred_at)
       SELECT $1, $2, e.id, e.place::text, $2, $2, 'event:klaviyo.opened_email', 'Metric', '{}', now()
       FROM unnest($3::uuid[]) WITH ORDINALITY AS e(id, place)`,
      [USER, connectionId, events.map(({ id }) => id)],
    );
    const before = await entriesRead();
    await stage.plan(USER, connectionId, events);
    await until(
      async () => (await stage.statuses(USER))['delivered'] === EVENTS,
      () => stage.statuses(USER),
    );
    // Counted once the connections that read them have told.
    await until(async () => (await entriesRead()) - before >= EVENTS);
    expect((await entriesRead()) - before).toBeLessThan(10 * EVENTS);
    expect(new Set(target.ids).size).toBe(EVENTS);
  });
});
