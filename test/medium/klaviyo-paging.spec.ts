import { AppError } from '../../src/common/errors';
import { isCursorExpired } from '../../src/klaviyo/klaviyo-error';
import type { KlaviyoAccess } from '../../src/klaviyo/klaviyo-access';
import type { KlaviyoPage, PagesCall } from '../../src/klaviyo/klaviyo.client';
import { operations } from '../../src/klaviyo/operations';
import { startSandbox, type Sandbox } from '../support/sandbox';
import { accessTo, json, OddServer, startClient, timed, type ClientUnderTest } from './klaviyo-harness';

const KEY = 'pk_f00dfacec0ffee1234567890abcdefabcd';

let sandbox: Sandbox;
let under: ClientUnderTest;
let account: string;
let access: KlaviyoAccess;

beforeAll(async () => {
  sandbox = await startSandbox();
  under = await startClient(sandbox.url);
  account = (await sandbox.createAccount({ keys: [{ key: KEY }], lists: 37, profiles: 250, limits: 'huge' })).id;
  access = accessTo(account, KEY);
});

afterAll(async () => {
  await under.stop();
  await sandbox.stop();
});

beforeEach(async () => {
  await sandbox.clearFaults(account);
  await sandbox.clearRequests(account);
});

/** All pages, or those before the error. */
async function all(
  client: ClientUnderTest,
  call: PagesCall = {},
  operation = operations.getLists,
): Promise<{ pages: KlaviyoPage<unknown>[]; error: unknown }> {
  const pages: KlaviyoPage<unknown>[] = [];
  const { error } = await timed(
    (async () => {
      for await (const page of client.client.pages(access, operation, call)) pages.push(page);
    })(),
  );
  return { pages, error };
}

const ids = (pages: readonly KlaviyoPage<unknown>[]): string[] =>
  pages.flatMap(({ items }) => items.map(({ id }) => id));

describe('paging', () => {
  it('reads every row once, in pages of the largest size', async () => {
    const lists = await all(under);
    expect(lists.error).toBeUndefined();
    expect(lists.pages.map(({ items }) => items.length)).toEqual([10, 10, 10, 7]);
    expect(new Set(ids(lists.pages)).size).toBe(37);
    expect(lists.pages.at(-1)?.next).toBeNull();
    const profiles = await all(under, {}, operations.getProfiles);
    expect(profiles.pages.map(({ items }) => items.length)).toEqual([100, 100, 50]);
    expect(new Set(ids(profiles.pages)).size).toBe(250);
  });

  it('keeps filter, sort and size from page to page', async () => {
    const { pages } = await all(under, { query: { sort: '-created' }, pageSize: 40 }, operations.getProfiles);
    expect(pages.map(({ items }) => items.length)).toEqual([40, 40, 40, 40, 40, 40, 10]);
    const requests = await sandbox.requests(account);
    expect(requests).toHaveLength(7);
    for (const { query } of requests) expect(query).toContain('sort=-created');
  });

  it('starts again after a cursor given earlier', async () => {
    const whole = await all(under);
    const cursor = whole.pages[1]?.next ?? '';
    const rest = await all(under, { cursor });
    expect(ids(rest.pages)).toEqual(ids(whole.pages.slice(2)));
  });

  it('asks only for the pages that are wanted', async () => {
    for await (const page of under.client.pages(access, operations.getLists)) {
      expect(page.items).toHaveLength(10);
      break;
    }
    expect(await sandbox.requests(account)).toHaveLength(1);
  });

  it('tells an expired cursor by its name', async () => {
    const { pages } = await all(under);
    await sandbox.fault(account, { fault: { kind: 'expireCursors' } });
    const { error } = await all(under, { cursor: pages[0]?.next ?? '' });
    expect(error).toMatchObject({ code: 'KLAVIYO_REJECTED', status: 400, errors: [{ field: 'cursor' }] });
    expect(isCursorExpired(error)).toBe(true);
  });

  it('goes on after a fault in the middle', async () => {
    await sandbox.fault(account, { preset: '503', after: 2 });
    const { pages, error } = await all(under);
    expect(error).toBeUndefined();
    expect(new Set(ids(pages)).size).toBe(37);
  });

  it.each<[string, (own: string) => string]>([
    ['another host', () => 'https://evil.example.com/api/lists?page%5Bcursor%5D=x'],
    ['another host', (own) => `${own.replace('127.0.0.1', 'localhost')}/api/lists?page%5Bcursor%5D=x`],
    ['another host', (own) => `${own.replace('http:', 'https:')}/api/lists?page%5Bcursor%5D=x`],
    ['another host', (own) => `${own.replace('//', '//user:pass@')}/api/lists?page%5Bcursor%5D=x`],
    ['another host', (own) => `${own.replace(/:(\d+)$/, ':1')}/api/lists?page%5Bcursor%5D=x`],
    ['another endpoint', (own) => `${own}/api/profiles?page%5Bcursor%5D=x`],
    ['another endpoint', (own) => `${own}/api/lists/../profiles`],
    ['malformed', () => '/api/lists?page%5Bcursor%5D=x'],
    ['malformed', () => 'not an address'],
  ])('never follows a next page on %s, and leaves a security line', async (fault, href) => {
    under.logs.lines.length = 0;
    await sandbox.fault(account, { after: 1, fault: { kind: 'nextLink', href: href(sandbox.url) } });
    const { pages, error } = await all(under);
    expect(error).toBeInstanceOf(AppError);
    expect(error).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE', reason: `the next page of getLists is ${fault}` });
    expect(pages).toHaveLength(1);
    expect(await sandbox.requests(account)).toHaveLength(2);
    const warning = under.logs.lines.find(
      ({ line }) => (line as { event?: string }).event === 'klaviyo.cursor.refused',
    );
    expect(warning).toMatchObject({ level: 'warn', line: { operation: 'getLists', fault, accountId: account } });
    expect(JSON.stringify(warning)).not.toContain('cursor%5D');
  });

  it('refuses a kept cursor that leads elsewhere before anything is sent', async () => {
    const { error } = await all(under, { cursor: 'http://169.254.169.254/api/lists' });
    expect(error).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE' });
    expect(await sandbox.requests(account)).toHaveLength(0);
  });

  it.each([
    ['the same page', 1],
    ['a circle of three', 3],
  ])('ends when next leads to %s', async (_, circle) => {
    const server = await OddServer.start((response, n) =>
      json(response, 200, {
        data: [{ type: 'list', id: `L${n}`, attributes: {} }],
        links: { next: `${server.url}/api/lists?page%5Bcursor%5D=c${n % circle}` },
      }),
    );
    const client = await startClient(server.url);
    const { error } = await all(client);
    expect(error).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE', reason: 'the next page of getLists is a loop' });
    expect(server.received.length).toBeLessThanOrEqual(circle + 1);
    await client.stop();
    await server.stop();
  });

  it('never follows prev', async () => {
    const server = await OddServer.start((response) =>
      json(response, 200, {
        data: [],
        links: { next: null, prev: `${server.url}/api/lists?page%5Bcursor%5D=<Filters: x>` },
      }),
    );
    const client = await startClient(server.url);
    const { pages, error } = await all(client);
    expect(error).toBeUndefined();
    expect(pages).toEqual([{ items: [], included: [], next: null }]);
    expect(server.received).toHaveLength(1);
    await client.stop();
    await server.stop();
  });
});

