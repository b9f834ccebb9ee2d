import { spawn } from 'node:child_process';
import { request } from 'node:http';
import type { Sandbox, SandboxAccount } from '../support/sandbox';
import { startSandbox } from '../support/sandbox';
import type { Answer, Document } from './sandbox-harness';
import { Caller } from './sandbox-harness';

let sandbox: Sandbox;
let account: SandboxAccount;

const KEY_HEADERS = (key: string, revision = '2026-07-15') => ({ authorization: `Klaviyo-API-Key ${key}`, revision });

async function call(path: string, init: Parameters<Caller['call']>[1] = {}): Promise<Answer> {
  return new Caller(sandbox, account.key).call(path, init);
}

beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(async () => {
  await sandbox.stop();
});
beforeEach(async () => {
  await sandbox.reset();
  await sandbox.clock({ offsetMs: 0, frozen: false });
  account = await sandbox.createAccount({ lists: 12, profiles: 5 });
});

describe('the program', () => {
  it('says one line when it listens, and ends when its parent is gone', async () => {
    const child = spawn(process.execPath, ['test/sandbox/main.ts', '--with-parent', '--demo'], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    let said = '';
    child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString('utf8')));
    await new Promise<void>((done) => child.stdout.once('data', () => done()));
    const ready = JSON.parse(said) as { ready: boolean; url: string; demo: { privateKey: string } };
    expect(ready).toMatchObject({
      ready: true,
      demo: { privateKey: expect.stringMatching(/^pk_demo_[A-Za-z0-9]{26}$/) },
    });
    const headers = { authorization: `Klaviyo-API-Key ${ready.demo.privateKey}`, revision: '2026-07-15' };
    const lists = (await (await fetch(`${ready.url}/api/lists`, { headers })).json()) as Document;
    expect([lists.data.length, typeof lists.links.next]).toEqual([10, 'string']);
    const gone = new Promise<number | null>((done) => child.once('exit', (code) => done(code)));
    child.stdin.destroy();
    expect(await gone).toBe(0);
    expect(said.trim().split('\n')).toHaveLength(1);
  });

  it('refuses to listen beyond loopback', async () => {
    const child = spawn(process.execPath, ['test/sandbox/main.ts', '--host', '0.0.0.0'], { stdio: 'ignore' });
    expect(await new Promise<number | null>((done) => child.once('exit', (code) => done(code)))).toBe(1);
  });
});

describe('who calls', () => {
  it('answers 401 not_authenticated without the scheme word, and carries no quota headers', async () => {
    const answer = await call('/api/accounts', { headers: { authorization: account.key } });
    expect(answer.status).toBe(401);
    expect(answer.json.errors[0]).toMatchObject({
      status: 401,
      code: 'not_authenticated',
      title: 'Authentication credentials were not provided.',
      detail: 'Missing or invalid authorization scheme. Please use Klaviyo-API-Key.',
      source: { pointer: '/data/' },
    });
    expect(answer.json.errors[0].id).toMatch(/^[0-9a-f-]{36}$/);
    expect(answer.headers.get('ratelimit-limit')).toBeNull();
  });

  it('answers 401 authentication_failed to an unknown and to a revoked key', async () => {
    const unknown = await call('/api/accounts', { headers: { authorization: 'Klaviyo-API-Key pk_unknown' } });
    expect(unknown.json.errors[0].code).toBe('authentication_failed');
    await sandbox.patchAccount(account.id, { keys: [{ key: account.key, invalid: true }] });
    expect((await call('/api/accounts')).status).toBe(401);
    await sandbox.patchAccount(account.id, { keys: [{ key: account.key, invalid: false }] });
    expect((await call('/api/accounts')).status).toBe(200);
  });

  it('answers an HTML page to a private key sent as a bearer token', async () => {
    const answer = await call('/api/accounts', { headers: { authorization: `Bearer ${account.key}` } });
    expect(answer.status).toBe(400);
    expect(answer.headers.get('content-type')).toContain('text/html');
  });

  it('answers 403 permission_denied with quota headers where a scope is missing', async () => {
    const narrow = await sandbox.createAccount({ keys: [{ scopes: ['accounts:read', 'list:read'] }], lists: 1 });
    const headers = KEY_HEADERS(narrow.key);
    expect((await call('/api/lists', { headers })).status).toBe(200);
    const refused = await call('/api/profiles', { headers });
    expect(refused.status).toBe(403);
    expect(refused.json.errors[0].code).toBe('permission_denied');
    expect(refused.headers.get('ratelimit-limit')).toBe('75, 75;w=1, 750;w=60');
  });
});

