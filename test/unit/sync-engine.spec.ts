import { AppError } from '../../src/common/errors';
import { DatabaseError } from '../../src/database/errors';
import { Halt } from '../../src/sync/halt';
import { Lanes, lanesFor } from '../../src/sync/lanes';
import { PageWriter } from '../../src/sync/page-writer';
import { floorSeconds } from '../../src/sync/pass-tally';
import { graver, LeaseLost, verdictOf, type Verdict } from '../../src/sync/sync-faults';
import { Window, type StoredWindow } from '../../src/sync/window';
import { WindowSet } from '../../src/sync/window-set';

const HOUR = 3_600_000;

const stored = (change: Partial<StoredWindow> = {}): StoredWindow => ({
  part: 'created',
  windowNo: 0,
  divisible: true,
  from: null,
  to: null,
  position: null,
  cursor: null,
  status: 'open',
  fetched: 0,
  pages: 0,
  ...change,
});
const page = (last: number | null, next: string | null = `page after ${last}`, rows = 100) => ({
  rows: Array.from({ length: rows }),
  next,
  last,
});

describe('lanes', () => {
  it.each([
    ['no latency', 1, 750, 4],
    ['a third of a second, 750 a minute', 300, 750, 6],
    ['a second, 750 a minute', 1000, 750, 16],
    ['a third of a second, 150 a minute', 300, 150, 4],
    ['a third of a second, 3,500 a minute', 300, 3500, 16],
  ])('are as many as the quota needs at the latency: %s', (_, ms, steady, lanes) => {
    expect(lanesFor(ms, steady)).toBe(lanes);
  });

  it('go by the quickest answers: those that queued at our own processor say nothing of Klaviyo', () => {
    const lanes = new Lanes(1);
    expect(lanes.wanted).toBe(1);
    for (const ms of [900, 5, 2000]) lanes.saw(ms, 750);
    expect(lanes.wanted).toBe(lanesFor(5, 750));
  });

  it('begin as many as there were where a run goes on', () => {
    expect(new Lanes(5).wanted).toBe(5);
    expect(new Lanes(500).wanted).toBe(16);
  });
});

describe('a window', () => {
  it('ends after the last page, or where the next window begins', () => {
    const whole = new Window(stored());
    expect(whole.advance(page(1000, null))).toBe(true);
    expect(whole.status).toBe('done');
    const bounded = new Window(stored({ from: 0, to: 5000 }));
    bounded.advance(page(4999));
    expect(bounded.status).toBe('open');
    bounded.advance(page(5000));
    expect(bounded.status).toBe('done');
  });

  it('notices a circle of any length', () => {
    const window = new Window(stored());
    expect(window.advance(page(1000, 'b'))).toBe(true);
    expect(window.advance(page(2000, 'c'))).toBe(true);
    expect(window.advance(page(3000, 'b'))).toBe(false);
  });

  it('goes on from its place without a cursor, but not for ever from the same one', () => {
    const window = new Window(stored({ from: 0, to: 9000 }));
    window.advance(page(3000));
    expect(window.restart()).toBe(true);
    expect([window.cursor, window.from]).toEqual([null, 3000]);
    const again = () => {
      window.advance(page(3000, 'more of the same second'));
      return window.restart();
    };
    expect([again(), again(), again()]).toEqual([true, true, false]);
    window.advance(page(4000, 'further'));
    expect(window.restart()).toBe(true);
  });

  it('is asked for anew from its place when it was cut, so that its last page holds none of the next window', () => {
    const window = new Window(stored());
    window.advance(page(HOUR));
    window.endAt(9 * HOUR);
    // How dense it is shows with the second page.
    window.straighten();
    expect(window.cursor).toBe(`page after ${HOUR}`);
    window.advance(page(2 * HOUR));
    window.straighten();
    expect(window).toMatchObject({ cursor: null, from: 2 * HOUR, to: 9 * HOUR, position: 2 * HOUR });
    window.advance(page(3 * HOUR));
    window.straighten();
    expect(window.cursor).toBe(`page after ${3 * HOUR}`);
  });

  it('keeps its cursor where many people share a second: they would all come twice', () => {
    const window = new Window(stored({ from: 0, to: HOUR }));
    window.advance(page(1000));
    window.endAt(HOUR / 2);
    window.straighten();
    expect(window).toMatchObject({ cursor: 'page after 1000', from: 0 });
  });

  it('never moves back, whatever order rows come in', () => {
    const window = new Window(stored());
    window.advance(page(5000));
    window.advance(page(3000));
    expect(window.position).toBe(5000);
  });
});

