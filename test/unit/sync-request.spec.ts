import { RESOURCES } from '../../src/mirror/resources';
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