describe('revisions', () => {
  it('serves a retired revision as the oldest live one, and says 410 to who opted out', async () => {
    const fallen = await call('/api/lists', { headers: { revision: '2023-10-15' } });
    expect(fallen.status).toBe(200);
    expect(fallen.headers.get('content-type')).toBe('application/vnd.api+json');
    const log = await sandbox.requests(account.id, 'getLists');
    expect(log[0]).toMatchObject({ revision: '2023-10-15', effectiveRevision: '2025-01-15' });
    const headers = { revision: '2023-10-15', 'x-klaviyo-revision-fall-forward-opt-out': '1' };
    expect((await call('/api/lists', { headers })).status).toBe(410);
  });

  it('moves the fall-forward with the clock', async () => {
    await sandbox.clock({ now: '2027-02-01T00:00:00Z', frozen: true });
    await call('/api/lists', { headers: { revision: '2025-01-15' } });
    const [received] = await sandbox.requests(account.id, 'getLists');
    expect(received?.effectiveRevision).toBe('2025-04-15');
  });

  it('refuses a missing, a malformed and a future revision, unless the switch for a missing one is set', async () => {
    const bare = { authorization: `Klaviyo-API-Key ${account.key}` };
    const missing = await fetch(`${sandbox.url}/api/lists`, { headers: bare });
    expect(missing.status).toBe(400);
    expect((await call('/api/lists', { headers: { revision: 'latest' } })).status).toBe(400);
    expect((await call('/api/lists', { headers: { revision: '2029-01-15' } })).status).toBe(400);
    await sandbox.patchAccount(account.id, { revisions: { missing: 'oldest' } });
    expect((await fetch(`${sandbox.url}/api/lists`, { headers: bare })).status).toBe(200);
  });

  it('answers 404 for an endpoint younger than an honoured revision, and old media type and trailing slash there', async () => {
    await sandbox.patchAccount(account.id, { revisions: { timeMachine: true } });
    const headers = { revision: '2023-10-15' };
    expect((await call('/api/webhooks/', { headers })).status).toBe(404);
    const lists = await call('/api/lists/', { headers });
    expect(lists.headers.get('content-type')).toBe('application/json');
  });
});

