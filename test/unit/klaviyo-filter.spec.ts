import fc from 'fast-check';
import {
  and,
  any,
  contains,
  containsAny,
  equals,
  greaterOrEqual,
  greaterThan,
  lessOrEqual,
  lessThan,
  startsWith,
} from '../../src/klaviyo/filter';
import { KlaviyoAccess } from '../../src/klaviyo/klaviyo-access';
import { operations } from '../../src/klaviyo/operations';
import { prepare } from '../../src/klaviyo/prepared-request';

const access = new KlaviyoAccess({
  userId: 1,
  connectionId: 'c',
  accountId: 'ABC123',
  privateKey: 'pk_0123456789abcdef',
});

/** The filter as it goes over the line, and as a server reads it back. */
function sent(filter: string): { raw: string; read: string | null } {
  const { url } = prepare(access, operations.getProfiles, { query: { filter } }, DEFAULTS);
  return { raw: url.search, read: new URLSearchParams(url.search).get('filter') };
}

const DEFAULTS = {
  baseUrl: 'https://a.klaviyo.com',
  revision: { sent: '2026-07-15', served: '2026-07-15' },
  deadline: Infinity,
  maxRetries: 0,
  timeoutMs: 1000,
};

/** A reader of quoted strings written against Klaviyo's grammar, not against the builder. */
function unquote(literal: string): string {
  expect(literal.startsWith('"') && literal.endsWith('"')).toBe(true);
  let value = '';
  const inner = literal.slice(1, -1);
  for (let index = 0; index < inner.length; index += 1) {
    if (inner[index] === '\\') index += 1;
    else expect(inner[index]).not.toBe('"');
    value += inner[index] ?? '';
  }
  return value;
}

describe('filters', () => {
  it('quote strings and leave instants, numbers and booleans bare', () => {
    expect(equals('email', 'ada@example.com')).toBe('equals(email,"ada@example.com")');
    expect(greaterThan('updated', new Date('2026-11-20T10:00:00Z'))).toBe(
      'greater-than(updated,2026-11-20T10:00:00.000Z)',
    );
    expect(equals('archived', false)).toBe('equals(archived,false)');
    expect(lessThan('value', 3.5)).toBe('less-than(value,3.5)');
    expect(any('id', ['a', 'b'])).toBe('any(id,["a","b"])');
    expect(contains('name', 'x')).toBe('contains(name,"x")');
    expect(startsWith('name', 'x')).toBe('starts-with(name,"x")');
    expect(lessOrEqual('datetime', new Date(0))).toBe('less-or-equal(datetime,1970-01-01T00:00:00.000Z)');
    expect(greaterOrEqual('value', -1)).toBe('greater-or-equal(value,-1)');
    expect(containsAny('campaign_id', ['a'])).toBe('contains-any(campaign_id,["a"])');
  });

  it('are joined by commas, without those that are not there', () => {
    const channel = equals('messages.channel', 'email');
    expect(and(channel, undefined, equals('archived', true))).toBe(`${channel},equals(archived,true)`);
    expect(and(channel)).toBe(channel);
  });

  it('survive an address with an apostrophe, a plus and a quote', () => {
    const email = `o'brien+x"@y.fr`;
    const { raw, read } = sent(equals('email', email));
    expect(raw).toContain('%2B');
    expect(raw).not.toContain('+');
    expect(raw).not.toContain('"');
    expect(read).toBe(`equals(email,"o'brien+x\\"@y.fr")`);
  });

  it('give back every string that is put in, through quoting and percent-encoding', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (value) => {
        fc.pre(value.isWellFormed());
        const { read } = sent(equals('email', value));
        expect(unquote((read ?? '').slice('equals(email,'.length, -1))).toBe(value);
      }),
    );
  });

  it('keep the members of a list apart whatever they hold', () => {
    fc.assert(
      fc.property(fc.array(fc.string(), { minLength: 1, maxLength: 5 }), (values) => {
        const { read } = sent(any('id', values));
        const literals = (read ?? '').slice('any(id,['.length, -2).match(/"(?:[^"\\]|\\.)*"/gs) ?? [];
        expect(literals.map(unquote)).toEqual(values);
      }),
    );
  });

  it('refuse a field that is not a name, an empty list and a number that is none', () => {
    expect(() => equals('email,"x")', 'y')).toThrow(RangeError);
    expect(() => any('id', [])).toThrow(RangeError);
    expect(() => greaterOrEqual('value', NaN)).toThrow(RangeError);
    expect(() => greaterOrEqual('updated', new Date(NaN))).toThrow(RangeError);
  });
});
