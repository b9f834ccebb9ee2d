import { inspect } from 'node:util';
import { AppError } from '../../src/common/errors';
import type { Document } from '../../src/klaviyo/json-api';
import type { KlaviyoAccess } from '../../src/klaviyo/klaviyo-access';
import type { KlaviyoAnswer, KlaviyoCall } from '../../src/klaviyo/klaviyo.client';
import { operations, type Operation } from '../../src/klaviyo/operations';
import { startSandbox, type Sandbox, type SandboxFault, type SandboxRequest } from '../support/sandbox';
import { accessTo, startClient, timed, type ClientUnderTest } from './klaviyo-harness';

const KEY = 'pk_f00dfacec0ffee1234567890abcdefabcd';
const TIMEOUT_MS = 1200;

let sandbox: Sandbox;
let under: ClientUnderTest;
let account: string;
let access: KlaviyoAccess;
let list: string;
let profile: string;

beforeAll(async () => {
  sandbox = await startSandbox();
  under = await startClient(sandbox.url, { KLAVIYO_TIMEOUT_MS: String(TIMEOUT_MS), KLAVIYO_MAX_RETRIES: '2' });
});

afterAll(async () => {
  await under.stop();
  await sandbox.stop();
});

beforeEach(async () => {
  const made = await sandbox.createAccount({ keys: [{ key: KEY }], lists: 1, profiles: 1, limits: 'huge' });
  account = made.id;
  access = accessTo(account, KEY);
  list = (await under.client.call<{ data: { id: string }[] }>(access, operations.getLists)).body.data[0]?.id ?? '';
  profile =
    (await under.client.call<{ data: { id: string }[] }>(access, operations.getProfiles)).body.data[0]?.id ?? '';
  await sandbox.clearRequests(account);
});

afterEach(async () => {
  await sandbox.control('DELETE', `/accounts/${account}`);
});

const getList = (call: KlaviyoCall = {}): Promise<KlaviyoAnswer<Document<{ name: string }>>> =>
  under.client.call(access, operations.getList, { path: { id: list }, ...call });

const createList = (name: string, call: KlaviyoCall = {}): Promise<KlaviyoAnswer<Document>> =>
  under.client.call(access, operations.createList, { body: { data: { type: 'list', attributes: { name } } }, ...call });

const upsert = (email: string): Promise<KlaviyoAnswer<Document>> =>
  under.client.call(access, operations.upsertProfile, {
    body: { data: { type: 'profile', attributes: { email } } },
  });

const event = (uniqueId: string): Promise<KlaviyoAnswer<undefined>> =>
  under.client.call(access, operations.createEvent, {
    body: {
      data: {
        type: 'event',
        attributes: {
          properties: { total: 1 },
          unique_id: uniqueId,
          metric: { data: { type: 'metric', attributes: { name: 'Fault Test' } } },
          profile: { data: { type: 'profile', attributes: { email: 'faults@example.com' } } },
        },
      },
    },
  });

/** The error of a call that must fail with one of ours. */
async function failure(work: Promise<unknown>): Promise<AppError> {
  const { error } = await timed(work);
  expect(error).toBeInstanceOf(AppError);
  return error as AppError;
}

const received = (): Promise<SandboxRequest[]> => sandbox.requests(account);
const preset = (name: string, more: Partial<SandboxFault> = {}): Promise<string> =>
  sandbox.fault(account, { preset: name, ...more });

async function listsNamed(name: string): Promise<number> {
  const filter = `equals(name,"${name}")`;
  const { body } = await under.client.call<{ data: unknown[] }>(access, operations.getLists, { query: { filter } });
  return body.data.length;
}

