import { AppError } from '../../src/common/errors';
import { WebhookIntake, type GivenDelivery } from '../../src/webhooks/intake';
import { readEvent, shownExternalId } from '../../src/webhooks/intake-event';
import { klaviyoEvent, ReceiverStage, type Hook } from '../e2e/webhook-receiver-stage';

let stage: ReceiverStage;
let hook: Hook;
let intake: WebhookIntake;

beforeAll(async () => {
  stage = await ReceiverStage.open({ env: { ROLE: 'api' } });
  intake = stage.app.app.get(WebhookIntake, { strict: false });
}, 60_000);
afterAll(async () => {
  await stage.stop();
});
beforeEach(async () => {
  hook = await stage.hook();
});

const given = (ids: readonly string[], more: Partial<GivenDelivery> = {}): GivenDelivery => ({
  webhook: hook,
  source: 'poll',
  events: ids.map((id) => klaviyoEvent(id)),
  ...more,
});
const names = (count: number, prefix = 'i') => Array.from({ length: count }, (_, n) => `${prefix}${n}`);

describe('the intake', () => {
  it('takes what was read like what was sent: each event once, whoever brings it', async () => {
    expect(await intake.take(given(['a', 'b']))).toEqual({ received: 2, duplicates: 0, quarantined: 0 });
    expect(await intake.take(given(['b', 'c'], { source: 'backfill' }))).toEqual({
      received: 2,
      duplicates: 1,
      quarantined: 0,
    });
    expect((await stage.deliver(hook, [klaviyoEvent('a'), klaviyoEvent('d')])).body).toMatchObject({ duplicates: 1 });
    expect((await stage.rows(hook)).map((row) => row['external_id'])).toEqual(['a', 'b', 'c', 'd']);
  });

  it('takes many at once in few statements, and tells each its own outcome', async () => {
    const many = Array.from({ length: 300 }, (_, n) => given([`m${n}`, 'shared']));
    const taken = await Promise.all(many.map((delivery) => intake.take(delivery)));
    const kept = taken.map((one) => (one ? one.received - one.duplicates : 0));
    expect(kept.reduce((sum, one) => sum + one, 0)).toBe(301);
    expect(kept.every((one) => one >= 1)).toBe(true);
    expect(await stage.rows(hook)).toHaveLength(301);
  });

  it('counts an event that stands twice in one delivery once', async () => {
    expect(await intake.take(given(['x', 'x', 'y']))).toEqual({ received: 3, duplicates: 1, quarantined: 0 });
  });

  it('keeps nothing for a webhook that is gone, and all for those beside it', async () => {
    const other = await stage.hook();
    await stage.database.query('DELETE FROM webhook WHERE user_id = $1', [hook.userId]);
    const [gone, kept] = await Promise.all([intake.take(given(['g'])), intake.take(given(['k'], { webhook: other }))]);
    expect(gone).toBeNull();
    expect(kept).toMatchObject({ received: 1, duplicates: 0 });
    expect(await stage.rows(hook)).toEqual([]);
    expect(await stage.rows(other)).toHaveLength(1);
  });

  it('keeps nothing under a webhook of another connection', async () => {
    const other = await stage.hook();
    const mixed = { userId: hook.userId, connectionId: other.connectionId, id: hook.id };
    expect(await intake.take(given(['w'], { webhook: mixed }))).toBeNull();
    expect([...(await stage.rows(hook)), ...(await stage.rows(other))]).toEqual([]);
  });

  it('refuses one delivery that the database refuses, and takes those that came with it', async () => {
    await stage.database.query(
      `ALTER TABLE received_event ADD CONSTRAINT spec_refused CHECK (external_id <> 'refused') NOT VALID`,
    );
    try {
      const outcomes = await Promise.allSettled(
        ['1', '2', 'refused', '3', '4'].map((id) => intake.take(given([id, `${id}b`]))),
      );
      expect(outcomes.map(({ status }) => status)).toEqual([
        'fulfilled',
        'fulfilled',
        'rejected',
        'fulfilled',
        'fulfilled',
      ]);
    } finally {
      await stage.database.query('ALTER TABLE received_event DROP CONSTRAINT spec_refused');
    }
    expect((await stage.rows(hook)).map((row) => row['external_id']).sort()).toEqual(
      ['1', '1b', '2', '2b', '3', '3b', '4', '4b'].sort(),
    );
  });

  it('lets nobody wait for what would not be written in time', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 60 }, (_, n) => intake.take(given(names(1000, `w${n}x`)))),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    expect(refused.length).toBeGreaterThan(0);
    for (const { reason } of refused) {
      expect(reason).toBeInstanceOf(AppError);
      expect(reason).toMatchObject({ code: 'SERVICE_UNAVAILABLE', retryAfter: 5 });
    }
    expect(await stage.rows(hook)).toHaveLength((60 - refused.length) * 1000);
    expect(await intake.take(given(['after']))).toMatchObject({ received: 1 });
  });
});