describe('windows', () => {
  const reading = (...windows: StoredWindow[]) => {
    const set = new WindowSet(windows);
    const taken: Window[] = [];
    for (let next = set.free(); next; next = set.free()) {
      next.taken = true;
      taken.push(next);
    }
    set.saw(100);
    return { set, taken };
  };

  it('are cut in the middle of what is left, on a whole second, once it is known how dense they are', () => {
    const { set, taken } = reading(stored({ from: 0, to: 10 * HOUR }));
    expect(set.cut()).toBeNull();
    taken[0]!.advance(page(HOUR));
    // 100 rows an hour, nine hours left.
    const cut = set.cut()!;
    expect(cut.far).toMatchObject({ windowNo: 1, from: 5.5 * HOUR, to: 10 * HOUR });
    set.apply(cut);
    expect(taken[0]!.to).toBe(5.5 * HOUR);
    expect(set.free()).toMatchObject({ from: 5.5 * HOUR, to: 10 * HOUR });
  });

  it('are cut where most rows are left, not where most time is', () => {
    const { set, taken } = reading(
      stored({ from: 0, to: 100 * HOUR }),
      stored({ windowNo: 1, from: 100 * HOUR, to: 110 * HOUR }),
    );
    taken[0]!.advance(page(20 * HOUR));
    taken[1]!.advance(page(100 * HOUR + 60_000));
    expect(set.cut()!.near).toBe(taken[1]);
  });

  it('are left alone when little is left, or all of it in two seconds', () => {
    const { set, taken } = reading(stored({ from: 0, to: 10 * HOUR }), stored({ windowNo: 1, from: 0, to: 3500 }));
    taken[0]!.advance(page(8 * HOUR));
    taken[1]!.advance(page(1));
    expect(set.cut()).toBeNull();
  });

  it('with an open end are cut by where the newest row stands', () => {
    const { set, taken } = reading(stored());
    taken[0]!.advance(page(HOUR));
    expect(set.unknownEnd()).toBe('created');
    set.endsAt('created', 9 * HOUR);
    expect(set.unknownEnd()).toBeUndefined();
    const cut = set.cut()!;
    expect(cut.far).toMatchObject({ from: 5 * HOUR, to: null });
  });

  it('say how much of the whole is read', () => {
    const { set, taken } = reading(stored({ from: 0, to: 10 * HOUR }), stored({ part: 'other', divisible: false }));
    expect(set.coverage(0)).toBe(0);
    taken[0]!.advance(page(5 * HOUR));
    expect(set.coverage(5000)).toBe(0.25);
    taken[1]!.advance(page(null, null));
    expect(set.coverage(10_000)).toBe(0.75);
  });

  it('begun go before new ones, so that few are open at once', () => {
    const set = new WindowSet([stored({ part: 'a' }), stored({ part: 'b', pages: 2, cursor: 'x' })]);
    expect(set.free()).toMatchObject({ part: 'b' });
    expect(set.begun).toBe(1);
  });

  it('of a part that is gone are read no more', () => {
    const { set } = reading(stored({ part: 'list:A' }), stored({ part: 'list:B' }));
    set.drop('list:A');
    expect(set.open).toBe(true);
    set.drop('list:B');
    expect(set.open).toBe(false);
  });
});

describe('an error met while reading', () => {
  it.each([
    [
      'used up quota is waited for',
      new AppError('KLAVIYO_RATE_LIMITED', { retryAfter: 7 }),
      { kind: 'pause', seconds: 7, counts: false },
    ],
    [
      'a Klaviyo that fails is tried again, for a while',
      new AppError('KLAVIYO_UNAVAILABLE'),
      { kind: 'pause', counts: true },
    ],
    ['so is a slow one', new AppError('KLAVIYO_TIMEOUT'), { kind: 'pause', counts: true }],
    ['a refused key ends the run', new AppError('KLAVIYO_KEY_INVALID'), { kind: 'key' }],
    [
      'a missing scope ends the resource',
      new AppError('KLAVIYO_SCOPE_MISSING'),
      { kind: 'fail', code: 'KLAVIYO_SCOPE_MISSING' },
    ],
    ['a list that is gone ends its part', new AppError('LIST_NOT_FOUND'), { kind: 'gone' }],
    [
      'an expired cursor is left behind',
      new AppError('KLAVIYO_REJECTED', { reason: 'cursor expired' }),
      { kind: 'restart' },
    ],
    [
      'a refused filter ends the resource',
      new AppError('KLAVIYO_REJECTED'),
      { kind: 'fail', code: 'KLAVIYO_REJECTED' },
    ],
    ['a stopping process ends the slice', new AppError('SERVICE_UNAVAILABLE'), { kind: 'stop' }],
    ['so does a database that is away', new DatabaseError('57P01', undefined, true, ''), { kind: 'stop' }],
    ['a transaction that was ended for us', new DatabaseError('25P03', undefined, false, ''), { kind: 'stop' }],
    ['a statement that is wrong', new DatabaseError('42P01', undefined, false, ''), { kind: 'fail', code: 'INTERNAL' }],
    ['and a run that somebody else has', new LeaseLost(), { kind: 'stop' }],
    ['a fault of ours ends the resource', new TypeError('x is not a function'), { kind: 'fail', code: 'INTERNAL' }],
  ])('is judged: %s', (_, error, verdict) => {
    expect(verdictOf(error)).toMatchObject(verdict);
  });

  it('ends the resource where one window must, whatever others met before or after', () => {
    const pause: Verdict = { kind: 'pause', seconds: 5, code: 'KLAVIYO_UNAVAILABLE', counts: true };
    const fail: Verdict = { kind: 'fail', code: 'INTERNAL' };
    const stop: Verdict = { kind: 'stop' };
    expect(graver(null, pause)).toBe(pause);
    expect(graver(pause, fail)).toBe(fail);
    expect(graver(fail, pause)).toBe(fail);
    expect(graver(pause, stop)).toBe(pause);
    expect(graver(fail, { kind: 'fail', code: 'SYNC_PAGES_REPEAT' })).toBe(fail);
  });
});

