import { WebhookStatistics } from '../../src/webhooks/webhook-statistics';
import { klaviyoEvent, ReceiverStage, type Hook } from './webhook-receiver-stage';
import { API } from '../support/walk';

type Json = Record<string, unknown>;

let stage: ReceiverStage;
let hook: Hook;

beforeAll(async () => {
  stage = await ReceiverStage.open();
}, 60_000);
afterAll(async () => {
  await stage.stop();
});
beforeEach(async () => {
  hook = await stage.hook();
});

const get = async (path: string, query: Json = {}, accept = 'application/json') =>
  stage.app.http
    .get(`${API}${path}`)
    .set({ ...stage.app.asService, Accept: accept, 'Accept-Language': 'en' })
    .query({ userId: hook.userId, ...query });
const post = async (path: string, body: Json = {}) =>
  stage.app.http
    .post(`${API}${path}`)
    .set(stage.app.asService)
    .send({ userId: hook.userId, ...body });
const list = async (query: Json = {}) => {
  const { status, body } = await get('/webhooks/events', query);
  expect(status).toBe(200);
  return body as { events: Json[]; pagination: { limit: number; nextCursor: string | null; total?: number } };
};
const externalIds = (events: readonly Json[]) => events.map(({ externalId }) => externalId);

/** A topic of Klaviyo's own. */
const own = (metric: string) => `event:klaviyo.${metric}`;
const about = (event: ReturnType<typeof klaviyoEvent>, profileId: string, properties: Json = {}) => {
  event.payload.data.relationships.profile.data.id = profileId;
  Object.assign(event.payload.data.attributes.event_properties, properties);
  return event;
};

describe('what was received', () => {
  it('is shown newest first, each event whole', async () => {
    await stage.deliver(hook, [klaviyoEvent('first'), klaviyoEvent('second', { total: 12.5 })]);
    await stage.settled(hook);
    const { events, pagination } = await list();
    expect(externalIds(events)).toEqual(['second', 'first']);
    expect(pagination).toEqual({ limit: 50, nextCursor: null, total: 2 });
    expect(events[0]).toEqual({
      id: expect.stringMatching(/^[0-9a-f-]{36}$/),
      externalId: 'second',
      webhookId: hook.id,
      topic: 'event:api.placed_order',
      metric: { id: 'MetrPO', name: null },
      profileId: '01PROFILEsecond',
      properties: { note: 'Café', total: 12.5 },
      occurredAt: '2026-09-04T13:38:55.000Z',
      receivedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      late: false,
      status: 'processed',
      attempts: 1,
      lastError: null,
    });
  });

  it('comes in pages without gap or repetition, whatever arrives meanwhile', async () => {
    await stage.deliver(
      hook,
      Array.from({ length: 25 }, (_, n) => klaviyoEvent(`p${n}`)),
    );
    const seen: unknown[] = [];
    let cursor: string | null | undefined;
    do {
      const { events, pagination } = await list({ limit: 10, ...(cursor ? { cursor } : {}) });
      seen.push(...externalIds(events));
      cursor = pagination.nextCursor;
      await stage.deliver(hook, [klaviyoEvent(`new${seen.length}`)]);
    } while (cursor);
    expect(seen).toEqual(Array.from({ length: 25 }, (_, n) => `p${24 - n}`));
  });

  it('is found by webhook, topic, state, person and time', async () => {
    const second = await stage.webhook(hook.userId, hook.connectionId, hook.account);
    await stage.deliver(hook, [klaviyoEvent('a'), klaviyoEvent('b', {}, own('opened_email'))]);
    await stage.deliver(second, [about(klaviyoEvent('c'), '01SOMEBODY'), 'no event']);
    await stage.settled(hook);
    expect(externalIds((await list({ webhookId: second.id, status: 'processed' })).events)).toEqual(['c']);
    expect(externalIds((await list({ topic: own('opened_email') })).events)).toEqual(['b']);
    expect(externalIds((await list({ profileId: '01SOMEBODY' })).events)).toEqual(['c']);
    expect((await list({ status: 'received,failed,dead' })).events).toEqual([]);
    expect((await list({ status: 'quarantined' })).events).toHaveLength(1);
    const hour = (n: number) => new Date(Date.now() + n * 3_600_000).toISOString();
    expect((await list({ from: hour(-1), to: hour(1) })).events).toHaveLength(4);
    expect((await list({ from: hour(1) })).events).toEqual([]);
    expect((await list({ to: hour(-1) })).events).toEqual([]);
  });

  it('is found by what could not be passed on, to be passed on once more', async () => {
    await stage.deliver(hook, [klaviyoEvent('passed'), klaviyoEvent('stuck')]);
    await stage.settled(hook);
    const [stuck] = (await list()).events;
    await stage.database.query(
      `INSERT INTO event_forward (user_id, connection_id, event_id, sequence, status) VALUES ($1, $2, $3, 1, 'dead')`,
      [hook.userId, hook.connectionId, stuck?.['id']],
    );
    expect(externalIds((await list({ forward: 'dead' })).events)).toEqual(['stuck']);
    const { body } = await post('/webhooks/events/replay', { status: 'processed', forward: 'dead' });
    expect(body).toMatchObject({ replayed: 1 });
  });

  it('is not looked for endlessly: whoever asks is told to ask for less', async () => {
    await stage.database.query('BEGIN');
    try {
      await stage.database.query('LOCK TABLE received_event IN ACCESS EXCLUSIVE MODE');
      const { status, body } = await get('/webhooks/events', { topic: 'event:api.rare' });
      expect([status, body]).toMatchObject([400, { code: 'VALIDATION_FAILED', errors: [{ field: 'from' }] }]);
    } finally {
      await stage.database.query('ROLLBACK');
    }
    expect((await list({ topic: 'event:api.rare' })).events).toEqual([]);
  }, 30_000);

  it('is a table, too', async () => {
    await stage.deliver(hook, [klaviyoEvent('=cmd', {}), klaviyoEvent('csv1', { formula: '=1+1' })]);
    const { text, headers } = await get('/webhooks/events', { status: 'processed,received' }, 'text/csv');
    expect(headers['content-type']).toContain('text/csv');
    expect(text.split('\r\n')[0]).toContain('id,externalId,webhookId,topic,metric.id');
    expect(text).toContain('csv1');
  });

  it('is another user’s for nobody else', async () => {
    await stage.deliver(hook, [klaviyoEvent('mine')]);
    const [event] = (await list()).events;
    const other = await stage.hook();
    const asked = await stage.app.http
      .get(`${API}/webhooks/events/${String(event?.['id'])}`)
      .set(stage.app.asService)
      .query({ userId: other.userId });
    expect([asked.status, (asked.body as Json)['code']]).toEqual([404, 'EVENT_NOT_FOUND']);
  });
});

