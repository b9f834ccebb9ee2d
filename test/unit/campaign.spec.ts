import { Clock } from '../../src/common/clock';
import { byMoment, comparePlaces, momentOf, placeOf, type Campaign } from '../../src/campaigns/campaign';
import type { Assembly } from '../../src/campaigns/campaign-reader';
import { chooseMetric } from '../../src/campaigns/campaign-reports.klaviyo';
import { CampaignSets } from '../../src/campaigns/campaign-sets';
import { campaignStatus } from '../../src/campaigns/campaign-status';
import { toCampaign } from '../../src/campaigns/campaigns.klaviyo';
import { channelOf, klaviyoChannel } from '../../src/campaigns/channels';

class TestClock extends Clock {
  time = 1_000_000;

  override now(): number {
    return this.time;
  }
}

describe('the status of a campaign', () => {
  it.each([
    ['Draft', 'draft'],
    ['  draft ', 'draft'],
    ['Scheduled', 'scheduled'],
    ['Preparing to schedule', 'scheduled'],
    ['Adding Recipients', 'sending'],
    ['Preparing to send', 'sending'],
    ['Sending', 'sending'],
    ['Sending Segments', 'sending'],
    ['Queued without Recipients', 'sending'],
    ['Sent', 'sent'],
    ['Variations Sent', 'sent'],
    ['Cancelled', 'cancelled'],
    ['Cancelled: No Recipients', 'cancelled'],
    ['CANCELED', 'cancelled'],
    ['Cancellation pending', 'unknown'],
    ['Unknown', 'unknown'],
    ['Sent to the moon', 'unknown'],
    ['', 'unknown'],
    [null, 'unknown'],
    [undefined, 'unknown'],
  ])('of Klaviyo’s %j is %s', (word, status) => {
    expect(campaignStatus(word)).toBe(status);
  });
});

describe('the channel of a campaign', () => {
  it('has our name where we have one, else Klaviyo’s', () => {
    expect(['email', 'sms', 'mobile_push', 'whatsapp', '', null].map(channelOf)).toEqual([
      'email',
      'sms',
      'push',
      'whatsapp',
      null,
      null,
    ]);
    expect(klaviyoChannel('push')).toBe('mobile_push');
  });
});

describe('a campaign of Klaviyo’s', () => {
  it('survives every attribute being absent or null', () => {
    const nothing = {
      name: null,
      status: 'unknown',
      klaviyoStatus: null,
      channel: null,
      archived: true,
      audiences: { included: [], excluded: [] },
      createdAt: null,
      updatedAt: null,
      scheduledAt: null,
      sentAt: null,
    };
    expect(toCampaign({ id: 'A', attributes: {} }, null, true)).toEqual({ id: 'A', ...nothing });
    const nulls = { name: null, status: null, archived: null, audiences: null, created_at: null, send_time: null };
    expect(toCampaign({ id: 'A', attributes: nulls }, null, true)).toEqual({ id: 'A', ...nothing });
  });

  it('has its instants in UTC, however they are spelled', () => {
    const attributes = { created_at: '2026-01-01T01:00:00.123456+01:00', send_time: '2026-01-02 03:04:05+00:00' };
    expect(toCampaign({ id: 'A', attributes }, 'email', false)).toMatchObject({
      createdAt: '2026-01-01T00:00:00.123Z',
      sentAt: '2026-01-02T03:04:05.000Z',
    });
  });
});

describe('the order of campaigns', () => {
  const campaign = (id: string, times: Partial<Campaign>) =>
    ({ id, sentAt: null, scheduledAt: null, createdAt: null, ...times }) as Campaign;

  it('goes by sending, else scheduling, else creation; what has no time comes last', () => {
    const rows = [
      campaign('none', {}),
      campaign('created', { createdAt: '2026-01-03T00:00:00.000Z' }),
      campaign('scheduled', { createdAt: '2026-01-09T00:00:00.000Z', scheduledAt: '2026-01-02T00:00:00.000Z' }),
      campaign('sent', { scheduledAt: '2026-01-09T00:00:00.000Z', sentAt: '2026-01-01T00:00:00.000Z' }),
    ];
    expect([...rows].sort(byMoment).map(({ id }) => id)).toEqual(['created', 'scheduled', 'sent', 'none']);
    expect(momentOf(rows[0]!)).toBe(0);
  });

  it('is strict: no campaign comes before or after itself', () => {
    const a = campaign('a', { sentAt: '2026-01-01T00:00:00.000Z' });
    const b = campaign('b', { sentAt: '2026-01-01T00:00:00.000Z' });
    expect(comparePlaces(placeOf(a), placeOf(a))).toBe(0);
    expect(comparePlaces(placeOf(a), placeOf(b))).toBeLessThan(0);
    expect(comparePlaces(placeOf(b), placeOf(a))).toBeGreaterThan(0);
  });
});

describe('sets of campaigns at hand', () => {
  const set = (readAt: number, count: number): Assembly => ({
    campaigns: Array.from({ length: count }, () => ({}) as Campaign),
    created: { after: null, upTo: null },
    readAt,
  });

  it('are forgotten after thirty seconds', () => {
    const clock = new TestClock();
    const sets = new CampaignSets(clock);
    const kept = set(clock.time, 3);
    sets.keep('a', kept);
    clock.time += 29_999;
    expect(sets.get('a')).toBe(kept);
    clock.time += 1;
    expect(sets.get('a')).toBeUndefined();
  });

  it('are bounded together: the oldest goes first, and one beyond all bounds is not kept', () => {
    const clock = new TestClock();
    const sets = new CampaignSets(clock);
    for (const name of ['a', 'b', 'c']) sets.keep(name, set(clock.time, 20_000));
    expect(['a', 'b', 'c'].map((name) => sets.get(name) !== undefined)).toEqual([false, true, true]);
    sets.keep('b', set(clock.time, 1));
    sets.keep('d', set(clock.time, 20_000));
    expect(['b', 'c', 'd'].map((name) => sets.get(name) !== undefined)).toEqual([true, true, true]);
    sets.keep('huge', set(clock.time, 50_001));
    expect(sets.get('huge')).toBeUndefined();
  });
});

describe('the conversion metric', () => {
  const metric = (id: string, name: string | null, key = 'api', category = 'API') => ({
    id,
    attributes: { name, integration: { key, category } },
  });

  it.each([
    ['none without metrics', [], null],
    ['Placed Order', [metric('1', 'Viewed Product'), metric('2', 'Placed Order')], { id: '2', usable: true }],
    [
      'Placed Order of the shop rather than of the API',
      [metric('1', 'Placed Order'), metric('2', 'Placed Order', 'shopify', 'eCommerce')],
      { id: '2', usable: true },
    ],
    [
      'Placed Order rather than another purchase',
      [metric('1', 'Ordered Product', 'shopify', 'eCommerce'), metric('2', 'placed order ')],
      { id: '2', usable: true },
    ],
    ['another purchase', [metric('1', null), metric('2', 'Checkout Completed')], { id: '2', usable: true }],
    [
      'any other, which then counts no conversions, but none that Klaviyo records itself',
      [metric('1', 'Received Email', 'klaviyo', 'Internal'), metric('2', 'Active on Site')],
      { id: '2', usable: false },
    ],
    ['even one of those', [metric('1', 'Received Email', 'klaviyo', 'Internal')], { id: '1', usable: false }],
  ])('is %s', (_, metrics, chosen) => {
    expect(chooseMetric(metrics)).toEqual(chosen);
  });
});
