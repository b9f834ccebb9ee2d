import type { Pass, Syncer } from '../mirror/syncer';
import type { PageLine, StoredPages } from './page-records.repository';
import type { PassState, WindowState } from './pass-records.repository';

/** What is stored of a pass: its totals, which follow its pages. */
export interface StoredPass {
  readonly syncer: Syncer;
  readonly pass: Pass;
  /** As they will be once so much more is stored. */
  after(more: Stored): PassState;
  /** It is. */
  grew(more: Stored): void;
}

export interface Stored {
  rows: number;
  pages: number;
  upserted: number;
  quarantined: number;
}

const NOTHING: Stored = { rows: 0, pages: 0, upserted: 0, quarantined: 0 };

/** A page that was read and is to be stored. */
export interface ReadPage {
  readonly of: StoredPass;
  readonly rows: readonly unknown[];
  /** Where its window stands once it is stored. */
  readonly place: WindowState;
  readonly ms: number;
  readonly waitedMs: number;
  /** Told once it is. */
  readonly stored: () => void;
}

/** The rows of pages, by what they are of. */
export function rowsOf(pages: readonly ReadPage[]): Map<StoredPass, unknown[]> {
  const its = Map.groupBy(pages, ({ of }) => of);
  return new Map([...its].map(([of, group]) => [of, group.flatMap(({ rows }) => rows)]));
}

/** What pages come to, before it is known what of them is new. */
export function growthOf(pages: readonly ReadPage[]): Map<StoredPass, Stored> {
  const growth = new Map<StoredPass, Stored>();
  for (const { of, rows } of pages)
    growth.set(of, sum(growth.get(of) ?? NOTHING, { ...NOTHING, rows: rows.length, pages: 1 }));
  return growth;
}

/**
 * What is written down of pages that go into one commit.
 * @param more what they come to
 * @param ahead what goes before them and is not known to be stored yet
 * @param noted whether the statements that store them note what was upserted, which is not known yet
 */
export function writtenDown(
  pages: readonly ReadPage[],
  more: ReadonlyMap<StoredPass, Stored>,
  { ahead = new Map(), noted = false }: { ahead?: ReadonlyMap<StoredPass, Stored>; noted?: boolean } = {},
): StoredPages {
  const last = new Map(pages.map((page) => [page.of, page]));
  const lines = pages.map((page): PageLine => {
    const counted = last.get(page.of) === page ? more.get(page.of) : undefined;
    const { resource, part, windowNo } = page.place;
    return {
      resource,
      part,
      windowNo,
      rows: page.rows.length,
      upserted: noted ? null : (counted?.upserted ?? null),
      noted: noted && counted !== undefined,
      quarantined: counted?.quarantined ?? 0,
      ms: Math.round(page.ms),
      waitedMs: Math.round(page.waitedMs),
    };
  });
  const passes = [...more].map(([of, stored]) => {
    const before = ahead.get(of);
    const state = of.after(before ? sum(before, stored) : stored);
    return { ...state, pagesBefore: state.pages - stored.pages, upserted: noted ? null : state.upserted };
  });
  const places = new Map(pages.map(({ place }) => [`${place.resource} ${place.windowNo} ${place.part}`, place]));
  return { passes, windows: [...places.values()], pages: lines };
}

export function sum(a: Stored, b: Stored): Stored {
  return {
    rows: a.rows + b.rows,
    pages: a.pages + b.pages,
    upserted: a.upserted + b.upserted,
    quarantined: a.quarantined + b.quarantined,
  };
}
