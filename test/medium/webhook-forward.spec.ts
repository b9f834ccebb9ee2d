import { Webhook } from 'standardwebhooks';
import { Forwards } from '../../src/webhooks/forwards';
import { ForwardTargetHealth } from '../../src/webhooks/forward-target-health';
import { ForwardsSystemRepository } from '../../src/webhooks/forwards.system.repository';
import { WebhookTickJob } from '../../src/webhooks/health.job';
import { ProcessSystemRepository } from '../../src/webhooks/process.system.repository';
import { ForwardStage, SECRET, Target, until } from './webhook-forward-stage';

const OCCURRED = '2026-11-20T10:00:00.000Z';

describe('events that are passed on', () => {
  let target: Target;
  let stage: ForwardStage;
  let userId = 700;
  let connectionId = '';
  beforeAll(async () => {
    target = await Target.open();
    stage = await ForwardStage.open(target.url);
  });
  afterAll(async () => {
    await stage.stop();
    await target.close();
  });
  beforeEach(async () => {
    await stage.sql('DELETE FROM event_forward');
    await stage.sql('UPDATE forward_target SET failures = 0, failing_since = NULL, stopped = NULL, probe_at = NULL');
    target.got.length = 0;
    target.answer = (_, response) => response.writeHead(204).end();
    userId += 1;
    target.since = userId;
    connectionId = await stage.connection(userId);
  });

  const send = async (profiles: (string | null)[]) => {
    const events = await stage.received(userId, connectionId, profiles);
    await stage.plan(userId, connectionId, events);
    return events.map(({ id }) => id);
  };
  /** Nothing is on its way, and all outcomes are written down. */
  const allBack = () =>
    until(async () => (await stage.sql('SELECT 1 FROM event_forward WHERE lease IS NOT NULL')).length === 0);
  const settled = (count: number) =>
    until(
      async () => ((await stage.statuses(userId))['delivered'] ?? 0) >= count,
      () => stage.statuses(userId),
    );

  it('are signed as Standard Webhooks, with all that the receiver needs', async () => {
    await stage.sql(
      `INSERT INTO mirrored_metric (user_id, connection_id, klaviyo_id, name, document, synced_at)
       VALUES ($1, $2, 'Metric', 'Opened Email', '{}', now())`,
      [userId, connectionId],
    );
    await stage.sql(
      `INSERT INTO mirrored_profile (user_id, connection_id, klaviyo_id, email, searchable, document, updated_at,
         fingerprint, changed_at, synced_at) VALUES ($1, $2, 'P1', 'ada@example.com', '{}', '{}', now(), 0, now(), now())`,
      [userId, connectionId],
    );
    const [id] = await send(['P1']);
    await settled(1);
    const [got] = target.got;
    expect(got!.headers).toMatchObject({ 'webhook-id': id, 'content-type': 'application/json' });
    expect(new Webhook(SECRET).verify(got!.raw, got!.headers as Record<string, string>)).toEqual(got!.body);
    expect(Number(got!.headers['webhook-sequence'])).toBeGreaterThan(0);
    expect(got!.body).toEqual({
      type: 'event:klaviyo.opened_email',
      timestamp: OCCURRED,
      data: {
        userId,
        connectionId,
        eventId: id,
        externalId: `x${id}`,
        metric: { id: 'Metric', name: 'Opened Email' },
        profile: { id: 'P1', email: 'ada@example.com' },
        properties: { Subject: 'Café', place: 1 },
        occurredAt: OCCURRED,
      },
    });
    const view = await stage.app.app.get(Forwards).of(userId, connectionId, id!);
    expect(view).toMatchObject({ status: 'delivered', attempts: 1, lastError: null, nextAttemptAt: null });
  });

  it('say null of a profile whose e-mail nobody knows', async () => {
    await send(['Nobody', null]);
    await settled(2);
    const profiles = target.got.map(({ body }) => body.data['profile']);
    expect(profiles).toContainEqual({ id: 'Nobody', email: null });
    expect(profiles).toContainEqual({ id: null, email: null });
  });

  it('are planned once, whoever plans them again', async () => {
    const events = await stage.received(userId, connectionId, ['A', 'B']);
    await Promise.all([1, 2, 3].map(() => stage.plan(userId, connectionId, events)));
    await settled(2);
    await stage.plan(userId, connectionId, events);
    expect(target.ids.sort()).toEqual(events.map(({ id }) => id).sort());
  });

  it('go again when they are replayed', async () => {
    const [id] = await send(['A']);
    await settled(1);
    const event = { id: id!, profileId: 'A', occurredAt: new Date(OCCURRED) };
    expect(await stage.app.app.get(Forwards).replay(userId, connectionId, [event])).toBe(1);
    await until(() => target.got.length === 2);
    expect(target.ids).toEqual([id, id]);
    const [first, second] = target.got.map(({ headers }) => Number(headers['webhook-sequence']));
    expect(second).toBeGreaterThan(first!);
  });

  it('of one profile arrive in order, one after the other, and of many side by side', async () => {
    let open = 0;
    let most = 0;
    const perProfile = new Map<unknown, number>();
    target.answer = ({ body }, response) => {
      const { id } = body.data['profile'] as { id: string };
      perProfile.set(id, (perProfile.get(id) ?? 0) + 1);
      expect(perProfile.get(id)).toBe(1);
      open += 1;
      most = Math.max(most, open);
      setTimeout(() => {
        open -= 1;
        perProfile.set(id, 0);
        response.writeHead(200).end('ok');
      }, 20);
    };
    const profiles = Array.from({ length: 60 }, (_, at) => `P${at % 12}`);
    const events = await stage.received(userId, connectionId, profiles);
    await stage.plan(userId, connectionId, events);
    await settled(60);
    for (let profile = 0; profile < 12; profile += 1) {
      const wanted = events.filter(({ profileId }) => profileId === `P${profile}`).map(({ id }) => id);
      const got = target.got.filter(({ body }) => (body.data['profile'] as { id: string }).id === `P${profile}`);
      expect(got.map(({ eventId }) => eventId)).toEqual(wanted);
    }
    expect(most).toBeGreaterThan(4);
  });

  it('wait behind one of their profile that fails, for five minutes and not longer', async () => {
    const events = await stage.received(userId, connectionId, ['A', 'B', 'A', 'A']);
    const [poison, other, second, third] = events.map(({ id }) => id);
    target.answer = ({ eventId }, response) => response.writeHead(eventId === poison ? 422 : 200).end();
    await stage.plan(userId, connectionId, events);
    await settled(1);
    await until(() => target.ids.includes(poison!));
    expect(target.ids).not.toContain(second);
    for (let minute = 0; minute < 4; minute += 1) {
      await stage.passes(60);
      const before = target.got.length;
      await until(
        () => target.got.length > before || minute > 1,
        () => target.got.length,
        8000,
      ).catch(() => undefined);
    }
    expect(target.ids).toContain(other);
    expect(target.ids).not.toContain(second);
    await stage.passes(90);
    await settled(3);
    const good = target.ids.filter((id) => id !== poison);
    expect(good).toEqual([other, second, third]);
    target.answer = (_, response) => response.writeHead(200).end();
    await stage.passes(24 * 60 * 60 - 400);
    await settled(4);
    expect(target.ids.at(-1)).toBe(poison);
  });

  it('are given up after a day of failing, shown as that, and go when replayed', async () => {
    const [id] = await send(['A']);
    // Another event is taken, so that the address is well.
    target.answer = ({ eventId }, response) => response.writeHead(eventId === id ? 422 : 200).end();
    await until(() => target.got.length === 1);
    await until(async () => {
      await stage.passes(12 * 3600);
      await until(
        () => target.got.length > 0,
        () => '',
        1500,
      );
      return (await stage.statuses(userId))['dead'] === 1;
    });
    const forwards = stage.app.app.get(Forwards);
    const dead = await forwards.of(userId, connectionId, id!);
    expect(dead).toMatchObject({ status: 'dead', lastError: 'answered 422', nextAttemptAt: null });
    expect(dead!.attempts).toBeGreaterThan(1);
    expect(stage.app.logs.text).toContain('could not be passed on within a day');
    target.answer = (_, response) => response.writeHead(200).end();
    await forwards.replay(userId, connectionId, [{ id: id!, profileId: 'A', occurredAt: new Date(OCCURRED) }]);
    await settled(1);
  });

  it.each([
    ['fails', (response: { writeHead(status: number): { end(): void } }) => response.writeHead(503).end()],
    [
      'redirects to a private address',
      (response: { writeHead(status: number, headers?: object): { end(): void } }) =>
        response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end(),
    ],
    ['drops the line', (response: { destroy(): void }) => response.destroy()],
  ])('wait while their receiver %s, tried one at a time, and all arrive afterwards', async (_, answer) => {
    target.answer = (_got, response) => answer(response);
    const profiles = Array.from({ length: 300 }, (_none, at) => `P${at % 60}`);
    const ids = await send(profiles);
    await until(async () => (await stage.sql('SELECT 1 FROM forward_target WHERE failures >= 5')).length > 0);
    // What was on its way when it began to fail is done failing.
    await allBack();
    const before = target.got.length;
    expect(before).toBeLessThan(300);
    // An hour, and more than a day.
    for (const [probe, seconds] of [300, 3300, 30 * 3600].entries()) {
      await stage.passes(seconds);
      await until(() => target.got.length > before + probe);
      await allBack();
    }
    expect(target.got.length).toBeLessThanOrEqual(before + 4);
    target.answer = (_got, response) => response.writeHead(200).end();
    target.got.length = 0;
    await stage.passes(300);
    await settled(300);
    expect(target.got).toHaveLength(300);
    for (const profile of new Set(profiles)) {
      const wanted = ids.filter((_id, at) => profiles[at] === profile);
      expect(target.ids.filter((id) => wanted.includes(id))).toEqual(wanted);
    }
  });

  it('wait while their receiver takes longer than ten seconds, and all arrive in order afterwards', async () => {
    const timeout = AbortSignal.timeout.bind(AbortSignal);
    const asked = jest.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => timeout(ms / 20));
    try {
      const slow = new Set<NodeJS.Timeout>();
      target.answer = (_got, response) => slow.add(setTimeout(() => response.writeHead(200).end(), 60_000));
      const profiles = Array.from({ length: 40 }, (_none, at) => `P${at % 8}`);
      const ids = await send(profiles);
      await until(async () => (await stage.sql('SELECT 1 FROM forward_target WHERE failures >= 5')).length > 0);
      await allBack();
      expect(asked).toHaveBeenCalledWith(10_000);
      expect(await stage.sql('SELECT DISTINCT last_error FROM event_forward WHERE attempts > 0')).toEqual([
        { last_error: 'no answer in time' },
      ]);
      for (const one of slow) clearTimeout(one);
      target.answer = (_got, response) => response.writeHead(200).end();
      target.got.length = 0;
      await stage.passes(3600);
      await settled(40);
      expect(target.got).toHaveLength(40);
      for (const profile of new Set(profiles)) {
        const wanted = ids.filter((_id, at) => profiles[at] === profile);
        expect(target.ids.filter((id) => wanted.includes(id))).toEqual(wanted);
      }
    } finally {
      asked.mockRestore();
    }
  });

  it('stop at 410 with an alert, and go on when it takes them again', async () => {
    target.answer = (_, response) => response.writeHead(410).end();
    await send(['A', 'B']);
    await until(async () => (await stage.sql(`SELECT 1 FROM forward_target WHERE stopped = 'gone'`)).length > 0);
    await until(async () => (await stage.sql('SELECT 1 FROM event_forward WHERE lease IS NOT NULL')).length === 0);
    const before = target.got.length;
    await stage.passes(3600);
    await send(['C']);
    await new Promise((done) => setTimeout(done, 1500));
    expect(target.got.length).toBe(before);
    expect(stage.app.logs.text).toContain('it answered 410');
    // What was taken on the way before that does not switch it on.
    const health = stage.app.app.get(ForwardTargetHealth);
    health.note({ kind: 'delivered' }, false);
    await health.flush();
    expect(await stage.sql('SELECT stopped FROM forward_target')).toEqual([{ stopped: 'gone' }]);
    expect(await stage.statuses(userId)).toEqual({ waiting: 3 });
    target.answer = (_, response) => response.writeHead(200).end();
    await stage.passes(24 * 3600);
    await settled(3);
  });

  it('stop after days of failing, tried once an hour, and go on by themselves', async () => {
    target.answer = (_, response) => response.writeHead(500).end();
    await send(['A', 'B', 'C', 'D', 'E', 'F']);
    await until(async () => (await stage.sql('SELECT 1 FROM forward_target WHERE failures >= 5')).length > 0);
    await stage.passes(3 * 86_400 + 60);
    await until(async () => (await stage.sql(`SELECT 1 FROM forward_target WHERE stopped = 'failing'`)).length > 0);
    expect(stage.app.logs.text).toContain('it has failed for days');
    const [next] = await stage.sql<{ minutes: number }>(
      'SELECT extract(epoch FROM probe_at - now())::float8 / 60 AS minutes FROM forward_target',
    );
    expect(next!.minutes).toBeGreaterThan(50);
    target.answer = (_, response) => response.writeHead(200).end();
    await stage.passes(3600);
    await until(async () => {
      const { waiting = 0 } = await stage.statuses(userId);
      return waiting === 0;
    });
    expect((await stage.statuses(userId))['delivered']).toBeGreaterThanOrEqual(5);
  });

  it('keep their lines open', async () => {
    await send(['warm']);
    await settled(1);
    const before = target.lines;
    await send(Array.from({ length: 300 }, (_, at) => `K${at}`));
    await settled(301);
    expect(target.lines - before).toBeLessThanOrEqual(100);
  });

  it('of one user do not wait for the many of another', async () => {
    const many = await stage.received(
      userId,
      connectionId,
      Array.from({ length: 5000 }, (_, at) => `M${at}`),
    );
    target.answer = (_, response) => setTimeout(() => response.writeHead(200).end(), 20);
    await stage.plan(userId, connectionId, many);
    await until(() => target.got.length > 50);
    const other = (userId += 1);
    const theirs = await stage.connection(other);
    const events = await stage.received(other, theirs, ['X', 'Y', 'Z']);
    await stage.plan(other, theirs, events);
    await until(async () => (await stage.statuses(other))['delivered'] === 3);
    expect((await stage.statuses(userId - 1))['waiting']).toBeGreaterThan(1000);
  });

  it('are each delivered once by two replicas, and by the other when one dies', async () => {
    const second = await ForwardStage.second(target.url, stage.app.database);
    const ids = await send(Array.from({ length: 1000 }, (_, at) => `R${at % 200}`));
    await until(() => target.got.length > 300);
    await second.stop();
    await settled(1000);
    expect(new Set(target.ids)).toEqual(new Set(ids));
    expect(target.got).toHaveLength(1000);
  });

  it('are passed on by somebody else when the process that had them is gone', async () => {
    const events = await stage.received(userId, connectionId, ['A', 'A', 'B']);
    await stage.sql(
      `INSERT INTO event_forward (user_id, connection_id, event_id, profile_id, sequence, status, lease, next_at)
       SELECT $1, $2, e.id, e.profile_id, nextval('event_forward_sequence'), 'waiting', gen_random_uuid(),
         now() + interval '2 seconds' FROM unnest($3::uuid[], $4::text[]) AS e(id, profile_id)`,
      [userId, connectionId, events.map(({ id }) => id), events.map(({ profileId }) => profileId)],
    );
    await settled(3);
    expect(target.got).toHaveLength(3);
  });

  /** Nothing is tried until told otherwise. */
  const hold = () =>
    stage.sql(
      `UPDATE forward_target SET failures = 5, failing_since = now(), probe_at = now() + interval '1 day', stopped = NULL`,
    );

  it('of every connection get their turn, however many connections there are', async () => {
    await hold();
    const others = Array.from({ length: 20 }, () => (userId += 1));
    for (const other of others) {
      const theirs = await stage.connection(other);
      await stage.plan(other, theirs, await stage.received(other, theirs, ['A', 'B', 'C', null, null, null]));
    }
    const { id } = stage.app.app.get(ForwardTargetHealth);
    const system = stage.app.app.get(ForwardsSystemRepository);
    const first = new Set<number>();
    for (let turn = 0; turn < 40; turn += 1) {
      const [due] = await system.claim(id, '00000000-0000-4000-8000-000000000000', 0, 1);
      first.add(due!.userId);
    }
    expect(first.size).toBeGreaterThan(5);
  });

  it('that failed keep their pauses when others fail now and then, as long as all is not held back', async () => {
    const [id] = await send(['A']);
    await settled(1);
    await stage.sql(
      `UPDATE event_forward SET status = 'waiting', attempts = 3, first_failed_at = now() - interval '1 hour',
         next_at = now() + interval '1 hour' WHERE event_id = $1`,
      [id],
    );
    const health = stage.app.app.get(ForwardTargetHealth);
    health.note({ kind: 'failed', who: 'target', error: 'answered 503' }, false);
    await health.flush();
    health.note({ kind: 'delivered' }, false);
    await health.flush();
    const [row] = await stage.sql<{ far: boolean }>(
      `SELECT next_at > now() + interval '50 minutes' AS far FROM event_forward`,
    );
    expect(row).toEqual({ far: true });
    expect(await stage.sql('SELECT failures FROM forward_target')).toEqual([{ failures: 0 }]);
  });

  it('are kept as long as they wait, and what is told of them too', async () => {
    await hold();
    await send(['A', 'B']);
    await stage.passes(100 * 86_400);
    await stage.sql(`UPDATE event_forward SET next_at = now() + interval '1 day'`);
    await stage.sql(
      `UPDATE received_event SET status = 'processed', received_at = now() - interval '100 days' WHERE user_id = $1`,
      [userId],
    );
    const received = () => stage.sql('SELECT 1 FROM received_event WHERE user_id = $1', [userId]);
    const tidy = async () => {
      await stage.app.app.get(WebhookTickJob).run();
      await stage.app.app.get(ProcessSystemRepository).removeEvents('over', 30, 5000);
    };
    await tidy();
    expect(await stage.statuses(userId)).toEqual({ waiting: 2 });
    expect(await received()).toHaveLength(2);
    await stage.sql(`UPDATE event_forward SET status = 'delivered'`);
    await tidy();
    expect(await stage.statuses(userId)).toEqual({});
    expect(await received()).toHaveLength(0);
  });

  it('are sent when they are replayed, whatever is heard of an attempt before that', async () => {
    const [eventId] = await send(['A']);
    await settled(1);
    await hold();
    const [before] = await stage.sql<{ sequence: string }>('SELECT sequence FROM event_forward');
    await stage.app.app
      .get(Forwards)
      .replay(userId, connectionId, [{ id: eventId!, profileId: 'A', occurredAt: new Date(OCCURRED) }]);
    await stage.app.app.get(ForwardsSystemRepository).settle(stage.app.app.get(ForwardTargetHealth).id, [
      {
        userId,
        connectionId,
        eventId: eventId!,
        sequence: Number(before!.sequence),
        lease: '00000000-0000-4000-8000-000000000000',
        outcome: 'delivered',
        error: null,
        pause: 0,
      },
    ]);
    expect(await stage.statuses(userId)).toEqual({ waiting: 1 });
  });

  it('are not passed on any more once their connection is gone, and go', async () => {
    target.answer = (_, response) => response.writeHead(503).end();
    await send(['A', 'B']);
    await until(() => target.got.length > 0);
    await stage.sql('DELETE FROM connection WHERE user_id = $1', [userId]);
    target.answer = (_, response) => response.writeHead(200).end();
    target.got.length = 0;
    await stage.passes(3600);
    await until(async () => Object.keys(await stage.statuses(userId)).length === 0);
    expect(target.got).toEqual([]);
    expect(stage.app.logs.text).not.toContain(`Received events of connection ${connectionId}`);
    await stage.sql(
      `INSERT INTO event_forward (user_id, connection_id, event_id, sequence, status)
       VALUES ($1, $2, gen_random_uuid(), 1, 'dead')`,
      [userId, connectionId],
    );
    await stage.app.app.get(WebhookTickJob).run();
    expect(await stage.statuses(userId)).toEqual({});
  });
});

describe('events that nobody wants passed on', () => {
  it('are only recorded', async () => {
    const stage = await ForwardStage.open('', {
      env: { EVENT_FORWARD_URL: undefined, EVENT_FORWARD_SECRET: undefined },
    });
    const connectionId = await stage.connection(1);
    const events = await stage.received(1, connectionId, ['A']);
    await stage.plan(1, connectionId, events);
    expect(await stage.statuses(1)).toEqual({});
    await stage.stop();
  });
});

describe('a receiver at an address that nobody may have', () => {
  it.each(['http://169.254.169.254/x', 'http://8.8.8.8/x', 'https://[fe80::1]/x'])('%s gets nothing', async (url) => {
    const stage = await ForwardStage.open(url);
    const connectionId = await stage.connection(1);
    const events = await stage.received(1, connectionId, ['A']);
    await stage.plan(1, connectionId, events);
    await until(
      async () => (await stage.sql('SELECT 1 FROM event_forward WHERE attempts > 0')).length > 0,
      () => stage.sql('SELECT * FROM event_forward'),
    );
    const [row] = await stage.sql<{ last_error: string }>('SELECT last_error FROM event_forward');
    expect(row!.last_error).toMatch(/refused|private and loopback/);
    await stage.stop();
  });
});
