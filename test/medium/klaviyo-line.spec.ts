import { gzipSync } from 'node:zlib';
import type { ServerResponse } from 'node:http';
import { AppError } from '../../src/common/errors';
import { runInContext } from '../../src/common/request-context';
import type { KlaviyoCall } from '../../src/klaviyo/klaviyo.client';
import { operations } from '../../src/klaviyo/operations';
import { accessTo, json, OddServer, startClient, timed, type ClientUnderTest } from './klaviyo-harness';

const access = accessTo('WBhXHN', 'pk_f00dfacec0ffee1234567890abcdefabcd');
const LIST = { data: { type: 'list', id: 'Y6nRLr', attributes: { name: 'Newsletter' } } };

let servers: OddServer[] = [];
let clients: ClientUnderTest[] = [];

afterEach(async () => {
  await Promise.all(clients.map((client) => client.stop()));
  await Promise.all(servers.map((server) => server.stop()));
  servers = [];
  clients = [];
});

async function serve(answer: (response: ServerResponse, n: number) => void): Promise<OddServer> {
  const server = await OddServer.start(answer);
  servers.push(server);
  return server;
}

async function clientOf(url: string, env: Record<string, string> = {}): Promise<ClientUnderTest> {
  const client = await startClient(url, { KLAVIYO_TIMEOUT_MS: '2000', KLAVIYO_MAX_RETRIES: '1', ...env });
  clients.push(client);
  return client;
}

const getList = ({ client }: ClientUnderTest, call: KlaviyoCall = {}): Promise<{ status: number; body: typeof LIST }> =>
  client.call<typeof LIST>(access, operations.getList, { path: { id: 'Y6nRLr' }, ...call });

async function failure(work: Promise<unknown>): Promise<AppError> {
  const { error } = await timed(work);
  expect(error).toBeInstanceOf(AppError);
  return error as AppError;
}