describe('the floor of a run', () => {
  it('is what the busiest endpoint takes, over all resources that call it', () => {
    expect(
      floorSeconds([
        { getProfiles: { requests: 75, steady: 750 } },
        { getListProfiles: { requests: 10, steady: 750 }, getProfiles: { requests: 75, steady: 750 } },
        { getEvents: { requests: 350, steady: 3500 } },
      ]),
    ).toBe(12);
    expect(floorSeconds([])).toBe(0);
  });
});

describe('a halt', () => {
  it('keeps its first reason, but for the loss of the run', () => {
    const halt = new Halt();
    const child = halt.child();
    halt.halt('time');
    halt.halt('cancel');
    expect([halt.reason, child.reason]).toEqual(['time', 'time']);
    halt.halt('lost');
    expect([halt.reason, child.reason]).toEqual(['lost', 'lost']);
  });

  it('wakes who sleeps', async () => {
    const halt = new Halt();
    const slept = halt.sleep(3_600_000);
    halt.halt('drain');
    await expect(slept).resolves.toBeUndefined();
  });
});

describe('the writer of pages', () => {
  interface Page {
    rows: unknown[];
    stored: () => void;
  }
  const pageOf = (rows: number, stored: () => void = () => undefined): Page => ({
    rows: Array.from({ length: rows }),
    stored,
  });

  it('stores together what came while it was busy, in commits of bounded size', async () => {
    const commits: number[] = [];
    let release = (): void => undefined;
    const first = new Promise<void>((done) => (release = done));
    const writer = new PageWriter<Page>(
      async (pages) => {
        commits.push(pages.reduce((sum, one) => sum + one.rows.length, 0));
        if (commits.length <= 2) await first;
      },
      () => undefined,
    );
    for (let n = 0; n < 45; n++) writer.push(pageOf(100));
    // One is under way and one behind it; the rest waits.
    expect(commits).toEqual([100, 500]);
    release();
    await writer.settled();
    expect(commits).toEqual([100, 500, 3000, 900]);
  });

  it('sends nothing behind a commit that is not worth one of its own', async () => {
    const commits: number[] = [];
    let release = (): void => undefined;
    const first = new Promise<void>((done) => (release = done));
    const writer = new PageWriter<Page>(
      async (pages) => {
        commits.push(pages.length);
        await first;
      },
      () => undefined,
    );
    for (let n = 0; n < 5; n++) writer.push(pageOf(100));
    expect(commits).toEqual([1]);
    release();
    await writer.settled();
    expect(commits).toEqual([1, 4]);
  });

  it('lets nobody run ahead of what is stored', async () => {
    let release = (): void => undefined;
    const gate = new Promise<void>((done) => (release = done));
    const writer = new PageWriter<Page>(
      () => gate,
      () => undefined,
    );
    for (let n = 0; n < 9; n++) writer.push(pageOf(1000));
    let roomy = false;
    const room = writer.room().then(() => (roomy = true));
    await new Promise((done) => setImmediate(done));
    expect(roomy).toBe(false);
    release();
    await room;
    expect(roomy).toBe(true);
  });

  it('tells of a failure once and stores nothing after it', async () => {
    const failures: unknown[] = [];
    let stored = 0;
    const writer = new PageWriter<Page>(
      () => Promise.reject(new LeaseLost()),
      (error) => failures.push(error),
    );
    writer.push(pageOf(1, () => (stored += 1)));
    writer.push(pageOf(1, () => (stored += 1)));
    await writer.settled();
    writer.push(pageOf(1, () => (stored += 1)));
    await writer.settled();
    expect([failures.length, stored]).toEqual([1, 0]);
  });
});
