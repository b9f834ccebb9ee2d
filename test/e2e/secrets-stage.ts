import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { Client } from 'pg';
import { SignJWT } from 'jose';
import type { Sandbox } from '../support/sandbox';
import { API } from '../support/walk';

/** Characters of a secret that may stand nowhere in a row. */
const GRAM = 10;

/** Finds pieces of secrets in text: any ten characters of one in a row. */
export class LeakSearch {
  private readonly grams = new Map<string, string>();

  add(name: string, secret: string): void {
    if (secret.length < GRAM) throw new Error(`${name} is too short to be looked for`);
    for (let at = 0; at + GRAM <= secret.length; at++) this.grams.set(secret.slice(at, at + GRAM), name);
  }

  /** Name and surroundings of each piece found; the same secret is told once per text. */
  find(text: string): string[] {
    const found = new Map<string, string>();
    for (let at = 0; at + GRAM <= text.length; at++) {
      const name = this.grams.get(text.slice(at, at + GRAM));
      if (name !== undefined && !found.has(name))
        found.set(name, `${name}: …${text.slice(Math.max(0, at - 120), at + 30)}…`);
    }
    return [...found.values()];
  }
}

/** Secrets of one running service, none of them shared with another spec. */
export interface ServiceSecrets {
  serviceKeys: [string, string];
  jwtSecret: string;
  encryptionKeys: [Buffer, Buffer];
}

export function newSecrets(): ServiceSecrets {
  return {
    serviceKeys: [randomBytes(24).toString('hex'), randomBytes(24).toString('hex')],
    jwtSecret: randomBytes(24).toString('hex'),
    encryptionKeys: [randomBytes(32), randomBytes(32)],
  };
}

export function variablesOf(secrets: ServiceSecrets): Record<string, string> {
  const [first, second] = secrets.serviceKeys;
  return {
    SERVICE_API_KEYS: `crealia:${first},second:${second}`,
    JWT_SECRET: secrets.jwtSecret,
    ENCRYPTION_KEYS: secrets.encryptionKeys.map((key, at) => `k${at}:${key.toString('base64')}`).join(','),
    LOG_LEVEL: 'trace',
    REQUEST_DEADLINE_MS: '3000',
    KLAVIYO_TIMEOUT_MS: '300',
    KLAVIYO_MAX_RETRIES: '1',
    THROTTLE_LIMIT: '100000',
  };
}

/** Everything that was said and that may not be found again. */
export interface Played {
  search: LeakSearch;
  /** Every answer: status, headers and body. */
  answers: string[];
  /** Contacts' e-mail addresses and phone numbers that went through. */
  contacts: string[];
}

interface Call {
  method?: string;
  path: string;
  body?: unknown;
  headers?: Record<string, string>;
}

const USER = 4004;
const randomKey = () => `pk_${randomBytes(20).toString('hex').slice(0, 34)}`;

/**
 * A long and rich use of the service in which every secret comes near every way out.
 * @param brief fewer of Klaviyo's moods
 */
