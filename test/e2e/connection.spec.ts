import { randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { startApp, type RunningApp } from '../support/app';
import { startSandbox, type Sandbox, type SandboxAccount } from '../support/sandbox';

const BASE = '/api/v1/klaviyo';

describe('connections', () => {
  let sandbox: Sandbox;
  let app: RunningApp;
  let user = 1000;

  beforeAll(async () => {
    sandbox = await startSandbox();
    app = await startApp({ klaviyoUrl: sandbox.url, env: { KLAVIYO_MAX_RETRIES: '1', LOG_LEVEL: 'trace' } });
  });

  afterAll(async () => {
    await app.stop();
    await sandbox.stop();
  });

  beforeEach(() => {
    user++;
  });

  const post = (path: string, body: object) =>
    app.http.post(`${BASE}${path}`).set(app.asService).set('Accept-Language', 'en').send(body);
  const get = (path: string) => app.http.get(`${BASE}${path}`).set(app.asService).set('Accept-Language', 'en');
  const del = (path: string) => app.http.delete(`${BASE}${path}`).set(app.asService);
  const connect = (account: Pick<SandboxAccount, 'key'>, more: object = {}, userId = user) =>
    post('/connect', { userId, privateApiKey: account.key, ...more });
  const rows = (sql: string, params: unknown[]): Promise<Record<string, unknown>[]> =>
    app.app.get(DataSource).query(sql, params);

  it('keeps a good key sealed and answers the account without it', async () => {
    const account = await sandbox.createAccount({
      organizationName: 'Tea Shop',
      currency: 'EUR',
      timezone: 'Europe/Paris',
    });
    const answer = await connect(account, { label: 'Boutique' });
    expect(answer.status).toBe(201);
    expect(answer.body).toMatchObject({
      success: true,
      connection: {
        authKind: 'private_key',
        accountId: account.id,
        accountName: 'Tea Shop',
        publicApiKey: account.publicKey,
        label: 'Boutique',
        isDefault: true,
        status: 'active',
        maskedKey: `pk_…${account.key.slice(-4)}`,
        currency: 'EUR',
        timezone: 'Europe/Paris',
      },
    });
    expect(answer.body.connection.capabilities).toMatchObject({
      profiles: { read: 'ok', write: 'unknown' },
      campaigns: { read: 'ok', write: 'unknown' },
      webhooks: { read: 'plan_required', write: 'unknown' },
      subscriptions: { read: 'ok', write: 'unknown' },
      dataPrivacy: { write: 'unknown' },
    });
    expect(answer.body.warnings).toEqual(['WEBHOOKS_UNAVAILABLE']);
    expect(JSON.stringify(answer.body)).not.toContain(account.key.slice(3, 13));
    const [row] = await rows('SELECT * FROM connection WHERE user_id = $1', [user]);
    expect(JSON.stringify(row)).not.toContain(account.key.slice(3, 13));
  });

  it('answers under both addresses', async () => {
    const answer = await app.http.get(`/api/klaviyo/connect?userId=${user}`).set(app.asService);
    expect(answer.status).toBe(200);
    expect(answer.body).toEqual({ success: true, connected: false, connections: [] });
  });

  it('replaces the key of an account that is connected, and loses nothing else', async () => {
    const account = await sandbox.createAccount({ keys: [{}, {}] });
    const first = await connect(account, { label: 'Keep me' });
    const second = await connect({ key: account.keys[1]! });
    expect(second.status).toBe(200);
    expect(second.body.connection).toMatchObject({
      id: first.body.connection.id,
      label: 'Keep me',
      isDefault: true,
      maskedKey: `pk_…${account.keys[1]!.slice(-4)}`,
    });
  });

  it('stores nothing of a refused key', async () => {
    const answer = await connect({ key: 'pk_0123456789abcdefghijklmnopqrstuv' });
    expect(answer.status).toBe(401);
    expect(answer.headers['content-type']).toContain('application/problem+json');
    expect(answer.body).toMatchObject({ success: false, code: 'KLAVIYO_KEY_INVALID', status: 401 });
    expect((await get(`/connect?userId=${user}`)).body.connected).toBe(false);
  });

  it('says which scope a key lacks that may not read its account, and stores nothing', async () => {
    const account = await sandbox.createAccount({ keys: [{ scopes: ['lists:read'] }] });
    const answer = await connect(account);
    expect(answer.status).toBe(403);
    expect(answer.body).toMatchObject({ code: 'KLAVIYO_SCOPE_MISSING' });
    expect(JSON.stringify(answer.body)).toContain('accounts:read');
    expect((await get(`/connect?userId=${user}`)).body.connected).toBe(false);
  });

  it('warns of missing scopes and of a public key that is another account’s', async () => {
    const account = await sandbox.createAccount({ keys: [{ scopes: ['accounts:read', 'lists:read'] }] });
    const answer = await connect(account, { publicApiKey: 'ZZZZZZ' });
    expect(answer.status).toBe(201);
    expect(answer.body.warnings).toEqual(expect.arrayContaining(['PUBLIC_KEY_MISMATCH', 'SCOPES_MISSING']));
    expect(answer.body.connection).toMatchObject({ publicApiKey: account.publicKey });
    expect(answer.body.connection.capabilities).toMatchObject({
      lists: { read: 'ok' },
      profiles: { read: 'scope_missing' },
    });
  });

  it('keeps several accounts, one of them the default', async () => {
    const [one, two] = [await sandbox.createAccount(), await sandbox.createAccount()];
    const first = await connect(one);
    const second = await connect(two, { isDefault: true });
    expect(second.body.connection.isDefault).toBe(true);
    const list = (await get(`/connect?userId=${user}`)).body;
    expect(list.connections.map((item: { id: string; isDefault: boolean }) => [item.id, item.isDefault])).toEqual([
      [first.body.connection.id, false],
      [second.body.connection.id, true],
    ]);
    const gone = await del(`/connect?userId=${user}&connectionId=${second.body.connection.id}`);
    expect(gone.body).toEqual({ success: true, disconnected: 1, discardedEvents: 0 });
    const left = (await get(`/connect?userId=${user}`)).body.connections;
    expect(left).toHaveLength(1);
    expect(left[0]).toMatchObject({ id: first.body.connection.id, isDefault: true });
  });

  it('makes one connection of two requests at once', async () => {
    const account = await sandbox.createAccount({ limits: 'off' });
    const answers = await Promise.all([connect(account), connect(account)]);
    expect(answers.map((item) => item.status).sort()).toEqual([200, 201]);
    expect((await get(`/connect?userId=${user}`)).body.connections).toHaveLength(1);
  });

  it('disconnects everything of the user and of nobody else', async () => {
    const account = await sandbox.createAccount();
    const other = user + 500_000;
    await connect(account);
    await connect(account, {}, other);
    expect((await del(`/connect?userId=${user}`)).body.disconnected).toBe(1);
    expect((await get(`/connect?userId=${user}`)).body.connected).toBe(false);
    expect((await get(`/connect?userId=${other}`)).body.connected).toBe(true);
    const again = await del(`/connect?userId=${user}`);
    expect([again.status, again.body.code]).toEqual([404, 'CONNECTION_NOT_FOUND']);
  });

  it('answers another user’s connection exactly like an unknown one', async () => {
    const account = await sandbox.createAccount();
    const { id } = (await connect(account)).body.connection;
    const stranger = user + 600_000;
    for (const connectionId of [id, randomUUID()]) {
      const deleted = await del(`/connect?userId=${stranger}&connectionId=${connectionId}`);
      const patched = await app.http
        .patch(`${BASE}/connections/${connectionId}`)
        .set(app.asService)
        .send({ userId: stranger, label: 'mine' });
      expect([deleted.status, deleted.body.code]).toEqual([404, 'CONNECTION_NOT_FOUND']);
      expect([patched.status, patched.body.code]).toEqual([404, 'CONNECTION_NOT_FOUND']);
    }
    expect((await get(`/connect?userId=${user}`)).body.connections[0].label).toBeNull();
  });

  it('asks Klaviyo again at most once a minute, and tells of a key that was revoked', async () => {
    const account = await sandbox.createAccount();
    const { id } = (await connect(account)).body.connection;
    await rows(`UPDATE connection SET validation_started_at = now() - interval '2 minutes' WHERE id = $1`, [id]);
    await sandbox.patchAccount(account.id, { keys: [{ key: account.key, invalid: true }] });
    await sandbox.clearRequests(account.id);
    const [first, second] = [
      await get(`/connect?userId=${user}&validate=true`),
      await get(`/connect?userId=${user}&validate=true`),
    ];
    expect(first.body.connections[0].status).toBe('invalid');
    expect(second.body.connections[0].status).toBe('invalid');
    expect(await sandbox.requests(account.id, 'getAccounts')).toHaveLength(1);
  });

  it('takes no page of a gateway for a verdict on the key', async () => {
    const account = await sandbox.createAccount();
    const { id } = (await connect(account)).body.connection;
    await rows(`UPDATE connection SET validation_started_at = now() - interval '2 minutes' WHERE id = $1`, [id]);
    await sandbox.fault(account.id, { preset: '403-html', times: 'forever' });
    const answer = await get(`/connect?userId=${user}&validate=true`);
    expect(answer.status).toBe(200);
    expect(answer.body.connections[0].status).toBe('active');
  });

  it('revives a connection with a new key', async () => {
    const account = await sandbox.createAccount({ keys: [{}, {}] });
    const { id } = (await connect(account)).body.connection;
    await rows(`UPDATE connection SET status = 'invalid' WHERE id = $1`, [id]);
    const patched = await app.http
      .patch(`${BASE}/connections/${id}`)
      .set(app.asService)
      .send({ userId: user, privateApiKey: account.keys[1], label: 'New' });
    expect(patched.status).toBe(200);
    expect(patched.body.connection).toMatchObject({ status: 'active', label: 'New' });
  });

  it('refuses the key of another account for a connection', async () => {
    const [one, two] = [await sandbox.createAccount(), await sandbox.createAccount()];
    const { id } = (await connect(one)).body.connection;
    const answer = await app.http
      .patch(`${BASE}/connections/${id}`)
      .set(app.asService)
      .set('Accept-Language', 'fr')
      .send({ userId: user, privateApiKey: two.key });
    expect(answer.status).toBe(400);
    expect(answer.body.errors).toEqual([{ field: 'privateApiKey', message: 'appartient à un autre compte Klaviyo' }]);
  });

  it.each([
    [{ privateApiKey: 'sk_0123456789' }, 'privateApiKey'],
    [{ privateApiKey: 'pk_short' }, 'privateApiKey'],
    [{ privateApiKey: 12345678 }, 'privateApiKey'],
    [{}, 'privateApiKey'],
    [{ privateApiKey: 'pk_0123456789', isDefault: 'yes' }, 'isDefault'],
    [{ privateApiKey: 'pk_0123456789', label: 'x'.repeat(101) }, 'label'],
    [{ privateApiKey: 'pk_0123456789', apiKey: 'x' }, 'apiKey'],
  ])('refuses %o, naming the field and never the key', async (body, field) => {
    const answer = await post('/connect', { userId: user, ...body });
    expect(answer.status).toBe(400);
    expect(answer.body.code).toBe('VALIDATION_FAILED');
    expect(answer.body.errors.map((item: { field: string }) => item.field)).toEqual([field]);
    expect(JSON.stringify(answer.body)).not.toContain('0123456789');
  });

  it.each([
    ['500', 502, 'KLAVIYO_UNAVAILABLE'],
    ['html-200', 502, 'KLAVIYO_UNAVAILABLE'],
    ['403-html', 502, 'KLAVIYO_UNAVAILABLE'],
    ['401', 401, 'KLAVIYO_KEY_INVALID'],
    ['403-scope', 403, 'KLAVIYO_SCOPE_MISSING'],
  ])('answers Klaviyo’s %s while connecting with %i %s', async (preset, status, code) => {
    const account = await sandbox.createAccount();
    await sandbox.fault(account.id, { match: { operation: 'getAccounts' }, preset, times: 'forever' });
    const answer = await connect(account);
    expect([answer.status, answer.body.code]).toEqual([status, code]);
    expect((await get(`/connect?userId=${user}`)).body.connected).toBe(false);
  });

  it('shows the private key in no log line, at trace', () => {
    expect(app.logs.lines.length).toBeGreaterThan(0);
    expect(app.logs.text).not.toMatch(/pk_[A-Za-z0-9]{10}/);
  });
});
