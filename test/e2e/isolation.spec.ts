import type { Answered, Attempt, IsolationStage, Names, Person } from './isolation-stage';
import { openIsolationStage, TOPIC } from './isolation-stage';

const UNKNOWN: Names = {
  connectionId: '0190c7a0-0000-7000-8000-000000000000',
  eventId: '0190c7a0-0000-7000-8000-000000000001',
  syncId: '0190c7a0-0000-7000-8000-000000000002',
  receivedId: '0190c7a0-0000-7000-8000-000000000004',
  webhookId: '0190c7a0-0000-7000-8000-000000000003',
  profileId: '01NOSUCHPROFILE00000000000',
  email: 'nobody@example.com',
  externalId: 'nobody',
  listId: 'NOLIST',
  segmentId: 'NOSEGM',
  campaignId: '01NOSUCHCAMPAIGN0000000000',
  cursors: {
    events: 'bm9uZQ',
    lists: 'bm9uZQ',
    segments: 'bm9uZQ',
    campaigns: 'bm9uZQ',
    logs: 'bm9uZQ',
    profiles: 'bm9uZQ',
    received: 'bm9uZQ',
  },
};

const EVENT = { eventType: 'Taken', eventData: {} };

type Try = Omit<Attempt, 'route'>;

/** How each route names something of ours, which nobody but its user may reach. */
const OURS: Readonly<Record<string, (names: Names, who: Person) => Try[]>> = {
  'GET /webhooks/events': ({ connectionId, cursors }) => [
    { path: '/webhooks/events', query: { connectionId } },
    { path: '/webhooks/events', query: { limit: '1', cursor: cursors.received } },
  ],
  'GET /webhooks/events/:id': ({ connectionId, receivedId }) => [
    { path: `/webhooks/events/${receivedId}` },
    { path: `/webhooks/events/${receivedId}`, query: { connectionId } },
  ],
  'POST /webhooks/events/:id/replay': ({ connectionId, receivedId }) => [
    { path: `/webhooks/events/${receivedId}/replay`, body: {} },
    { path: `/webhooks/events/${receivedId}/replay`, body: { connectionId } },
  ],
  'POST /webhooks/events/replay': ({ connectionId }) => [
    { path: '/webhooks/events/replay', body: { connectionId, status: 'dead' } },
  ],
  'POST /connect': ({ connectionId }, { account }) => [
    { path: '/connect', body: { connectionId, privateApiKey: account.key, label: 'Taken over' } },
  ],
  // Takes no id: whose connections it shows is the caller's own user, which `another user` below tries.
  'GET /connect': () => [],
  'DELETE /connect': ({ connectionId }) => [{ path: '/connect', query: { connectionId } }],
  'PATCH /connections/:id': ({ connectionId }, { account, connectionId: own }) => [
    { path: `/connections/${own}`, body: { connectionId, label: 'Taken over' } },
    { path: `/connections/${connectionId}`, body: { label: 'Taken over' } },
    { path: `/connections/${connectionId}`, body: { isDefault: true } },
    { path: `/connections/${connectionId}`, body: { privateApiKey: account.key } },
  ],
  'GET /connections/:id/usage': ({ connectionId }) => [{ path: `/connections/${connectionId}/usage` }],
  'POST /subscribe': ({ connectionId }) => [
    { path: '/subscribe', body: { connectionId, profile: { email: 'taken@example.com' } } },
  ],
  'GET /subscribe': ({ connectionId }) => [
    { path: '/subscribe', query: { connectionId, email: 'bobs.customer@example.com' } },
  ],
  'POST /profiles/search': ({ connectionId }) => [
    { path: '/profiles/search', body: { connectionId, email: 'bobs.customer@example.com' } },
  ],
  'PATCH /update-contact': ({ connectionId }) => [
    {
      path: '/update-contact',
      body: { connectionId, email: 'bobs.customer@example.com', profile: { title: 'Taken' } },
    },
  ],
  'GET /update-contact': ({ connectionId }) => [
    { path: '/update-contact', query: { connectionId } },
    { path: '/update-contact', query: { connectionId, email: 'bobs.customer@example.com' } },
  ],
  'POST /trigger-event': ({ connectionId }) => [
    { path: '/trigger-event', body: { connectionId, event: { ...EVENT, profile: { email: 'taken@example.com' } } } },
  ],
  'GET /trigger-event': ({ connectionId }) => [{ path: '/trigger-event', query: { connectionId } }],
  'GET /events': ({ connectionId, cursors }) => [
    { path: '/events', query: { connectionId } },
    { path: '/events', query: { limit: '1', cursor: cursors.events } },
  ],
  'GET /events/:id': ({ connectionId, eventId }) => [
    { path: `/events/${eventId}` },
    { path: `/events/${eventId}`, query: { connectionId } },
  ],
  'GET /profiles/:id/events': ({ connectionId, profileId }) => [
    { path: `/profiles/${profileId}/events`, query: { connectionId } },
  ],
  'GET /profiles': ({ connectionId, cursors }) => [
    { path: '/profiles', query: { connectionId } },
    { path: '/profiles', query: { limit: '1', cursor: cursors.profiles } },
  ],
  'GET /profiles/tags': ({ connectionId }) => [{ path: '/profiles/tags', query: { connectionId } }],
  'GET /profiles/:id': ({ connectionId, profileId }) => [{ path: `/profiles/${profileId}`, query: { connectionId } }],
  'GET /lists/:id/profiles': ({ connectionId, listId }) => [
    { path: `/lists/${listId}/profiles`, query: { connectionId } },
  ],
  'GET /segments/:id/profiles': ({ connectionId, segmentId }) => [
    { path: `/segments/${segmentId}/profiles`, query: { connectionId } },
  ],
  'GET /get-lists': ({ connectionId, cursors }) => [
    { path: '/get-lists', query: { connectionId } },
    { path: '/get-lists', query: { limit: '1', cursor: cursors.lists } },
  ],
  'GET /lists/:id': ({ connectionId, listId }) => [{ path: `/lists/${listId}`, query: { connectionId } }],
  'GET /lists/:id/history': ({ connectionId, listId }) => [
    { path: `/lists/${listId}/history`, query: { connectionId } },
  ],
  'POST /lists': ({ connectionId }) => [{ path: '/lists', body: { connectionId, name: 'Taken' } }],
  'POST /lists/:id/profiles': ({ connectionId, listId, profileId }) => [
    { path: `/lists/${listId}/profiles`, body: { connectionId, profileIds: [profileId] } },
  ],
  'DELETE /lists/:id/profiles': ({ connectionId, listId, profileId }) => [
    { path: `/lists/${listId}/profiles`, query: { connectionId, profileIds: profileId } },
  ],
  'GET /get-segments': ({ connectionId, cursors }) => [
    { path: '/get-segments', query: { connectionId } },
    { path: '/get-segments', query: { limit: '1', cursor: cursors.segments } },
  ],
  'GET /segments/:id': ({ connectionId, segmentId }) => [{ path: `/segments/${segmentId}`, query: { connectionId } }],
  'GET /segments/:id/history': ({ connectionId, segmentId }) => [
    { path: `/segments/${segmentId}/history`, query: { connectionId } },
  ],
  'GET /get-campaigns': ({ connectionId, cursors }) => [
    { path: '/get-campaigns', query: { connectionId } },
    { path: '/get-campaigns', query: { limit: '1', cursor: cursors.campaigns } },
  ],
  'GET /campaigns/:id': ({ connectionId, campaignId }) => [
    { path: `/campaigns/${campaignId}`, query: { connectionId } },
  ],
  'GET /campaigns/:id/history': ({ connectionId, campaignId }) => [
    { path: `/campaigns/${campaignId}/history`, query: { connectionId } },
  ],
  'POST /sync': ({ connectionId }) => [
    { path: '/sync', body: { connectionId } },
    { path: '/sync', body: { connectionId, resources: ['lists'], mode: 'incremental' } },
  ],
  'GET /sync': ({ connectionId, syncId }) => [
    { path: '/sync', query: { connectionId } },
    { path: '/sync', query: { syncId } },
  ],
  'PUT /sync/schedule': ({ connectionId }) => [{ path: '/sync/schedule', body: { connectionId, enabled: false } }],
  'GET /sync/:id': ({ connectionId, syncId }) => [
    { path: `/sync/${syncId}` },
    { path: `/sync/${syncId}`, query: { connectionId } },
  ],
  'GET /sync/:id/logs': ({ syncId, cursors }, { syncId: own }) => [
    { path: `/sync/${syncId}/logs` },
    { path: `/sync/${own}/logs`, query: { limit: '1', cursor: cursors.logs } },
  ],
  'GET /sync/:id/stream': ({ syncId }) => [{ path: `/sync/${syncId}/stream` }],
  'POST /sync/:id/cancel': ({ connectionId, syncId }, { syncId: own }) => [
    { path: `/sync/${syncId}/cancel`, body: {} },
    { path: `/sync/${own}/cancel`, body: { connectionId } },
  ],
  'POST /webhooks': ({ connectionId }) => [
    { path: '/webhooks', body: { connectionId, name: 'Taken', topics: [TOPIC] } },
  ],
  'GET /webhooks': ({ connectionId }) => [{ path: '/webhooks', query: { connectionId } }],
  'DELETE /webhooks': ({ connectionId, webhookId }, { webhookId: own }) => [
    { path: '/webhooks', query: { webhookId } },
    { path: '/webhooks', query: { connectionId, webhookId: own } },
  ],
  'GET /webhooks/topics': ({ connectionId }) => [{ path: '/webhooks/topics', query: { connectionId } }],
  'PATCH /webhooks/:id': ({ connectionId, webhookId }, { webhookId: own }) => [
    { path: `/webhooks/${webhookId}`, body: { name: 'Taken' } },
    { path: `/webhooks/${own}`, body: { connectionId, enabled: false } },
  ],
  'POST /webhooks/:id/rotate-secret': ({ connectionId, webhookId }, { webhookId: own }) => [
    { path: `/webhooks/${webhookId}/rotate-secret`, body: {} },
    { path: `/webhooks/${own}/rotate-secret`, body: { connectionId } },
  ],
};

