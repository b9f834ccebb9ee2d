import { freeMemory } from '../../src/common/free-memory';

describe('memory that is given back', () => {
  it('is gone at once', () => {
    const buffer = Buffer.alloc(1_000_000);
    const memory = buffer.buffer;
    freeMemory(buffer);
    expect([memory.byteLength, buffer.length]).toEqual([0, 0]);
  });

  it('is never what others have a part in', () => {
    const whole = Buffer.alloc(100, 'a');
    freeMemory(whole.subarray(0, 50));
    expect(whole.toString()).toBe('a'.repeat(100));
    const pooled = Buffer.from('small');
    const beside = Buffer.from('beside');
    freeMemory(pooled);
    expect(beside.toString()).toBe('beside');
  });

  it('may be nothing', () => {
    freeMemory(Buffer.alloc(0));
    expect(Buffer.from('x').toString()).toBe('x');
  });
});
