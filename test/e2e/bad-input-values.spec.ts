import { openBadInputStage, type BadInputStage, type Sent } from './bad-input-stage';

const SURROGATE = 'a\ud800b';
const ofLength = (length: number) => {
  const domain = `${'d'.repeat(60)}.${'d'.repeat(60)}.${'d'.repeat(60)}.example`;
  return `${'l'.repeat(length - domain.length - 1)}@${domain}`;
};

/** What Klaviyo takes as an address, and we with it. */
const EMAILS = [
  "o'brien@example.com",
  'jean+crealia@example.com',
  "o'brien+x_y-z@sub.example.co.uk",
  'zoë@exämple.com',
  '用户@例え.jp',
  'a@b.co',
  '!#$%&*+-/=?^_`{|}~@example.com',
  ofLength(254),
];
const NO_EMAILS = [
  '',
  ' ',
  'plain',
  '@example.com',
  'a@',
  'a@@example.com',
  'a b@example.com',
  ' a@example.com',
  'a@example.com ',
  '"quoted"@example.com',
  'o\'brien+x"@y.fr',
  'a\\b@example.com',
  'a@example',
  'a@-example.com',
  'a@exa mple.com',
  '.a@example.com',
  'a.@example.com',
  'a..b@example.com',
  'a@example..com',
  'a<b>@example.com',
  'a,b@example.com',
  'a\n@example.com',
  'a@example.com\u0000',
  `a${SURROGATE}@example.com`,
  'A <a@example.com>',
  ofLength(255),
  'x'.repeat(100_000),
];
const PHONES = ['+33612345678', '+12025550123', '+1234567', '+123456789012345'];
const NO_PHONES = [
  '',
  '0612345678',
  '33612345678',
  '+0612345678',
  '+33 6 12 34 56 78',
  '+33-612345678',
  '+33(0)612345678',
  '+3361234567890123',
  '+123456',
  '0033612345678',
  '+3361234567a',
  '+٣٣٦١٢٣٤٥٦٧٨',
  '+33612345678\n',
  'tel:+33612345678',
];

const nested = (levels: number): Record<string, unknown> => {
  const outermost: Record<string, unknown> = {};
  let node = outermost;
  for (let level = 1; level < levels; level++) node = node['a'] = {} as Record<string, unknown>;
  return outermost;
};
const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, at) => [`k${at}`, at]));