/** How routes name what lies in a Klaviyo account: out of reach for whoever is connected to another one. */
const AT_KLAVIYO: Readonly<Record<string, (names: Names) => Try[]>> = {
  'POST /subscribe': ({ listId }) => [
    { path: '/subscribe', body: { profile: { email: 'mine@example.com' }, listId } },
    {
      path: '/subscribe',
      body: { profile: { email: 'mine@example.com' }, listIds: [listId], consent: { email: true } },
    },
  ],
  'GET /subscribe': ({ profileId, email, externalId }) => [
    { path: '/subscribe', query: { profileId } },
    { path: '/subscribe', query: { email } },
    { path: '/subscribe', query: { externalId } },
  ],
  'POST /profiles/search': ({ profileId, email }) => [
    { path: '/profiles/search', body: { profileId } },
    { path: '/profiles/search', body: { email } },
  ],
  'PATCH /update-contact': ({ profileId, email }) => [
    { path: '/update-contact', body: { profileId, profile: { title: 'Taken' } } },
    { path: '/update-contact', body: { email, addTags: ['taken'] } },
  ],
  'GET /update-contact': ({ profileId, email }) => [
    { path: '/update-contact', query: { profileId } },
    { path: '/update-contact', query: { email } },
  ],
  'POST /trigger-event': ({ profileId }) => [{ path: '/trigger-event', body: { event: { ...EVENT, profileId } } }],
  'GET /profiles/:id/events': ({ profileId }) => [
    { path: `/profiles/${profileId}/events` },
    { path: `/profiles/${profileId}/events`, query: { source: 'live' } },
  ],
  'GET /profiles': ({ listId, segmentId }) => [
    { path: '/profiles', query: { listId } },
    { path: '/profiles', query: { segmentId } },
  ],
  'GET /profiles/:id': ({ profileId }) => [
    { path: `/profiles/${profileId}` },
    { path: `/profiles/${profileId}`, query: { source: 'live' } },
  ],
  'GET /lists/:id/profiles': ({ listId }) => [{ path: `/lists/${listId}/profiles` }],
  'GET /segments/:id/profiles': ({ segmentId }) => [{ path: `/segments/${segmentId}/profiles` }],
  'GET /lists/:id': ({ listId }) => [
    { path: `/lists/${listId}` },
    { path: `/lists/${listId}`, query: { includeStats: 'true' } },
  ],
  'GET /lists/:id/history': ({ listId }) => [{ path: `/lists/${listId}/history` }],
  'POST /lists/:id/profiles': ({ listId, profileId }) => [
    { path: `/lists/${listId}/profiles`, body: { profileIds: [profileId] } },
  ],
  'DELETE /lists/:id/profiles': ({ listId, profileId }) => [
    { path: `/lists/${listId}/profiles`, query: { profileIds: profileId } },
  ],
  'GET /segments/:id': ({ segmentId }) => [{ path: `/segments/${segmentId}` }],
  'GET /segments/:id/history': ({ segmentId }) => [{ path: `/segments/${segmentId}/history` }],
  'GET /campaigns/:id': ({ campaignId }) => [
    { path: `/campaigns/${campaignId}` },
    { path: `/campaigns/${campaignId}`, query: { includeStats: 'true' } },
  ],
  'GET /campaigns/:id/history': ({ campaignId }) => [{ path: `/campaigns/${campaignId}/history` }],
};