export async function play(
  url: string,
  secrets: ServiceSecrets,
  sandbox: Sandbox,
  databaseUrl: string,
  brief = false,
): Promise<Played> {
  const answers: string[] = [];
  const keys = {
    first: randomKey(),
    second: randomKey(),
    blind: randomKey(),
    revoked: randomKey(),
    nobodys: randomKey(),
    other: randomKey(),
  };
  const account = await sandbox.createAccount({
    limits: 'huge',
    lists: [{ name: 'Newsletter' }],
    segments: 2,
    campaigns: 3,
    keys: [
      { key: keys.first },
      { key: keys.second },
      { key: keys.blind, scopes: ['lists:read'] },
      { key: keys.revoked, invalid: true },
    ],
  });
  await sandbox.createAccount({ limits: 'huge', keys: [{ key: keys.other }] });
  const wrongToken = randomBytes(20).toString('hex');
  const token = await signed(secrets.jwtSecret, USER);
  const expired = await signed(secrets.jwtSecret, USER, '10 minutes ago');

  const call = async ({ method = 'GET', path, body, headers = {} }: Call): Promise<Record<string, unknown>> => {
    const raw = typeof body === 'string' ? body : body === undefined ? undefined : JSON.stringify(body);
    const answer = await fetch(`${url}${path}`, {
      method,
      headers: {
        authorization: `Bearer ${secrets.serviceKeys[0]}`,
        ...(raw === undefined ? {} : { 'content-type': 'application/json' }),
        ...headers,
      },
      ...(raw === undefined ? {} : { body: raw }),
    });
    const text = await answer.text();
    answers.push(`${method} ${answer.status} ${JSON.stringify([...answer.headers])}\n${text}`);
    return text.startsWith('{') ? (JSON.parse(text) as Record<string, unknown>) : {};
  };
  const post = (path: string, body: unknown, headers?: Record<string, string>) =>
    call({ method: 'POST', path: `${API}${path}`, body, ...(headers ? { headers } : {}) });
  const get = (path: string, headers?: Record<string, string>) =>
    call({ path: `${API}${path}${path.includes('?') ? '&' : '?'}userId=${USER}`, ...(headers ? { headers } : {}) });
  const connect = (privateApiKey: unknown, more: object = {}, headers?: Record<string, string>) =>
    post('/connect', { userId: USER, privateApiKey, ...more }, headers);

  // Keys that are good, bad, half, and in the wrong place.
  await connect(keys.nobodys);
  await connect(keys.revoked);
  await connect(keys.blind);
  await connect(keys.first, { publicApiKey: 'ABCDEF', label: 'Shop' }, { 'idempotency-key': 'connect-1' });
  await connect(keys.first, { publicApiKey: 'ABCDEF', label: 'Shop' }, { 'idempotency-key': 'connect-1' });
  await connect(keys.second, {}, { 'idempotency-key': 'connect-1' });
  await connect(keys.first);
  const listed = await get('/connect?validate=true');
  const connectionId = (listed['connections'] as { id: string }[])[0]?.id ?? '';
  await malformed(call, keys.first, connectionId);
  await misplaced(call, get, [keys.first, token], [secrets.serviceKeys[0], secrets.jwtSecret]);
  for (const authorization of [
    `Bearer ${wrongToken}`,
    `Bearer ${keys.first}`,
    `Klaviyo-API-Key ${keys.first}`,
    `Bearer ${expired}`,
    `Basic ${secrets.serviceKeys[0]}`,
  ])
    await get('/get-lists', { authorization });
  for (const key of [keys.second, keys.other, keys.revoked, keys.nobodys])
    await call({
      method: 'PATCH',
      path: `${API}/connections/${connectionId}`,
      body: { userId: USER, privateApiKey: key },
    });
  await connect(keys.first);

  // People and events.
  const contacts: string[] = [];
  const contact = () => {
    const email = `contact.${randomBytes(6).toString('hex')}@people.example`;
    contacts.push(email);
    return email;
  };
  const { lists } = await sandbox.control<{ lists: { id: string }[] }>('GET', `/accounts/${account.id}/lists`);
  const use = async (): Promise<void> => {
    const email = contact();
    const phoneNumber = `+336${String(Math.floor(Math.random() * 1e8)).padStart(8, '0')}`;
    contacts.push(phoneNumber);
    const person = {
      userId: USER,
      profile: { email, tags: ['vip'], customAttributes: { note: email } },
      listId: lists[0]?.id,
      consent: { email: true },
    };
    const key = { 'idempotency-key': `use-${email}` };
    await post('/subscribe', person, key);
    await post('/subscribe', person, key);
    await get(`/subscribe?email=${encodeURIComponent(email)}`, { authorization: `Bearer ${token}` });
    await post('/profiles/search', { userId: USER, email });
    const change = { userId: USER, email, profile: { phoneNumber, firstName: email }, addTags: ['x'] };
    await call({ method: 'PATCH', path: `${API}/update-contact`, body: change });
    await get(`/update-contact?email=${encodeURIComponent(email)}`);
    await post(
      '/trigger-event',
      { userId: USER, event: { eventType: 'Bought', eventData: { email, phone: phoneNumber } } },
      key,
    );
    const reads = ['/trigger-event', '/events', '/connect', '/get-segments'];
    const counted = ['/get-lists?includeStats=true', '/get-campaigns?includeStats=true'];
    await Promise.all([...reads, ...counted].map((path) => get(path)));
  };
  await use();

  // Klaviyo in every bad mood; at its worst it repeats the key and the person.
  const repeats = `refused ${keys.first} for ${contact()} (Klaviyo-API-Key ${keys.second})`;
  const echo = {
    errors: [
      {
        id: 'x',
        status: 400,
        code: 'invalid',
        title: repeats,
        detail: repeats,
        source: { pointer: `/data/${keys.first}` },
      },
    ],
  };
  const moods: Parameters<Sandbox['fault']>[1][] = [
    ...[
      'reset',
      'hang-headers',
      'hang-body',
      'truncated',
      'html-200',
      '403-html',
      '403-scope',
      '500',
      '410',
      '429-garbage',
      '409-duplicate',
    ].map((preset) => ({ preset })),
    ...[400, 404, 409, 500].map((status) => ({ fault: { kind: 'status', status, body: echo } })),
    { fault: { kind: 'status', status: 302, headers: { location: `http://127.0.0.1:9/${keys.first}` } } },
    { fault: { kind: 'nextLink', href: `http://127.0.0.1:9/api/lists?key=${keys.first}` } },
  ];
  for (const mood of brief ? moods.filter((_, at) => at % 5 === 0) : moods) {
    await sandbox.fault(account.id, { ...mood, times: 'forever' });
    await use();
    await sandbox.clearFaults(account.id);
  }
  await get('/connect?validate=true');
  await sandbox.fault(account.id, { preset: '503', times: 'forever', match: { operation: 'createEvent' } });
  await use();
  await sandbox.patchAccount(account.id, { keys: [{ key: keys.first, invalid: true }] });
  await use();
  await sandbox.clearFaults(account.id);
  await connect(keys.second);

  // Our own database failing in the middle of statements that carry all of it.
  await withClient(databaseUrl, async (client) => {
    for (const table of ['sent_event', 'profile_change', 'idempotency_key', 'connection']) {
      await client.query(`ALTER TABLE ${table} RENAME TO ${table}_away`);
      await use();
      await connect(keys.second);
      await client.query(`ALTER TABLE ${table}_away RENAME TO ${table}`);
    }
    await client.query(
      'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()',
    );
  });
  await use();
  for (const path of ['/metrics', '/health/ready', '/openapi.json', '/docs/errors']) await call({ path });

  return { search: searchFor(secrets, { ...keys, wrongToken }, [token, expired]), answers, contacts };
}