describe('large events', () => {
  const large = (id: string) => klaviyoEvent(id, { text: 'x'.repeat(5 * 1024 * 1024) });

  it('do not wait in numbers that would fill the memory', async () => {
    const outcomes = await Promise.allSettled(
      Array.from({ length: 24 }, (_, n) => intake.take(given([], { events: [large(`l${n}`)] }))),
    );
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected');
    // Two are being written; 64 MB wait.
    expect(refused).toHaveLength(24 - 2 - 13);
    for (const { reason } of refused) expect(reason).toMatchObject({ code: 'SERVICE_UNAVAILABLE', retryAfter: 5 });
    expect(await stage.rows(hook)).toHaveLength(15);
    expect(await intake.take(given(['after large']))).toMatchObject({ received: 1 });
  });
});

describe('an event', () => {
  const now = Date.UTC(2026, 10, 22);
  const read = (change: Record<string, unknown>) => {
    const event = klaviyoEvent('ev');
    Object.assign(event.payload.data.attributes, change);
    return readEvent(event, now);
  };

  it.each([
    ['2026-09-04 13:38:55+00:00', undefined, Date.UTC(2026, 8, 4, 13, 38, 55)],
    ['2026-09-04T15:38:55.123456+02:00', undefined, Date.UTC(2026, 8, 4, 13, 38, 55, 123)],
    ['never', 1_788_529_135, 1_788_529_135_000],
    [undefined, 1_788_529_135, 1_788_529_135_000],
    ['never', 'never', now],
    ['+275760-01-01T00:00:00Z', undefined, now],
    [undefined, 1e300, now],
  ])('of %s and %s happened at %i', (datetime, timestamp, expected) => {
    expect(read({ datetime, timestamp }).occurredAt).toBe(expected);
  });

  it('has no id of a person or metric where what stands there can be none', () => {
    const event = klaviyoEvent('ev');
    Object.assign(event.payload.data.relationships, { profile: { data: { id: "x'; DROP" } }, metric: null });
    expect(readEvent(event, now)).toMatchObject({ profileId: null, metricId: null, fault: null });
  });

  it('is read for what it has of its own, whatever its prototype says', () => {
    const borrowed = Object.create({ external_id: 'inherited', topic: 'event:api.x' }) as object;
    expect(readEvent(borrowed, now).fault).toBe('NO_EXTERNAL_ID');
  });

  it('that is malformed shows the id that it came with, and no other', () => {
    expect(shownExternalId(readEvent({ external_id: 'known', topic: 1 }, now).externalId)).toBe('known');
    expect(shownExternalId(readEvent('text', now).externalId)).toBeNull();
    expect(shownExternalId(readEvent(klaviyoEvent('good'), now).externalId)).toBe('good');
  });

  it('later ones have greater ids', () => {
    const ids = names(500).map((name) => readEvent(klaviyoEvent(name), now).id);
    expect(ids).toEqual([...ids].sort());
  });
});