describe('transport', () => {
  it('answers 415 to another media type, 405 to another method, 413 above 5 MB and 404 to no such path', async () => {
    const body = JSON.stringify({ data: { type: 'list', attributes: { name: 'A' } } });
    expect((await call('/api/lists', { method: 'POST', body, headers: { 'content-type': 'text/plain' } })).status).toBe(
      415,
    );
    expect((await call('/api/lists', { method: 'PATCH', body })).status).toBe(405);
    expect((await call('/api/nothing')).status).toBe(404);
    const big = JSON.stringify({ data: 'x'.repeat(5 * 1024 * 1024 + 1) });
    const headers = { 'content-type': 'application/vnd.api+json' };
    expect((await call('/api/profiles', { method: 'POST', body: big, headers })).status).toBe(413);
  });

  it('names the faulty place of a body by its pointer, unknown keys included', async () => {
    const body = JSON.stringify({ data: { type: 'list', attributes: { nam: 'A' } } });
    const answer = await call('/api/lists', { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    expect(answer.status).toBe(400);
    expect(answer.json.errors.map((error: Document) => error.source.pointer)).toEqual([
      '/data/attributes/name',
      '/data/attributes/nam',
    ]);
  });
});

describe('quota', () => {
  it('counts fixed windows per endpoint, refuses with Retry-After alone, and recovers with the clock', async () => {
    await sandbox.clock({ now: '2026-11-22T10:00:00.000Z', frozen: true });
    const first = await call('/api/accounts');
    expect(first.headers.get('ratelimit-limit')).toBe('1, 1;w=1, 15;w=60');
    expect(first.headers.get('ratelimit-remaining')).toBe('0');
    const second = await call('/api/accounts');
    expect(second.status).toBe(429);
    expect(second.headers.get('retry-after')).toBe('1');
    expect(second.headers.get('ratelimit-limit')).toBeNull();
    expect(second.json.errors[0]).toMatchObject({
      code: 'throttled',
      detail: 'Request was throttled. Expected available in 1 second.',
    });
    expect((await call('/api/lists')).status).toBe(200);
    await sandbox.clock({ advanceMs: 1000 });
    expect((await call('/api/accounts')).status).toBe(200);
  });

  it('keeps the minute: the sixteenth call of tier XS waits for the next one, whatever the phase', async () => {
    await sandbox.patchAccount(account.id, { windowPhaseMs: 20_000 });
    await sandbox.clock({ now: '2026-11-22T10:00:20.000Z', frozen: true });
    for (let n = 0; n < 15; n += 1) {
      expect((await call('/api/accounts')).status).toBe(200);
      await sandbox.clock({ advanceMs: 1000 });
    }
    const refused = await call('/api/accounts');
    expect(refused.headers.get('retry-after')).toBe('45');
  });

  it('shares one quota among the keys of an account, and none among accounts', async () => {
    await sandbox.clock({ now: '2026-11-22T10:00:00.000Z', frozen: true });
    await sandbox.patchAccount(account.id, { keys: [{ key: 'pk_second_key_of_the_account' }] });
    const other = await sandbox.createAccount();
    expect((await call('/api/accounts')).status).toBe(200);
    expect((await call('/api/accounts', { headers: KEY_HEADERS('pk_second_key_of_the_account') })).status).toBe(429);
    expect((await call('/api/accounts', { headers: KEY_HEADERS(other.key) })).status).toBe(200);
  });

  it('draws counts from a second, stricter bucket that endpoints share, and speaks of it in the headers', async () => {
    await sandbox.clock({ now: '2026-11-22T10:00:00.000Z', frozen: true });
    const id = (await call('/api/lists')).json.data[0].id as string;
    const counted = await call(`/api/lists/${id}?additional-fields[list]=profile_count`);
    expect(counted.json.data.attributes.profile_count).toEqual(expect.any(Number));
    expect(counted.headers.get('ratelimit-limit')).toBe('1, 1;w=1, 15;w=60');
    expect((await call(`/api/lists/${id}?additional-fields%5Blist%5D=profile_count`)).status).toBe(429);
    expect((await call(`/api/lists/${id}`)).status).toBe(200);
  });

  it('counts a 400 and lets another integration eat its share', async () => {
    await sandbox.clock({ now: '2026-11-22T10:00:59.999Z', frozen: true });
    await sandbox.patchAccount(account.id, { otherIntegration: { share: 0.5 } });
    const refused = await call('/api/campaigns');
    expect(refused.status).toBe(400);
    expect(Number(refused.headers.get('ratelimit-remaining'))).toBe(4);
  });
});

describe('faults', () => {
  it('plays a preset once, logs it, and then works again', async () => {
    await sandbox.fault(account.id, { preset: '429', retryAfter: 7, match: { operation: 'getLists' } });
    const refused = await call('/api/lists');
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([429, '7']);
    expect((await call('/api/lists')).status).toBe(200);
    const log = await sandbox.requests(account.id, 'getLists');
    expect(log.map(({ status, fault }) => [status, fault])).toEqual([
      [429, '429'],
      [200, undefined],
    ]);
    expect(JSON.stringify(log)).not.toContain(account.key);
    expect(log[0]?.headers.authorization).toBe(`…${account.key.slice(-4)}`);
  });

  it('drops the line before the answer, after having applied the write where asked', async () => {
    await sandbox.fault(account.id, { fault: { kind: 'applyThenReset' }, match: { method: 'POST' } });
    const body = JSON.stringify({ data: { type: 'list', attributes: { name: 'Appliquée' } } });
    const init = { method: 'POST', body, headers: { 'content-type': 'application/json' } };
    await expect(call('/api/lists', init)).rejects.toThrow();
    const kept = await sandbox.control<{ lists: { name: string }[] }>('GET', `/accounts/${account.id}/lists`);
    expect(kept.lists.filter(({ name }) => name === 'Appliquée')).toHaveLength(1);
    await sandbox.fault(account.id, { fault: { kind: 'reset' }, match: { method: 'POST' } });
    await expect(call('/api/lists', init)).rejects.toThrow();
    const after = await sandbox.control<{ lists: { name: string }[] }>('GET', `/accounts/${account.id}/lists`);
    expect(after.lists).toHaveLength(kept.lists.length);
  });

  it('truncates a document, hangs in the body, and answers HTML with 200', async () => {
    await sandbox.fault(account.id, { preset: 'truncated' });
    const cut = await fetch(`${sandbox.url}/api/lists`, { headers: KEY_HEADERS(account.key) });
    const text = await cut.text();
    expect(cut.status).toBe(200);
    expect(() => JSON.parse(text)).toThrow();
    await sandbox.fault(account.id, { preset: 'cut' });
    await expect(call('/api/lists')).rejects.toThrow();
    await sandbox.fault(account.id, { preset: 'html-200' });
    expect((await call('/api/lists')).headers.get('content-type')).toContain('text/html');
    await sandbox.fault(account.id, { preset: 'hang-body' });
    const first = await new Promise<string>((done, fail) => {
      const hung = request(`${sandbox.url}/api/lists`, { headers: KEY_HEADERS(account.key) }, (response) => {
        response.once('data', (chunk: Buffer) => {
          hung.destroy();
          done(chunk.toString('utf8'));
        });
      });
      hung.on('error', fail).end();
    });
    expect(first).toContain('{"data"');
  });

  it('replaces links.next and expires cursors', async () => {
    await sandbox.fault(account.id, { fault: { kind: 'nextLink', href: 'https://evil.example/api/lists' } });
    expect((await call('/api/lists')).json.links.next).toBe('https://evil.example/api/lists');
    const { next } = (await call('/api/lists')).json.links;
    await sandbox.fault(account.id, { fault: { kind: 'expireCursors' } });
    const path = next.slice(sandbox.url.length) as string;
    const expired = await call(path);
    expect(expired.json.errors[0].source).toEqual({ parameter: 'page[cursor]' });
    expect((await call(path)).status).toBe(200);
  });

  it('refuses a plan that it does not know, and forgets plans that are deleted', async () => {
    await expect(sandbox.fault(account.id, { preset: 'nonsense' })).rejects.toThrow(/one of/);
    await sandbox.fault(account.id, { preset: '500', times: 'forever' });
    expect((await call('/api/lists')).status).toBe(500);
    await sandbox.clearFaults(account.id);
    expect((await call('/api/lists')).status).toBe(200);
  });
});
