import { AppError } from '../../src/common/errors';
import {
  ArrayOf,
  Bool,
  CommaList,
  Currency,
  Email,
  Exactly,
  Instant,
  Int,
  JsonObject,
  KlaviyoId,
  KlaviyoIds,
  Nested,
  Nullable,
  Num,
  OneOf,
  Optional,
  Phone,
  PrivateKey,
  PublicKey,
  QueryBool,
  QueryInt,
  StringArray,
  Text,
  Uuid,
} from '../../src/common/rules';
import { ScopedQuery, ScopedRequest } from '../../src/common/scoped.dto';
import { InputPipe, validateInput } from '../../src/common/validation.pipe';

type Class = new () => object;

/** The faults of an input as `field: key`, none when it is accepted. */
function faults(type: Class, value: unknown, isQuery = false): string[] {
  try {
    validateInput(type, value, isQuery);
    return [];
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    expect(error.code).toBe('VALIDATION_FAILED');
    return error.errors.map((fault) => ('key' in fault ? `${fault.field}: ${fault.key}` : fault.field));
  }
}

/** A class with one property `it` under the given rules. */
function classOf(...rules: PropertyDecorator[]): Class {
  class One {
    it: unknown;
  }
  for (const rule of rules) rule(One.prototype, 'it');
  return One;
}

const deep = (levels: number): object => (levels === 1 ? {} : { a: deep(levels - 1) });
const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, index) => [`k${index}`, index]));
const email = (length: number) => `a@${'b'.repeat(60)}.${'c'.repeat(60)}.${'d'.repeat(60)}.${'e'.repeat(length - 185)}`;

