import { prefersCsv, toCsv } from '../../src/common/table';

describe('a table as CSV', () => {
  it('has its header and columns in order, whatever the rows hold', () => {
    expect(toCsv([], ['id', 'stats.opens'])).toBe('id,stats.opens\r\n');
    expect(
      toCsv(
        [
          { stats: { opens: 3 }, id: 'a', more: 1 },
          { id: 'b', stats: null },
        ],
        ['id', 'stats.opens'],
      ),
    ).toBe('id,stats.opens\r\na,3\r\nb,\r\n');
  });

  it.each([
    ['=SUM(A1)', "'=SUM(A1)"],
    ['+33612345678', "'+33612345678"],
    ['-cmd', "'-cmd"],
    ['@x', "'@x"],
    ['\tx', "'\tx"],
    ['\rx', `"'\rx"`],
    ['a "b", c', '"a ""b"", c"'],
    ['two\nlines', '"two\nlines"'],
  ])('makes %j harmless and well quoted', (value, expected) => {
    expect(toCsv([{ value }], ['value'])).toBe(`value\r\n${expected}\r\n`);
  });

  it('keeps numbers numbers, instants RFC 3339 and arrays whole', () => {
    const row = { n: -1.5, at: new Date('2026-11-22T10:00:00Z'), ids: ['a', 'b'], yes: true };
    expect(toCsv([row], ['n', 'at', 'ids', 'yes'])).toBe(
      'n,at,ids,yes\r\n-1.5,2026-11-22T10:00:00.000Z,"[""a"",""b""]",true\r\n',
    );
  });

  it.each([
    ['text/csv', true],
    ['text/csv;q=0.5, application/json', false],
    ['application/json;q=0.5, text/csv', true],
    ['*/*', false],
    [undefined, false],
  ])('reads Accept: %s', (accept, expected) => {
    expect(prefersCsv(accept)).toBe(expected);
  });
});
