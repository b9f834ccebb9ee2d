import type { Sandbox, SandboxAccount, SandboxAccountOptions } from '../support/sandbox';
import { startSandbox } from '../support/sandbox';
import type { Document } from './sandbox-harness';
import { Caller } from './sandbox-harness';

let sandbox: Sandbox;
let account: SandboxAccount;
let klaviyo: Caller;

async function open(options: SandboxAccountOptions = {}): Promise<void> {
  account = await sandbox.createAccount({ limits: 'off', seed: 7, ...options });
  klaviyo = new Caller(sandbox, account.key);
}

const profileBody = (attributes: object, rest: object = {}) => ({ data: { type: 'profile', attributes, ...rest } });

beforeAll(async () => {
  sandbox = await startSandbox();
});
afterAll(async () => {
  await sandbox.stop();
});
beforeEach(async () => {
  await sandbox.reset();
  await sandbox.clock({ offsetMs: 0, frozen: false });
});

describe('profiles', () => {
  it('refuses a second profile with the same identifier, naming the first, and updates it through the import', async () => {
    await open();
    const made = await klaviyo.send(
      'POST',
      '/api/profiles',
      profileBody({ email: 'Ada@Example.com', external_id: 'crm-1' }),
    );
    expect(made.status).toBe(201);
    const id = made.json.data.id as string;
    expect(id).toMatch(/^[0-9A-Z]{26}$/);
    expect(made.json.data.attributes.email).toBe('ada@example.com');
    const again = await klaviyo.send('POST', '/api/profiles', profileBody({ email: 'ada@example.com' }));
    expect(again.status).toBe(409);
    expect(again.json.errors[0]).toMatchObject({ code: 'duplicate_profile', meta: { duplicate_profile_id: id } });
    const upsert = await klaviyo.send(
      'POST',
      '/api/profile-import',
      profileBody({ external_id: 'crm-1', first_name: 'Ada' }),
    );
    expect([upsert.status, upsert.json.data.id]).toEqual([200, id]);
    const fresh = await klaviyo.send('POST', '/api/profile-import', profileBody({ email: 'new@example.com' }));
    expect(fresh.status).toBe(201);
    const both = profileBody({ email: 'new@example.com', external_id: 'crm-1' });
    expect((await klaviyo.send('POST', '/api/profile-import', both)).status).toBe(409);
  });

  it('clears with null, merges properties by key and works the array operations', async () => {
    await open();
    const made = await klaviyo.send(
      'POST',
      '/api/profiles',
      profileBody({ email: 'a@example.com', title: 'CTO', properties: { plan: 'pro', tags: ['a'] } }),
    );
    const { id } = made.json.data;
    const meta = { patch_properties: { append: { tags: ['b', 'a'], fresh: 'x' }, unset: ['plan'] } };
    const changed = await klaviyo.send(
      'PATCH',
      `/api/profiles/${id}`,
      profileBody({ title: null, properties: { n: 1 } }, { id, meta }),
    );
    expect(changed.json.data.attributes).toMatchObject({
      title: null,
      properties: { tags: ['a', 'b'], fresh: ['x'], n: 1 },
    });
    expect(changed.json.data.attributes.properties.plan).toBeUndefined();
    const out = { patch_properties: { unappend: { tags: 'a' } } };
    const less = await klaviyo.send('PATCH', `/api/profiles/${id}`, profileBody({}, { id, meta: out }));
    expect(less.json.data.attributes.properties.tags).toEqual(['b']);
  });

  it.each([
    ['a phone that is not E.164', { phone_number: '0612345678' }, '/data/attributes/phone_number'],
    ['an e-mail without a domain', { email: 'ada@' }, '/data/attributes/email'],
    ['no identifier at all', { first_name: 'Ada' }, '/data/attributes'],
    ['an unknown attribute', { email: 'a@b.co', mail: 'x' }, '/data/attributes/mail'],
    ['a number for a name', { email: 'a@b.co', first_name: 1 }, '/data/attributes/first_name'],
  ])('refuses %s with the pointer of the place', async (_what, attributes, pointer) => {
    await open();
    const answer = await klaviyo.send('POST', '/api/profiles', profileBody(attributes));
    expect([answer.status, answer.json.errors[0].source.pointer]).toEqual([400, pointer]);
  });

  it('shows consent only when asked, and keeps sparse fieldsets sparse', async () => {
    await open({ profiles: 3 });
    const plain = await klaviyo.get('/api/profiles');
    expect(plain.json.data[0].attributes.subscriptions).toBeUndefined();
    const path = '/api/profiles?additional-fields[profile]=subscriptions&fields[profile]=email,location.city';
    const asked = (await klaviyo.get(path)).json.data[0].attributes;
    expect(Object.keys(asked).sort()).toEqual(['email', 'location', 'subscriptions']);
    expect(Object.keys(asked.location)).toEqual(['city']);
    expect((await klaviyo.get('/api/profiles?fields[profile]=mail')).json.errors[0].source).toEqual({
      parameter: 'fields[profile]',
    });
  });

  it('shows a row the same in a page, in a list and alone, under each living revision', async () => {
    await open({ profiles: 6, lists: [{ name: 'Tous', members: 6 }] });
    const list = (await klaviyo.get('/api/lists')).json.data[0].id as string;
    for (const revision of ['2025-01-15', '2026-07-15']) {
      const caller = new Caller(sandbox, account.key, revision);
      const [row] = (await caller.get('/api/profiles?additional-fields[profile]=subscriptions')).json.data;
      const alone = await caller.get(`/api/profiles/${row.id}?additional-fields[profile]=subscriptions`);
      expect(alone.json.data).toEqual(row);
      const members = (await caller.get(`/api/lists/${list}/profiles?additional-fields[profile]=subscriptions`)).json
        .data;
      const { joined_group_at: joined, ...attributes } = members.find(({ id }: Document) => id === row.id).attributes;
      expect(attributes).toEqual(row.attributes);
      expect(joined).toMatch(/^\d{4}-\d\d-\d\dT/);
    }
  });

  it('refuses a phone number alone where SMS is not set up', async () => {
    await open({ switches: { smsSetUp: false } });
    const alone = await klaviyo.send('POST', '/api/profiles', profileBody({ phone_number: '+33612345678' }));
    expect([alone.status, alone.json.errors[0].source.pointer]).toEqual([400, '/data/attributes/phone_number']);
    const beside = profileBody({ phone_number: '+33612345678', email: 'a@example.com' });
    expect((await klaviyo.send('POST', '/api/profiles', beside)).status).toBe(201);
  });

  it('gives generated rows as a function of the seed, and the whole of them by pages that do not overlap', async () => {
    await open({ profiles: 1234, seed: 42, asOf: '2026-11-01' });
    const { rows, pages } = await klaviyo.all('/api/profiles?page[size]=100&sort=-updated');
    expect(pages).toBe(13);
    expect(new Set(rows.map((row) => row.id)).size).toBe(1234);
    const updated = rows.map((row) => row.attributes.updated as string);
    expect(updated).toEqual([...updated].sort().reverse());
    const first = account.id;
    await open({ profiles: 1234, seed: 42, asOf: '2026-11-01' });
    expect(account.id).not.toBe(first);
    const digest = (id: string) => sandbox.control('GET', `/accounts/${id}/digest?resource=profiles`);
    expect(await digest(account.id)).toEqual(await digest(first));
  });

  it('neither repeats nor loses a row when others are written between two pages', async () => {
    await open({ profiles: 150 });
    const first = await klaviyo.get('/api/profiles?page[size]=100&sort=created');
    await klaviyo.send('POST', '/api/profiles', profileBody({ email: 'late@example.com' }));
    const victim = first.json.data[10].id as string;
    await sandbox.control('DELETE', `/accounts/${account.id}/profiles/${victim}`);
    const second = await klaviyo.get(first.json.links.next);
    const ids = [...first.json.data, ...second.json.data].map((row: Document) => row.id as string);
    expect(new Set(ids).size).toBe(151);
    expect(second.json.data.at(-1).attributes.email).toBe('late@example.com');
    expect((await klaviyo.get(`/api/profiles/${victim}`)).status).toBe(404);
  });

  it('moves a changed row to the end of the update order', async () => {
    await open({ profiles: 50 });
    const before = await klaviyo.get('/api/profiles?page[size]=1');
    const { id } = before.json.data[0];
    const since = new Date(Date.now() - 5000).toISOString().replace(/\.\d+Z/, 'Z');
    await klaviyo.send('PATCH', `/api/profiles/${id}`, profileBody({ first_name: 'Moi' }, { id }));
    const recent = await klaviyo.get(`/api/profiles?sort=updated&filter=greater-than(updated,${since})`);
    expect(recent.json.data.map((row: Document) => row.id)).toEqual([id]);
  });

  it('merges a source away and deletes on demand', async () => {
    await open({ profiles: 4 });
    const [into, from, gone] = (await klaviyo.get('/api/profiles')).json.data;
    const merge = {
      data: {
        type: 'profile-merge',
        id: into.id,
        relationships: { profiles: { data: [{ type: 'profile', id: from.id }] } },
      },
    };
    expect((await klaviyo.send('POST', '/api/profile-merge', merge)).json.data.id).toBe(into.id);
    expect((await klaviyo.get(`/api/profiles/${from.id}`)).status).toBe(404);
    const person = { data: { type: 'profile', attributes: { email: gone.attributes.email } } };
    const erase = { data: { type: 'data-privacy-deletion-job', attributes: { profile: person } } };
    expect((await klaviyo.send('POST', '/api/data-privacy-deletion-jobs', erase)).status).toBe(202);
    expect((await klaviyo.all('/api/profiles')).rows).toHaveLength(2);
  });
});

