import { klaviyoEvent, ReceiverStage, type Hook } from '../e2e/webhook-receiver-stage';
import { ProcessWorker } from '../../src/webhooks/process-worker';
import { ReceivedRetention } from '../../src/webhooks/received-retention.job';
import { API } from '../support/walk';

type Json = Record<string, unknown>;

/** The role `api` works nothing off by itself: the spec says when. */
let stage: ReceiverStage;
let hook: Hook;

beforeAll(async () => {
  stage = await ReceiverStage.open({ env: { ROLE: 'api' } });
}, 60_000);
afterAll(async () => {
  await stage.stop();
});
beforeEach(async () => {
  hook = await stage.hook();
});

const work = () =>
  stage.app.app
    .get(ProcessWorker, { strict: false })
    .work({ userId: hook.userId, connectionId: hook.connectionId }, () => true);
const rows = async (sql: string, ...params: unknown[]) =>
  (await stage.database.query<Json>(sql, [hook.userId, hook.connectionId, ...params])).rows;
const shown = async () => {
  const { body } = await stage.app.http
    .get(`${API}/webhooks/events`)
    .set(stage.app.asService)
    .query({ userId: hook.userId, limit: 200 });
  return (body as { events: Json[] }).events;
};
const statuses = async () =>
  Object.fromEntries((await shown()).map(({ externalId, status }) => [String(externalId), status]));

describe('an event that waits', () => {
  const waiting = async (status: string) => {
    const { body } = await stage.app.http
      .get(`${API}/webhooks/events`)
      .set(stage.app.asService)
      .query({ userId: hook.userId, status });
    const { events, pagination } = body as { events: Json[]; pagination: Json };
    expect(pagination['total']).toBe(events.length);
    return events.map(({ externalId }) => externalId);
  };

  it('is found by its state, with or without others, until it is worked off', async () => {
    await stage.deliver(hook, [klaviyoEvent('before')]);
    await work();
    await stage.deliver(hook, []);
    await stage.deliver(hook, [klaviyoEvent('w1'), 'no event', klaviyoEvent('w2')]);
    expect(await waiting('received')).toEqual(['w2', 'w1']);
    expect(await waiting('received,failed')).toEqual(['w2', 'w1']);
    expect(await waiting('received,quarantined')).toEqual(['w2', null, 'w1']);
    await work();
    expect(await waiting('received')).toEqual([]);
    const [, second] = (await shown()).filter(({ status }) => status === 'processed');
    await stage.app.http
      .post(`${API}/webhooks/events/${String(second?.['id'])}/replay`)
      .set(stage.app.asService)
      .send({ userId: hook.userId });
    expect(await waiting('received')).toEqual([second?.['externalId']]);
  });
});

describe('an event that cannot be worked off', () => {
  /** Something that the database takes for one event only: as a fault of ours would be. */
  const poison = () =>
    stage.database.query(
      `ALTER TABLE mirrored_event ADD CONSTRAINT spec_poison CHECK (klaviyo_id NOT LIKE 'poison%') NOT VALID`,
    );
  const cure = () => stage.database.query('ALTER TABLE mirrored_event DROP CONSTRAINT IF EXISTS spec_poison');
  afterEach(cure);

  it('holds none of the others up, and is tried again by itself', async () => {
    await poison();
    const good = Array.from({ length: 40 }, (_, n) => klaviyoEvent(`good${n}`));
    await stage.deliver(hook, [...good.slice(0, 13), klaviyoEvent('poison'), ...good.slice(13)]);
    await work();
    const after = await shown();
    expect(after.filter(({ status }) => status === 'processed')).toHaveLength(40);
    const [failed] = after.filter(({ status }) => status === 'failed');
    expect(failed).toMatchObject({ externalId: 'poison', attempts: 1, lastError: 'DATABASE_23514' });
    await cure();
    await stage.database.query(`UPDATE received_event SET next_at = now() WHERE user_id = $1 AND status = 'failed'`, [
      hook.userId,
    ]);
    await work();
    expect((await statuses())['poison']).toBe('processed');
    expect(await rows('SELECT 1 FROM mirrored_event WHERE user_id = $1 AND connection_id = $2')).toHaveLength(41);
  });

  it('is given up after a day, visible, and can be worked off once more', async () => {
    await poison();
    await stage.deliver(hook, [klaviyoEvent('poison')]);
    for (let attempt = 0; attempt < 8; attempt++) {
      await work();
      await stage.database.query(
        'UPDATE received_event SET next_at = now() WHERE user_id = $1 AND next_at IS NOT NULL',
        [hook.userId],
      );
    }
    const [dead] = await shown();
    expect(dead).toMatchObject({ status: 'dead', attempts: 8, lastError: 'DATABASE_23514' });
    await work();
    expect((await shown())[0]?.['attempts']).toBe(8);
    await cure();
    await stage.app.http
      .post(`${API}/webhooks/events/${String(dead?.['id'])}/replay`)
      .set(stage.app.asService)
      .send({ userId: hook.userId })
      .expect(202);
    await work();
    expect((await shown())[0]).toMatchObject({ status: 'processed', lastError: null });
  });

  it('is told to operators, without a word of what it says', async () => {
    await poison();
    await stage.deliver(hook, [klaviyoEvent('poison', { email: 'very.private@example.com' })]);
    await work();
    expect(stage.app.logs.text).toContain('a received event is failed');
    expect(stage.app.logs.text).not.toContain('very.private@example.com');
  });
});