/** Bodies that hold the key and are not what is asked for. */
async function malformed(call: (call: Call) => Promise<unknown>, key: string, connectionId: string): Promise<void> {
  const body = { userId: USER, privateApiKey: key };
  const json = JSON.stringify(body);
  const bodies: unknown[] = [
    json.slice(0, -1),
    json.slice(0, -4),
    `${json}}`,
    `[${json}]`,
    `"${key}"`,
    key,
    `\u0000${json}`,
    { ...body, privateApiKey: [key] },
    { ...body, privateApiKey: { key } },
    { ...body, privateApiKey: `${key} ` },
    { ...body, privateApiKey: `${key}\n` },
    { ...body, privateApiKey: key.repeat(4) },
    { ...body, label: key },
    { ...body, publicApiKey: key },
    { ...body, connectionId: key },
    { ...body, [key]: 1 },
    { ...body, more: key },
    { userId: key, privateApiKey: key },
    { userId: USER, private_api_key: key },
    { userId: USER, profile: { email: key } },
    { userId: USER, profile: { [key]: key } },
    { userId: USER, event: { eventType: key, eventData: { [key]: key } } },
    { userId: USER, listId: key, profile: { externalId: 'x' } },
  ];
  const wrongTypes = ['text/plain', 'application/x-www-form-urlencoded', 'application/json; charset=utf-16'];
  for (const path of ['/connect', '/subscribe', '/trigger-event', '/profiles/search'])
    for (const one of bodies) await call({ method: 'POST', path: `${API}${path}`, body: one });
  for (const type of wrongTypes)
    await call({ method: 'POST', path: `${API}/connect`, body: json, headers: { 'content-type': type } });
  await call({ method: 'POST', path: `${API}/connect`, body: json, headers: { 'content-encoding': 'gzip' } });
  await call({
    method: 'PATCH',
    path: `${API}/connections/${connectionId}`,
    body: { userId: USER, label: `my key ${key}` },
  });
  await call({ method: 'PATCH', path: `${API}/connections/${connectionId}`, body: { userId: USER, [key]: true } });
}

