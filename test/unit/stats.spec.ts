import { campaignStats, type MessageCounts } from '../../src/campaigns/campaign-stats';
import { timeframeOf, windowNamed, windowsFor } from '../../src/campaigns/report-window';

const AT = '2026-11-22T10:00:00.000Z';
const counts = (given: Partial<MessageCounts>): MessageCounts => ({
  recipients: null,
  delivered: null,
  opens: null,
  uniqueOpens: null,
  clicks: null,
  uniqueClicks: null,
  bounces: null,
  unsubscribes: null,
  unsubscribedPeople: null,
  spamComplaints: null,
  conversions: null,
  revenue: null,
  ...given,
});

describe('the figures of a campaign', () => {
  it('are computed from the counts', () => {
    const stats = campaignStats(
      [
        counts({
          recipients: 200,
          delivered: 160,
          opens: 120,
          uniqueOpens: 80,
          clicks: 30,
          uniqueClicks: 20,
          bounces: 40,
          unsubscribes: 9,
          unsubscribedPeople: 8,
          spamComplaints: 1,
          conversions: 4,
          revenue: 99.9,
        }),
      ],
      'EUR',
      AT,
    );
    expect(stats).toEqual({
      recipients: 200,
      delivered: 160,
      opens: 120,
      uniqueOpens: 80,
      openRate: 0.5,
      clicks: 30,
      uniqueClicks: 20,
      clickRate: 0.125,
      bounces: 40,
      bounceRate: 0.2,
      unsubscribes: 9,
      unsubscribeRate: 0.05,
      spamComplaints: 1,
      conversions: 4,
      revenue: 99.9,
      currency: 'EUR',
      computedAt: '2026-11-22T10:00:00.000Z',
    });
  });

  it('have no rate over zero, and none of what is unknown', () => {
    expect(
      campaignStats([counts({ recipients: 0, delivered: 0, uniqueOpens: 0, bounces: 0 })], null, AT),
    ).toMatchObject({ openRate: null, bounceRate: null, clickRate: null, clicks: null, revenue: null });
    expect(campaignStats([counts({ delivered: 10 })], null, AT)).toMatchObject({ openRate: null, recipients: null });
  });

  it('add up over the messages of a campaign, whose rates are over all of them', () => {
    const messages = [counts({ delivered: 10, uniqueOpens: 10, clicks: 3 }), counts({ delivered: 30, uniqueOpens: 0 })];
    expect(campaignStats(messages, null, AT)).toMatchObject({ delivered: 40, openRate: 0.25, clicks: 3 });
  });
});

describe('the windows of reports', () => {
  const now = Date.parse('2026-11-22T10:00:00Z');
  const names = (sent: string[], timezone: string | null = 'UTC') =>
    windowsFor(sent.map(Date.parse), now, timezone).map(({ name }) => name);

  it('are one for the last year, and one for each calendar year before', () => {
    expect(names([])).toEqual([]);
    expect(names(['2026-11-22T09:59:59Z', '2026-01-01T00:00:00Z', '2025-12-01T00:00:00Z'])).toEqual(['recent']);
    expect(names(['2023-05-05T00:00:00Z', '2026-11-01T00:00:00Z', '2025-02-02T00:00:00Z'])).toEqual([
      'recent',
      '2025',
      '2023',
    ]);
  });

  it('go by the calendar of the account', () => {
    expect(names(['2024-12-31T23:30:00Z'], 'Europe/Paris')).toEqual(['2025']);
    expect(names(['2025-01-01T02:00:00Z'], 'America/New_York')).toEqual(['2024']);
    expect(names(['2024-12-31T23:30:00Z'], 'Nowhere/Land')).toEqual(['2024']);
    expect(names(['2024-12-31T23:30:00Z'], null)).toEqual(['2024']);
  });

  it('are wall-clock time of the account, never longer than a year', () => {
    expect(timeframeOf(windowNamed('recent'), now, 'Pacific/Auckland')).toEqual({
      start: '2025-11-23T23:00:00+00:00',
      end: '2026-11-22T23:00:00+00:00',
    });
    expect(timeframeOf(windowNamed('2024'), now, 'UTC')).toEqual({
      start: '2024-01-01T00:00:00+00:00',
      end: '2024-12-31T23:59:59+00:00',
    });
    const midnight = Date.parse('2026-11-22T00:00:00Z');
    expect(timeframeOf(windowNamed('recent'), midnight, 'UTC').end).toBe('2026-11-22T00:00:00+00:00');
  });

  it('cover every campaign that was sent, whenever and wherever that was', () => {
    const zones = ['Europe/Paris', 'America/Los_Angeles', 'Pacific/Auckland', 'Asia/Kolkata', 'UTC'];
    const style = { dateStyle: 'short', timeStyle: 'medium' } as const;
    for (const zone of zones) {
      const local = new Intl.DateTimeFormat('sv-SE', { ...style, timeZone: zone });
      for (const start of [
        '2026-03-29T01:30:00Z',
        '2026-10-25T00:30:00Z',
        '2026-12-31T23:59:00Z',
        '2024-02-29T12:00:00Z',
      ])
        for (let hours = 0; hours < 24 * 800; hours += 5) {
          const current = Date.parse(start);
          const sent = current - hours * 3_600_000 - 1000;
          const [window] = windowsFor([sent], current, zone);
          const { start: from, end: to } = timeframeOf(window!, current, zone);
          const wall = `${local.format(sent).replace(' ', 'T')}+00:00`;
          if (!(from <= wall && wall <= to))
            throw new Error(`${zone} ${start} -${String(hours)} h: ${from} ${wall} ${to}`);
          expect(Date.parse(to) - Date.parse(from)).toBeLessThan(366 * 86_400_000);
        }
    }
  });
});
