import { OddServer } from '../medium/klaviyo-harness';
import { startApp, type RunningApp } from '../support/app';
import { createDatabase, type TestDatabase } from '../support/database';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';

const API = '/api/v1/klaviyo';

interface Usage {
  operation: string;
  burst: number;
  steady: number;
  daily: number | null;
  used: number;
  otherUse: number;
  left: number;
  waiting: number;
  throttled: number;
  circuit: string;
  lastError: { code: string; at: string } | null;
}

/** Two replicas of the service on one database; Bob and Carol are connected to the same Klaviyo account. */
describe('how the quota stands', () => {
  let sandbox: Sandbox;
  let database: TestDatabase;
  let hook: OddServer;
  let account: SandboxAccount;
  const replicas: RunningApp[] = [];
  const BOB = 7;
  const CAROL = 8;
  const connections = new Map<number, string>();

  beforeAll(async () => {
    sandbox = await startSandbox();
    database = await createDatabase();
    hook = await OddServer.start((response) => response.writeHead(204).end());
    account = await sandbox.createAccount({ lists: 3, campaigns: 3, keys: [{ scopes: 'all' }, { scopes: 'all' }] });
    const env = { ALERT_WEBHOOK_URL: hook.url };
    for (let count = 0; count < 2; count += 1)
      replicas.push(await startApp({ klaviyoUrl: sandbox.url, database, env }));
    for (const [index, userId] of [BOB, CAROL].entries()) {
      const { body } = await ask(userId, 'post', '/connect', { privateApiKey: account.keys[index] });
      connections.set(userId, body.connection.id);
    }
  }, 60_000);
  afterAll(async () => {
    for (const replica of replicas) await replica.stop();
    await hook.stop();
    await database.drop();
    await sandbox.stop();
  });

  function ask(userId: number, method: 'get' | 'post' | 'patch', path: string, body?: object, replica = 0) {
    const { http, asService } = replicas[replica]!;
    const call = http[method](`${API}${path}`).set(asService).set('X-User-Id', String(userId));
    return body === undefined ? call : call.send(body);
  }

  async function usageOf(userId: number, replica = 0): Promise<Map<string, Usage>> {
    const { status, body } = await ask(
      userId,
      'get',
      `/connections/${connections.get(userId)!}/usage`,
      undefined,
      replica,
    );
    expect([status, body.success]).toEqual([200, true]);
    return new Map((body.usage as Usage[]).map((usage) => [usage.operation, usage]));
  }

  async function until<T>(read: () => Promise<T>, holds: (value: T) => boolean): Promise<T> {
    const deadline = Date.now() + 15_000;
    for (;;) {
      const value = await read();
      if (holds(value)) return value;
      if (Date.now() > deadline) throw new Error(`not in time: ${JSON.stringify(value)}`);
      await new Promise((done) => setTimeout(done, 100));
    }
  }

  it('is told for every endpoint and every second budget, with exactly what the contract names', async () => {
    const usage = await usageOf(BOB);
    expect(usage.size).toBeGreaterThan(40);
    expect([...usage.keys()]).toEqual([...usage.keys()].sort());
    for (const entry of usage.values())
      expect(Object.keys(entry)).toEqual([
        'operation',
        'burst',
        'steady',
        'daily',
        'used',
        'otherUse',
        'left',
        'waiting',
        'throttled',
        'circuit',
        'lastError',
      ]);
    expect(usage.get('campaignValuesReport')).toMatchObject({ burst: 1, steady: 2, daily: 225, left: 2, used: 0 });
    expect(usage.get('profile_count')).toMatchObject({ burst: 1, steady: 15, daily: null, circuit: 'closed' });
    expect(usage.get('getEvents')).toMatchObject({ burst: 350, steady: 3500, lastError: null });
  });

  it('counts the user’s own calls apart from those of others, over all replicas', async () => {
    const before = await usageOf(BOB);
    for (const replica of [0, 1, 1]) {
      const { status } = await ask(BOB, 'get', '/get-campaigns?source=live', undefined, replica);
      expect(status).toBe(200);
    }
    await ask(CAROL, 'get', '/get-campaigns?source=live', undefined, 1);
    const own = before.get('getCampaigns')!;
    // Each asks for archived and other campaigns apart.
    const mine = await until(
      async () => (await usageOf(BOB)).get('getCampaigns')!,
      ({ used, otherUse }) => used === own.used + 6 && otherUse === own.otherUse + 2,
    );
    expect(mine.left).toBe(150 - mine.used - mine.otherUse);
    const hers = (await usageOf(CAROL, 1)).get('getCampaigns')!;
    expect([hers.used, hers.otherUse]).toEqual([mine.otherUse, mine.used]);
  });

  it('tells of 429s, of what others were found to use, and of the last failure', async () => {
    await sandbox.fault(account.id, { preset: '429', retryAfter: 20, match: { operation: 'getLists' } });
    const answer = await ask(BOB, 'get', '/get-lists?source=live');
    expect([answer.status, answer.body.code]).toEqual([429, 'KLAVIYO_RATE_LIMITED']);
    expect(Number(answer.headers['retry-after'])).toBeGreaterThan(15);
    const mine = await until(
      async () => (await usageOf(BOB)).get('getLists')!,
      ({ left }) => left === 0,
    );
    expect(mine).toMatchObject({ throttled: 1, lastError: { code: 'KLAVIYO_RATE_LIMITED' } });
    expect(mine.otherUse).toBeGreaterThan(200);
    expect(Date.parse(mine.lastError!.at)).toBeGreaterThan(Date.now() - 60_000);
    const hers = (await usageOf(CAROL)).get('getLists')!;
    expect(hers).toMatchObject({ throttled: 0, left: 0, lastError: null });
    // The other replica knows of the pause without having asked Klaviyo.
    const sent = (await sandbox.requests(account.id, 'getLists')).length;
    const refused = await ask(CAROL, 'get', '/get-lists?source=live', undefined, 1);
    expect([refused.status, refused.body.code]).toEqual([429, 'KLAVIYO_RATE_LIMITED']);
    expect(await sandbox.requests(account.id, 'getLists')).toHaveLength(sent);
  });

  it('takes over the limits that Klaviyo names', async () => {
    const larger = await sandbox.createAccount({ lists: 1, limits: { default: { burst: 20, steady: 300 } } });
    const { body } = await ask(9, 'post', '/connect', { privateApiKey: larger.key });
    connections.set(9, body.connection.id);
    const usage = await until(
      () => usageOf(9, 1),
      (all) => all.get('getLists')?.steady === 300,
    );
    expect(usage.get('getLists')).toMatchObject({ burst: 20, steady: 300 });
  });

  it('is nobody else’s business', async () => {
    const path = `/connections/${connections.get(BOB)!}/usage`;
    const foreign = await ask(CAROL, 'get', path);
    const unknown = await ask(CAROL, 'get', '/connections/0190c7a0-0000-7000-8000-000000000000/usage');
    for (const answer of [foreign, unknown])
      expect([answer.status, answer.body.code]).toEqual([404, 'CONNECTION_NOT_FOUND']);
    const { http, asService } = replicas[0]!;
    expect((await http.get(`${API}${path}`)).status).toBe(401);
    expect((await http.get(`${API}${path}`).set(asService)).body.code).toBe('USER_ID_REQUIRED');
    const more = await ask(BOB, 'get', `${path}?connectionId=${connections.get(BOB)!}`);
    expect([more.status, more.body.errors[0].field]).toEqual([400, 'connectionId']);
    const unversioned = await http.get(`/api/klaviyo${path}`).set(asService).set('X-User-Id', String(BOB));
    expect(unversioned.status).toBe(200);
  });

  it('tells operators once of a key that Klaviyo refuses in mid-work, and again when a good one is there', async () => {
    await sandbox.patchAccount(account.id, { keys: [{ key: account.keys[1]!, invalid: true }] });
    const answers = await Promise.all(
      [0, 1, 0, 1].map((replica) => ask(CAROL, 'get', '/get-segments?source=live', undefined, replica)),
    );
    expect(new Set(answers.map(({ body }) => body.code))).toEqual(new Set(['KLAVIYO_KEY_INVALID']));
    const told = () =>
      hook.received
        .map(({ body }) => JSON.parse(body) as { type: string; data: Record<string, unknown> })
        .filter(({ type }) => type === 'connection.key_refused');
    await until(
      () => Promise.resolve(told()),
      (all) => all.length === 1,
    );
    expect(told()[0]).toMatchObject({
      severity: 'error',
      data: { userId: CAROL, connectionId: connections.get(CAROL), resolved: false },
    });
    expect((await usageOf(CAROL)).get('getSegments')?.lastError?.code).toBe('KLAVIYO_KEY_INVALID');
    await sandbox.patchAccount(account.id, { keys: [{ key: account.keys[1]!, invalid: false }] });
    const renewed = await ask(CAROL, 'post', '/connect', { privateApiKey: account.keys[1]! }, 1);
    expect(renewed.status).toBe(200);
    await until(
      () => Promise.resolve(told()),
      (all) => all.length === 2,
    );
    expect(told()[1]).toMatchObject({ data: { userId: CAROL, resolved: true } });
    expect(JSON.stringify(hook.received.map(({ body }) => body))).not.toContain(account.keys[1]!.slice(3, 13));
  });
});
