import { conditionsOf, Parameters } from '../../src/profiles/profile-conditions.repository';
import { notLive, type ProfileFilters, type ProfileSort } from '../../src/profiles/profile-filters';
import { toMirrorRow } from '../../src/profiles/mirrored-row.klaviyo';

describe('what keeps Klaviyo from answering', () => {
  it.each<[ProfileFilters, ProfileSort | undefined, string[]]>([
    [{}, undefined, []],
    [{}, '-updatedAt', []],
    [{ email: 'a@b.fr', phoneNumber: '+33612345678', externalId: 'x', updatedSince: '2026-01-01T00:00:00Z' }, 'id', []],
    [{ name: 'ada', tag: 'vip', attribute: { key: 'a', value: 'b' } }, undefined, ['name', 'tag', 'attribute']],
    [{ listId: 'L' }, undefined, []],
    [{ segmentId: 'S', email: 'a@b.fr' }, undefined, []],
    [{ listId: 'L' }, 'id', ['sort']],
    [{ listId: 'L', externalId: 'x', updatedUntil: '2026-01-01T00:00:00Z' }, undefined, ['externalId', 'updatedUntil']],
    [{ listId: 'L', segmentId: 'S' }, undefined, ['segmentId']],
  ])('%j by %s: %j', (filters, sort, fields) => {
    expect(notLive(filters, sort)).toEqual(fields);
  });
});

describe('the conditions of a search', () => {
  const valuesOf = (filters: ProfileFilters) => {
    const parameters = new Parameters(7, 'c');
    const sql = conditionsOf(filters, parameters).join(' AND ');
    expect(sql.match(/\$\d+/g)?.filter((name) => Number(name.slice(1)) > parameters.values.length) ?? []).toEqual([]);
    return parameters.values.slice(2);
  };

  it.each<[string, ProfileFilters, unknown[]]>([
    ['an address in lower case', { email: 'Ada@X.fr' }, ['ada@x.fr']],
    ['a part of a name, folded, with nothing that stands for other characters', { name: 'a%_\\é' }, ['%A\\%\\_\\\\É%']],
    ['a tag', { tag: 'a"b' }, ['{"t":["a\\"b"]}']],
    [
      'an attribute as text and number, alone and among others',
      { attribute: { key: 'n', value: '13' } },
      ['{"a":{"n":"13"}}', '{"a":{"n":["13"]}}', '{"a":{"n":13}}', '{"a":{"n":[13]}}'],
    ],
    [
      'a truth value',
      { attribute: { key: 'n', value: 'false' } },
      ['{"a":{"n":"false"}}', '{"a":{"n":["false"]}}', '{"a":{"n":false}}', '{"a":{"n":[false]}}'],
    ],
    [
      'an empty text, which is no number',
      { attribute: { key: 'n', value: '' } },
      ['{"a":{"n":""}}', '{"a":{"n":[""]}}'],
    ],
    ['what PostgreSQL takes in no text', { externalId: 'a\0b' }, ['a\ufffdb']],
  ])('are values of the statement, never its text: %s', (_, filters, values) => {
    expect(valuesOf(filters)).toEqual(values);
  });
});

describe('a person as the mirror keeps them', () => {
  const of = (attributes: Record<string, unknown>) => toMirrorRow({ id: '01A', attributes });
  const searchable = (properties: unknown) => JSON.parse(of({ properties }).searchable) as unknown;

  it('is found by what is folded', () => {
    expect(of({ email: 'ADA@X.fr', first_name: 'Zoé', last_name: '', organization: 'Straße' })).toMatchObject({
      email: 'ada@x.fr',
      name: 'ZOÉ STRASSE',
    });
    expect(of({ first_name: '', last_name: null })).toMatchObject({ name: null });
  });

  it('is searched by short values of the first level', () => {
    expect(
      searchable({ tags: 'one', plan: 'pro', n: 1, yes: false, no: null, deep: { a: 1 }, list: ['a', 2, null, {}] }),
    ).toEqual({ t: ['one'], a: { plan: 'pro', n: 1, yes: false, list: ['a', 2] } });
    expect(searchable({ long: 'x'.repeat(501), short: 'x'.repeat(500) })).toEqual({
      t: [],
      a: { short: 'x'.repeat(500) },
    });
    expect(searchable('nothing')).toEqual({ t: [], a: {} });
  });

  it('says times as PostgreSQL takes them, and none that it does not', () => {
    expect(of({ created: '2026-01-01 01:00:00.123456+01:00', updated: '+012345-01-01T00:00:00Z' })).toMatchObject({
      createdAt: '2026-01-01T00:00:00.123Z',
      updatedAt: null,
    });
  });

  it('keeps every attribute, known or not', () => {
    const attributes = { brand_new: [1, { a: null }], properties: { tags: 7 } };
    expect(JSON.parse(of(attributes).document)).toEqual({ attributes });
  });
});