/** Changing POSTs that remember answers under an `Idempotency-Key`. */
const REMEMBERED: Readonly<Record<string, (who: Person) => Try>> = {
  'POST /connect': ({ account }) => ({ path: '/connect', body: { privateApiKey: account.key } }),
  'POST /lists': () => ({ path: '/lists', body: { name: 'Same' } }),
  'POST /lists/:id/profiles': ({ listId }) => ({ path: `/lists/${listId}/profiles`, body: { profileIds: ['none!'] } }),
  'POST /subscribe': () => ({ path: '/subscribe', body: { profile: { email: 'same@example.com' } } }),
  'POST /sync': () => ({ path: '/sync', body: {} }),
  'POST /sync/:id/cancel': ({ syncId }) => ({ path: `/sync/${syncId}/cancel`, body: {} }),
  'POST /webhooks': () => ({ path: '/webhooks', body: { name: 'Same', topics: [TOPIC] } }),
  'POST /webhooks/:id/rotate-secret': ({ webhookId }) => ({ path: `/webhooks/${webhookId}/rotate-secret`, body: {} }),
  'POST /webhooks/events/:id/replay': ({ receivedId }) => ({ path: `/webhooks/events/${receivedId}/replay`, body: {} }),
  'POST /webhooks/events/replay': () => ({ path: '/webhooks/events/replay', body: { status: 'dead' } }),
  'POST /trigger-event': () => ({
    path: '/trigger-event',
    body: { event: { eventType: 'Same', eventData: {}, profile: { email: 'same@example.com' }, uniqueId: 'same' } },
  }),
};
/** POSTs that only read: nothing is remembered. */
const READING = new Set(['POST /profiles/search']);