describe('malformed events', () => {
  const deep = (levels: number): unknown => (levels === 0 ? 1 : { a: deep(levels - 1) });

  it('are kept apart, and the good ones beside them are worked off', async () => {
    const poisoned = JSON.parse(
      '{"external_id":"proto","topic":"event:api.x","payload":{"data":{"type":"event","id":"proto","attributes":{"datetime":"2026-09-04 13:38:55+00:00","event_properties":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"fine":1}}}}}',
    ) as unknown;
    const answer = await stage.deliver(hook, [
      klaviyoEvent('good1'),
      'text',
      null,
      17,
      [],
      {},
      { external_id: 'noTopic', payload: { data: { attributes: {} } } },
      { external_id: 'noPayload', topic: 'event:api.x' },
      { external_id: { toString: 'x' }, topic: 'event:api.x', payload: { data: { attributes: {} } } },
      klaviyoEvent('tooDeep', { deep: deep(60) }),
      poisoned,
      klaviyoEvent('good2', { nul: 'a\0b', half: '\ud83d', emoji: '😀', big: 1e308 }),
    ]);
    expect(answer.body).toEqual({ success: true, received: 12, duplicates: 0, quarantined: 9 });
    await stage.settled(hook);
    const { events } = await list({ status: 'processed' });
    expect(externalIds(events)).toEqual(['good2', 'proto', 'good1']);
    expect(events[0]?.['properties']).toEqual({
      note: 'Café',
      nul: 'a\ufffdb',
      half: '\ufffd',
      emoji: '😀',
      big: 1e308,
    });
    expect(JSON.stringify(events[1]?.['properties'])).toContain('"__proto__":{"polluted":true}');
    expect(({} as Json)['polluted']).toBeUndefined();
    const apart = (await list({ status: 'quarantined' })).events;
    expect(apart.map(({ lastError }) => lastError).sort()).toEqual(
      [
        'NOT_AN_OBJECT',
        'NOT_AN_OBJECT',
        'NOT_AN_OBJECT',
        'NOT_AN_OBJECT',
        'NO_EXTERNAL_ID',
        'NO_EXTERNAL_ID',
        'NO_PAYLOAD',
        'NO_TOPIC',
        'TOO_DEEP',
      ].sort(),
    );
    expect(
      externalIds(apart)
        .filter((id) => id !== null)
        .sort(),
    ).toEqual(['noPayload', 'noTopic', 'tooDeep']);
  });

  it('are kept once, however often they come, and never stand in the way of the good one', async () => {
    await stage.deliver(hook, [{ external_id: 'later', topic: 'event:api.x' }]);
    expect((await stage.deliver(hook, [{ external_id: 'later', topic: 'event:api.x' }])).body).toMatchObject({
      duplicates: 1,
      quarantined: 0,
    });
    expect((await stage.deliver(hook, [klaviyoEvent('later')])).body).toMatchObject({ duplicates: 0, quarantined: 0 });
    await stage.settled(hook);
    expect((await list({ status: 'processed' })).events).toHaveLength(1);
  });

  it('are kept in part only, however large', async () => {
    await stage.deliver(hook, [{ external_id: 'huge', topic: 7, payload: 'x'.repeat(200_000) }]);
    const [event] = (await list({ status: 'quarantined' })).events;
    expect(JSON.stringify(event).length).toBeLessThan(4000);
  });

  it('are not worked off once more', async () => {
    await stage.deliver(hook, ['bad']);
    const [event] = (await list()).events;
    const answer = await post(`/webhooks/events/${String(event?.['id'])}/replay`);
    expect([answer.status, (answer.body as Json)['code']]).toEqual([409, 'CONFLICT']);
  });
});

