import { randomUUID } from 'node:crypto';
import type { Reader } from '../e2e/reads-stage';
import { CallTally } from '../../src/klaviyo/call-tally';
import { EventMirrorService } from '../../src/events/event-mirror.service';
import { ACCOUNT, openMirrorStage, type MirrorStage } from './event-mirror-stage';

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;
const ago = (ms: number) => new Date(Date.now() - ms).toISOString();

describe('the mirror of metrics and events', () => {
  let stage: MirrorStage;
  let user = 4000;
  const account = (more: object = {}) => stage.connect(++user, { ...ACCOUNT, ...more });
  /** Profiles and metrics of the account as the sandbox has them. */
  const some = async (reader: Reader) => {
    const rows = await stage.sandbox.control<{ profiles: { id: string }[] }>(
      'GET',
      `/accounts/${reader.account.id}/profiles?limit=2`,
    );
    return rows.profiles.map(({ id }) => id);
  };
  const event = (profileId: string, more: object = {}) => ({
    profileId,
    metric: 'Placed Order',
    time: ago(MINUTE),
    properties: { OrderId: randomUUID() },
    ...more,
  });
  const stored = (reader: Reader) =>
    stage.sql<{ id: string; profile: string; document: { attributes: Record<string, unknown> }; deleted: Date | null }>(
      `SELECT klaviyo_id AS id, profile_id AS profile, document, deleted_at AS deleted FROM mirrored_event
       WHERE user_id = $1 AND connection_id = $2 ORDER BY occurred_at DESC, klaviyo_id`,
      [reader.userId, reader.connectionId],
    );

  beforeAll(async () => {
    stage = await openMirrorStage();
  });

  afterAll(async () => {
    await stage.stop();
  });

  it('equals Klaviyo row for row after a full pass, read in the largest pages', async () => {
    const reader = await account();
    expect(await stage.pass(reader, 'metrics')).toMatchObject({ pages: 1, swept: 0 });
    expect(await stage.pass(reader, 'events')).toMatchObject({ rows: 2500, changed: 2500, pages: 3, swept: 0 });
    expect(await stage.compare(reader, ['metrics', 'events'])).toEqual([]);
    const [first] = await reader.requests('getEvents');
    expect(new URLSearchParams(first!.query).get('page[size]')).toBe('1000');
    expect(first!.query).not.toContain('include');
  });

  it('writes nothing anew when the same is seen again, in either kind of pass', async () => {
    const reader = await account({ events: 300 });
    await stage.pass(reader, 'metrics');
    await stage.pass(reader, 'events');
    expect(await stage.pass(reader, 'metrics')).toMatchObject({ changed: 0, swept: 0 });
    expect(await stage.pass(reader, 'events')).toMatchObject({ rows: 300, changed: 0, swept: 0 });
    expect(await stage.compare(reader, ['metrics', 'events'])).toEqual([]);
  });

  it('reads only what is new incrementally, and once a day what came up to 7 days late', async () => {
    const reader = await account({ events: 2000 });
    const [person] = await some(reader);
    await stage.pass(reader, 'events');
    await reader.seed('events', [event(person!), event(person!, { time: ago(6 * DAY) })]);
    const quick = await stage.pass(reader, 'events', 'incremental');
    expect(quick).toMatchObject({ rows: 1, changed: 1, pages: 1 });
    expect((await stage.compare(reader, ['events']))[0]).toMatchObject({ missing: [expect.any(String)], extra: [] });
    await stage.sql(
      `UPDATE mirror_state SET reconciled_at = now() - interval '25 hours' WHERE connection_id = $1 AND resource = 'events'`,
      [reader.connectionId],
    );
    expect((await stage.pass(reader, 'events', 'incremental')).changed).toBe(1);
    expect(await stage.compare(reader, ['events'])).toEqual([]);
    // The week is not read again until the next day.
    expect((await stage.pass(reader, 'events', 'incremental')).rows).toBe(1);
  });

  it('keeps an event dated in the future, and still finds the ones after it', async () => {
    const reader = await account({ events: 100 });
    const [person] = await some(reader);
    await reader.seed('events', event(person!, { time: new Date(Date.now() + 90 * DAY).toISOString() }));
    await stage.pass(reader, 'events');
    await reader.seed('events', event(person!, { time: ago(-2 * MINUTE) }));
    await reader.seed('events', event(person!));
    await stage.pass(reader, 'events', 'incremental');
    expect(await stage.compare(reader, ['events'])).toEqual([]);
  });

  it('cuts the time at the newest event that is not in the future, if there is one', async () => {
    const reader = await account({ events: 0 });
    const [person] = await some(reader);
    const newest = async () => {
      const pass = await stage.begin(reader, 'events', 'full');
      const syncer = stage.syncer('events');
      const call = { deadline: Date.now() + 30_000, tally: new CallTally() };
      return syncer.newest!(pass, (await syncer.parts(pass))[0]!, call);
    };
    expect(await newest()).toBeNull();
    const future = Math.floor((Date.now() + 90 * DAY) / 1000) * 1000;
    await reader.seed('events', event(person!, { time: new Date(future).toISOString() }));
    expect(await newest()).toBe(future);
    const past = Math.floor((Date.now() - DAY) / 1000) * 1000;
    await reader.seed('events', event(person!, { time: new Date(past).toISOString() }));
    expect(await newest()).toBe(past);
  });

  it('has every one of 2,500 events of the same second', async () => {
    const reader = await account({ events: 0 });
    const [person] = await some(reader);
    const time = ago(3 * DAY);
    await reader.seed(
      'events',
      Array.from({ length: 2500 }, () => event(person!, { time })),
    );
    expect(await stage.pass(reader, 'events')).toMatchObject({ rows: 2500, pages: 3 });
    expect(await stage.compare(reader, ['events'])).toEqual([]);
  });

  it('moves the events of a merged profile and marks those of a deleted one as gone, with the time', async () => {
    const reader = await account({ events: 600, profiles: 6 });
    await stage.pass(reader, 'events');
    const [first, second] = await some(reader);
    const before = await stored(reader);
    const ofFirst = before.filter(({ profile }) => profile === first).length;
    const ofSecond = before.filter(({ profile }) => profile === second).length;
    await stage.sandbox.control('POST', `/accounts/${reader.account.id}/profiles/${first!}/merge`, { into: second });
    expect((await stage.pass(reader, 'events')).changed).toBe(ofFirst);
    expect(await stage.compare(reader, ['events'])).toEqual([]);
    await stage.sandbox.control('DELETE', `/accounts/${reader.account.id}/profiles/${second!}`);
    expect((await stage.pass(reader, 'events')).swept).toBe(ofFirst + ofSecond);
    expect(await stage.compare(reader, ['events'])).toEqual([]);
    const gone = (await stored(reader)).filter(({ deleted }) => deleted !== null);
    expect(gone).toHaveLength(ofFirst + ofSecond);
    expect(gone.every(({ deleted }) => Math.abs(Date.now() - deleted!.getTime()) < 5 * MINUTE)).toBe(true);
  });

  it('asks for metric and person with the events where the account’s events do not name them, with little of either', async () => {
    const reader = await account({ switches: { eventRelationshipData: false } });
    const { pages } = await stage.pass(reader, 'events');
    expect(pages).toBe(3);
    expect(await stage.compare(reader, ['events'])).toEqual([]);
    const asked = (await reader.requests('getEvents')).map(({ query }) => new URLSearchParams(query));
    // The first page showed it: it was asked for twice, the others once.
    expect(asked.map((query) => query.get('include'))).toEqual([null, ...Array<string>(3).fill('metric,profile')]);
    expect(asked.at(-1)!.get('fields[profile]')).toBe('updated');
  });

  it('keeps texts that the database cannot hold, with the unholdable replaced', async () => {
    const reader = await account({ events: 0 });
    const [person] = await some(reader);
    const odd = { nul: 'a\0b', half: 'c\ud83dd', whole: '😀', written: 'e\\u0000', name: 'x\\\0' };
    await reader.seed('events', event(person!, { properties: { ...odd, 'k\0': 1 } }));
    await stage.pass(reader, 'events');
    const [row] = await stored(reader);
    expect(row!.document.attributes['event_properties']).toMatchObject({
      nul: 'a\ufffdb',
      half: 'c\ufffdd',
      whole: '😀',
      written: 'e\\u0000',
      name: 'x\\\ufffd',
      'k\ufffd': 1,
    });
  });

  it('erases what connections that are gone left, chunk by chunk, and nothing else', async () => {
    const gone = await account({ events: 120 });
    const other = await stage.connect(gone.userId, { ...ACCOUNT, events: 80 });
    await stage.pass(gone, 'events');
    await stage.pass(other, 'events');
    const syncer = stage.syncer('events');
    expect(await syncer.erase(gone.userId + 1, [gone.connectionId], 1000)).toBe(0);
    const chunks: number[] = [];
    do chunks.push(await syncer.erase(gone.userId, [gone.connectionId], 50));
    while (chunks.at(-1) !== 0);
    expect(chunks).toEqual([50, 50, 20, 0]);
    expect(await stored(gone)).toEqual([]);
    expect(await stage.compare(other, ['events'])).toEqual([]);
  });

  describe('by what was received', () => {
    const received = (id: string, more: object = {}) => ({
      id,
      metricId: null,
      profileId: null,
      occurredAt: new Date(Date.now() - MINUTE),
      properties: { $value: 12.5, text: 'a\0b' },
      ...more,
    });
    const mirror = () => stage.app.app.get(EventMirrorService);

    it('takes an event once, and leaves what a pass said of it', async () => {
      const reader = await account({ events: 50 });
      await stage.pass(reader, 'events');
      const [known] = await stored(reader);
      const { userId, connectionId } = reader;
      const events = [received('new1'), received('new1'), received('new2'), received(known!.id)];
      expect(await mirror().keep(userId, connectionId, events)).toBe(2);
      expect(await mirror().keep(userId, connectionId, events)).toBe(0);
      const rows = await stored(reader);
      expect(rows).toHaveLength(52);
      expect(rows.find(({ id }) => id === known!.id)).toEqual(known);
      expect(rows.find(({ id }) => id === 'new1')!.document.attributes['event_properties']).toEqual({
        $value: 12.5,
        text: 'a\ufffdb',
      });
      // Moved to whom the event says, and back among the living.
      await mirror().keep(userId, connectionId, [received(known!.id, { profileId: 'Somebody' })]);
      expect((await stored(reader)).find(({ id }) => id === known!.id)!.profile).toBe('Somebody');
    });

    it('writes nothing for a connection that is gone, or another user’s', async () => {
      const reader = await account({ events: 0 });
      expect(await mirror().keep(reader.userId + 500, reader.connectionId, [received('x')])).toBe(0);
      await stage.app.http
        .delete(`/api/v1/klaviyo/connect`)
        .set(stage.app.asService)
        .query({ userId: reader.userId })
        .expect(200);
      expect(await mirror().keep(reader.userId, reader.connectionId, [received('x')])).toBe(0);
      expect(await stored(reader)).toEqual([]);
    });

    it('names metrics from the mirror, and asks Klaviyo where it has none or lacks one that is wanted', async () => {
      const reader = await account({ events: 0 });
      const { userId, connectionId } = reader;
      const live = await mirror().metrics(userId, connectionId);
      expect([...live.values()].map(({ name }) => name)).toContain('Placed Order');
      await stage.pass(reader, 'metrics');
      await reader.quiet();
      expect(await mirror().metrics(userId, connectionId, [...live.keys()])).toEqual(live);
      expect(await reader.requests('getMetrics')).toEqual([]);
      await expect(mirror().metrics(userId + 500, connectionId)).rejects.toMatchObject({
        code: 'CONNECTION_NOT_FOUND',
      });
    });
  });
});

describe('the mirror of events under an old revision', () => {
  it('takes pages of 200 without asking for a size, and holds the same', async () => {
    const stage = await openMirrorStage({ env: { KLAVIYO_API_REVISION: '2023-10-15' } });
    const reader = await stage.connect(4900, { ...ACCOUNT, events: 500 });
    expect(await stage.pass(reader, 'events')).toMatchObject({ rows: 500, pages: 3 });
    expect((await reader.requests('getEvents')).every(({ query }) => !query.includes('size'))).toBe(true);
    expect(await stage.compare(reader, ['events'])).toEqual([]);
    await stage.stop();
  });
});