describe('a value', () => {
  let stage: BadInputStage;
  beforeAll(async () => {
    stage = await openBadInputStage();
  });
  afterAll(async () => {
    await stage.stop();
  });
  afterEach(() => {
    expect(stage.alarms()).toEqual([]);
  });

  /** Sends a text of JSON, so that what JavaScript cannot hold can be said. */
  const send = (route: string, json: string) => stage.send(route, `{"userId":${stage.userId},${json.slice(1)}`);
  const say = (route: string, body: object) => send(route, JSON.stringify(body));
  const fieldsOf = (answer: Sent) => [answer.status, answer.body.code, answer.body.errors?.map(({ field }) => field)];

  async function refused(answer: Sent, field: string): Promise<void> {
    expect(fieldsOf(answer)).toEqual([400, 'VALIDATION_FAILED', [field]]);
    expect(await stage.written()).toEqual([]);
  }

  const event = (more: object, eventData: object = {}) => ({
    event: { eventType: 'Tried', eventData, profile: { externalId: 'known' }, ...more },
  });

  describe.each([
    ['email', EMAILS, NO_EMAILS],
    ['phoneNumber', PHONES, NO_PHONES],
  ] as const)('of %s', (name, fine, wrong) => {
    it.each(fine.map((value) => [value]))('%j is taken, and reaches Klaviyo as it is', async (value) => {
      await stage.written();
      const subscribed = await say('POST /subscribe', { profile: { [name]: value } });
      expect([value, subscribed.status, subscribed.text]).toEqual([value, 201, expect.any(String)]);
      const profile = subscribed.body['profile'] as Record<string, unknown>;
      expect(profile[name]).toBe(name === 'email' ? value.toLowerCase() : value);
      const found = await say('POST /profiles/search', { [name]: value });
      expect((found.body['profile'] as { id: string }).id).toBe(profile['id']);
      const query = `userId=${stage.userId}&${name}=${encodeURIComponent(value)}`;
      expect((await stage.raw({ method: 'GET', path: `/subscribe?${query}` })).status).toBe(200);
      const triggered = await say('POST /trigger-event', event({ profile: { [name]: value } }));
      expect([triggered.status, (triggered.body['event'] as { status: string }).status]).toEqual([202, 'sent']);
      const changed = await say('PATCH /update-contact', { [name]: value, profile: { title: 'T' } });
      expect(changed.status).toBe(200);
      await stage.written();
    });

    it.each(wrong.map((value) => [value]))('%j is 400 naming the field, wherever it stands', async (value) => {
      await refused(await say('POST /subscribe', { profile: { [name]: value } }), `profile.${name}`);
      await refused(await say('POST /profiles/search', { [name]: value }), name);
      await refused(await say('PATCH /update-contact', { [name]: value, profile: { title: 'T' } }), name);
      const change = { externalId: 'known', profile: { [name]: value } };
      await refused(await say('PATCH /update-contact', change), `profile.${name}`);
      await refused(await say('POST /trigger-event', event({ profile: { [name]: value } })), `event.profile.${name}`);
      if (value.includes('\ud800') || value.length > 10_000) return;
      for (const path of ['/subscribe', '/update-contact']) {
        const query = `userId=${stage.userId}&${name}=${encodeURIComponent(value)}`;
        await refused(await stage.raw({ method: 'GET', path: `${path}?${query}` }), name);
      }
    });
  });

  describe.each<[string, (data: object) => [string, object], string, number]>([
    [
      'custom attributes',
      (data) => ['POST /subscribe', { profile: { externalId: 'known', customAttributes: data } }],
      'profile.customAttributes',
      201,
    ],
    [
      'changed attributes',
      (data) => ['PATCH /update-contact', { externalId: 'known', profile: { customAttributes: data } }],
      'profile.customAttributes',
      200,
    ],
    ['event data', (data) => ['POST /trigger-event', event({}, data)], 'event.eventData', 202],
  ])('of %s', (kind, place, field) => {
    const ask = (data: object) => say(...place(data));
    /** As `ask`, with a text of JSON as the data. */
    const askText = (json: string) => {
      const [route, body] = place({ here: 'MARK' });
      return send(route, JSON.stringify(body).replace('{"here":"MARK"}', json));
    };
    const taken = async (answer: Sent) => {
      expect([answer.status < 300, answer.text]).toEqual([true, expect.any(String)]);
      await stage.written();
    };

    it('is taken with 400 keys and refused with 401', async () => {
      await taken(await ask(keys(400)));
      await refused(await ask(keys(401)), field);
    });

    it('is taken on 10 levels and refused on 11, in objects and in arrays', async () => {
      await taken(await ask(nested(10)));
      await refused(await ask(nested(11)), field);
      await taken(await askText(`{"a":${'['.repeat(9)}1${']'.repeat(9)}}`));
      await refused(await askText(`{"a":${'['.repeat(10)}1${']'.repeat(10)}}`), field);
      const outer = field.split('.')[0] ?? '';
      await refused(await askText(`{"a":${'['.repeat(5000)}1${']'.repeat(5000)}}`), outer);
    });

    it('is refused with __proto__ and a constructor with a prototype, and taken with mere names', async () => {
      await refused(await askText('{"__proto__":{"x":1}}'), `${field}.__proto__`);
      await refused(await askText('{"a":{"__proto__":1}}'), `${field}.a.__proto__`);
      await refused(await askText('{"a":[{"\\u005f_proto__":1}]}'), `${field}.a[0].__proto__`);
      await refused(await askText('{"constructor":{"prototype":{"x":1}}}'), `${field}.constructor`);
      const names = { constructor: 'Renault', toString: 'a', valueOf: 'b', hasOwnProperty: 'c', then: 'd', length: 3 };
      await stage.sandbox.clearRequests(stage.account.id);
      expect((await ask(names)).status).toBeLessThan(300);
      const sent = JSON.stringify((await stage.sandbox.requests(stage.account.id)).map(({ body }) => body));
      for (const [name, value] of Object.entries(names))
        expect(sent).toContain(JSON.stringify({ [name]: value }).slice(1, -1));
      await stage.written();
    });

    it('is refused with what PostgreSQL cannot store, anywhere in it', async () => {
      for (const [json, path] of [
        ['{"a":"x\\u0000"}', '.a'],
        ['{"a":["\\ud800"]}', '.a[0]'],
        ['{"a":{"b":"\\udfff"}}', '.a.b'],
        ['{"a\\u0000":1}', ''],
        ['{"\\ud83d":1}', ''],
      ] as const)
        await refused(await askText(json), `${field}${path}`);
      await taken(await askText('{"a":"\\ud83d\\ude00 \\u0001\\u001f\\u007f\\ufffe\\u2028"}'));
    });

    it('is refused with a number that no double holds, instead of sending another', async () => {
      for (const [json, path] of [
        ['{"a":1e400}', '.a'],
        ['{"a":{"b":[1,-1e999]}}', '.a.b[1]'],
      ] as const)
        await refused(await askText(json), `${field}${path}`);
      await taken(await askText('{"a":1.7976931348623157e308,"b":-0,"c":5e-324,"d":1e-400}'));
    });

    it('is refused where it is not an object', async () => {
      for (const json of ['null', '[]', '"x"', '1', 'true']) await refused(await askText(json), field);
    });

    if (kind === 'event data')
      it('is taken with texts of 100 KB and arrays of 4,000, and refused beyond', async () => {
        await taken(await ask({ a: 'x'.repeat(100_000), b: Array(4000).fill(1) }));
        await refused(await ask({ a: 'x'.repeat(100_001) }), `${field}.a`);
        await refused(await ask({ a: { b: ['é'.repeat(50_001)] } }), `${field}.a.b[0]`);
        await refused(await ask({ a: Array(4001).fill(1) }), `${field}.a`);
      });
    else
      it('is refused when the whole profile is heavier than Klaviyo takes', async () => {
        await taken(await ask({ a: 'x'.repeat(90_000) }));
        await refused(await ask({ a: 'x'.repeat(110_000) }), 'profile');
        await refused(await ask({ tags: ['x'] }), `${field}.tags`);
      });
  });

  it.each<[string, object]>([
    ['event.eventType', { eventType: '' }],
    ['event.eventType', { eventType: ' ' }],
    ['event.eventType', { eventType: 'a\nb' }],
    ['event.eventType', { eventType: 'x'.repeat(128) }],
    ['event.eventType', { eventType: 'Opened Email' }],
    ['event.value', { value: '12' }],
    ['event.currency', { currency: 'EURO' }],
    ['event.currency', { currency: 'eur' }],
    ['event.time', { time: '2026-11-22' }],
    ['event.time', { time: '2026-02-30T00:00:00Z' }],
    ['event.time', { time: '1899-01-01T00:00:00Z' }],
    ['event.time', { time: '9999-01-01T00:00:00Z' }],
    ['event.time', { time: 1_700_000_000 }],
    ['event.uniqueId', { uniqueId: '' }],
    ['event.uniqueId', { uniqueId: 'x'.repeat(256) }],
    ['event.backfill', { backfill: 'yes' }],
    ['event.profileId', { profileId: "' OR 1=1", profile: undefined }],
    ['event.profile', { profile: {} }],
    ['event.profile.email', { profile: { email: ['a@example.com'] } }],
    ['event.profile.unknown', { profile: { email: 'a@example.com', unknown: 1 } }],
    ['event.unknown', { unknown: 1 }],
  ])('of %s that is wrong is 400 naming it: %j', async (field, more) => {
    await refused(await say('POST /trigger-event', event(more)), field);
  });

  it.each<[string, object]>([
    ['profile.tags', { profile: { externalId: 'k', tags: 'vip' } }],
    ['profile.tags', { profile: { externalId: 'k', tags: [''] } }],
    ['profile.tags', { profile: { externalId: 'k', tags: [1] } }],
    ['profile.tags', { profile: { externalId: 'k', tags: Array(201).fill('x') } }],
    ['profile.firstName', { profile: { externalId: 'k', firstName: 'x'.repeat(256) } }],
    ['profile.firstName', { profile: { externalId: 'k', firstName: null } }],
    ['profile.location', { profile: { externalId: 'k', location: 'Paris' } }],
    ['profile.location.latitude', { profile: { externalId: 'k', location: { latitude: 91 } } }],
    ['profile.location.unknown', { profile: { externalId: 'k', location: { unknown: 1 } } }],
    ['profile.subscriptions', { profile: { externalId: 'k', subscriptions: {} } }],
    ['profile', { profile: {} }],
    ['listId', { profile: { externalId: 'k' }, listId: 'no id' }],
    ['listIds', { profile: { externalId: 'k' }, listIds: [] }],
    ['listIds', { profile: { externalId: 'k' }, listIds: ['AAAAAA', 'AAAAAA'] }],
    ['consent.email', { profile: { email: 'k@example.com' }, consent: { email: false } }],
    ['consent.consentedAt', { profile: { email: 'k@example.com' }, consent: { email: true, consentedAt: 'now' } }],
  ])('of %s that is wrong is 400 naming it in a subscription: %j', async (field, body) => {
    await refused(await say('POST /subscribe', body), field);
  });

  it('of a number that no double holds is 400 naming it where a number belongs', async () => {
    const body = JSON.stringify(event({ value: 0 })).replace('"value":0', '"value":1e400');
    await refused(await send('POST /trigger-event', body), 'event.value');
  });
});