describe('what follows from events', () => {
  /** As after a first synchronisation. */
  const mirrored = () =>
    stage.database.query(
      `INSERT INTO mirror_state (user_id, connection_id, resource, complete_at, synced_at)
       VALUES ($1, $2, 'profiles', now(), now())`,
      [hook.userId, hook.connectionId],
    );
  const rows = async (sql: string, ...params: unknown[]) =>
    (await stage.database.query<Json>(sql, [hook.userId, hook.connectionId, ...params])).rows;

  it('they stand in the mirror of events', async () => {
    await stage.deliver(hook, [klaviyoEvent('mir1'), klaviyoEvent('mir2')]);
    await stage.settled(hook);
    const kept = await rows(
      'SELECT klaviyo_id, metric_id FROM mirrored_event WHERE user_id = $1 AND connection_id = $2 ORDER BY 1',
    );
    expect(kept).toEqual([
      { klaviyo_id: 'mir1', metric_id: 'MetrPO' },
      { klaviyo_id: 'mir2', metric_id: 'MetrPO' },
    ]);
  });

  it('people whose consent changed are read again, in one call for all of them', async () => {
    const { profiles } = await stage.sandbox.control<{ profiles: { id: string }[] }>(
      'GET',
      `/accounts/${hook.account.id}/profiles`,
    );
    const people = profiles.map(({ id }) => id);
    expect(people).toHaveLength(5);
    await mirrored();
    await stage.sandbox.clearRequests(hook.account.id);
    await stage.deliver(
      hook,
      people.flatMap((id, n) => [
        about(klaviyoEvent(`sub${n}`, {}, own('subscribed_to_email_marketing')), id),
        about(klaviyoEvent(`upd${n}`, {}, own('updated_email_preferences')), id),
        about(klaviyoEvent(`open${n}`, {}, own('opened_email')), id),
      ]),
    );
    await stage.until(async () => {
      const found = await rows(
        'SELECT 1 FROM mirrored_profile WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = ANY($3)',
        people,
      );
      return found.length === 5 ? true : undefined;
    });
    expect(await stage.sandbox.requests(hook.account.id, 'getProfiles')).toHaveLength(1);
  });

  it('people are read again beside one whom Klaviyo refuses to show', async () => {
    const { profiles } = await stage.sandbox.control<{ profiles: { id: string }[] }>(
      'GET',
      `/accounts/${hook.account.id}/profiles`,
    );
    await mirrored();
    const people = profiles.map(({ id }) => id).sort();
    const [, refused = ''] = people;
    await stage.sandbox.fault(hook.account.id, {
      match: { operation: 'getProfiles', path: refused },
      preset: '400',
      times: 'forever',
    });
    await stage.deliver(
      hook,
      people.map((id, n) => about(klaviyoEvent(`ref${n}`, {}, own('subscribed_to_email_marketing')), id)),
    );
    const left = 'SELECT profile_id FROM profile_refresh WHERE user_id = $1 AND connection_id = $2';
    await stage.until(async () => {
      const found = await rows('SELECT klaviyo_id FROM mirrored_profile WHERE user_id = $1 AND connection_id = $2');
      return found.length === 4 && (await rows(left)).length === 0 ? true : undefined;
    });
    const kept = await rows('SELECT klaviyo_id FROM mirrored_profile WHERE user_id = $1 AND connection_id = $2');
    expect(kept.map(({ klaviyo_id: id }) => id).sort()).toEqual(people.filter((id) => id !== refused));
  });

  it('people who were never mirrored cost no call', async () => {
    await stage.deliver(hook, [about(klaviyoEvent('un', {}, own('subscribed_to_email_marketing')), '01SOMEBODY')]);
    await stage.settled(hook);
    expect(await rows('SELECT 1 FROM profile_refresh WHERE user_id = $1 AND connection_id = $2')).toEqual([]);
  });

  it('a key that is refused holds nothing up but the reading of people, which a new key brings', async () => {
    const { profiles } = await stage.sandbox.control<{ profiles: { id: string }[] }>(
      'GET',
      `/accounts/${hook.account.id}/profiles`,
    );
    const person = profiles[0]?.id ?? '';
    await mirrored();
    await stage.database.query(`UPDATE connection SET status = 'invalid' WHERE user_id = $1`, [hook.userId]);
    await stage.deliver(hook, [about(klaviyoEvent('inv', {}, own('subscribed_to_email_marketing')), person)]);
    await stage.settled(hook);
    expect((await list({ status: 'processed' })).events).toHaveLength(1);
    await stage.until(async () => {
      const [waiting] = await rows(
        "SELECT 1 FROM profile_refresh WHERE user_id = $1 AND connection_id = $2 AND attempts > 0 AND next_at > now() + interval '5 minutes'",
      );
      return waiting;
    });
    expect((await post('/connect', { privateApiKey: hook.account.key })).status).toBe(200);
    await stage.until(
      async () => (await rows('SELECT 1 FROM mirrored_profile WHERE user_id = $1 AND connection_id = $2'))[0],
    );
  });

  it('lists gain and lose members, by the name that the event tells', async () => {
    await rows(
      `INSERT INTO mirrored_group (user_id, connection_id, kind, klaviyo_id, name, folded_name, document, synced_at)
       VALUES ($1, $2, 'list', 'LiSt01', 'Newsletter', 'newsletter', '{}', now())`,
    );
    const joined = about(klaviyoEvent('join', {}, own('subscribed_to_list')), '01MEMBER', { List: 'Newsletter' });
    await stage.deliver(hook, [joined]);
    await stage.settled(hook);
    const members = () => rows('SELECT profile_id, left_at FROM membership WHERE user_id = $1 AND connection_id = $2');
    expect(await members()).toEqual([{ profile_id: '01MEMBER', left_at: null }]);
    const left = about(klaviyoEvent('leave', {}, own('unsubscribed_from_list')), '01MEMBER', { List: 'Newsletter' });
    left.payload.data.attributes.datetime = '2026-10-04 13:38:55+00:00';
    await stage.deliver(hook, [
      left,
      about(klaviyoEvent('odd', {}, own('subscribed_to_list')), '01X', { List: 'Nowhere' }),
    ]);
    await stage.settled(hook);
    expect(await members()).toEqual([{ profile_id: '01MEMBER', left_at: expect.any(Date) as Date }]);
  });

  it('campaigns hear of opens once, replays included', async () => {
    await rows(
      `INSERT INTO mirrored_campaign (user_id, connection_id, klaviyo_id, name, klaviyo_status, status, channel, archived,
         audiences, messages, message_ids, document, synced_at, moment, created_at)
       SELECT $1, $2, '01CAMPAIGN', 'C', 'Sent', 'sent', 'email', false, '{"included":[],"excluded":[]}', '[]', '{}', '{}', now(), now(), now()`,
    ).catch((error: unknown) => {
      throw new Error(`the campaign's row: ${String(error)}`);
    });
    const opened = klaviyoEvent('open', { $message: '01CAMPAIGN' }, own('opened_email'));
    await stage.deliver(hook, [opened]);
    await stage.settled(hook);
    const heard = async () =>
      (
        await rows('SELECT sum(count)::int AS n FROM campaign_engagement WHERE user_id = $1 AND connection_id = $2')
      )[0]?.['n'];
    expect(await heard()).toBe(1);
    const [event] = (await list()).events;
    await post(`/webhooks/events/${String(event?.['id'])}/replay`);
    await stage.until(async () => ((await list({ status: 'processed' })).events.length === 1 ? true : undefined));
    expect(await heard()).toBe(1);
  });
});

