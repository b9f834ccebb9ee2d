import { AppError } from '../../src/common/errors';
import { toInstant } from '../../src/common/instants';
import { nameFilter } from '../../src/common/name-filter';
import { START, takeRows, type Position, type RemotePage } from '../../src/common/walk';
import { toList } from '../../src/lists/lists.klaviyo';
import { toSegment } from '../../src/segments/segments.klaviyo';

interface Item {
  id: string;
}

/** A collection of `count` rows in pages of ten, which counts how often it was read. */
class Remote {
  reads = 0;
  now = 0;
  readonly ids: string[];

  constructor(count: number) {
    this.ids = Array.from({ length: count }, (_, index) => String(index));
  }

  read = (next: string | null): Promise<RemotePage<Item>> => {
    this.reads += 1;
    this.now += 100;
    const from = Number(next ?? 0);
    const items = this.ids.slice(from, from + 10).map((id) => ({ id }));
    return Promise.resolve({ items, next: from + 10 < this.ids.length ? String(from + 10) : null });
  };

  take(limit: number, from: Position = START, keep: (row: Item) => boolean = () => true, until = Infinity) {
    return takeRows(this.read, { from, limit, keep, until, now: () => this.now });
  }
}

describe('walking through a paged collection', () => {
  it.each([1, 3, 9, 10, 11, 25, 30, 31])('by %d at a time gives every row once, in order', async (limit) => {
    const remote = new Remote(30);
    const seen: string[] = [];
    for (let from: Position | null = START; from !== null;) {
      const { rows, rest }: Awaited<ReturnType<Remote['take']>> = await remote.take(limit, from);
      expect(rows.length === limit || rest === null).toBe(true);
      seen.push(...rows.map(({ id }) => id));
      from = rest;
    }
    expect(seen).toEqual(remote.ids);
  });

  it('reads no page more than it needs', async () => {
    const remote = new Remote(30);
    expect((await remote.take(10)).rest).toEqual({ next: '10', skip: 0, last: null });
    expect(remote.reads).toBe(1);
  });

  it('says that nothing is left when what follows does not match', async () => {
    const remote = new Remote(10);
    const { rows, rest } = await remote.take(2, START, ({ id }) => Number(id) < 2);
    expect([rows.length, rest]).toEqual([2, null]);
  });

  it('stops when time is up, but not before a first page', async () => {
    const remote = new Remote(50);
    expect(await remote.take(50, START, undefined, 0)).toMatchObject({ rest: { next: '10' } });
    remote.now = 0;
    const { rows, rest } = await remote.take(50, START, undefined, 250);
    expect([rows.length, rest?.next]).toEqual([30, '30']);
  });

  it('keeps the rows at hand when a later page is out of time, and fails for anything else', async () => {
    const failing = (code: 'KLAVIYO_TIMEOUT' | 'KLAVIYO_RATE_LIMITED' | 'KLAVIYO_UNAVAILABLE', page: string | null) => {
      const remote = new Remote(30);
      const read = (next: string | null) => (next === page ? Promise.reject(new AppError(code)) : remote.read(next));
      return takeRows(read, { from: START, limit: 30, keep: () => true, until: Infinity, now: () => 0 });
    };
    for (const code of ['KLAVIYO_TIMEOUT', 'KLAVIYO_RATE_LIMITED'] as const) {
      expect(await failing(code, '20')).toMatchObject({ rest: { next: '20', skip: 0 } });
      await expect(failing(code, null)).rejects.toMatchObject({ code });
    }
    await expect(failing('KLAVIYO_UNAVAILABLE', '20')).rejects.toMatchObject({ code: 'KLAVIYO_UNAVAILABLE' });
  });

  it('does not run in a circle', async () => {
    const read = () => Promise.resolve({ items: [{ id: 'x' }], next: 'again' });
    const walk = { from: START, limit: 100, keep: () => true, until: Infinity, now: () => 0 };
    await expect(takeRows(read, walk)).rejects.toMatchObject({ code: 'KLAVIYO_UNAVAILABLE' });
  });

  it('finds its place again although rows before it came or went', async () => {
    const remote = new Remote(9);
    const { rest } = await remote.take(4);
    remote.ids.unshift('new');
    expect((await remote.take(9, rest!)).rows.map(({ id }) => id)).toEqual(['4', '5', '6', '7', '8']);
    remote.ids.splice(0, 3);
    expect((await remote.take(9, rest!)).rows.map(({ id }) => id)).toEqual(['4', '5', '6', '7', '8']);
  });
});

describe('a part of a name', () => {
  const matches = (part: string | undefined, name: string | null) => nameFilter(part)({ name });

  it.each([
    ['été', 'UN ÉTÉ', true],
    ['e\u0301te\u0301', 'été', true],
    ['ete', 'été', false],
    ['STRASSE', 'Hauptstraße', true],
    ['ΣΊΣΥΦΟΣ', 'σίσυφος', true],
    ['ﬁn', 'FIN', true],
    ['a', '', false],
  ])('%s is in %s: %s', (part, name, found) => {
    expect(matches(part, name)).toBe(found);
  });

  it('unsaid lets everything through; a list without a name has no part', () => {
    expect(matches(undefined, null)).toBe(true);
    expect(matches('a', null)).toBe(false);
  });
});

describe('lists and segments of Klaviyo’s', () => {
  it('have null for what a revision does not know', () => {
    const known = { name: 'A', created: '2026-01-01T00:00:00+00:00', updated: null };
    expect(toList({ id: '1', attributes: known })).toEqual({
      id: '1',
      name: 'A',
      optInProcess: null,
      createdAt: '2026-01-01T00:00:00.000Z',
      updatedAt: null,
    });
    expect(toSegment({ id: '1', attributes: known })).toMatchObject({
      isActive: null,
      isProcessing: null,
      isStarred: null,
    });
    expect(toSegment({ id: '1', attributes: { is_active: false, is_starred: true } })).toMatchObject({
      isActive: false,
      isStarred: true,
    });
  });

  it('have no instant where Klaviyo gives none that exists', () => {
    expect([null, undefined, 5, '', 'soon'].map(toInstant)).toEqual([null, null, null, null, null]);
  });
});