describe('the line to Klaviyo', () => {
  it('never follows a redirect, so that the key goes nowhere else', async () => {
    const elsewhere = await serve((response) => json(response, 200, LIST));
    for (const status of [301, 302, 303, 307, 308]) {
      const server = await serve((response) => {
        response.writeHead(status, { location: `${elsewhere.url}/api/lists/Y6nRLr` }).end();
      });
      expect(await failure(getList(await clientOf(server.url)))).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE' });
      expect(server.received).toHaveLength(1);
    }
    expect(elsewhere.received).toHaveLength(0);
  });

  it('goes past every proxy of the environment', async () => {
    const proxy = await serve((response) => json(response, 200, LIST));
    const server = await serve((response) => json(response, 200, LIST));
    const names = ['http_proxy', 'HTTP_PROXY', 'https_proxy', 'HTTPS_PROXY', 'all_proxy', 'ALL_PROXY'];
    const before = names.map((name) => [name, process.env[name]] as const);
    const passing = process.env['no_proxy'];
    try {
      for (const name of names) process.env[name] = proxy.url;
      process.env['no_proxy'] = '';
      expect((await getList(await clientOf(server.url))).status).toBe(200);
    } finally {
      for (const [name, value] of [...before, ['no_proxy', passing] as const])
        if (value === undefined) Reflect.deleteProperty(process.env, name);
        else process.env[name] = value;
    }
    expect(proxy.received).toHaveLength(0);
    expect(server.received).toHaveLength(1);
  });

  it('ends a flood, also one that was packed small', async () => {
    const flood = Buffer.alloc(64 * 1024, 'x');
    const plain = await serve((response) => {
      response.writeHead(200, { 'content-type': 'application/vnd.api+json' });
      const pour = (): void => {
        while (!response.destroyed && response.write(flood));
        if (!response.destroyed) response.once('drain', pour);
      };
      pour();
    });
    expect(await failure(getList(await clientOf(plain.url, { KLAVIYO_TIMEOUT_MS: '10000' })))).toMatchObject({
      code: 'KLAVIYO_UNAVAILABLE',
      reason: expect.stringContaining('too large') as string,
    });
    const packed = gzipSync(Buffer.alloc(64 * 1024 * 1024, ' '));
    const bomb = await serve((response) => {
      response.writeHead(200, { 'content-type': 'application/vnd.api+json', 'content-encoding': 'gzip' }).end(packed);
    });
    expect(await failure(getList(await clientOf(bomb.url, { KLAVIYO_TIMEOUT_MS: '10000' })))).toMatchObject({
      code: 'KLAVIYO_UNAVAILABLE',
      reason: expect.stringContaining('too large') as string,
    });
    expect(bomb.received).toHaveLength(1);
  });

  it('takes a body that ends before its announced length for broken off', async () => {
    const server = await serve((response) => {
      response.writeHead(200, { 'content-type': 'application/vnd.api+json', 'content-length': '5000' });
      response.write(JSON.stringify(LIST).slice(0, 20), () => response.destroy());
    });
    expect(await failure(getList(await clientOf(server.url)))).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE' });
    expect(server.received).toHaveLength(2);
  });

  it('reads a packed answer', async () => {
    const server = await serve((response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' }).end(gzipSync(JSON.stringify(LIST)));
    });
    expect((await getList(await clientOf(server.url))).body).toEqual(LIST);
  });

  it('sends a body as the documented media type, byte for byte, and none where there is none', async () => {
    const server = await serve((response) => json(response, 201, LIST));
    const client = await clientOf(server.url);
    const body = { data: { type: 'list', attributes: { name: 'Été “d’ici” \u2028 😀' } } };
    await client.client.call(access, operations.createList, { body });
    await getList(client);
    const [post, get] = server.received;
    expect(post?.headers).toMatchObject({
      accept: 'application/vnd.api+json',
      'content-type': 'application/vnd.api+json',
      'content-length': String(Buffer.byteLength(JSON.stringify(body))),
      authorization: access.authorization(),
      revision: '2026-07-15',
    });
    expect(JSON.parse(post?.body ?? '')).toEqual(body);
    expect(get?.headers['content-type']).toBeUndefined();
    expect(get?.headers['content-length']).toBeUndefined();
  });

  it.each([
    ['2023-10-15', '/api/lists/Y6nRLr/'],
    ['2025-01-15', '/api/lists/Y6nRLr'],
  ])('spells the path as revision %s does', async (revision, path) => {
    const server = await serve((response) => json(response, 200, LIST));
    await getList(await clientOf(server.url, { KLAVIYO_API_REVISION: revision }));
    expect(server.received[0]).toMatchObject({ url: path, headers: { revision } });
  });

  it('carries a body on DELETE, as membership needs', async () => {
    const server = await serve((response) => response.writeHead(204).end());
    const { client } = await clientOf(server.url);
    const body = { data: [{ type: 'profile', id: '01G' }] };
    await client.call(access, operations.removeProfilesFromList, { path: { id: 'Y6nRLr' }, body });
    expect(server.received[0]).toMatchObject({ method: 'DELETE', url: '/api/lists/Y6nRLr/relationships/profiles' });
    expect(JSON.parse(server.received[0]?.body ?? '')).toEqual(body);
  });

  it('repeats even a write that never left, and tells at last that there is no connection', async () => {
    const server = await serve((response) => json(response, 201, LIST));
    await server.stop();
    servers = [];
    const client = await clientOf(server.url);
    const work = client.client.call(access, operations.createList, { body: {} });
    expect(await failure(work)).toMatchObject({
      code: 'KLAVIYO_UNAVAILABLE',
      reason: expect.stringContaining('ECONNREFUSED') as string,
    });
    const attempts = client.logs.lines.filter(({ line }) => (line as { attempt?: number }).attempt !== undefined);
    expect(attempts).toHaveLength(2);
  });

  it('keeps its connections', async () => {
    const ports = new Set<number | undefined>();
    const server = await OddServer.start((response, _, request) => {
      ports.add(request.socket.remotePort);
      json(response, 200, LIST);
    });
    servers.push(server);
    const client = await clientOf(server.url);
    for (let index = 0; index < 10; index += 1) await getList(client);
    expect(ports.size).toBe(1);
  });

  it('obeys an HTTP date in Retry-After', async () => {
    const server = await serve((response, n) => {
      const at = new Date(Math.ceil(Date.now() / 1000) * 1000 + 1000);
      if (n === 1) json(response, 429, { errors: [] }, { 'retry-after': at.toUTCString() });
      else json(response, 200, LIST);
    });
    const { value, ms } = await timed(getList(await clientOf(server.url)));
    expect(value?.status).toBe(200);
    expect(ms).toBeGreaterThanOrEqual(990);
    expect(ms).toBeLessThan(3000);
  });

  it('does not answer from a document that is none of Klaviyo’s', async () => {
    const server = await serve((response) => json(response, 200, { message: 'welcome to the portal' }));
    expect(await failure(getList(await clientOf(server.url)))).toMatchObject({ code: 'KLAVIYO_UNAVAILABLE' });
  });
});