describe('a rule accepts and refuses', () => {
  it.each<[string, PropertyDecorator, unknown, string | null]>([
    ['a text', Text(), 'x', null],
    ['an empty text', Text(), '', 'empty'],
    ['a text shorter than its least', Text({ min: 3 }), 'ab', 'tooShort'],
    ['a text longer than its most', Text({ max: 3 }), 'abcd', 'tooLong'],
    ['a number where a text is due', Text(), 5, 'notText'],
    ['null where a text is due', Text(), null, 'notText'],
    ['nothing where a text is due', Text(), undefined, 'required'],
    ['an e-mail with an apostrophe', Email(), "o'brien@example.com", null],
    ['an e-mail with a plus', Email(), 'a+b@example.com', null],
    ['an e-mail with a unicode local part', Email(), 'josé@example.com', null],
    ['an e-mail with a unicode domain', Email(), 'a@exämple.de', null],
    ['an e-mail of 254 characters', Email(), email(254), null],
    ['an e-mail of 255 characters', Email(), email(255), 'tooLong'],
    ['an e-mail without an @', Email(), 'example.com', 'notEmail'],
    ['an e-mail with two', Email(), 'a@b@example.com', 'notEmail'],
    ['an e-mail with a space', Email(), 'a b@example.com', 'notEmail'],
    ['an e-mail without a dot in its domain', Email(), 'a@localhost', 'notEmail'],
    ['an e-mail with two dots in a row', Email(), 'a..b@example.com', 'notEmail'],
    ['an e-mail with a line break', Email(), 'a@example.com\n', 'notEmail'],
    ['an empty e-mail', Email(), '', 'empty'],
    ['an object as an e-mail', Email(), {}, 'notText'],
    ['an E.164 number', Phone(), '+33612345678', null],
    ['a number without its plus', Phone(), '33612345678', 'notPhone'],
    ['a national number', Phone(), '0612345678', 'notPhone'],
    ['a number with spaces', Phone(), '+33 6 12 34 56 78', 'notPhone'],
    ['a number of 16 digits', Phone(), '+3361234567890123', 'notPhone'],
    ['a Klaviyo id', KlaviyoId(), '01GDDKASAP8TKDDA2GRZDSVP4H', null],
    ['a Klaviyo id with a slash', KlaviyoId(), 'a/b', 'notKlaviyoId'],
    ['a UUID', Uuid(), '0198c0de-0000-7000-8000-000000000000', null],
    ['a UUID without dashes', Uuid(), '0198c0de000070008000000000000000', 'notUuid'],
    ['a private key', PrivateKey(), 'pk_0123456789abcdef', null],
    ['a private key that is too short', PrivateKey(), 'pk_0123', 'notPrivateKey'],
    ['a private key with another prefix', PrivateKey(), 'sk_0123456789abcdef', 'notPrivateKey'],
    ['a public key', PublicKey(), 'WBhXHN', null],
    ['a private key as a public one', PublicKey(), 'pk_0123456789', 'notPublicKey'],
    ['a currency', Currency(), 'EUR', null],
    ['a currency in small letters', Currency(), 'eur', 'notCurrency'],
    ['a currency that is none', Currency(), 'XQQ', 'notCurrency'],
    ['an instant in UTC', Instant(), '2026-11-22T10:00:00Z', null],
    ['an instant with an offset and a fraction', Instant(), '2026-11-22T10:00:00.123+02:00', null],
    ['a leap day', Instant(), '2028-02-29T00:00:00Z', null],
    ['a leap day of another year', Instant(), '2026-02-29T00:00:00Z', 'notInstant'],
    ['a date without a time', Instant(), '2026-11-22', 'notInstant'],
    ['a time without an offset', Instant(), '2026-11-22T10:00:00', 'notInstant'],
    ['the 25th hour', Instant(), '2026-11-22T25:00:00Z', 'notInstant'],
    ['a number as an instant', Instant(), 1_700_000_000, 'notInstant'],
    ['an integer', Int({ min: 1, max: 5 }), 5, null],
    ['an integer that is too small', Int({ min: 1 }), 0, 'tooSmall'],
    ['an integer that is too large', Int({ max: 5 }), 6, 'tooLarge'],
    ['a fraction as an integer', Int(), 1.5, 'notInteger'],
    ['digits in a body', Int(), '1', 'notInteger'],
    ['an integer that doubles cannot hold', Int(), 2 ** 53, 'notInteger'],
    ['a number', Num(), -1.5, null],
    ['an infinite number', Num(), Infinity, 'notNumber'],
    ['digits as a number', Num(), '1', 'notNumber'],
    ['a boolean', Bool(), false, null],
    ['a text as a boolean', Bool(), 'true', 'notBoolean'],
    ['digits in a query', QueryInt({ min: 1 }), '12', null],
    ['an exponent in a query', QueryInt(), '1e3', 'notInteger'],
    ['a space in a query', QueryInt(), ' 1', 'notInteger'],
    ['true in a query', QueryBool(), 'true', null],
    ['yes in a query', QueryBool(), 'yes', 'notBoolean'],
    ['one of a set', OneOf(['a', 'b']), 'b', null],
    ['none of a set', OneOf(['a', 'b']), 'c', 'notOneOf'],
    ['the one value there is', Exactly(true), true, null],
    ['another than the one value', Exactly(true), false, 'notOneOf'],
    ['a comma list', CommaList(['draft', 'sent']), 'sent,draft', null],
    ['a comma list with a stranger', CommaList(['draft', 'sent']), 'sent,x', 'notOneOf'],
    ['an empty comma list', CommaList(['draft']), '', 'notOneOf'],
    ['texts', StringArray({ max: 2 }), ['a', 'b'], null],
    ['too many texts', StringArray({ max: 2 }), ['a', 'b', 'c'], 'tooManyItems'],
    ['too few texts', StringArray({ min: 1, max: 2 }), [], 'tooFewItems'],
    ['a number among texts', StringArray({ max: 2 }), ['a', 1], 'notText'],
    ['a text twice', StringArray({ max: 2, unique: true }), ['a', 'a'], 'notUnique'],
    ['a text as an array', StringArray({ max: 2 }), 'a', 'notArray'],
    ['ids', KlaviyoIds({ max: 2 }), ['AbC123'], null],
    ['an id that is none', KlaviyoIds({ max: 2 }), ['a b'], 'notKlaviyoId'],
    ['400 keys', JsonObject(), keys(400), null],
    ['401 keys', JsonObject(), keys(401), 'tooManyKeys'],
    ['10 levels', JsonObject(), deep(10), null],
    ['11 levels', JsonObject(), deep(11), 'tooDeep'],
    ['an array as an object', JsonObject(), [], 'notObject'],
    ['null as an object', JsonObject(), null, 'notObject'],
  ])('%s', (_, rule, value, fault) => {
    expect(faults(classOf(rule), { it: value })).toEqual(fault === null ? [] : [`it: ${fault}`]);
  });

  it('takes null only where it is said, and absence only where it is said', () => {
    expect(faults(classOf(Text(), Nullable()), { it: null })).toEqual([]);
    expect(faults(classOf(Text(), Nullable()), {})).toEqual(['it: required']);
    expect(faults(classOf(Text(), Optional()), {})).toEqual([]);
    expect(faults(classOf(Text(), Optional()), { it: null })).toEqual(['it: notText']);
    expect(faults(classOf(Text(), Optional(), Nullable()), { it: null })).toEqual([]);
  });
});