describe('filters', () => {
  it('finds an e-mail with a plus only when the plus is encoded, and quotes inside it', async () => {
    await open();
    await klaviyo.send('POST', '/api/profiles', profileBody({ email: "o'brien+x@example.fr" }));
    const encoded = await klaviyo.get(
      `/api/profiles?filter=${encodeURIComponent('equals(email,"o\'brien+x@example.fr")')}`,
    );
    expect(encoded.json.data).toHaveLength(1);
    const raw = await klaviyo.get('/api/profiles?filter=equals(email,"o\'brien+x@example.fr")');
    expect(raw.json.data).toHaveLength(0);
  });

  it.each([
    ["equals(created,'2026-01-01T00:00:00Z')", /not an allowed filter operator for created\. {2}Allowed operators are/],
    ['greater-than(created,"2026-01-01T00:00:00Z")', /filter value for created/],
    ['equals(email,ada@example.com)', /filter value for email/],
    ['equals(nickname,"x")', /'nickname' is not a valid filter field/],
    ['or(equals(email,"a"),equals(email,"b"))', /Invalid filter/],
    ['equals(email,"a"', /Invalid filter/],
    ['any(email,"a")', /Invalid filter/],
  ])('refuses %s with the parameter named', async (filter, detail) => {
    await open();
    const answer = await klaviyo.get(`/api/profiles?filter=${encodeURIComponent(filter)}`);
    expect(answer.status).toBe(400);
    expect(answer.json.errors[0].source).toEqual({ parameter: 'filter' });
    expect(answer.json.errors[0].detail).toMatch(detail);
  });

  it('demands the channel of campaigns, and gives each channel alone', async () => {
    await open({ campaigns: 30 });
    expect((await klaviyo.get('/api/campaigns')).json.errors[0].source).toEqual({ parameter: 'filter' });
    const counts = [];
    for (const channel of ['email', 'sms', 'mobile_push'])
      counts.push((await klaviyo.all(`/api/campaigns?filter=equals(messages.channel,'${channel}')`)).rows.length);
    expect(counts.reduce((sum, count) => sum + count)).toBe(30);
    expect(counts.every((count) => count > 0)).toBe(true);
  });
});