describe('what Klaviyo refuses', () => {
  const READ = operations.getList;
  const HOOKS = operations.getWebhookTopics;

  it.each<[string, Operation, string, number]>([
    ['401', READ, 'KLAVIYO_KEY_INVALID', 401],
    ['403-scope', READ, 'KLAVIYO_SCOPE_MISSING', 403],
    ['403-plan', HOOKS, 'KLAVIYO_PLAN_REQUIRED', 403],
    ['403-html', READ, 'KLAVIYO_UNAVAILABLE', 502],
    ['400-html', READ, 'KLAVIYO_UNAVAILABLE', 502],
    ['404', READ, 'LIST_NOT_FOUND', 404],
    ['409-duplicate', READ, 'PROFILE_CONFLICT', 409],
    ['409-bare', READ, 'CONFLICT', 409],
    ['410', READ, 'KLAVIYO_REVISION_RETIRED', 502],
    ['400', READ, 'KLAVIYO_REJECTED', 400],
    ['413', READ, 'KLAVIYO_REJECTED', 400],
    ['415', READ, 'KLAVIYO_REJECTED', 400],
  ])('is told as what it is, and not asked again: %s', async (name, operation, code, status) => {
    await preset(name, { times: 'forever' });
    const error = await failure(under.client.call(access, operation, { path: { id: list } }));
    expect(error).toMatchObject({ code, status });
    expect(await received()).toHaveLength(1);
  });

  it('gives the id of the profile that has the identifier already', async () => {
    await preset('409-duplicate');
    const error = await failure(
      under.client.call(access, operations.createProfile, {
        body: { data: { type: 'profile', attributes: { email: 'twice@example.com' } } },
      }),
    );
    expect(error.extra['profileIds']).toEqual(['01H0DUPLICATE0000000000000']);
  });

  it('is told from the real thing too: a profile that exists, an id that does not, a bad address', async () => {
    const create = (): Promise<unknown> =>
      under.client.call(access, operations.createProfile, {
        body: { data: { type: 'profile', attributes: { email: 'real@example.com' } } },
      });
    const { body } = (await create()) as KlaviyoAnswer<Document>;
    expect(await failure(create())).toMatchObject({ code: 'PROFILE_CONFLICT', extra: { profileIds: [body.data.id] } });
    const missing = under.client.call(access, operations.getList, { path: { id: 'NoSuch' } });
    expect(await failure(missing)).toMatchObject({ code: 'LIST_NOT_FOUND', params: { id: 'NoSuch' } });
    const bad = await failure(upsert('no-address-of-ours'));
    expect(bad).toMatchObject({ code: 'KLAVIYO_REJECTED', errors: [{ field: 'data.attributes.email' }] });
    expect(JSON.stringify(bad.errors)).not.toContain('no-address-of-ours');
  });

  it('tells listeners of a refused key once a call, and only when Klaviyo itself said so', async () => {
    const told: string[] = [];
    under.client.onKeyRefused((refused) => void told.push(refused.accountId));
    under.client.onKeyRefused(() => {
      throw new Error('a listener that fails spoils nothing');
    });
    await preset('403-html');
    await failure(getList());
    await sandbox.fault(account, { fault: { kind: 'status', status: 401, html: true, body: '<html>no</html>' } });
    expect((await failure(getList())).code).toBe('KLAVIYO_UNAVAILABLE');
    await sandbox.fault(account, { fault: { kind: 'status', status: 401, html: true, body: '' } });
    expect((await failure(getList())).code).toBe('KLAVIYO_UNAVAILABLE');
    expect(told).toEqual([]);
    await sandbox.patchAccount(account, { keys: [{ key: KEY, invalid: true }] });
    expect((await failure(getList())).code).toBe('KLAVIYO_KEY_INVALID');
    expect(told).toEqual([account]);
  });
});