describe('the events of a connection', () => {
  it('are worked off by one at a time, however many try', async () => {
    for (let n = 0; n < 20; n++)
      await stage.deliver(
        hook,
        Array.from({ length: 50 }, (_, at) => klaviyoEvent(`e${n}x${at}`)),
      );
    await Promise.all(Array.from({ length: 6 }, work));
    await work();
    expect(await rows('SELECT 1 FROM mirrored_event WHERE user_id = $1 AND connection_id = $2')).toHaveLength(1000);
    expect(
      await rows(
        'SELECT received::int, processed::int, duplicates::int FROM webhook_figure WHERE user_id = $1 AND connection_id = $2',
      ),
    ).toEqual([{ received: 1000, processed: 1000, duplicates: 0 }]);
  });

  it('are left alone while another process is at them, and taken over once its time is up', async () => {
    await stage.deliver(hook, [klaviyoEvent('theirs')]);
    await rows(
      `INSERT INTO webhook_lane (user_id, connection_id, lease, leased_until)
       VALUES ($1, $2, gen_random_uuid(), now() + interval '1 hour')`,
    );
    await work();
    expect(await statuses()).toEqual({ theirs: 'received' });
    await rows('UPDATE webhook_lane SET leased_until = now() WHERE user_id = $1 AND connection_id = $2');
    await work();
    expect(await statuses()).toEqual({ theirs: 'processed' });
  });

  it('are nothing that a process may write about once the lane is no longer its own', async () => {
    await stage.deliver(hook, [klaviyoEvent('stale')]);
    // Between taking the lane and writing, somebody else takes it: as after a long stop.
    await stage.database.query(
      `CREATE FUNCTION spec_steal() RETURNS trigger LANGUAGE plpgsql AS $$
       BEGIN NEW.lease := gen_random_uuid(); RETURN NEW; END $$`,
    );
    await stage.database.query(
      'CREATE TRIGGER spec_steal BEFORE INSERT ON webhook_lane FOR EACH ROW EXECUTE FUNCTION spec_steal()',
    );
    try {
      await work();
    } finally {
      await stage.database.query('DROP TRIGGER spec_steal ON webhook_lane; DROP FUNCTION spec_steal()');
    }
    expect(await statuses()).toEqual({ stale: 'received' });
    expect(await rows('SELECT 1 FROM mirrored_event WHERE user_id = $1 AND connection_id = $2')).toEqual([]);
  });
});

describe('what was received', () => {
  const tidy = () => stage.app.app.get(ReceivedRetention, { strict: false }).tidy();
  const age = (days: number) =>
    Promise.all(
      ['received_event', 'webhook_delivery'].map((table) =>
        stage.database.query(
          `UPDATE ${table} SET received_at = now() - make_interval(days => $3) WHERE user_id = $1 AND connection_id = $2`,
          [hook.userId, hook.connectionId, days],
        ),
      ),
    );

  it('goes 30 days after it was worked off; what is malformed stays for 90', async () => {
    await stage.deliver(hook, [klaviyoEvent('old'), 'malformed']);
    await work();
    await age(29);
    await tidy();
    expect(await shown()).toHaveLength(2);
    await age(31);
    await tidy();
    expect((await shown()).map(({ status }) => status)).toEqual(['quarantined']);
    await age(91);
    await tidy();
    expect(await shown()).toEqual([]);
    expect(await rows('SELECT 1 FROM webhook_delivery WHERE user_id = $1 AND connection_id = $2')).toEqual([]);
  });

  it('stays as long as it is not worked off, whatever its age', async () => {
    await stage.deliver(hook, [klaviyoEvent('waiting')]);
    await age(200);
    await tidy();
    expect(await statuses()).toEqual({ waiting: 'received' });
  });
});
