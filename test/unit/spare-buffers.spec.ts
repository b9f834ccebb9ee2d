import { SpareBuffers } from '../../src/common/spare-buffers';

const KB = 1024;

describe('spare buffers', () => {
  it('are used again, the smallest that is large enough first', () => {
    const spare = new SpareBuffers(1024 * KB);
    const large = spare.take(200 * KB);
    const small = spare.take(10 * KB);
    spare.give(large);
    spare.give(small);
    expect(spare.take(50 * KB)).toBe(small);
    expect(spare.take(50 * KB)).toBe(large);
  });

  it('are made where none is large enough, and of a size that fits the next', () => {
    const spare = new SpareBuffers(1024 * KB);
    const small = spare.take(1);
    spare.give(small);
    const large = spare.take(65 * KB);
    expect(large).not.toBe(small);
    expect([small.length, large.length]).toEqual([64 * KB, 128 * KB]);
    expect(spare.take(64 * KB)).toBe(small);
  });

  it('are nobody else’s while they are used', () => {
    const spare = new SpareBuffers(1024 * KB);
    const first = spare.take(1);
    expect(spare.take(1)).not.toBe(first);
  });

  it('are kept up to a limit', () => {
    const spare = new SpareBuffers(128 * KB);
    const buffers = [1, 2, 3].map(() => spare.take(64 * KB));
    for (const buffer of buffers) spare.give(buffer);
    const again = [1, 2, 3].map(() => spare.take(64 * KB));
    expect(again.filter((buffer) => buffers.includes(buffer))).toHaveLength(2);
  });
});