const NEW_ID = /[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g;
const INSTANT = /\d{4}-\d\d-\d\dT[\d:.]+Z/g;
const OF_ONE_CALL = new Set(['date', 'x-request-id', 'content-length', 'x-ratelimit-remaining', 'x-ratelimit-reset']);
/** Klaviyo takes an event for whatever profile id, and so do we. */
const TAKEN = 'POST /trigger-event';

/** Told from the mirror alone, which Bob has not. */
const MIRROR_ONLY = new Set(['GET /profiles/tags']);

const methodOf = (route: string) => route.split(' ')[0] ?? '';

describe('somebody who holds the ids of another user', () => {
  let stage: IsolationStage;
  beforeAll(async () => {
    stage = await openIsolationStage();
  }, 60_000);
  afterAll(async () => {
    await stage.stop();
  });

  /** The answer without what tells two calls apart: its own id, and the ids that the caller itself sent. */
  const told = ({ status, headers, body }: Answered, names: Names) => {
    let text = JSON.stringify({ ...body, requestId: '<new>' });
    const sent = [...Object.values(names), ...Object.values(names.cursors)].filter((item) => typeof item === 'string');
    for (const name of sent) text = text.replaceAll(name, '<named>');
    text = text.replace(NEW_ID, '<new>').replace(INSTANT, '<instant>');
    const kept = [...headers].filter(([name]) => !OF_ONE_CALL.has(name));
    return { status, body: JSON.parse(text) as unknown, headers: kept };
  };

  it('has a case here for every route of the API', () => {
    expect(stage.walk.routes).toEqual(Object.keys(OURS).sort());
    expect(Object.keys(AT_KLAVIYO).filter((route) => !stage.walk.routes.includes(route))).toEqual([]);
    const byId = stage.walk.routes.filter((route) => route.includes('/:'));
    expect(byId.filter((route) => OURS[route]?.(UNKNOWN, stage.alice).length === 0)).toEqual([]);
    const remembering = stage.walk.routes.filter((route) => methodOf(route) === 'POST' && !READING.has(route));
    expect(remembering).toEqual(Object.keys(REMEMBERED).sort());
  });

  it.each(Object.keys(OURS))('is told by %s what an unknown id of ours is told, and changes nothing', async (route) => {
    const before = await stage.picture();
    await stage.sandbox.clearRequests(stage.bob.account.id);
    for (const who of [stage.alice, stage.carol])
      for (const as of ['service', 'user'] as const)
        for (const [index, attempt] of (OURS[route]?.(stage.theirs, who) ?? []).entries()) {
          const unknown = { route, path: '', ...OURS[route]?.(UNKNOWN, who)[index] };
          const answer = await stage.call(who, { route, ...attempt }, as);
          expect(answer.status).toBeGreaterThanOrEqual(400);
          expect(told(answer, stage.theirs)).toEqual(told(await stage.call(who, unknown, as), UNKNOWN));
        }
    expect(await stage.picture()).toEqual(before);
    expect(await stage.sandbox.requests(stage.bob.account.id)).toEqual([]);
  });

  it.each(Object.keys(AT_KLAVIYO))('is told by %s what an unknown id of Klaviyo’s is told', async (route) => {
    const before = await stage.picture();
    await stage.sandbox.clearRequests(stage.bob.account.id);
    for (const as of ['service', 'user'] as const)
      for (const [index, attempt] of (AT_KLAVIYO[route]?.(stage.theirs) ?? []).entries()) {
        const unknown = { route, path: '', ...AT_KLAVIYO[route]?.(UNKNOWN)[index] };
        const answer = await stage.call(stage.alice, { route, ...attempt }, as);
        expect(answer.status).toBeGreaterThanOrEqual(route === TAKEN ? 202 : 400);
        expect(told(answer, stage.theirs)).toEqual(told(await stage.call(stage.alice, unknown, as), UNKNOWN));
      }
    expect(await stage.picture()).toEqual(before);
    expect(await stage.sandbox.requests(stage.bob.account.id)).toEqual([]);
  });

  it('is refused on every route with the user’s own number, whether that user exists or not', async () => {
    const before = await stage.picture();
    for (const route of stage.walk.routes) {
      const path = route.replace(/^\S+ /, '').replace(':id', stage.theirs.eventId);
      for (const place of [
        'query',
        'header',
        ...(methodOf(route) === 'GET' || methodOf(route) === 'DELETE' ? [] : ['body']),
      ]) {
        const as = (userId: number): Attempt => ({
          route,
          path,
          ...(place === 'query' ? { query: { userId: String(userId) } } : {}),
          ...(place === 'header' ? { headers: { 'x-user-id': String(userId) } } : {}),
          ...(place === 'body' ? { body: { userId } } : {}),
        });
        const answer = await stage.call(stage.alice, as(stage.bob.userId), 'user');
        expect([route, place, answer.status, answer.body['code']]).toEqual([route, place, 403, 'USER_SCOPE_MISMATCH']);
        const nobody = await stage.call(stage.alice, as(987_654_321), 'user');
        expect(told(answer, UNKNOWN)).toEqual(told(nobody, UNKNOWN));
      }
    }
    expect(await stage.picture()).toEqual(before);
  });

  it.each(Object.keys(REMEMBERED))(
    'does not get the answer that %s keeps under another’s Idempotency-Key',
    async (route) => {
      const headers = { 'idempotency-key': 'the-same-key' };
      const remembered = (who: Person) => ({ path: '', ...REMEMBERED[route]?.(who) });
      await stage.call(stage.bob, { route, ...remembered(stage.bob), headers });
      const again = await stage.call(stage.bob, { route, ...remembered(stage.bob), headers });
      expect(again.headers.get('idempotency-replayed')).toBe('true');
      const before = await stage.picture();
      for (const who of [stage.alice, stage.carol]) {
        const attempt = { route, ...remembered(who) };
        const answer = await stage.call(who, { ...attempt, headers });
        expect(answer.headers.has('idempotency-replayed')).toBe(false);
        expect([200, 201, 202]).toContain(answer.status);
        const bobs = (again.body['event'] ??
          again.body['profile'] ??
          again.body['connection'] ??
          again.body['sync'] ??
          again.body['list'] ??
          again.body['webhook'] ?? { id: '<no id>' }) as { id: string };
        if (route !== 'POST /subscribe' || who === stage.alice)
          expect(JSON.stringify(answer.body)).not.toContain(bobs.id);
        // The user's own token is another caller than the service, for the same user.
        const own = await stage.call(who, { ...attempt, headers }, 'user');
        expect(own.headers.has('idempotency-replayed')).toBe(false);
      }
      const after = await stage.picture();
      expect((after as { rows: object }).rows).toEqual((before as { rows: object }).rows);
    },
  );

  it('sees none of it in lists of their own', async () => {
    for (const who of [stage.alice, stage.carol])
      for (const path of ['/connect', '/events', '/sync', '/webhooks', '/webhooks/events']) {
        const { status, body } = await stage.call(who, { route: `GET ${path}`, path });
        expect(status).toBe(200);
        const text = JSON.stringify(body);
        for (const hidden of [
          stage.theirs.connectionId,
          stage.theirs.eventId,
          stage.theirs.syncId,
          stage.theirs.webhookId,
          stage.theirs.receivedId,
        ])
          expect(text).not.toContain(hidden);
      }
    const history = await stage.call(stage.carol, {
      route: 'GET /update-contact',
      path: '/update-contact',
      query: { email: stage.theirs.email },
    });
    // The same person at the same Klaviyo account, but what Bob changed of them is Bob's.
    expect([history.status, history.body['history']]).toEqual([200, []]);
  });

  it('learns nothing that the names do not give their own user: they all work for Bob', async () => {
    for (const [route, attempts] of [...Object.entries(OURS), ...Object.entries(AT_KLAVIYO)]) {
      if (route === 'DELETE /connect' || route === 'DELETE /webhooks') continue;
      for (const attempt of attempts(stage.theirs, stage.bob)) {
        const { status, body } = await stage.call(stage.bob, { route, ...attempt });
        const works = MIRROR_ONLY.has(route) ? [false, 'NOT_SYNCED'] : [true, undefined];
        expect([route, attempt, status < 300, body['code']]).toEqual([route, attempt, ...works]);
      }
    }
    const { body } = await stage.call(stage.bob, {
      route: 'DELETE /connect',
      path: '/connect',
      query: { connectionId: stage.theirs.connectionId },
    });
    expect(body['disconnected']).toBe(1);
    // Who shares the account keeps theirs.
    const { body: left } = await stage.call(stage.carol, { route: 'GET /connect', path: '/connect' });
    expect(left['connected']).toBe(true);
  });
});
