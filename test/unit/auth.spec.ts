import { WrongCredentials } from '../../src/auth/attempts';
import { canonicalJson } from '../../src/auth/canonical';
import { parseUserId, userIdOrNone } from '../../src/common/user-id';

describe('a userId', () => {
  it.each(['1', '42', '9007199254740991'])('in digits is taken: %s', (text) => {
    expect(parseUserId(text)).toBe(Number(text));
  });

  it.each(['0', '-1', '1.5', 'abc', '', ' 1', '1e3', '01', '+1', '0x1', '9007199254740992', '9223372036854775808', 1])(
    'is refused as text: %p',
    (text) => {
      expect(parseUserId(text)).toBeUndefined();
    },
  );

  it.each([0, -1, 1.5, '1', 2 ** 53, 2 ** 63, NaN, Infinity, null, true, [1], {}])(
    'is refused as JSON: %p',
    (value) => {
      expect(userIdOrNone(value)).toBeUndefined();
    },
  );

  it('in JSON is a number', () => {
    expect(userIdOrNone(9007199254740991)).toBe(9007199254740991);
  });
});

describe('wrong credentials', () => {
  it('are counted by address, and the count begins anew after its minute', () => {
    const wrong = new WrongCredentials(2, 60_000);
    expect([wrong.note('192.0.2.1', 0), wrong.note('192.0.2.1', 10)]).toEqual([undefined, undefined]);
    expect(wrong.note('192.0.2.1', 15_000)).toBe(45);
    expect(wrong.note('192.0.2.2', 15_000)).toBeUndefined();
    expect(wrong.note('192.0.2.1', 60_000)).toBeUndefined();
  });

  it('count a whole /64 of IPv6 as one address, and IPv4 in IPv6 clothes as IPv4', () => {
    const wrong = new WrongCredentials(1);
    wrong.note('2001:db8::1', 0);
    expect(wrong.note('2001:db8:0:0:ffff::2', 0)).toBe(60);
    expect(wrong.note('2001:db8:0:1::1', 0)).toBeUndefined();
    wrong.note('::ffff:192.0.2.1', 0);
    expect(wrong.note('192.0.2.1', 0)).toBe(60);
  });

  it('forget the oldest address when there are too many', () => {
    const wrong = new WrongCredentials(1, 60_000, 2);
    wrong.note('192.0.2.1', 0);
    wrong.note('192.0.2.2', 1);
    wrong.note('192.0.2.3', 2);
    expect(wrong.note('192.0.2.1', 3)).toBeUndefined();
    expect(wrong.note('192.0.2.3', 3)).toBeDefined();
  });
});

describe('canonical JSON', () => {
  it('is one text for one value, however its keys are ordered', () => {
    expect(canonicalJson({ b: [{ d: 1, c: 2 }], a: null })).toBe('{"a":null,"b":[{"c":2,"d":1}]}');
    expect(canonicalJson({ a: null, b: [{ c: 2, d: 1 }] })).toBe(canonicalJson({ b: [{ d: 1, c: 2 }], a: null }));
  });

  it('keeps the order of arrays', () => {
    expect(canonicalJson([2, 1])).not.toBe(canonicalJson([1, 2]));
  });
});