describe('lists and segments', () => {
  it('gives ten lists a page, absolute next links, a bogus prev, and no count in the collection', async () => {
    await open({ lists: 35, profiles: 10 });
    const first = await klaviyo.get('/api/lists');
    expect(first.json.data).toHaveLength(10);
    expect(first.json.links.next.startsWith(`${sandbox.url}/api/lists?page%5Bcursor%5D=`)).toBe(true);
    expect(first.json.links.prev).toContain('%3CFilters');
    expect(first.json.data[0].attributes.profile_count).toBeUndefined();
    expect((await klaviyo.all('/api/lists')).rows).toHaveLength(35);
    expect((await klaviyo.get('/api/lists?page[size]=11')).status).toBe(400);
    const older = new Caller(sandbox, account.key, '2025-01-15');
    expect((await older.get('/api/lists?page[size]=10')).json.errors[0].source).toEqual({ parameter: 'page[size]' });
    expect((await older.get('/api/lists/x/relationships/profiles?page[size]=1000')).status).toBe(400);
  });

  it('adds and removes members without touching consent, and pages them by the time they joined', async () => {
    await open({ profiles: 300, lists: [{ name: 'Tous', members: 120 }] });
    const list = (await klaviyo.get('/api/lists')).json.data[0].id as string;
    const { rows } = await klaviyo.all(`/api/lists/${list}/profiles?page[size]=100`);
    expect(rows).toHaveLength(120);
    const joined = rows.map((row) => row.attributes.joined_group_at as string);
    expect(joined).toEqual([...joined].sort());
    const outside = (await klaviyo.all('/api/profiles?page[size]=100')).rows.find(
      (row) => !rows.some(({ id }) => id === row.id),
    );
    const body = { data: [{ type: 'profile', id: outside.id }] };
    const path = `/api/lists/${list}/relationships/profiles`;
    expect((await klaviyo.send('POST', path, body)).status).toBe(204);
    expect((await klaviyo.get(`/api/profiles/${outside.id}/lists`)).json.data.map((row: Document) => row.id)).toEqual([
      list,
    ]);
    const since = new Date(Date.now() - 60_000).toISOString().slice(0, 19);
    const fresh = await klaviyo.get(`${path}?filter=greater-or-equal(joined_group_at,${since}Z)`);
    expect(fresh.json.data).toEqual([{ type: 'profile', id: outside.id }]);
    expect((await klaviyo.send('DELETE', path, body)).status).toBe(204);
    const counted = await klaviyo.get(`/api/lists/${list}?additional-fields[list]=profile_count`);
    expect(counted.json.data.attributes.profile_count).toBe(120);
    const tooMany = { data: Array.from({ length: 1001 }, () => ({ type: 'profile', id: outside.id })) };
    expect((await klaviyo.send('POST', path, tooMany)).status).toBe(400);
  });

  it('shows a fresh segment as processing, for as long as the account is told to take', async () => {
    await open({ asyncDelayMs: 60_000 });
    await sandbox.clock({ now: '2026-11-22T10:00:00Z', frozen: true });
    const definition = { condition_groups: [{ conditions: [{ type: 'profile-property' }] }] };
    const body = { data: { type: 'segment', attributes: { name: 'Pro', definition } } };
    const made = await klaviyo.send('POST', '/api/segments', body);
    expect(made.json.data.attributes.is_processing).toBe(true);
    await sandbox.clock({ advanceMs: 60_000 });
    expect((await klaviyo.get(`/api/segments/${made.json.data.id}`)).json.data.attributes.is_processing).toBe(false);
  });
});

