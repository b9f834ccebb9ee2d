import { Precedence } from '../../src/common/precedence';

describe('whose work goes first', () => {
  it('is nobody’s where nobody claims it', async () => {
    await expect(new Precedence().giveWay(1000)).resolves.toBeUndefined();
  });

  it('is that of any who claims it, as long as it waits', async () => {
    const precedence = new Precedence();
    let left = 3;
    precedence.claim(() => false);
    precedence.claim(() => left-- > 0);
    await precedence.giveWay(60_000);
    expect(left).toBe(-1);
  });

  it('is not for ever', async () => {
    const precedence = new Precedence();
    let asked = 0;
    precedence.claim(() => ++asked > 0);
    await precedence.giveWay(20);
    expect(asked).toBe(4);
  });

  it('is kept by a line of many as by one', async () => {
    const precedence = new Precedence();
    let asked = 0;
    precedence.claim(() => ++asked > 0);
    const giveWay = precedence.line(20);
    await Promise.all([giveWay(), giveWay(), giveWay()]);
    expect(asked).toBe(12);
  });

  it('holds up nobody of a line once there is nothing urgent', async () => {
    const precedence = new Precedence();
    let left = 3;
    precedence.claim(() => left-- > 0);
    const giveWay = precedence.line(60_000);
    await Promise.all([giveWay(), giveWay(), giveWay()]);
    expect(left).toBe(-3);
  });
});
