import { openBadInputStage, type BadInputStage, type Sent } from './bad-input-stage';

/** Texts of JSON that are no user. */
const IN_BODY = [
  '0',
  '-1',
  '1.5',
  '"abc"',
  '"12"',
  '9007199254740992',
  '9223372036854775808',
  '1e400',
  '-0',
  'null',
  'true',
  '""',
  '[]',
  '[505]',
  '{}',
  '{"$gt":0}',
];
const IN_TEXT = [
  '0',
  '-1',
  '1.5',
  'abc',
  '9007199254740992',
  '9223372036854775808',
  '1e3',
  '0x10',
  '+5',
  '05',
  ' 5',
  '5 ',
  '5,',
  '٣',
  'null',
  'NaN',
  '',
  "1' OR '1'='1",
];

/** What a route asks for in its query. */
const REQUIRED_IN_QUERY: Readonly<Record<string, readonly string[]>> = {
  'DELETE /lists/:id/profiles': ['profileIds'],
  'DELETE /webhooks': ['webhookId'],
};

describe('a user', () => {
  let stage: BadInputStage;
  let token: string;
  beforeAll(async () => {
    stage = await openBadInputStage(505);
    token = await stage.app.tokenFor(505);
  });
  afterAll(async () => {
    await stage.stop();
  });
  afterEach(async () => {
    expect(stage.alarms()).toEqual([]);
    expect(await stage.written()).toEqual([]);
  });

  const verdict = (answer: Sent) => [answer.status, answer.body.code, answer.body.errors?.map(({ field }) => field)];
  const MALFORMED = [400, 'VALIDATION_FAILED', ['userId']];
  const MISMATCH = [403, 'USER_SCOPE_MISMATCH', undefined];
  const MISSING = [400, 'USER_ID_REQUIRED', undefined];
  const hasBody = (route: string) => Object.hasOwn(stage.good, route);

  interface Given {
    body?: string;
    query?: string;
    header?: string | string[];
    token?: string;
  }

  /** A call that says its user in the places given, each as it is. */
  function call(route: string, given: Given): Promise<Sent> {
    const rest = JSON.stringify(stage.good[route] ?? {});
    const body = given.body === undefined ? rest : `{"userId":${given.body},${rest.slice(1)}`;
    return stage.raw({
      method: route.split(' ')[0] ?? '',
      path: `${stage.pathOf(route)}${given.query === undefined ? '' : `?${given.query}`}`,
      headers: {
        ...(given.header === undefined ? {} : { 'x-user-id': given.header }),
        ...(given.token === undefined ? {} : { authorization: `Bearer ${given.token}` }),
        ...(hasBody(route) ? { 'content-type': 'application/json' } : {}),
      },
      ...(hasBody(route) ? { body } : {}),
    });
  }

  it.each(IN_BODY)('of %s in a body is 400 on every route that has one', async (value) => {
    for (const route of Object.keys(stage.good)) {
      expect([route, ...verdict(await call(route, { body: value }))]).toEqual([route, ...MALFORMED]);
      // What is malformed is told before what does not match, and before what else is wrong.
      expect(verdict(await call(route, { body: value, query: 'userId=505', token }))).toEqual(MALFORMED);
    }
  });

  it.each(IN_TEXT)('of "%s" in a query or header is 400 on every route', async (value) => {
    for (const route of stage.walk.routes) {
      const query = `userId=${encodeURIComponent(value)}`;
      expect([route, ...verdict(await call(route, { query }))]).toEqual([route, ...MALFORMED]);
      // HTTP takes spaces around a header's value away, and header values are Latin-1.
      if (value.trim() !== value || value === '٣') continue;
      expect([route, ...verdict(await call(route, { header: value }))]).toEqual([route, ...MALFORMED]);
    }
  });

  it('that nobody names is 400 on every route but one, which needs none', async () => {
    for (const route of stage.walk.routes) {
      const answer = verdict(await call(route, {}));
      if (route === 'GET /trigger-event') expect(answer[0]).toBe(200);
      else expect([route, ...answer]).toEqual([route, ...MISSING]);
    }
  });

  it('of another number anywhere is 403 on every route', async () => {
    for (const route of stage.walk.routes) {
      const different: Given[] = [
        { query: 'userId=505&userId=506' },
        { header: '505, 506' },
        { query: 'userId=505', header: '506' },
        { query: 'userId=506', token },
        { header: '506', token },
        { query: 'userId[]=505', header: '506' },
      ];
      if (hasBody(route))
        different.push({ body: '505', query: 'userId=506' }, { body: '506', header: '505' }, { body: '506', token });
      for (const given of different) {
        const answer = verdict(await call(route, given));
        // `userId[]` is a parameter of another name; of what a route cannot do without, a query says nothing here.
        const fields = ['userId[]', ...(REQUIRED_IN_QUERY[route] ?? [])];
        const expected = given.query === 'userId[]=505' ? [400, 'VALIDATION_FAILED', fields] : MISMATCH;
        expect([route, given, answer]).toEqual([route, given, expected]);
      }
    }
  });

  it('of the same number everywhere is one user', async () => {
    for (const route of ['POST /profiles/search', 'GET /connect', 'GET /events']) {
      const body = hasBody(route) ? { body: '505' } : {};
      const query = 'userId=505&userId=505';
      const answer = await call(route, { ...body, query, header: '505, 505', token });
      expect([route, answer.status]).toEqual([route, 200]);
    }
  });

  it('of the largest number is a user like any other, and of one more is none', async () => {
    const route = 'GET /connect';
    expect((await call(route, { query: `userId=${Number.MAX_SAFE_INTEGER}` })).body['connected']).toBe(false);
    expect(verdict(await call(route, { query: 'userId=9007199254740992' }))).toEqual(MALFORMED);
    const search = await call('POST /profiles/search', { body: '9007199254740991' });
    expect(verdict(search).slice(0, 2)).toEqual([404, 'CONNECTION_NOT_FOUND']);
  });

  it.each(['0', '-1', '1.5', 'abc', '9007199254740992', ' 5', '', '05'])(
    'of "%s" in a token is nobody: 401',
    async (sub) => {
      const given = { token: await stage.app.tokenFor(sub) };
      for (const route of ['GET /connect', 'POST /connect'])
        expect(verdict(await call(route, given))).toEqual([401, 'UNAUTHENTICATED', undefined]);
    },
  );
});
