import { setTimeout as wait } from 'node:timers/promises';
import { LoopLoad } from '../../src/common/loop-load';

function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

describe('the load of the event loop', () => {
  it('is that of the last stretch', async () => {
    const load = new LoopLoad();
    await wait(1);
    work(100);
    await wait(1);
    expect(load.now).toBeGreaterThan(0.5);
    await wait(200);
    expect(load.now).toBeLessThan(0.5);
  });

  it('is told again for a moment', async () => {
    const load = new LoopLoad();
    await wait(100);
    const told = load.now;
    work(20);
    expect(load.now).toBe(told);
  });
});
