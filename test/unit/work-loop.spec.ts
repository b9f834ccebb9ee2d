import type { Logger } from '@nestjs/common';
import { Drain } from '../../src/common/drain';
import { WorkLoop, type DueWork } from '../../src/common/work-loop';

const START = Date.parse('2026-09-04T10:00:00Z');
const after = (ms: number) => jest.advanceTimersByTimeAsync(ms);

/** A loop whose looks last `lasts` milliseconds, and what was seen of it. */
function setUp(more: Partial<DueWork> = {}, lasts = 0) {
  const looks: number[] = [];
  const said: string[] = [];
  const note = ({ msg }: { msg: string }) => said.push(msg);
  const seen = { atOnce: 0, most: 0, broken: false };
  const work: DueWork = {
    name: 'the work',
    look: async () => {
      looks.push(Date.now() - START);
      seen.most = Math.max(seen.most, ++seen.atOnce);
      if (lasts > 0) await new Promise((resolve) => setTimeout(resolve, lasts));
      seen.atOnce -= 1;
      if (seen.broken) throw new Error('no database');
    },
    isBusy: () => false,
    ...more,
  };
  const drain = new Drain();
  const loop = new WorkLoop(work, { warn: note, log: note } as unknown as Logger, drain);
  return { loop, drain, looks, said, seen };
}

beforeEach(() => jest.useFakeTimers({ now: START }));
afterEach(() => jest.useRealTimers());

describe('a loop that looks for due work', () => {
  it('does nothing before it is started', async () => {
    const { loop, looks } = setUp();
    loop.wake();
    loop.wakeSoon();
    await after(5000);
    expect(looks).toEqual([]);
  });

  it('looks once a second, and at once when it is woken', async () => {
    const { loop, looks } = setUp();
    loop.start();
    await after(1500);
    loop.wake();
    await after(1000);
    expect(looks).toEqual([1000, 1500, 2000]);
  });

  it('never looks twice at a time, and loses no wake that comes during a look', async () => {
    const { loop, looks, seen } = setUp({}, 300);
    loop.start();
    loop.wake();
    await after(100);
    loop.wake();
    loop.wake();
    await after(150);
    loop.wake();
    await after(700);
    expect(looks).toEqual([0, 300]);
    expect(seen.most).toBe(1);
  });

  it('goes on looking as long as looks wake it, which drains what is due', async () => {
    let due = 5;
    const { loop } = setUp({
      look: () => {
        due -= 1;
        if (due > 0) loop.wake();
        return Promise.resolve();
      },
    });
    loop.start();
    loop.wake();
    await after(0);
    expect(due).toBe(0);
  });

  it('gathers what is announced, and looks again for what was announced while it gathered', async () => {
    const { loop, looks } = setUp();
    loop.start();
    loop.wakeSoon();
    await after(30);
    loop.wakeSoon();
    loop.wakeSoon();
    expect(looks).toEqual([]);
    await after(800);
    expect(looks).toEqual([50, 100]);
    loop.wakeSoon();
    await after(60);
    expect(looks).toEqual([50, 100, 880]);
  });

  it('pauses twice as long after each failure, half a minute at the most, says so once and goes on', async () => {
    const { loop, looks, said, seen } = setUp();
    seen.broken = true;
    loop.start();
    await after(100_000);
    expect(looks).toEqual([1000, 2000, 4000, 8000, 16_000, 32_000, 62_000, 92_000]);
    expect(said).toEqual(['the work is held up']);
    loop.wake();
    await after(0);
    expect(looks).toHaveLength(8);
    seen.broken = false;
    await after(23_000);
    expect(said).toEqual(['the work is held up', 'the work goes on']);
    expect(looks.slice(8)).toEqual([122_000, 123_000]);
  });

  it('pauses when what a look began fails, and is not taken in by looks that only begin', async () => {
    const unproven = { is: true };
    const { loop, looks, said } = setUp({ isProven: () => !unproven.is });
    loop.start();
    await after(1000);
    loop.failed(new Error('no database'));
    await after(1000);
    loop.failed(new Error('no database'));
    await after(2000);
    expect(looks).toEqual([1000, 2000, 4000]);
    expect(said).toEqual(['the work is held up']);
    unproven.is = false;
    await after(1000);
    expect(said).toEqual(['the work is held up', 'the work goes on']);
  });

  it('is over its trouble when what was begun goes well, though more is under way', async () => {
    const { loop, looks, said } = setUp({ isProven: () => false });
    loop.start();
    await after(1000);
    loop.failed(new Error('no database'));
    await after(1000);
    loop.succeeded();
    loop.succeeded();
    loop.failed(new Error('no database'));
    await after(1000);
    expect(looks).toEqual([1000, 2000, 3000]);
    expect(said).toEqual(['the work is held up', 'the work goes on', 'the work is held up']);
  });

  it('measures what waits every quarter of a minute, after a look', async () => {
    const gauged: number[] = [];
    const { loop } = setUp({ gauge: () => Promise.resolve(void gauged.push(Date.now() - START)) });
    loop.start();
    await after(40_000);
    expect(gauged).toEqual([1000, 16_000, 31_000]);
  });

  it('looks for nothing more once the process is on its way out', async () => {
    const { loop, looks, drain } = setUp({}, 300);
    loop.start();
    loop.wake();
    loop.wakeSoon();
    await after(20);
    loop.wake();
    drain.begin();
    expect(loop.isStopped).toBe(true);
    loop.wake();
    loop.wakeSoon();
    await after(10_000);
    expect(looks).toEqual([0]);
  });

  it('ends when what it began is over, the look under way included', async () => {
    let busy = true;
    const { loop } = setUp({ isBusy: () => busy }, 200);
    loop.start();
    loop.wake();
    let ended = 0;
    void loop.end().then(() => (ended = Date.now() - START));
    await after(150);
    busy = false;
    await after(1000);
    expect(ended).toBeGreaterThanOrEqual(200);
    expect(ended).toBeLessThan(300);
  });

  it('ends after a second, whatever is still under way', async () => {
    const { loop } = setUp({ isBusy: () => true });
    loop.start();
    let ended = 0;
    void loop.end().then(() => (ended = Date.now() - START));
    await after(3000);
    expect(ended).toBe(1000);
  });
});
