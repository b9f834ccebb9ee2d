import { createHmac, randomUUID } from 'node:crypto';
import { DataSource } from 'typeorm';
import { AppError, STATUS_OF, type ErrorCode } from '../../src/common/errors';
import { en } from '../../src/common/messages.en';
import { fr } from '../../src/common/messages.fr';
import { UserScopeGuard } from '../../src/auth/user-scope.guard';
import { SubscribeService } from '../../src/profiles/subscribe.service';
import { WebhookSecrets } from '../../src/webhooks/webhooks.secrets';
import { startApp, type RunningApp } from '../support/app';
import { startSandbox, type Sandbox, type SandboxAccount, type SandboxFault } from '../support/sandbox';
import { API } from '../support/walk';

/** Codes of features that are not there: nothing that can be called gives them. Each goes from here with its feature. */
const NOT_REACHABLE: Partial<Record<ErrorCode, string>> = {
  IMPORT_NOT_FOUND: 'imports are not built',
};

const USER = 606;
const PUBLIC_BASE_URL = 'https://hooks.crealia.test';
const HOOK = '01PROBLEMHOOK0000000000000';
const SECRET = 'a-secret-of-some-length-0123456789';
const JSON_TYPE = { 'content-type': 'application/json' };

interface Sent {
  method?: string;
  path: string;
  body?: string | object;
  headers?: Record<string, string>;
  /** Another service than the one with everything at its default. */
  at?: 'guarded';
}

interface Provoked {
  /** What leads to it, each time anew. */
  before?: () => Promise<unknown>;
  sent: Sent;
  /** What fills the sentence. */
  params?: Record<string, string | RegExp>;
  /** The fields that are named. */
  fields?: string[];
}