describe('what may be over the next time', () => {
  it.each(['500', '502', '503', '504', 'reset', 'truncated', 'html-200'])(
    'is asked again where it is a read: %s',
    async (name) => {
      await preset(name, { times: 2 });
      expect((await getList()).body.data.id).toBe(list);
      expect(await received()).toHaveLength(3);
    },
  );

  it.each(['500', '502', '503', 'reset', 'truncated', 'html-200'])(
    'is given up after the last attempt: %s',
    async (name) => {
      await preset(name, { times: 'forever' });
      const error = await failure(getList());
      expect(error).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE', status: 502 });
      expect(error.retryAfter).toBeGreaterThanOrEqual(1);
      expect(await received()).toHaveLength(3);
    },
  );

  it.each(['500', '502', '503', 'reset', 'truncated', 'html-200'])(
    'is never asked again where the write may have been done: %s',
    async (name) => {
      await preset(name, { match: { method: 'POST' } });
      expect(await failure(createList(`once-${name}`))).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE' });
      expect(await received()).toHaveLength(1);
    },
  );

  it.each<[string, SandboxFault['fault']]>([
    ['the line drops', { kind: 'applyThenReset' }],
    ['a 502 comes back', { kind: 'applyThenStatus', status: 502 }],
  ])('does nothing twice when a write was done and then %s', async (_, fault) => {
    await sandbox.fault(account, { match: { method: 'POST' }, ...(fault ? { fault } : {}) });
    await failure(createList('applied once'));
    expect(await listsNamed('applied once')).toBe(1);

    await sandbox.fault(account, { match: { method: 'POST' }, ...(fault ? { fault } : {}) });
    expect((await upsert('applied-once@example.com')).status).toBe(200);
    const filter = 'equals(email,"applied-once@example.com")';
    const found = await under.client.call<{ data: unknown[] }>(access, operations.getProfiles, { query: { filter } });
    expect(found.body.data).toHaveLength(1);

    await sandbox.fault(account, { match: { method: 'POST' }, ...(fault ? { fault } : {}) });
    expect((await event('order-1')).status).toBe(202);
    const events = async (): Promise<unknown[]> =>
      (await under.client.call<{ data: unknown[] }>(access, operations.getEvents)).body.data;
    const until = Date.now() + 5000;
    while ((await events()).length === 0 && Date.now() < until) await new Promise((done) => setTimeout(done, 20));
    expect(await events()).toHaveLength(1);
  });

  it('repeats membership, which is the same twice', async () => {
    await sandbox.fault(account, { match: { method: 'POST' }, fault: { kind: 'applyThenReset' } });
    const body = { data: [{ type: 'profile', id: profile }] };
    const { status } = await under.client.call(access, operations.addProfilesToList, { path: { id: list }, body });
    expect(status).toBe(204);
  });

  it('tells listeners once when an account answers again', async () => {
    const told: string[] = [];
    under.client.onRecovered((accountId) => void told.push(accountId));
    await preset('503', { times: 3 });
    await failure(getList());
    expect(told).toEqual([]);
    await getList();
    await getList();
    expect(told).toEqual([account]);
  });
});

describe('silence', () => {
  it.each(['hang-headers', 'hang-body'])('ends each attempt in time and the call in its code: %s', async (name) => {
    await preset(name, { times: 'forever' });
    const { error, ms } = await timed(getList({ maxRetries: 1 }));
    expect(error).toMatchObject({ code: 'KLAVIYO_TIMEOUT', status: 504 });
    expect(ms).toBeGreaterThanOrEqual(2 * TIMEOUT_MS - 5);
    expect(ms).toBeLessThan(2 * TIMEOUT_MS + 1500);
    expect(await received()).toHaveLength(2);
  });

  it('ends a body that drips', async () => {
    await sandbox.fault(account, { fault: { kind: 'drip', bytesPerSecond: 20 }, times: 'forever' });
    const { error, ms } = await timed(getList({ maxRetries: 0 }));
    expect(error).toMatchObject({ code: 'KLAVIYO_TIMEOUT' });
    expect(ms).toBeLessThan(TIMEOUT_MS + 1500);
  });

  it('is over for a read that is answered the second time', async () => {
    await preset('hang-headers');
    expect((await getList()).status).toBe(200);
  });

  it('is not broken by a second write', async () => {
    await preset('hang-headers', { times: 'forever', match: { method: 'POST' } });
    expect(await failure(createList('silent'))).toMatchObject({ code: 'KLAVIYO_TIMEOUT' });
    expect(await received()).toHaveLength(1);
  });

  it('ends with the deadline, however long an attempt might take', async () => {
    await preset('hang-headers', { times: 'forever' });
    const { error, ms } = await timed(getList({ timeoutMs: 60_000, deadline: Date.now() + 500 }));
    expect(error).toMatchObject({ code: 'KLAVIYO_TIMEOUT' });
    expect(ms).toBeGreaterThanOrEqual(490);
    expect(ms).toBeLessThan(2000);
  });

  it('does not even begin when the deadline has passed', async () => {
    expect(await failure(getList({ deadline: Date.now() - 1 }))).toMatchObject({ code: 'KLAVIYO_TIMEOUT' });
    expect(await received()).toHaveLength(0);
  });
});