describe('each configured revision', () => {
  it.each([
    ['2023-10-15', '2025-01-15', false],
    ['2025-01-15', '2025-01-15', false],
    ['2026-07-15', '2026-07-15', true],
  ])('%s is answered as %s', async (revision, effective, sized) => {
    const client = await startClient(sandbox.url, { KLAVIYO_API_REVISION: revision });
    const { pages, error } = await all(client);
    expect(error).toBeUndefined();
    expect(new Set(ids(pages)).size).toBe(37);
    const requests = await sandbox.requests(account);
    expect(requests).toHaveLength(4);
    for (const request of requests) {
      expect(request).toMatchObject({ revision, effectiveRevision: effective, status: 200 });
      expect(decodeURIComponent(request.query).includes('page[size]=10')).toBe(sized);
    }
    await client.stop();
  });

  it('sends what is younger than 2023-10-15 under the oldest live one that has it', async () => {
    const client = await startClient(sandbox.url, { KLAVIYO_API_REVISION: '2023-10-15' });
    const body = { data: { type: 'profile', attributes: { email: 'young@example.com' } } };
    const answer = await client.client.call(access, operations.upsertProfile, { body });
    expect(answer).toMatchObject({ status: 201, revision: '2025-01-15' });
    await client.stop();
  });
});

describe('the quota', () => {
  it('is kept against Klaviyo’s fixed windows: no 429 from the first call on', async () => {
    const made = await sandbox.createAccount({ keys: [{ key: `${KEY}0` }], lists: 5, windowPhaseMs: 370 });
    const own = accessTo(made.id, `${KEY}0`);
    const client = await startClient(sandbox.url);
    const deadline = Date.now() + 20_000;
    const calls = [
      ...Array.from({ length: 25 }, () => operations.getMetrics),
      ...Array.from({ length: 6 }, () => operations.getTags),
      ...Array.from({ length: 3 }, () => operations.getAccounts),
      ...Array.from({ length: 120 }, () => operations.getLists),
    ];
    await Promise.all(calls.map((operation) => client.client.call(own, operation, { deadline })));
    const statuses = (await sandbox.requests(made.id)).map(({ status }) => status);
    expect(statuses).toHaveLength(calls.length);
    expect(statuses.every((status) => status === 200)).toBe(true);
    await client.stop();
  });

  it('refuses at once what cannot start in time', async () => {
    const made = await sandbox.createAccount({ keys: [{ key: `${KEY}1` }] });
    const own = accessTo(made.id, `${KEY}1`);
    const deadline = Date.now() + 3000;
    const results = await Promise.all(
      [1, 2, 3, 4].map(() => timed(under.client.call(own, operations.getAccounts, { deadline }))),
    );
    const refused = results.filter(({ error }) => error !== undefined);
    expect(refused).toHaveLength(2);
    for (const { error, ms } of refused) {
      expect(error).toMatchObject({ code: 'KLAVIYO_RATE_LIMITED', status: 429 });
      expect((error as AppError).retryAfter).toBeGreaterThanOrEqual(4);
      expect(ms).toBeLessThan(1000);
    }
  });
});