describe('revisions of shapes', () => {
  it('renders campaign messages flat before 2025-01-15 and inside definition since', async () => {
    await open({ campaigns: 8, revisions: { timeMachine: true } });
    const campaign = (await klaviyo.get("/api/campaigns?filter=equals(messages.channel,'email')")).json.data[0];
    const path = `/api/campaigns/${campaign.id}/campaign-messages`;
    expect((await klaviyo.get(path)).json.data[0].attributes.definition.channel).toBe('email');
    const old = await new Caller(sandbox, account.key, '2023-10-15').get(path);
    expect(old.json.data[0].attributes).toMatchObject({ channel: 'email', content: expect.any(Object) });
    expect(old.json.data[0].attributes.definition).toBeUndefined();
  });

  it('takes an unsubscribe without subscriptions only where 2023-10-15 is honoured', async () => {
    await open({ lists: 1 });
    const data = {
      type: 'profile-subscription-bulk-delete-job',
      attributes: { profiles: { data: [{ type: 'profile', attributes: { email: 'a@b.co' } }] } },
    };
    const old = new Caller(sandbox, account.key, '2023-10-15');
    const today = await old.send('POST', '/api/profile-subscription-bulk-delete-jobs', { data });
    expect(today.json.errors[0].source.pointer).toBe('/data/attributes/profiles/data/0/attributes/subscriptions');
    await sandbox.patchAccount(account.id, { revisions: { timeMachine: true } });
    expect((await old.send('POST', '/api/profile-subscription-bulk-delete-jobs', { data })).status).toBe(202);
  });
});