describe('a 429', () => {
  const gap = async (): Promise<number> => {
    const [first, second] = await received();
    return Date.parse(second?.at ?? '') - Date.parse(first?.at ?? '');
  };

  it('is waited out exactly as long as Klaviyo says', async () => {
    await preset('429', { retryAfter: 2 });
    expect((await getList()).status).toBe(200);
    expect(await gap()).toBeGreaterThanOrEqual(2000);
    expect(await gap()).toBeLessThan(2500);
  });

  it('of five seconds takes 5.0 to 5.5', async () => {
    await preset('429', { retryAfter: 5 });
    expect((await getList()).status).toBe(200);
    expect(await gap()).toBeGreaterThanOrEqual(5000);
    expect(await gap()).toBeLessThanOrEqual(5500);
  });

  it('was not done: a write that must not arrive twice goes again', async () => {
    await preset('429', { retryAfter: 1 });
    await createList('after throttling');
    expect(await listsNamed('after throttling')).toBe(1);
  });

  it.each(['429-no-retry-after', '429-garbage'])(
    'without a usable time waits a second and a little: %s',
    async (name) => {
      await preset(name);
      expect((await getList()).status).toBe(200);
      expect(await gap()).toBeGreaterThanOrEqual(1000);
      expect(await gap()).toBeLessThan(2000);
    },
  );

  it('that asks for more than the deadline allows is told at once, with its time', async () => {
    await preset('429', { retryAfter: 30, times: 'forever' });
    const { error, ms } = await timed(getList({ deadline: Date.now() + 10_000 }));
    expect(error).toMatchObject({ code: 'KLAVIYO_RATE_LIMITED', status: 429, retryAfter: 30 });
    expect(ms).toBeLessThan(1000);
    const next = await timed(getList({ deadline: Date.now() + 10_000 }));
    expect(next.error).toMatchObject({ code: 'KLAVIYO_RATE_LIMITED' });
    expect(await received()).toHaveLength(1);
  });

  it('that does not end is told after the last attempt', async () => {
    await preset('429', { retryAfter: 1, times: 'forever' });
    expect(await failure(getList())).toMatchObject({ code: 'KLAVIYO_RATE_LIMITED', retryAfter: 1 });
    expect(await received()).toHaveLength(3);
  });
});

describe('the private key', () => {
  const parts = Array.from({ length: KEY.length - 13 + 1 }, (_, index) => KEY.slice(3 + index, 13 + index));

  it('is in no error, however it is printed, and in no log line', async () => {
    const errors: unknown[] = [];
    const presets = [
      '401',
      '403-scope',
      '403-html',
      '404',
      '410',
      '500',
      '502',
      'reset',
      'truncated',
      'html-200',
      'hang-body',
    ];
    for (const name of presets) {
      await preset(name, { times: 'forever' });
      errors.push((await timed(getList({ maxRetries: 0 }))).error);
      await sandbox.clearFaults(account);
    }
    expect(errors.every((error) => error instanceof AppError)).toBe(true);
    const printed = [
      inspect(errors, { depth: 30, showHidden: true, getters: true }),
      JSON.stringify(errors),
      ...errors.map((error) => `${String(error)} ${(error as Error).stack ?? ''}`),
      inspect(under.logs.lines, { depth: 30, showHidden: true }),
      await under.metrics.registry.metrics(),
    ].join('\n');
    for (const part of parts) expect(printed).not.toContain(part);
    for (const error of errors) expect((error as Error).cause).toBeUndefined();
  });

  it('goes to Klaviyo in the one header', async () => {
    await getList();
    const [request] = await received();
    expect(request).toMatchObject({ status: 200, revision: '2026-07-15', path: `/api/lists/${list}` });
    expect(request?.headers['accept']).toBe('application/vnd.api+json');
    expect(request?.headers['user-agent']).toMatch(/^crealia-klaviyo-service\/\d+\.\d+\.\d+$/);
  });
});

describe('a line is logged for each attempt', () => {
  it('with its operation, status and whose it was, and nothing of query or body', async () => {
    under.logs.lines.length = 0;
    await preset('503');
    const filter = 'equals(email,"in-no-log@example.com")';
    await under.client.call(access, operations.getProfiles, { query: { filter } });
    const attempts = under.logs.lines.filter(
      ({ line }) => (line as { operation?: string }).operation === 'getProfiles',
    );
    expect(attempts).toMatchObject([
      { level: 'warn', line: { operation: 'getProfiles', status: 503, attempt: 1, path: '/api/profiles', userId: 42 } },
      { level: 'debug', line: { status: 200, attempt: 2, accountId: account, connectionId: '0197-test' } },
    ]);
    expect(inspect(under.logs.lines, { depth: 10 })).not.toContain('in-no-log');
    const metrics = await under.metrics.registry.metrics();
    expect(metrics).toMatch(/klaviyo_requests_total\{operation="getProfiles",outcome="failed"\} \d+/);
    expect(metrics).toMatch(/klaviyo_quota_used_total\{operation="getProfiles"\} \d+/);
  });
});