class Item {
  @Text({ max: 5 })
  name: string;
  @Optional()
  @JsonObject()
  data?: object;
}
class Order extends ScopedRequest {
  @Nested(() => Item)
  first: Item;
  @Optional()
  @ArrayOf(() => Item, { min: 1, max: 3 })
  items?: Item[];
}
class Search extends ScopedQuery {
  @Optional()
  @QueryInt({ min: 1 })
  size?: number;
  @Optional()
  @CommaList(['a', 'b'])
  status?: string[];
}

describe('a request class', () => {
  it('names every wrong field at once, by its dotted path', () => {
    const body = { first: { name: 'toolong' }, items: [{ name: 'x' }, { name: 1, more: 2 }], other: true };
    expect(faults(Order, body).sort()).toEqual(
      ['first.name: tooLong', 'items[1].more: unknownField', 'items[1].name: notText', 'other: unknownField'].sort(),
    );
  });

  it('refuses arrays and texts where an object is due, once', () => {
    expect(faults(Order, { first: [{ name: 'x' }] })).toEqual(['first: notObject']);
    expect(faults(Order, { first: 'x' })).toEqual(['first: notObject']);
    expect(faults(Order, { first: null })).toEqual(['first: notObject']);
    expect(faults(Order, {})).toEqual(['first: required']);
    expect(faults(Order, { first: { name: 'x' }, items: { name: 'x' } })).toEqual(['items: notArray']);
    expect(faults(Order, { first: { name: 'x' }, items: ['x'] })).toEqual(['items[0]: notObject']);
    expect(faults(Order, { first: { name: 'x' }, items: [] })).toEqual(['items: tooFewItems']);
  });

  it('does not look into an array that is too long', () => {
    const items = Array.from({ length: 4 }, () => ({ name: 7 }));
    expect(faults(Order, { first: { name: 'x' }, items })).toEqual(['items: tooManyItems']);
  });

  it('gives free objects to the handler exactly as they came, whatever their keys', () => {
    const data = JSON.parse(
      '{"constructor":"x","prototype":1,"toString":2,"nested":{"constructor":{"a":1}}}',
    ) as object;
    const made = validateInput(Order, { first: { name: 'x', data } });
    expect(made.first).toBeInstanceOf(Item);
    expect(made.first.data).toBe(data);
  });

  it('knows "constructor" and "__proto__" as unknown fields of its own', () => {
    const body = JSON.parse(
      '{"first":{"name":"x","constructor":1},"constructor":"y","__proto__":{"name":"z"}}',
    ) as object;
    expect(faults(Order, body).sort()).toEqual(
      ['__proto__: unknownField', 'constructor: unknownField', 'first.constructor: unknownField'].sort(),
    );
  });

  it('takes a body that is missing as an empty one, and refuses one that is no object', () => {
    expect(faults(Order, undefined)).toEqual(['first: required']);
    expect(faults(Order, [])).toEqual(['body: notObject']);
  });

  it('converts digits and lists of a query where its rules say so', () => {
    const query = validateInput(Search, { size: '12', status: 'b,a,b', userId: '7' }, true);
    expect(query).toMatchObject({ size: 12, status: ['b', 'a'] });
  });

  it('refuses a parameter that is given twice and one with a NUL', () => {
    expect(faults(Search, { size: ['1', '2'] }, true)).toEqual(['size: givenTwice']);
    expect(faults(Search, { status: 'a\0' }, true)).toEqual(['status: malformed']);
  });

  it('leaves arguments without a class alone', () => {
    const pipe = new InputPipe();
    expect(pipe.transform('x', { type: 'param', metatype: String, data: 'id' })).toBe('x');
    expect(pipe.transform({ a: 1 }, { type: 'custom', metatype: Order })).toEqual({ a: 1 });
  });

  it('says at most 100 faults', () => {
    expect(faults(Order, { first: { name: 'x' }, ...keys(500) })).toHaveLength(100);
  });
});
