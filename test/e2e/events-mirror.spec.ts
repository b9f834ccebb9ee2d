import { openMirrorStage, type MirrorStage } from '../medium/event-mirror-stage';
import type { Reader } from './reads-stage';

const HOUR = 3_600_000;
/** Klaviyo keeps seconds. */
const NOW = Math.floor(Date.now() / 1000) * 1000;
const ago = (ms: number) => new Date(NOW - ms).toISOString();

interface TimelineRow {
  id: string;
  metric: { id: string; name: string };
  profileId: string;
  occurredAt: string;
  value: number | null;
  properties: Record<string, unknown>;
}

describe('the timeline of a person', () => {
  let stage: MirrorStage;
  let reader: Reader;
  let person: string;
  let quiet: string;
  const at = (id: string) => `/profiles/${id}/events`;
  const rows = (body: Record<string, unknown>) => body['events'] as TimelineRow[];

  beforeAll(async () => {
    stage = await openMirrorStage();
    reader = await stage.connect(5001, { profiles: 3, events: 0, limits: 'huge' });
    const { profiles } = await stage.sandbox.control<{ profiles: { id: string }[] }>(
      'GET',
      `/accounts/${reader.account.id}/profiles`,
    );
    [person = '', quiet = ''] = profiles.map(({ id }) => id);
    const event = (metric: string, hours: number, properties: object = {}) => ({
      profileId: person,
      metric,
      time: ago(hours * HOUR),
      properties,
    });
    await reader.seed('events', [
      event('Placed Order', 1, { $value: 42.5, OrderId: '=1', Items: [{ SKU: 'A' }] }),
      ...Array.from({ length: 9 }, () => event('Viewed Product', 2)),
      event('Placed Order', 50, { $value: 'much' }),
      event('Opened Email', 500),
    ]);
    await stage.pass(reader, 'metrics');
    await stage.pass(reader, 'events');
  });

  afterAll(async () => {
    await stage.stop();
  });

  it('is the same from our mirror as from Klaviyo, newest first, and says which it is', async () => {
    const mirror = await reader.get(at(person), { source: 'mirror' });
    expect(mirror.status).toBe(200);
    expect(mirror.body).toMatchObject({
      success: true,
      source: 'mirror',
      stale: false,
      pagination: { limit: 50, nextCursor: null, total: 12 },
    });
    expect(rows(mirror.body)[0]).toEqual({
      id: expect.stringMatching(/^\w{11}$/),
      metric: { id: expect.stringMatching(/^\w{6}$/), name: 'Placed Order' },
      profileId: person,
      occurredAt: ago(HOUR),
      value: 42.5,
      properties: { $event_id: expect.any(String), $value: 42.5, OrderId: '=1', Items: [{ SKU: 'A' }] },
    });
    const times = rows(mirror.body).map(({ occurredAt }) => occurredAt);
    expect(times).toEqual([...times].sort().reverse());
    const live = await reader.get(at(person), { source: 'live' });
    expect(live.body).toMatchObject({ source: 'live', stale: false, pagination: { nextCursor: null } });
    const byId = (all: TimelineRow[]) => [...all].sort((a, b) => (a.id < b.id ? -1 : 1));
    expect(byId(rows(live.body))).toEqual(byId(rows(mirror.body)));
  });

  it('needs no call to Klaviyo while the mirror is fresh, and asks it when the mirror is old', async () => {
    await reader.quiet();
    expect((await reader.get(at(person))).body).toMatchObject({ source: 'mirror', stale: false });
    expect(await reader.requests()).toEqual([]);
    const age = (hours: number) =>
      stage.sql(
        `UPDATE mirror_state SET synced_at = now() - make_interval(hours => $2) WHERE connection_id = $1 AND resource = 'events'`,
        [reader.connectionId, hours],
      );
    await age(3);
    expect((await reader.get(at(person))).body).toMatchObject({ source: 'live', stale: false });
    await stage.sandbox.fault(reader.account.id, {
      preset: '503',
      times: 'forever',
      match: { operation: 'getEvents' },
    });
    expect((await reader.get(at(person))).body).toMatchObject({ source: 'mirror', stale: true });
    await stage.sandbox.clearFaults(reader.account.id);
    await age(0);
  });

  it.each(['mirror', 'live'])('walks by limit and cursor through events of one second (%s)', async (source) => {
    const whole = rows((await reader.get(at(person), { source })).body).map(({ id }) => id);
    for (const limit of [1, 4, 12]) {
      const pages = await reader.walk(at(person), 'events', { source, limit });
      expect(pages.flat().map(({ id }) => id)).toEqual(whole);
      expect(pages.every((page) => page.length <= limit)).toBe(true);
    }
  });

  it.each(['mirror', 'live'])('filters by metric and time (%s)', async (source) => {
    const count = async (query: Record<string, string>) =>
      rows((await reader.get(at(person), { source, ...query })).body).length;
    expect(await count({ metric: 'placed order' })).toBe(2);
    expect(await count({ metric: 'placed' })).toBe(0);
    const { body } = await reader.get(at(person), { source, metric: 'Opened Email' });
    expect(await count({ metricId: rows(body)[0]!.metric.id })).toBe(1);
    expect(await count({ from: ago(2 * HOUR) })).toBe(10);
    expect(await count({ from: ago(60 * HOUR), to: ago(10 * HOUR) })).toBe(1);
    expect(await count({ from: rows(body)[0]!.occurredAt, metric: 'Opened Email' })).toBe(1);
    expect(await count({ to: rows(body)[0]!.occurredAt })).toBe(0);
  });

  it('leaves a value that is no number to the properties', async () => {
    const { body } = await reader.get(at(person), { metric: 'Placed Order', to: ago(10 * HOUR) });
    expect(rows(body)).toEqual([
      expect.objectContaining({ value: null, properties: expect.objectContaining({ $value: 'much' }) }),
    ]);
  });

  it.each(['mirror', 'live'])('is empty for somebody who did nothing, and 404 for nobody (%s)', async (source) => {
    if (source === 'mirror') await stage.pass(reader, 'profiles');
    expect((await reader.get(at(quiet), { source })).body).toMatchObject({ success: true, events: [] });
    for (const id of ['01NOBODY000000000000000000', 'a%22b', '%F0%9F%98%80'])
      expect((await reader.get(at(id), { source })).body).toMatchObject({ status: 404, code: 'PROFILE_NOT_FOUND' });
  });

  it('is 409 from a mirror that is not there yet, and 401 once the key is refused without one', async () => {
    const other = await stage.connect(5002, { profiles: 2, events: 5, limits: 'huge' });
    const { profiles } = await stage.sandbox.control<{ profiles: { id: string }[] }>(
      'GET',
      `/accounts/${other.account.id}/profiles`,
    );
    const path = at(profiles[0]!.id);
    expect((await other.get(path, { source: 'mirror' })).body).toMatchObject({ status: 409, code: 'NOT_SYNCED' });
    expect((await other.get(path)).body).toMatchObject({ source: 'live' });
    await stage.sandbox.patchAccount(other.account.id, { keys: [{ key: other.account.key, invalid: true }] });
    expect((await other.get(path)).body).toMatchObject({ status: 401, code: 'KLAVIYO_KEY_INVALID' });
    expect((await other.get(path)).body).toMatchObject({ status: 401, code: 'KLAVIYO_KEY_INVALID' });
  });

  it('refuses a cursor of another person, filter or source', async () => {
    const { body } = await reader.get(at(person), { limit: 2 });
    const { nextCursor: cursor } = body.pagination as { nextCursor: string };
    for (const [id, query] of [
      [quiet, {}],
      [person, { metric: 'Placed Order' }],
      [person, { source: 'live' }],
    ] as const)
      expect((await reader.get(at(id), { cursor, ...query })).body).toMatchObject({
        status: 400,
        errors: [{ field: 'cursor', message: expect.any(String) }],
      });
  });

  it('is to be had as a table', async () => {
    const { text, headers } = await stage.app.http
      .get(`/api/klaviyo${at(person)}`)
      .set({ ...stage.app.asService, Accept: 'text/csv' })
      .query({ userId: reader.userId, limit: 1 });
    expect(headers['content-type']).toContain('text/csv');
    const [head, first] = text.split('\r\n');
    expect(head).toBe('id,metric.id,metric.name,profileId,occurredAt,value,properties');
    expect(first).toMatch(/^\w{11},\w{6},Placed Order,\w+,[\dT:.-]+Z,42\.5,"\{.*\}"$/);
  });
});

describe('the metrics of the account beside the catalogue', () => {
  it('come from the mirror while it is fresh, and as the last known ones when Klaviyo is silent', async () => {
    const stage = await openMirrorStage();
    const reader = await stage.connect(5101, { profiles: 1, events: 0, limits: 'huge' });
    const names = async () =>
      ((await reader.get('/trigger-event')).body.metrics as { name: string }[] | undefined)?.map(({ name }) => name);
    const live = await names();
    expect(live).toContain('Placed Order');
    await stage.pass(reader, 'metrics');
    await reader.quiet();
    expect((await names())?.sort()).toEqual(live?.sort());
    expect(await reader.requests('getMetrics')).toEqual([]);
    await stage.sql(`UPDATE mirror_state SET synced_at = now() - interval '1 day' WHERE connection_id = $1`, [
      reader.connectionId,
    ]);
    await reader.seed('metrics', { name: 'Brand New' });
    await stage.sandbox.patchAccount(reader.account.id, { keys: [{ key: reader.account.key, invalid: true }] });
    expect((await names())?.sort()).toEqual(live?.sort());
    await stage.stop();
  });
});
