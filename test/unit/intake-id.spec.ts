import { validate, version } from 'uuid';
import { intakeId } from '../../src/webhooks/intake-id';

describe('an id of what is taken in', () => {
  const ids = Array.from({ length: 20_000 }, intakeId);

  it('is a UUID v7 of the moment', () => {
    const before = Date.now();
    const id = intakeId();
    expect([validate(id), version(id)]).toEqual([true, 7]);
    const at = parseInt(id.replace('-', '').slice(0, 12), 16);
    expect(Math.abs(at - before)).toBeLessThan(5000);
    expect(ids.every((one) => validate(one) && version(one) === 7)).toBe(true);
  });

  it('is greater than those before', () => {
    expect(ids).toEqual([...ids].sort());
    expect(new Set(ids).size).toBe(ids.length);
  });

  it('cannot be told from the one before', () => {
    expect(new Set(ids.map((id) => id.slice(-12))).size).toBeGreaterThan(19_900);
  });
});
