import { encoded, wholeText } from '../sandbox/pieces.ts';

describe('a text in pieces', () => {
  it('is the bytes of the whole, of whatever it consists', () => {
    for (const text of ['', 'whole', ['a', '', 'é€🎉', 'b'], [], ['é'.repeat(300_000), '🎉'.repeat(200_000), 'end']])
      expect(encoded(text).bytes.equals(Buffer.from(wholeText(text)))).toBe(true);
  });

  it('keeps its bytes until they are given back, whatever is encoded meanwhile', () => {
    const first = encoded(['first', ' page']);
    const second = encoded(['second', ' page']);
    expect([first.bytes.toString(), second.bytes.toString()]).toEqual(['first page', 'second page']);
    first.giveBack();
    const third = encoded(['third']);
    expect(third.bytes.buffer).toBe(first.bytes.buffer);
    expect([second.bytes.toString(), third.bytes.toString()]).toEqual(['second page', 'third']);
  });

  it('of an unusual size leaves nothing behind', () => {
    const large = encoded(['x'.repeat(3 * 1024 * 1024)]);
    large.giveBack();
    expect(encoded(['small']).bytes.buffer).not.toBe(large.bytes.buffer);
  });
});