describe('one event', () => {
  it('has a history, and is worked off once more when asked to be', async () => {
    await stage.deliver(hook, [klaviyoEvent('one')]);
    await stage.settled(hook);
    const id = String((await list()).events[0]?.['id']);
    const shown = async () => (await get(`/webhooks/events/${id}`)).body as { event: Json; history: Json[] };
    expect((await shown()).history.map(({ what, detail }) => [what, detail])).toEqual([
      ['received', 'push'],
      ['processed', null],
    ]);
    const again = await post(`/webhooks/events/${id}/replay`);
    expect([again.status, (again.body as { event: Json }).event['status']]).toEqual([202, 'received']);
    await stage.until(async () => ((await shown()).event['status'] === 'processed' ? true : undefined));
    expect((await shown()).history.map(({ what }) => what)).toEqual(['received', 'processed', 'replayed', 'processed']);
  });

  it('is not found where there is none', async () => {
    const unknown = '0190c7a0-0000-7000-8000-000000000001';
    for (const answer of [
      await get(`/webhooks/events/${unknown}`),
      await get('/webhooks/events/x'),
      await post(`/webhooks/events/${unknown}/replay`),
    ])
      expect([answer.status, (answer.body as Json)['code']]).toEqual([404, 'EVENT_NOT_FOUND']);
  });
});