describe('problems', () => {
  let sandbox: Sandbox;
  let account: SandboxAccount;
  let app: RunningApp;
  let guarded: RunningApp;
  beforeAll(async () => {
    sandbox = await startSandbox();
    account = await sandbox.createAccount({ limits: 'huge', lists: 1 });
    const env = { REQUEST_DEADLINE_MS: '1500', KLAVIYO_TIMEOUT_MS: '300', KLAVIYO_MAX_RETRIES: '0', PUBLIC_BASE_URL };
    app = await startApp({ klaviyoUrl: sandbox.url, env });
    guarded = await startApp({
      env: {
        REQUIRE_HTTPS: 'true',
        INTERNAL_CIDRS: '10.0.0.0/8',
        TRUST_PROXY: '1',
        THROTTLE_LIMIT: '1',
        JWT_SECRET: undefined,
        JWT_JWKS_URL: 'http://127.0.0.1:9/jwks.json',
        JWT_AUDIENCE: 'crealia',
      },
    });
    await send({ method: 'POST', path: '/connect', body: { userId: USER, privateApiKey: account.key } });
  });
  afterAll(async () => {
    jest.restoreAllMocks();
    await Promise.all([app.stop(), guarded.stop()]);
    await sandbox.stop();
  });
  afterEach(async () => {
    await sandbox.clearFaults(account.id);
  });

  async function send({ method = 'GET', path, body, headers = {}, at }: Sent): Promise<Response> {
    const service = at === 'guarded' ? guarded : app;
    const isOurs = path.startsWith('/api') || path === '/';
    return fetch(`${service.url}${isOurs ? path : `${API}${path}`}`, {
      method,
      headers: { ...service.asService, ...(body === undefined ? {} : JSON_TYPE), ...headers },
      ...(body === undefined ? {} : { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    });
  }

  const spoiled = (operation: string, fault: SandboxFault) => () =>
    sandbox.fault(account.id, { match: { operation }, times: 'forever', ...fault });
  const of = (path: string): Sent => ({ path: `${path}${path.includes('?') ? '&' : '?'}userId=${USER}` });
  const post = (path: string, body: object, headers: Record<string, string> = {}): Sent => ({
    method: 'POST',
    path: `${path}?userId=${USER}`,
    body,
    headers,
  });
  const subscribe = post('/subscribe', { profile: { email: 'a@example.com' } });
  const webhook = { name: 'Hook', topics: ['event:klaviyo.opened_email'] };
  const key = () => randomUUID();

  const signed = (body: string) => ({
    'klaviyo-webhook-id': HOOK,
    'klaviyo-timestamp': 'now',
    'klaviyo-signature': createHmac('sha256', SECRET).update(`${body}now`).digest('hex'),
  });
  /** A webhook as it stands after its creation. */
  const hooked = async () => {
    const [id, source] = [randomUUID(), app.app.get(DataSource)];
    const sealed = await app.app.get(WebhookSecrets, { strict: false }).seal(USER, id, SECRET);
    await source.query('DELETE FROM webhook WHERE klaviyo_webhook_id = $1', [HOOK]);
    await source.query(
      `INSERT INTO webhook (user_id, id, connection_id, klaviyo_webhook_id, name, topics, delivery, status, sealed_secret)
       SELECT user_id, $2, id, $3, 'Hook', '{}', 'push', 'active', $4 FROM connection WHERE user_id = $1`,
      [USER, id, HOOK, sealed],
    );
  };

  const provoked: Partial<Record<ErrorCode, () => Provoked>> = {
    VALIDATION_FAILED: () => ({
      sent: post('/subscribe', { profile: { email: 'x', location: { latitude: 91 } }, listIds: ['!'], more: 1 }),
      fields: ['more', 'profile.email', 'profile.location.latitude', 'listIds'],
    }),
    USER_ID_REQUIRED: () => ({ sent: { path: '/get-lists?name=x' } }),
    MALFORMED_JSON: () => ({ sent: { ...subscribe, body: '{"profile":' } }),
    KLAVIYO_REJECTED: () => ({
      before: spoiled('createOrUpdateProfile', { preset: '400' }),
      sent: subscribe,
      fields: ['profile'],
    }),
    UNAUTHENTICATED: () => ({ sent: { ...of('/get-lists'), headers: { Authorization: '' } } }),
    KLAVIYO_KEY_INVALID: () => ({ sent: post('/connect', { privateApiKey: 'pk_0123456789abcdef' }) }),
    USER_SCOPE_MISMATCH: () => ({ sent: { ...of('/get-lists'), headers: { 'x-user-id': '607' } } }),
    KLAVIYO_SCOPE_MISSING: () => ({
      before: spoiled('getLists', { preset: '403-scope' }),
      sent: of('/get-lists'),
      params: { scopes: 'lists:read' },
    }),
    ORIGIN_NOT_ALLOWED: () => ({ sent: { ...of('/get-lists'), headers: { origin: 'https://evil.example' } } }),
    HTTPS_REQUIRED: () => ({ sent: { ...of('/get-lists'), at: 'guarded' } }),
    CONNECTION_NOT_FOUND: () => ({ sent: { path: '/get-lists?userId=608' } }),
    PROFILE_NOT_FOUND: () => ({ sent: of('/subscribe?email=nobody@example.com') }),
    LIST_NOT_FOUND: () => ({ sent: of('/lists/NOLIST'), params: { id: 'NOLIST' } }),
    SEGMENT_NOT_FOUND: () => ({ sent: of('/segments/NOSEGM'), params: { id: 'NOSEGM' } }),
    CAMPAIGN_NOT_FOUND: () => ({ sent: of('/campaigns/01NONE'), params: { id: '01NONE' } }),
    SYNC_NOT_FOUND: () => ({ sent: of(`/sync/${randomUUID()}`) }),
    EVENT_NOT_FOUND: () => ({ sent: of(`/events/${randomUUID()}`) }),
    ROUTE_NOT_FOUND: () => ({ sent: of('/nowhere') }),
    CONFLICT: () => ({ before: spoiled('createOrUpdateProfile', { preset: '409-bare' }), sent: subscribe }),
    PROFILE_CONFLICT: () => ({
      before: spoiled('createOrUpdateProfile', { preset: '409-duplicate' }),
      sent: subscribe,
    }),
    NOT_SYNCED: () => ({ sent: of('/get-lists?source=mirror') }),
    WEBHOOK_SIGNATURE_INVALID: () => ({
      sent: { method: 'POST', path: '/webhook-receiver', body: '{}', headers: { ...JSON_TYPE, ...signed('{}') } },
    }),
    WEBHOOK_TIMESTAMP_OUT_OF_RANGE: () => {
      const meta = { klaviyo_webhook_id: HOOK, klaviyo_account_id: account.id, timestamp: '2020-01-01T00:00:00Z' };
      const body = JSON.stringify({ data: [], meta });
      return {
        before: hooked,
        sent: { method: 'POST', path: '/webhook-receiver', body, headers: { ...JSON_TYPE, ...signed(body) } },
      };
    },
    WEBHOOK_NOT_FOUND: () => ({ sent: { ...of(`/webhooks?webhookId=${randomUUID()}`), method: 'DELETE' } }),
    PUBLIC_URL_MISSING: () => ({
      before: () => Promise.resolve(jest.replaceProperty(app.env, 'publicBaseUrl', undefined)),
      sent: post('/webhooks', { ...webhook, delivery: 'push' }),
    }),
    // The account is without the option, as most are.
    KLAVIYO_PLAN_REQUIRED: () => ({ sent: post('/webhooks', { ...webhook, delivery: 'push' }) }),
    WEBHOOK_LIMIT_REACHED: () => ({
      before: () =>
        Promise.all(Array.from({ length: 10 }, () => send(post('/webhooks', { ...webhook, delivery: 'poll' })))),
      sent: post('/webhooks', { ...webhook, delivery: 'poll' }),
    }),
    IDEMPOTENCY_KEY_REUSED: () => {
      const headers = { 'idempotency-key': key() };
      return {
        before: () => send({ ...subscribe, headers }),
        sent: post('/subscribe', { profile: { email: 'b@example.com' } }, headers),
      };
    },
    IDEMPOTENCY_IN_PROGRESS: () => {
      const twice = { ...subscribe, headers: { 'idempotency-key': key() } };
      return {
        before: () =>
          new Promise<void>((begun) => {
            // The first is held up until the second has given up.
            jest.spyOn(SubscribeService.prototype, 'subscribe').mockImplementationOnce(async () => {
              begun();
              await new Promise<void>((done) => (release = done));
              throw new AppError('CONFLICT');
            });
            held = send(twice);
          }),
        sent: twice,
      };
    },
    PAYLOAD_TOO_LARGE: () => ({
      sent: { ...subscribe, body: ' '.repeat(1024 * 1024 + 1) },
      params: { limit: '1 MB' },
    }),
    UNSUPPORTED_MEDIA_TYPE: () => ({ sent: { ...subscribe, headers: { 'content-type': 'text/plain' } } }),
    RATE_LIMITED: () => {
      const sent: Sent = { path: '/connect?userId=609', headers: { 'x-forwarded-proto': 'https' }, at: 'guarded' };
      return { before: () => send(sent), sent, params: { retryAfter: /\d+/ } };
    },
    KLAVIYO_RATE_LIMITED: () => ({
      before: spoiled('getLists', { preset: '429', retryAfter: 30 }),
      sent: of('/get-lists'),
      params: { retryAfter: /^(29|30)$/ },
    }),
    INTERNAL: () => ({
      before: () => {
        jest.spyOn(UserScopeGuard.prototype, 'canActivate').mockImplementationOnce(() => {
          throw new Error('a fault of ours');
        });
        return Promise.resolve();
      },
      sent: of('/get-lists'),
    }),
    KLAVIYO_UNAVAILABLE: () => ({ before: spoiled('getSegments', { preset: '500' }), sent: of('/get-segments') }),
    KLAVIYO_REVISION_RETIRED: () => ({ before: spoiled('getSegments', { preset: '410' }), sent: of('/get-segments') }),
    SERVICE_UNAVAILABLE: () => ({
      // Who calls cannot be judged: the keys to do it by are out of reach.
      sent: {
        path: '/connect?userId=610',
        headers: { Authorization: `Bearer ${unsigned({ alg: 'RS256', kid: 'k' }, { sub: '610', exp: 9e9 })}` },
        at: 'guarded',
      },
      params: { retryAfter: '5' },
    }),
    KLAVIYO_TIMEOUT: () => ({ before: spoiled('getSegments', { preset: 'hang-headers' }), sent: of('/get-segments') }),
  };
  let release = (): void => undefined;
  let held: Promise<Response> | undefined;

  it('of every code are either provoked here or not reachable, with the reason', () => {
    const known = [...Object.keys(provoked), ...Object.keys(NOT_REACHABLE)];
    expect(known.sort()).toEqual(Object.keys(STATUS_OF).sort());
    expect(Object.keys(fr.codes).sort()).toEqual(Object.keys(STATUS_OF).sort());
    expect(Object.keys(en.codes).sort()).toEqual(Object.keys(STATUS_OF).sort());
  });

  describe.each(Object.keys(provoked) as ErrorCode[])('%s', (code) => {
    it.each([
      // French when nothing that we speak is said.
      ['fr', fr, 'de'],
      ['fr', fr, 'fr-FR,en;q=0.5'],
      ['en', en, 'en-US,fr;q=0.5'],
    ] as const)('speaks %s (%#)', async (language, catalogue, accepted) => {
      const { before, sent, params = {}, fields } = provoked[code]?.() ?? { sent: { path: '/' } };
      await before?.();
      const requestId = `problem-${randomUUID()}`;
      const headers = { ...sent.headers, 'x-request-id': requestId, 'accept-language': accepted };
      const answer = await send({ ...sent, headers });
      const body = (await answer.json()) as Record<string, unknown>;
      jest.restoreAllMocks();
      release();
      await held;

      expect([answer.status, body['code']]).toEqual([STATUS_OF[code], code]);
      expect(answer.headers.get('content-type')).toBe('application/problem+json; charset=utf-8');
      expect(answer.headers.get('content-language')).toBe(language);
      expect(answer.headers.get('cache-control')).toBe('no-store');
      const path = sent.path.startsWith('/api') ? sent.path : `${API}${sent.path}`;
      expect(body).toMatchObject({
        success: false,
        type: `/docs/errors#${code}`,
        title: catalogue.codes[code].title,
        status: STATUS_OF[code],
        instance: path.split('?')[0],
        requestId,
      });
      expect(answer.headers.get('x-request-id')).toBe(requestId);
      expect(body['detail']).toEqual(expect.stringMatching(sentence(catalogue.codes[code].detail, params)));
      const retryAfter = answer.headers.get('retry-after');
      expect(body['retryAfter']).toBe(retryAfter === null ? undefined : Number(retryAfter));
      if ([429, 503].includes(answer.status)) expect(Number(retryAfter)).toBeGreaterThanOrEqual(1);
      const errors = (body['errors'] ?? []) as { field: string; message: string }[];
      expect(errors.map(({ field }) => field)).toEqual(fields ?? []);
      for (const { message } of errors) expect(message).not.toMatch(/…|\{|undefined/);
      const own = [
        'success',
        'type',
        'title',
        'status',
        'detail',
        'code',
        'instance',
        'requestId',
        'errors',
        'retryAfter',
      ];
      const extra = Object.keys(body).filter((name) => !own.includes(name));
      expect(extra).toEqual(
        { KLAVIYO_SCOPE_MISSING: ['scopes'], PROFILE_CONFLICT: ['profileIds'] }[code as string] ?? [],
      );
    });
  });

  it('say nothing of what broke inside', async () => {
    const { before, sent } = provoked.INTERNAL?.() ?? { sent: { path: '/' } };
    await before?.();
    const answer = await send(sent);
    const text = await answer.text();
    expect(text).not.toContain('a fault of ours');
    expect(text).not.toMatch(/\.ts|node_modules|at \w+ \(/);
    const { requestId } = JSON.parse(text) as { requestId: string };
    // Nest has one logger a process: that of the service made last.
    const entries = [...app.logs.entries, ...guarded.logs.entries];
    const line = entries.find((entry) => entry['requestId'] === requestId && entry['level'] === 'error');
    expect(JSON.stringify(line)).toContain('a fault of ours');
  });

  it('are explained under the address that their type names', async () => {
    const page = await (await fetch(`${app.url}/docs/errors`)).text();
    for (const code of Object.keys(STATUS_OF)) expect(page).toContain(`id="${code}"`);
  });
});

/** The sentence of a catalogue with its gaps filled, as a pattern for the whole detail. */
function sentence(template: string, params: Record<string, string | RegExp>): RegExp {
  const escape = (text: string) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
  const parts = template.split(/\{(\w+)\}/).map((part, at) => {
    if (at % 2 === 0) return escape(part);
    const value = params[part];
    if (value === undefined) throw new Error(`nothing is expected of {${part}}`);
    return typeof value === 'string' ? escape(value) : `(?:${value.source.replace(/^\^|\$$/g, '')})`;
  });
  return new RegExp(`^${parts.join('')}$`);
}

function unsigned(header: object, payload: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url');
  return `${part(header)}.${part(payload)}.c2ln`;
}
