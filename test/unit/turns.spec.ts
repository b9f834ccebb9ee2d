import { turn } from '../../src/common/turns';

/** Counts rounds of the event loop until it is stopped. */
function rounds(): { now: () => number; stop: () => void } {
  let count = 0;
  let next: NodeJS.Immediate;
  const tick = (): void => {
    count += 1;
    next = setImmediate(tick);
  };
  next = setImmediate(tick);
  return { now: () => count, stop: () => clearImmediate(next) };
}

describe('turns', () => {
  it('come one a round of the event loop, in the order of asking', async () => {
    const loop = rounds();
    const came: { name: string; round: number }[] = [];
    const ask = (name: string) => turn().then(() => came.push({ name, round: loop.now() }));
    await Promise.all(['first', 'second', 'third'].map(ask));
    loop.stop();
    expect(came.map(({ name }) => name)).toEqual(['first', 'second', 'third']);
    const [first, second, third] = came.map(({ round }) => round) as [number, number, number];
    expect(first).toBeLessThan(second);
    expect(second).toBeLessThan(third);
  });

  it('come to who asks while others have theirs, and to who asks after all had', async () => {
    const came: string[] = [];
    const early = turn().then(() => {
      came.push('early');
      return turn().then(() => came.push('again'));
    });
    const late = turn().then(() => came.push('late'));
    await Promise.all([early, late]);
    await turn().then(() => came.push('after all'));
    expect(came).toEqual(['early', 'late', 'again', 'after all']);
  });
});
