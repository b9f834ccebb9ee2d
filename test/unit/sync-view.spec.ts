import type { ResourceRow, SyncRow } from '../../src/sync/sync-row';
import { syncViewOf } from '../../src/sync/sync-view';

const resource = (name: ResourceRow['resource'], more: Partial<ResourceRow>): ResourceRow => ({
  resource: name,
  status: 'running',
  fetched: 0,
  upserted: 0,
  deleted: 0,
  pages: 0,
  requests: 0,
  throttled: 0,
  waitedMs: 0,
  expectedRows: null,
  covered: null,
  errorCode: null,
  ...more,
});

const run = (resources: ResourceRow[], more: Partial<SyncRow> = {}): SyncRow => ({
  id: '0190c7a0-0000-7000-8000-000000000001',
  connectionId: '0190c7a0-0000-7000-8000-000000000002',
  mode: 'full',
  status: 'running',
  trigger: 'api',
  wanted: resources.map((one) => one.resource),
  createdAt: new Date(0),
  startedAt: new Date(0),
  finishedAt: null,
  floorSeconds: null,
  errorCode: null,
  estimate: null,
  resources,
  ...more,
});

const percentOf = (row: SyncRow) => syncViewOf(row, 'en').progress.percent;

describe('how far a run is', () => {
  it('goes by rows where it is known how many there are', () => {
    const lists = resource('lists', { status: 'succeeded', fetched: 12, expectedRows: 9 });
    const profiles = resource('profiles', { fetched: 495, expectedRows: 989 });
    expect(percentOf(run([lists, profiles]))).toBe(50);
    const pending = resource('memberships', { status: 'pending', expectedRows: 999 });
    expect(percentOf(run([lists, profiles, pending]))).toBe(25);
  });

  it('goes by the resource that is least far where that is not known', () => {
    const lists = resource('lists', { status: 'succeeded', fetched: 12 });
    const profiles = resource('profiles', { fetched: 10, covered: 0.2 });
    const events = resource('events', { fetched: 10_000, covered: 0.9 });
    expect(percentOf(run([lists, profiles, events]))).toBe(20);
    expect(percentOf(run([lists, events]))).toBe(90);
  });

  it('is unknown while there is something of unknown size that has not begun', () => {
    const lists = resource('lists', { covered: 0.5 });
    expect(percentOf(run([lists, resource('memberships', { status: 'pending' })]))).toBeNull();
    expect(percentOf(run([lists, resource('profiles', {})]))).toBeNull();
    expect(percentOf(run([lists], { wanted: ['lists', 'events'] }))).toBeNull();
  });

  it('is 100 for what succeeded only', () => {
    const read = resource('lists', { status: 'succeeded', fetched: 50, expectedRows: 10 });
    expect(percentOf(run([read]))).toBe(99);
    expect(percentOf(run([read, resource('events', { status: 'failed' })], { status: 'partial' }))).toBe(99);
    expect(percentOf(run([read], { status: 'succeeded' }))).toBe(100);
    expect(percentOf(run([], { status: 'queued', wanted: ['lists'] }))).toBe(0);
    expect(percentOf(run([resource('events', { fetched: 900, expectedRows: 10 })]))).toBe(90);
  });

  it('is told of all that was asked for, in the same order, begun or not', () => {
    const view = syncViewOf(run([resource('events', {})], { wanted: ['events', 'lists'] }), 'en');
    expect(view.progress.resources.map(({ resource: name, status }) => [name, status])).toEqual([
      ['lists', 'pending'],
      ['events', 'running'],
    ]);
    const over = syncViewOf(run([], { status: 'cancelled', wanted: ['lists'] }), 'en');
    expect(over.progress.resources).toMatchObject([{ resource: 'lists', status: 'cancelled' }]);
  });
});

describe('what a run took beside what it had to', () => {
  const over = { status: 'succeeded', finishedAt: new Date(100_000) } as const;

  it('is the part of its time that the quota alone would have taken', () => {
    expect(syncViewOf(run([], { ...over, floorSeconds: 93.333 }), 'en').quota).toEqual({
      floorSeconds: 93.3,
      percentOfFloor: 93.3,
    });
  });

  it('is 100 where bursts made it faster, and unknown until it is over', () => {
    expect(syncViewOf(run([], { ...over, floorSeconds: 140 }), 'en').quota.percentOfFloor).toBe(100);
    expect(syncViewOf(run([], { floorSeconds: 50 }), 'en').quota).toEqual({ floorSeconds: 50, percentOfFloor: null });
  });
});

describe('why a run did not end well', () => {
  const errorOf = (code: string, language: 'fr' | 'en') =>
    syncViewOf(run([resource('events', { status: 'failed', errorCode: code })]), language).progress.resources[0]?.error;

  it.each([
    'KLAVIYO_SCOPE_MISSING',
    'KLAVIYO_RATE_LIMITED',
    'KLAVIYO_UNAVAILABLE',
    'KLAVIYO_TIMEOUT',
    'KLAVIYO_KEY_INVALID',
    'KLAVIYO_REJECTED',
    'KLAVIYO_REVISION_RETIRED',
    'SERVICE_UNAVAILABLE',
    'INTERNAL',
    'SYNC_TOO_FEW_ROWS',
    'SYNC_ROWS_REFUSED',
    'SYNC_PAGES_REPEAT',
  ])('%s is a whole sentence in both languages', (code) => {
    const [french, english] = [errorOf(code, 'fr'), errorOf(code, 'en')];
    expect([french?.code, english?.code]).toEqual([code, code]);
    expect(french?.detail).not.toBe(english?.detail);
    for (const detail of [french?.detail, english?.detail]) {
      expect(detail).toMatch(/^[A-ZÉ].{20,}\.$/);
      expect(detail).not.toMatch(/…|\{|undefined/);
    }
  });

  it('names the scopes that the resource needs', () => {
    expect(errorOf('KLAVIYO_SCOPE_MISSING', 'en')?.detail).toContain('events:read');
  });
});