/** Secrets in paths, queries and headers where none belongs; those without a shape of their own only as values. */
async function misplaced(
  call: (call: Call) => Promise<unknown>,
  get: (path: string) => Promise<unknown>,
  shaped: readonly string[],
  shapeless: readonly string[],
): Promise<void> {
  for (const secret of shaped) {
    const addresses = ['', `${API}/nowhere`, '/api/klaviyo', `${API}/connect`, '/docs/assets'];
    for (const address of addresses)
      for (const method of ['GET', 'POST', 'OPTIONS']) await call({ method, path: `${address}/${secret}?x=${secret}` });
    const encoded = secret.replace('_', '%5F');
    for (const path of ['lists', 'events', 'segments', 'campaigns', 'connections', 'nowhere'])
      for (const id of [secret, encoded]) await get(`/${path}/${id}`);
    for (const query of [`get-lists?${secret}=1`, `subscribe?profileId=${secret}`]) await get(`/${query}`);
    await call({ method: 'PATCH', path: `${API}/connections/${secret}`, body: { userId: USER, label: 'x' } });
  }
  for (const secret of [...shaped, ...shapeless]) {
    const parameters = ['subscribe?email', 'get-lists?cursor', 'get-lists?name', 'events?cursor'];
    for (const parameter of [...parameters, 'get-campaigns?status', 'events?connectionId', 'connect?privateApiKey'])
      await get(`/${parameter}=${secret}`);
    await call({ method: 'DELETE', path: `${API}/connect?userId=${USER}&connectionId=${secret}` });
    await call({ path: `${API}/get-lists`, headers: { 'x-user-id': secret } });
    await call({ path: `${API}/get-lists?userId=${secret}` });
    await call({ path: `${API}/get-lists?userId=${USER}`, headers: { origin: `https://${secret}.example` } });
    const headers = { 'idempotency-key': secret };
    await call({ method: 'POST', path: `${API}/connect`, body: { userId: USER, privateApiKey: 'x' }, headers });
  }
}

function searchFor(secrets: ServiceSecrets, keys: Record<string, string>, tokens: readonly string[]): LeakSearch {
  const search = new LeakSearch();
  for (const [name, key] of Object.entries(keys)) search.add(`key ${name}`, key.replace(/^pk_/, ''));
  secrets.serviceKeys.forEach((key, at) => search.add(`service key ${at}`, key));
  search.add('JWT secret', secrets.jwtSecret);
  tokens.forEach((token, at) => search.add(`signature of token ${at}`, token.split('.')[2] ?? ''));
  secrets.encryptionKeys.forEach((key, at) => {
    for (const form of ['base64', 'base64url', 'hex'] as const) search.add(`encryption key ${at}`, key.toString(form));
  });
  return search;
}

function signed(secret: string, userId: number, expires = '1h'): Promise<string> {
  return new SignJWT({})
    .setProtectedHeader({ alg: 'HS256' })
    .setSubject(String(userId))
    .setExpirationTime(expires)
    .sign(new TextEncoder().encode(secret));
}

/** Every row of every table of ours and of the queue, as text: name of the table, then the row. */
export async function dump(databaseUrl: string): Promise<{ table: string; rows: string }[]> {
  return withClient(databaseUrl, async (client) => {
    const { rows: tables } = await client.query<{ name: string }>(
      `SELECT format('%I.%I', schemaname, tablename) AS name FROM pg_tables
       WHERE schemaname NOT IN ('pg_catalog', 'information_schema') ORDER BY 1`,
    );
    const dumped: { table: string; rows: string }[] = [];
    for (const { name } of tables) {
      const { rows } = await client.query<{ row: string }>(`SELECT t::text AS row FROM ${name} t`);
      dumped.push({ table: name, rows: rows.map(({ row }) => row).join('\n') });
    }
    return dumped;
  });
}

/** Everything that can be got out of an error: what a debugger, a logger or a serialiser would show. */
export function inside(error: unknown): string {
  const seen = new Set<object>();
  const parts: string[] = [
    inspect(error, { depth: 20, showHidden: true, getters: true, maxStringLength: null, maxArrayLength: null }),
  ];
  const walk = (value: unknown, depth: number): void => {
    if (typeof value === 'string') parts.push(value);
    if (Buffer.isBuffer(value)) parts.push(value.toString('latin1'));
    if ((typeof value !== 'object' && typeof value !== 'function') || value === null || seen.has(value) || depth > 20)
      return;
    seen.add(value);
    for (const name of Reflect.ownKeys(value)) {
      const { value: held } = Reflect.getOwnPropertyDescriptor(value, name) ?? {};
      walk(held, depth + 1);
    }
    if ('toJSON' in value && typeof value.toJSON === 'function') walk((value.toJSON as () => unknown)(), depth + 1);
  };
  walk(error, 0);
  if (error instanceof Error) parts.push(error.message, error.stack ?? '', String(error));
  return parts.join('\n');
}

async function withClient<T>(url: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
