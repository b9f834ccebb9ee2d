import fc from 'fast-check';
import { repeatedFields } from '../../src/http/repeated-fields';

describe('fields of a JSON text that stand in it twice', () => {
  it.each<[string, Record<string, string[]>]>([
    ['{}', {}],
    ['{"a":1,"b":2}', {}],
    ['{"a":1,"a":2}', { a: ['1', '2'] }],
    ['{ "a" : 1 , "a" :\n"x" }', { a: ['1', '"x"'] }],
    ['{"a":{"b":1,"b":2},"c":[{"a":1},{"a":2}]}', {}],
    ['{"a":"\\"a\\":1,","a":"}{,:\\\\"}', { a: ['"\\"a\\":1,"', '"}{,:\\\\"'] }],
    ['{"\\u0061":1,"a":[1,{"a":","}]}', { a: ['1', '[1,{"a":","}]'] }],
    ['{"":1,"":2,"__proto__":1,"__proto__":2}', { '': ['1', '2'], ['__proto__']: ['1', '2'] }],
    ['{"a":1,"a":1,"a":1}', { a: ['1', '1', '1'] }],
  ])('%s', (json, expected) => {
    expect([...repeatedFields(json)]).toEqual(Object.entries(expected));
  });

  it('are found whatever stands around them, and only they', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), fc.jsonValue(), (object, name, value) => {
        const json = JSON.stringify(object);
        expect(repeatedFields(json).size).toBe(0);
        const piece = `${JSON.stringify(name)}:${JSON.stringify(value)}`;
        const twice = `{${piece}${json === '{}' ? '' : `,${json.slice(1, -1)}`},${piece}}`;
        const found = repeatedFields(twice);
        expect([...found.keys()]).toEqual([name]);
        expect(found.get(name)).toContain(JSON.stringify(value));
      }),
    );
  });

  it('are found in a time that grows with the text alone', () => {
    const hostile = [
      `{${Array(150_000).fill('"a":1').join(',')}}`,
      `{${Array.from({ length: 80_000 }, (_, at) => `"k${at}":1`).join(',')}}`,
      `{"a":"${'\\\\'.repeat(400_000)}"}`,
      `{"a":"${'\\"'.repeat(400_000)}"}`,
    ];
    const began = performance.now();
    for (const json of hostile) repeatedFields(json);
    // Milliseconds each where it is linear; minutes where it is not.
    expect(performance.now() - began).toBeLessThan(5_000);
  });
});
