import { RESOURCES } from '../../src/mirror/resources';
import { estimateOf } from '../../src/sync/sync-estimate';
import { covers, scopeOf, union, type SyncScope } from '../../src/sync/sync-scope';

const full = (...resources: SyncScope['resources'][number][]): SyncScope => ({ mode: 'full', resources });
const incremental = (...resources: SyncScope['resources'][number][]): SyncScope => ({ mode: 'incremental', resources });

describe('the scope of a synchronisation', () => {
  it('is everything, in full, unless less is asked for', () => {
    expect(scopeOf({})).toEqual(full(...RESOURCES));
    expect(scopeOf({ mode: 'incremental', resources: ['events', 'lists'] })).toEqual(incremental('lists', 'events'));
  });

  it('reads lists and segments with memberships, which belong to them', () => {
    expect(scopeOf({ resources: ['memberships'] })).toEqual(full('lists', 'segments', 'memberships'));
    expect(scopeOf({ resources: ['memberships', 'lists'] })).toEqual(full('lists', 'segments', 'memberships'));
  });

  it.each([
    [full('lists'), full('lists'), true],
    [full('lists'), incremental('lists'), true],
    [incremental('lists'), full('lists'), false],
    [incremental('lists', 'events'), incremental('events'), true],
    [full('lists'), full('lists', 'events'), false],
    [full('lists'), incremental('events'), false],
  ])('%j covers %j: %s', (wide, narrow, expected) => {
    expect(covers(wide, narrow)).toBe(expected);
  });

  it('widens to the least that covers both', () => {
    expect(union(incremental('events'), full('lists'))).toEqual(full('lists', 'events'));
    expect(union(incremental('events'), incremental('lists'))).toEqual(incremental('lists', 'events'));
    const both = union(full('campaigns'), incremental('events'));
    expect(covers(both, full('campaigns')) && covers(both, incremental('events'))).toBe(true);
  });
});

describe('what a synchronisation is expected to cost', () => {
  const nothing = { requests: null, minutes: null, quotaShare: null };

  it('is unknown where one of its resources was never read', () => {
    expect(estimateOf([])).toEqual(nothing);
    expect(estimateOf([null, { operations: {}, seconds: 3 }])).toEqual(nothing);
  });

  it('goes by the busiest operation, which several resources may share', () => {
    const lists = { operations: { getLists: { requests: 30, steady: 150 } }, seconds: 20 };
    const segments = {
      operations: { getLists: { requests: 270, steady: 150 }, getSegments: { requests: 15, steady: 150 } },
      seconds: 60,
    };
    expect(estimateOf([lists, segments])).toEqual({ requests: 315, minutes: 2, quotaShare: 1 });
  });

  it('goes by the time that it took where that, and not the quota, was what held it up', () => {
    const slow = { operations: { getEvents: { requests: 350, steady: 3500 } }, seconds: 120 };
    expect(estimateOf([slow])).toEqual({ requests: 350, minutes: 2, quotaShare: 0.05 });
    expect(estimateOf([{ operations: {}, seconds: 0 }])).toEqual({ requests: 0, minutes: 0, quotaShare: 0 });
  });
});