describe('the deadline of a call', () => {
  it('is that of the request under way', async () => {
    const server = await serve(() => undefined);
    const client = await clientOf(server.url);
    const deadline = Date.now() + 300;
    const context = { requestId: 'request-1', language: 'fr' as const, deadline };
    const { error, ms } = await timed(runInContext(context, () => getList(client)));
    expect(error).toMatchObject({ code: 'KLAVIYO_TIMEOUT' });
    expect(ms).toBeLessThan(1500);
  });

  it('is REQUEST_DEADLINE_MS where there is none', async () => {
    const server = await serve(() => undefined);
    const client = await clientOf(server.url, { REQUEST_DEADLINE_MS: '1000', KLAVIYO_TIMEOUT_MS: '60000' });
    const { error, ms } = await timed(getList(client));
    expect(error).toMatchObject({ code: 'KLAVIYO_TIMEOUT' });
    expect(ms).toBeGreaterThanOrEqual(990);
    expect(ms).toBeLessThan(2500);
  });
});

describe('a process that stops', () => {
  it('ends a wait that it would not live to see, with 503, and lets a short one end', async () => {
    const server = await serve((response, n) =>
      n <= 2 ? json(response, 429, { errors: [] }, { 'retry-after': n === 1 ? '1' : '12' }) : json(response, 200, LIST),
    );
    const client = await clientOf(server.url);
    const short = timed(getList(client, { deadline: Date.now() + 20_000 }));
    while (server.received.length < 1) await new Promise((done) => setTimeout(done, 5));
    const long = timed(
      client.client.call(access, operations.getSegment, { path: { id: 'x' }, deadline: Date.now() + 20_000 }),
    );
    while (server.received.length < 2) await new Promise((done) => setTimeout(done, 5));
    await new Promise((done) => setTimeout(done, 50));
    client.drain.begin();
    const stopped = await long;
    expect(stopped.error).toMatchObject({ code: 'SERVICE_UNAVAILABLE', status: 503, retryAfter: 5 });
    expect(stopped.ms).toBeLessThan(1500);
    expect((await short).value?.status).toBe(200);
  });
});

describe('the start', () => {
  const stopped = { now: () => Date.parse('2026-11-22T12:00:00Z') };

  it.each([
    ['2023-10-15', /2025-10-15.*answers it as 2025-01-15/],
    ['2025-01-15', undefined],
    ['2026-07-15', undefined],
  ])(
    'warns once when the base revision %s has retired, with the date and what Klaviyo does',
    async (revision, words) => {
      const client = await startClient('http://127.0.0.1:9', { KLAVIYO_API_REVISION: revision }, stopped);
      clients.push(client);
      const warnings = client.logs.lines.filter(({ level }) => level === 'warn');
      expect(warnings).toHaveLength(words === undefined ? 0 : 1);
      if (words) expect((warnings[0]?.line as { msg: string }).msg).toMatch(words);
    },
  );

  it('says under which revision an operation goes out and is answered', async () => {
    const { client, stop } = await startClient('http://127.0.0.1:9', { KLAVIYO_API_REVISION: '2023-10-15' }, stopped);
    expect(client.revisionFor(operations.getLists)).toEqual({ sent: '2023-10-15', served: '2025-01-15' });
    expect(client.revisionFor(operations.upsertProfile)).toEqual({ sent: '2025-01-15', served: '2025-01-15' });
    expect(client.revisionFor(operations.createEvent, '2026-04-15')).toEqual({
      sent: '2026-07-15',
      served: '2026-07-15',
    });
    await stop();
  });
});
