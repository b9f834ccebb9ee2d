import type { Response } from 'supertest';
import type { SandboxAccount, SandboxFault } from '../support/sandbox';
import { send, setStage, type Stage } from './profiles-stage';

const DEADLINE_MS = 4000;

/** A user of their own with an account of their own, so that faults do not meet. */
interface Person {
  account: SandboxAccount;
  listId: string;
  otherListId: string;
  call(method: 'get' | 'post' | 'patch', path: string, input?: object): Promise<Response>;
  fault(path: string, fault: SandboxFault, method?: string): Promise<void>;
  /** Requests that Klaviyo received on a path, with their bodies. */
  received(path: string, method?: string): Promise<{ method: string; body: unknown; status: number }[]>;
  tagsOf(email: string): Promise<unknown>;
}

describe('people while Klaviyo is at fault', () => {
  let stage: Stage;
  let users = 100;
  beforeAll(async () => {
    stage = await setStage({
      env: { REQUEST_DEADLINE_MS: String(DEADLINE_MS), KLAVIYO_TIMEOUT_MS: '1000', KLAVIYO_MAX_RETRIES: '1' },
    });
  });
  afterAll(async () => {
    await stage.stop();
  });

  async function person(): Promise<Person> {
    const { sandbox, app } = stage;
    const userId = ++users;
    const account = await sandbox.createAccount({
      limits: 'huge',
      lists: [
        { name: 'One', optIn: 'single_opt_in' },
        { name: 'Two', optIn: 'single_opt_in' },
      ],
      // The unkind reading of what Klaviyo leaves open: an append that arrives twice adds twice.
      switches: { appendDuplicates: true },
    });
    const base = `/accounts/${account.id}`;
    await send(app, userId, 'post', '/connect', { privateApiKey: account.key });
    const { lists } = await sandbox.control<{ lists: { id: string; name: string }[] }>('GET', `${base}/lists`);
    await sandbox.clearRequests(account.id);
    return {
      account,
      listId: lists.find(({ name }) => name === 'One')?.id ?? '',
      otherListId: lists.find(({ name }) => name === 'Two')?.id ?? '',
      call: (method, path, input = {}) => send(app, userId, method, path, input),
      fault: async (path, fault, method) => {
        await sandbox.fault(account.id, { match: { path, ...(method === undefined ? {} : { method }) }, ...fault });
      },
      received: async (path, method) =>
        (await sandbox.requests(account.id)).filter(
          (request) => new RegExp(path).test(request.path) && (method === undefined || request.method === method),
        ),
      tagsOf: async (email) => {
        const query = `email=${encodeURIComponent(email)}`;
        const found = await sandbox.control<{ profiles: { properties: { tags?: unknown } }[] }>(
          'GET',
          `${base}/profiles?${query}`,
        );
        return found.profiles[0]?.properties.tags;
      },
    };
  }

  /** Every call answers in time, whatever Klaviyo does. */
  async function timed(work: Promise<Response>): Promise<Response> {
    const started = Date.now();
    const answer = await work;
    expect(Date.now() - started).toBeLessThan(DEADLINE_MS + 2000);
    return answer;
  }

  const FAULTS: [string, number, string][] = [
    ['401', 401, 'KLAVIYO_KEY_INVALID'],
    ['403-scope', 403, 'KLAVIYO_SCOPE_MISSING'],
    ['403-html', 502, 'KLAVIYO_UNAVAILABLE'],
    ['400', 400, 'KLAVIYO_REJECTED'],
    ['400-html', 502, 'KLAVIYO_UNAVAILABLE'],
    ['410', 502, 'KLAVIYO_REVISION_RETIRED'],
    ['429-no-retry-after', 429, 'KLAVIYO_RATE_LIMITED'],
    ['429-garbage', 429, 'KLAVIYO_RATE_LIMITED'],
    ['500', 502, 'KLAVIYO_UNAVAILABLE'],
    ['502', 502, 'KLAVIYO_UNAVAILABLE'],
    ['503', 502, 'KLAVIYO_UNAVAILABLE'],
    ['504', 502, 'KLAVIYO_UNAVAILABLE'],
    ['html-200', 502, 'KLAVIYO_UNAVAILABLE'],
    ['reset', 502, 'KLAVIYO_UNAVAILABLE'],
    ['hang-headers', 504, 'KLAVIYO_TIMEOUT'],
    ['hang-body', 504, 'KLAVIYO_TIMEOUT'],
    ['truncated', 502, 'KLAVIYO_UNAVAILABLE'],
  ];

  it.each(FAULTS)('answers %s with %i %s, in the same way everywhere', async (preset, status, code) => {
    const reads = await person();
    const writes = await person();
    const changes = await person();
    await reads.fault('/api/profiles', { preset, times: 'forever' });
    await writes.fault('/api/profile-import', { preset, times: 'forever' });
    const created = await changes.call('post', '/subscribe', { profile: { externalId: 'me', tags: ['a'] } });
    await changes.fault('/api/profiles/', { preset, times: 'forever' }, 'PATCH');
    const answers = await Promise.all([
      timed(reads.call('get', '/subscribe', { email: 'a@example.com' })),
      timed(writes.call('post', '/subscribe', { profile: { email: 'a@example.com', tags: ['a'] } })),
      timed(changes.call('patch', '/update-contact', { externalId: 'me', addTags: ['b'], profile: { title: 'T' } })),
    ]);
    expect(created.status).toBe(201);
    expect(answers.map((answer) => [answer.status, answer.body.code])).toEqual(answers.map(() => [status, code]));
    for (const { body, headers } of answers) {
      expect(headers['content-type']).toContain('application/problem+json');
      if (status === 429) expect(Number(headers['retry-after'])).toBeGreaterThanOrEqual(1);
      if (code === 'KLAVIYO_SCOPE_MISSING') expect(body.scopes).toEqual([expect.stringMatching(/^profiles:/)]);
      if (code === 'KLAVIYO_REJECTED')
        expect(body.errors[0].field).toBe(body === answers[0].body ? 'email' : 'profile');
    }
  });

  it('waits out a short 429 and then does the work once', async () => {
    const { call, fault, received } = await person();
    await fault('/api/profile-import', { preset: '429', retryAfter: 1 });
    const answer = await timed(call('post', '/subscribe', { profile: { email: 'a@example.com', tags: ['a'] } }));
    expect(answer.status).toBe(201);
    expect((await received('/profile-import')).map(({ status }) => status)).toEqual([429, 201]);
  });

  it('does not wait for a 429 that outlasts the deadline', async () => {
    const { call, fault } = await person();
    await fault('/api/profile-import', { preset: '429', retryAfter: 60 });
    const answer = await call('post', '/subscribe', { profile: { email: 'a@example.com' } });
    expect([answer.status, answer.body.code]).toEqual([429, 'KLAVIYO_RATE_LIMITED']);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(30);
  });

  it('asks nothing more with a refused key, and tells it the same way everywhere', async () => {
    const { call, fault, received } = await person();
    await fault('/api/profiles', { preset: '401' });
    await call('get', '/subscribe', { email: 'a@example.com' });
    const before = (await received('.')).length;
    const answers = await Promise.all([
      call('get', '/subscribe', { email: 'a@example.com' }),
      call('post', '/subscribe', { profile: { email: 'a@example.com' } }),
      call('patch', '/update-contact', { email: 'a@example.com', addTags: ['x'] }),
      call('get', '/update-contact', { email: 'a@example.com' }),
    ]);
    expect(answers.map(({ body }) => body.code)).toEqual(answers.map(() => 'KLAVIYO_KEY_INVALID'));
    expect((await received('.')).length).toBe(before);
  });

  it.each(['409-duplicate', '409-bare'])('creates after all when a %s was only a race', async (preset) => {
    const { call, fault, received } = await person();
    await fault('/api/profile-import', { preset });
    const answer = await call('post', '/subscribe', { profile: { email: 'a@example.com', tags: ['a'] } });
    expect([answer.status, answer.body.profile?.tags]).toEqual([201, ['a']]);
    expect(await received('/profile-import')).toHaveLength(2);
  });

  it.each([
    ['409-duplicate', 'PROFILE_CONFLICT'],
    ['409-bare', 'CONFLICT'],
  ])('gives up on a %s that stays', async (preset, code) => {
    const { call, fault, received } = await person();
    await fault('/api/profile-import', { preset, times: 'forever' });
    const answer = await call('post', '/subscribe', { profile: { email: 'a@example.com' } });
    expect([answer.status, answer.body.code]).toEqual([409, code]);
    expect((await received('/profile-import')).length).toBeLessThanOrEqual(3);
  });

  it.each(['applyThenReset', 'applyThenStatus'])(
    'adds no tag twice when the answer to an update is lost (%s)',
    async (kind) => {
      const { call, fault, received, tagsOf } = await person();
      await call('post', '/subscribe', { profile: { email: 'a@example.com', tags: ['a'] } });
      await fault('/api/profiles/', { fault: { kind, status: 500 } }, 'PATCH');
      const change = { email: 'a@example.com', addTags: ['b', 'c'], profile: { title: 'T' } };
      const answer = await timed(call('patch', '/update-contact', change));
      expect(answer.status).toBe(200);
      expect(answer.body.profile.tags).toEqual(['a', 'b', 'c']);
      expect(answer.body.changes).toEqual([
        { field: 'title', from: null, to: 'T' },
        { field: 'tags', from: ['a'], to: ['a', 'b', 'c'] },
      ]);
      expect(await tagsOf('a@example.com')).toEqual(['a', 'b', 'c']);
      expect(JSON.stringify((await received('/api/profiles/', 'PATCH'))[1]?.body)).not.toContain('append');
    },
  );

  it('adds no tag twice when the answer to a creation is lost', async () => {
    const { call, fault, tagsOf } = await person();
    await fault('/api/profile-import', { fault: { kind: 'applyThenReset' } });
    const answer = await timed(call('post', '/subscribe', { profile: { email: 'a@example.com', tags: ['a', 'b'] } }));
    expect([200, 201]).toContain(answer.status);
    expect(await tagsOf('a@example.com')).toEqual(['a', 'b']);
  });

  it('sends no second subscribe job when the answer to the first is lost', async () => {
    const { call, fault, received, listId } = await person();
    await fault('subscription-bulk-create-jobs', { fault: { kind: 'applyThenReset' } });
    const input = { profile: { email: 'a@example.com' }, listId, consent: { email: true } };
    const answer = await timed(call('post', '/subscribe', input));
    expect(answer.status).toBe(201);
    expect(answer.body.lists).toEqual([{ id: listId, name: 'One', status: 'failed', code: 'KLAVIYO_UNAVAILABLE' }]);
    expect(answer.body).not.toHaveProperty('subscription');
    expect(await received('subscription-bulk-create-jobs')).toHaveLength(1);
  });

  it('reports a list that fails once the profile is written, and goes on with the others', async () => {
    const { call, fault, listId, otherListId } = await person();
    await fault(`/api/lists/${listId}/relationships`, { preset: '500', times: 'forever' });
    const input = { profile: { email: 'a@example.com' }, listIds: [listId, otherListId] };
    const answer = await timed(call('post', '/subscribe', input));
    expect(answer.status).toBe(201);
    expect(answer.body.lists).toEqual([
      { id: listId, name: 'One', status: 'failed', code: 'KLAVIYO_UNAVAILABLE' },
      { id: otherListId, name: 'Two', status: 'added' },
    ]);
  });

  it('writes nothing while lists cannot be checked', async () => {
    const { call, fault, received, listId } = await person();
    await fault('/api/lists/', { preset: '500', times: 'forever' });
    const answer = await timed(call('post', '/subscribe', { profile: { email: 'a@example.com' }, listId }));
    expect([answer.status, answer.body.code]).toEqual([502, 'KLAVIYO_UNAVAILABLE']);
    expect(await received('/profile-import')).toEqual([]);
  });

  it('fails a consent without a list as a call, since there is no list to report it by', async () => {
    const { call, fault } = await person();
    await fault('subscription-bulk-create-jobs', { preset: '403-scope' });
    const input = { profile: { email: 'a@example.com' }, consent: { email: true } };
    const answer = await call('post', '/subscribe', input);
    expect([answer.status, answer.body.code]).toEqual([403, 'KLAVIYO_SCOPE_MISSING']);
    expect(answer.body.scopes).toContain('subscriptions:write');
    const { body } = await call('get', '/connect');
    expect(body.connections[0].capabilities).toMatchObject({
      profiles: { write: 'ok' },
      subscriptions: { write: 'scope_missing' },
      lists: { write: 'unknown' },
    });
  });

  it('remembers what an update did although a list then failed, and the same call does the rest', async () => {
    const { call, fault, listId } = await person();
    await call('post', '/subscribe', { profile: { email: 'a@example.com' } });
    await fault(`/api/lists/${listId}/relationships`, { preset: '500', times: 2 });
    const change = { email: 'a@example.com', profile: { title: 'T' }, addListIds: [listId] };
    const failed = await timed(call('patch', '/update-contact', change));
    expect([failed.status, failed.body.code]).toEqual([502, 'KLAVIYO_UNAVAILABLE']);
    const rest = await timed(call('patch', '/update-contact', change));
    expect(rest.status).toBe(200);
    const { body } = await call('get', '/update-contact', { email: 'a@example.com' });
    const fields = body.history.map((entry: { changes: { field: string }[] }) =>
      entry.changes.map((item) => item.field),
    );
    expect(fields).toEqual([['lists'], ['title']]);
  });

  it("names the caller's field for what Klaviyo refuses, without a person's data", async () => {
    const { call } = await person();
    // Klaviyo wants a top-level domain of letters; we leave that to it.
    const email = 'someone.secret@example.12';
    const created = await call('post', '/subscribe', { profile: { email } });
    expect([created.status, created.body.code]).toEqual([400, 'KLAVIYO_REJECTED']);
    expect(created.body.errors).toEqual([{ field: 'profile.email', message: expect.any(String) }]);
    await call('post', '/subscribe', { profile: { externalId: 'me' } });
    const changed = await call('patch', '/update-contact', { externalId: 'me', profile: { email } });
    expect(changed.body.errors).toEqual([{ field: 'profile.email', message: expect.any(String) }]);
    expect(JSON.stringify([created.body, changed.body])).not.toContain('secret');
    expect(stage.app.logs.text).not.toContain('someone.secret');
  });

  it('answers 404 when the person vanishes between the reading and the writing', async () => {
    const { call, fault } = await person();
    await call('post', '/subscribe', { profile: { externalId: 'me' } });
    await fault('/api/profiles/', { preset: '404' }, 'PATCH');
    const answer = await call('patch', '/update-contact', { externalId: 'me', profile: { title: 'T' } });
    expect([answer.status, answer.body.code]).toEqual([404, 'PROFILE_NOT_FOUND']);
  });

  it('logs neither a key nor a person', async () => {
    const { call, account } = await person();
    await call('post', '/subscribe', { profile: { email: 'hidden.person@example.com', tags: ['a'] } });
    await call('get', '/subscribe', { email: 'hidden.person@example.com' });
    await call('patch', '/update-contact', { email: 'hidden.person@example.com', profile: { lastName: 'Hiddenname' } });
    const { text } = stage.app.logs;
    for (const secret of ['hidden.person', 'Hiddenname', account.key.slice(5, 15)]) expect(text).not.toContain(secret);
  });
});