describe('many events', () => {
  it('are worked off once more by what they have in common', async () => {
    await stage.deliver(hook, [klaviyoEvent('m1'), klaviyoEvent('m2'), klaviyoEvent('m3', {}, own('opened_email'))]);
    await stage.settled(hook);
    const answer = await post('/webhooks/events/replay', { status: 'processed', topic: 'event:api.placed_order' });
    expect([answer.status, answer.body]).toEqual([202, { success: true, replayed: 2, more: false }]);
    await stage.until(async () => ((await list({ status: 'processed' })).events.length === 3 ? true : undefined));
    expect((await post('/webhooks/events/replay', { status: 'dead' })).body).toMatchObject({ replayed: 0 });
  });

  it('need a state that can be worked off again', async () => {
    for (const body of [{}, { status: 'quarantined' }, { status: 'received' }, { status: 'processed', limit: 3 }])
      expect((await post('/webhooks/events/replay', body)).status).toBe(400);
  });
});

describe('the figures of a webhook', () => {
  it('count what came, what came again, and how long it took', async () => {
    const statistics = stage.app.app.get(WebhookStatistics, { strict: false });
    const of = async () => (await statistics.of(hook.userId, hook.connectionId, [hook.id])).get(hook.id);
    expect(await of()).toEqual({
      received: 0,
      processed: 0,
      failed: 0,
      duplicates: 0,
      lastReceivedAt: null,
      p95ProcessingMs: null,
    });
    await stage.deliver(hook, [klaviyoEvent('f1'), klaviyoEvent('f2'), 'bad']);
    await stage.deliver(hook, [klaviyoEvent('f2'), klaviyoEvent('f3')]);
    await stage.settled(hook);
    expect(await of()).toMatchObject({ received: 5, processed: 3, failed: 0, duplicates: 1 });
    const figures = await of();
    expect(Date.now() - Date.parse(figures?.lastReceivedAt ?? '')).toBeLessThan(60_000);
    expect(figures?.p95ProcessingMs).toBeGreaterThanOrEqual(0);
  });
});

describe('a connection that goes', () => {
  it('takes with it everything that it received', async () => {
    await stage.deliver(
      hook,
      Array.from({ length: 50 }, (_, n) => klaviyoEvent(`gone${n}`)),
    );
    await stage.app.http.delete(`${API}/connect`).set(stage.app.asService).query({ userId: hook.userId });
    await stage.until(async () => {
      const { rows } = await stage.database.query(
        'SELECT 1 FROM received_event WHERE user_id = $1 UNION ALL SELECT 1 FROM webhook_delivery WHERE user_id = $1',
        [hook.userId],
      );
      return rows.length === 0 ? true : undefined;
    });
    expect((await stage.deliver(hook, [klaviyoEvent('after')])).status).toBe(401);
  });
});
