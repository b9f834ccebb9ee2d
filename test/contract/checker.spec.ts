import { operations, type Operation } from '../../src/klaviyo/operations';
import type { Operation as PlayedOperation } from '../sandbox/context.ts';
import { OPERATIONS } from '../sandbox/operations.ts';
import type { Schema } from '../sandbox/schemas/dsl.ts';
import { object, one, text } from '../sandbox/schemas/dsl.ts';
import { exchangeOf, listOf, smallFile } from './checker-stage';
import { sentence, sentences } from './checks/difference';
import { readDifferences } from './checks/reads';
import { sandboxDifferences } from './checks/sandbox';
import { tableDifferences } from './checks/table';
import { serving, TrafficCheck } from './checks/traffic';
import { sideBySide } from './compare/side-by-side';
import { openFolder } from './openapi/folder';
import { withFiles } from './report';
import type { Exchange } from './traffic/exchange';
import { watched } from './traffic/reads';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const file = smallFile();

describe('the check of the table', () => {
  const told = (operation: Operation, now = NOW, files = [file]) =>
    sentences(files.flatMap((specification) => tableDifferences([operation], files, specification, now)));
  const { getLists, getList, createList } = operations;

  it('has nothing to say where both agree', () => {
    expect([getLists, getList, createList].flatMap((operation) => told(operation))).toEqual([]);
  });

  it.each<[string, Operation, RegExp]>([
    [
      'a path that is not there',
      { ...getLists, path: '/api/list' },
      /no file has such a method and path.*operations\.ts/,
    ],
    [
      'a method that is not there',
      { ...getLists, method: 'PATCH' },
      /no file has such a method.*src\/klaviyo\/operations\.ts/,
    ],
    [
      'a scope',
      { ...getLists, scopes: ['lists:write'] },
      /scopes are lists:read, our table says lists:write.*operations\.ts/,
    ],
    [
      'a quota',
      { ...getLists, limits: [{ from: '2022-10-17', burst: 75, steady: 700 }] },
      /limit a minute is 750, ours 700.*tiers\.ts/,
    ],
    [
      'a daily quota',
      { ...createList, limits: [{ from: '2022-10-17', burst: 10, steady: 150 }] },
      /limit a day is 150, ours none.*tiers\.ts/,
    ],
    [
      'a largest page',
      { ...getLists, pageSize: { parameterFrom: '2026-04-15', max: [{ from: '2026-04-15', size: 100 }] } },
      /page\[size\] goes up to 10, our table says 100/,
    ],
    [
      'a page size that is not used',
      { ...getLists, pageSize: undefined },
      /takes a page\[size\] up to 10, and our table sends none/,
    ],
    ['a second budget', { ...getList, extraBudgets: [] }, /profile_count costs a second budget of 1\/s and 15\/m/],
    [
      'a revision too young',
      { ...getLists, since: '2026-10-15' },
      /has it already, but our table says that it came with 2026-10-15/,
    ],
  ])('tells of %s, in one sentence that names the file of ours', (_, operation, expected) => {
    const [first, ...others] = told(operation);
    expect(first).toMatch(/^Klaviyo 2026-07-15, [A-Z]+ \/api\/list.* \(\w+\): .*; change src\/klaviyo\/\w+\.ts\.$/);
    expect(first).toMatch(expected);
    expect(others).toEqual([]);
  });

  it('asks for a living revision that has what an older file lacks', () => {
    const old = smallFile('2025-01-15');
    const young = { ...getList, path: '/api/lists/{id}/new', since: '2026-04-15' };
    expect(told(young, NOW, [old, file])[0]).toMatch(
      /goes out under 2026-07-15 instead, which does not have it either/,
    );
    expect(told(young, NOW, [old])[0]).toMatch(/goes out under 2026-07-15 instead, of which the folder holds no file/);
  });
});

describe('the check of what goes over the line', () => {
  const check = new TrafficCheck([file], () => 'src/lists/lists.klaviyo.ts');
  const request = (change: Partial<Exchange>) => sentences(check.request(exchangeOf(change)));
  const answer = (change: Partial<Exchange>) => sentences(check.answer(exchangeOf(change)));
  const creation = (data: object, change: Partial<Exchange> = {}) =>
    request({ method: 'POST', search: '', body: { data }, ...change });

  it('has nothing to say of what is right', () => {
    expect([...request({}), ...answer({})]).toEqual([]);
    expect(creation({ type: 'list', attributes: { name: null, note: 3, free: { any: { thing: 1 } } } })).toEqual([]);
  });

  it.each<[string, string, RegExp]>([
    ['an unknown parameter', '?filter=equals(name,"A")&limit=3', /no query parameter limit/],
    ['a page too large', '?filter=equals(name,"A")&page[size]=11', /page\[size\] is 11, outside 1 to 10/],
    [
      'a sort that is none',
      '?filter=equals(name,"A")&sort=created',
      /sort is "created", which is none of "name", "-name"/,
    ],
    ['a field that is none', '?filter=equals(name,"A")&fields[list]=name,id', /fields\[list\] is "id"/],
    ['a parameter given twice', '?filter=equals(name,"A")&filter=equals(name,"B")', /filter is given twice/],
    ['a filter that is demanded', '', /the query lacks filter/],
    ['a filter on another field', '?filter=equals(email,"A")', /asks for email, the file allows name, created/],
    ['an operator', '?filter=contains(name,"A")', /asks contains of name, the file allows any, equals/],
    ['a text without quotes', '?filter=equals(name,A)', /name must be in quotes/],
    ['an instant in quotes', '?filter=greater-than(created,"2026-01-01T00:00:00Z")', /created must not be in quotes/],
    ['a filter that cannot be read', '?filter=equals(name,"A"', /cannot be read/],
  ])('tells of %s in a query', (_, search, expected) => {
    const [first] = request({ search });
    expect(first).toMatch(expected);
    expect(first).toMatch(/change src\/lists\/lists\.klaviyo\.ts\.$/);
  });

  it.each<[string, object, RegExp]>([
    [
      'an unknown key',
      { type: 'list', attributes: { name: 'A', colour: 'red' } },
      /\/data\/attributes\/colour is not a field there/,
    ],
    [
      'an unknown key beside the attributes',
      { type: 'list', meta: {}, attributes: { name: 'A' } },
      /\/data\/meta is not a field/,
    ],
    ['a missing key', { type: 'list', attributes: {} }, /\/data\/attributes\/name is missing/],
    ['a wrong type', { type: 'list', attributes: { name: 3 } }, /name is a number where the file says string/],
    ['a wrong word', { type: 'lists', attributes: { name: 'A' } }, /\/data\/type is "lists", which is none of "list"/],
    ['a null', { type: 'list', attributes: { name: 'A', created: null } }, /created is null, which it may not be/],
    [
      'an instant that is none',
      { type: 'list', attributes: { name: 'A', created: 'yesterday' } },
      /is no|which is no date-time/,
    ],
    ['what is neither', { type: 'list', attributes: { name: 'A', note: true } }, /note is a boolean/],
  ])('tells of %s in a body', (_, data, expected) => {
    expect(creation(data)[0]).toMatch(expected);
  });

  it('tells of bodies where none is due, none where one is, and another media type', () => {
    expect(request({ body: {} })[0]).toMatch(/takes no body, and one is sent/);
    expect(request({ method: 'POST', search: '' })[0]).toMatch(/demands a body/);
    const right = { type: 'list', attributes: { name: 'A' } };
    expect(creation(right, { headers: { 'content-type': 'application/json' } })[0]).toMatch(
      /sent as application\/json/,
    );
  });

  it('tells of a path that the file does not have', () => {
    expect(request({ path: '/api/list' })).toHaveLength(1);
    expect(request({ path: '/api/lists/A1/members' })[0]).toMatch(/no such method and path/);
  });

  it.each<[string, Partial<Exchange>, RegExp]>([
    [
      'an unknown attribute',
      { answer: { data: [listOf({ size: 3 })], links: { self: '' } } },
      /\/data\/\*\/attributes\/size is not a field/,
    ],
    [
      'a null that no file allows',
      { answer: { data: [listOf({ created: null })], links: { self: '' } } },
      /created is null/,
    ],
    [
      'a related row with another’s attributes',
      {
        answer: { data: [], included: [{ type: 'flow', id: '1', attributes: { tag_name: 'x' } }], links: { self: '' } },
      },
      /\/included\/\*\/attributes\/tag_name is not a field/,
    ],
    ['a status that the file lacks', { status: 202 }, /has no answer 202/],
    ['a body where none is due', { method: 'POST', status: 204, body: {} }, /answer 204 has no body in the file/],
    ['no body where one is due', { answer: undefined }, /answer 200 has a body in the file/],
    ['another media type', { answerType: 'application/json' }, /the sandbox's application\/json/],
    [
      'an error without its parts',
      { status: 404, answer: { errors: [{ id: '1', status: 404 }] } },
      /\/errors\/\*\/code is missing/,
    ],
  ])('tells of %s in an answer, and to change the sandbox', (_, change, expected) => {
    const found = answer(change);
    expect(found.join('\n')).toMatch(expected);
    expect(found.every((line) => line.endsWith('change test/sandbox.'))).toBe(true);
  });

  it('takes a null that only a newer file declares, and no other', () => {
    const old = smallFile('2025-01-15', (attributes) => {
      attributes['name'] = { type: 'string' };
    });
    const both = new TrafficCheck([old, file], () => '');
    const nulls = (attributes: object) =>
      both.answer(exchangeOf({ served: '2025-01-15', answer: { data: [listOf(attributes)], links: { self: '' } } }));
    expect(nulls({ name: null })).toEqual([]);
    expect(nulls({ name: null, created: null }).map(sentence)).toEqual([expect.stringContaining('created is null')]);
  });

  it('lets a sparse answer leave out attributes, of the narrowed type alone', () => {
    const sparse = { data: [{ ...listOf(), attributes: {} }], links: { self: '' } };
    expect(answer({ answer: sparse, search: '?fields[list]=created' })).toEqual([]);
    expect(answer({ answer: sparse, search: '?fields[tag]=name' })[0]).toMatch(/name is missing/);
  });

  it('judges what lies between two files by both', () => {
    const files = ['2023-10-15', '2025-01-15', '2026-07-15'].map((revision) => smallFile(revision));
    const judges = (served: string) => serving(files, served).map(({ revision }) => revision);
    expect(judges('2025-01-15')).toEqual(['2025-01-15']);
    expect(judges('2025-04-15')).toEqual(['2025-01-15', '2026-07-15']);
    expect(judges('2026-10-15')).toEqual(['2026-07-15']);
  });
});

describe('the check of what is read', () => {
  const readOf = (document: unknown, read: (document: never) => void): string[] => {
    const paths = new Set<string>();
    read(watched(document, (path) => paths.add(path)) as never);
    return [...paths];
  };

  it('sees every field that is looked at, whether it is there or not', () => {
    const document = { data: [{ id: '1', attributes: { name: 'A', free: { x: [1] } } }] };
    const paths = readOf(document, ({ data }: { data: { attributes: Record<string, unknown> }[] }) => {
      const { free, absent, ...others } = data.map(({ attributes }) => attributes)[0] ?? {};
      expect([JSON.stringify(free), absent, others]).toEqual(['{"x":[1]}', undefined, { name: 'A' }]);
    });
    expect(paths.sort()).toEqual([
      'data',
      'data[].attributes',
      'data[].attributes.absent',
      'data[].attributes.free',
      'data[].attributes.free.x',
      'data[].attributes.name',
    ]);
  });

  it('tells of a field that no file has, and which file of ours reads it', () => {
    const paths = [
      'data',
      'data[].id',
      'data[].attributes.free.whatever.deep',
      'included[].attributes.flow_name',
      'data[].attributes.nome',
    ];
    expect(sentences(readDifferences([file], operations.getLists, paths, 'src/lists/lists.klaviyo.ts'))).toEqual([
      'Klaviyo 2026-07-15, GET /api/lists (getLists): no file has data[].attributes.nome in the answer, which we read; change src/lists/lists.klaviyo.ts.',
    ]);
    expect(readDifferences([file], operations.getLists, ['data[].attributes.name.first'], '')).toHaveLength(1);
  });
});

describe('the check of the sandbox', () => {
  const lists = OPERATIONS.find(({ id }) => id === 'createList')!;
  const told = (body: Schema, change: Partial<PlayedOperation> = {}) =>
    sentences(sandboxDifferences([{ ...lists, body: () => body, query: () => ({}), ...change }], file));
  const bodyOf = (attributes: Record<string, Schema>) =>
    object({ 'data!': object({ 'type!': one('list'), 'attributes!': object(attributes) }) });

  it.each<[string, Record<string, Schema>, RegExp]>([
    ['a key that the file lacks', { 'name!': text, colour: text }, /\/data\/attributes\/colour is unknown to the file/],
    [
      'a key that it does without',
      { name: text },
      /\/data\/attributes\/name is demanded, and the sandbox does without/,
    ],
    ['another type', { 'name!': { kind: 'number' } }, /name is string, the sandbox takes a number/],
    [
      'a null',
      { 'name!': text, created: { kind: 'string', format: 'date-time', nullable: true } },
      /created may not be null/,
    ],
    ['any text for an instant', { 'name!': text, created: text }, /created is a date-time, the sandbox takes any text/],
    [
      'what no branch takes',
      { 'name!': text, note: { kind: 'boolean' } },
      /note is (string|number), the sandbox takes a boolean/,
    ],
  ])('tells of %s', (_, attributes, expected) => {
    expect(told(bodyOf(attributes))).toEqual([expect.stringMatching(expected)]);
  });

  it('has nothing to say of a stricter sandbox', () => {
    expect(told(bodyOf({ 'name!': { kind: 'string', max: 10 } }))).toEqual([]);
  });

  it('tells of queries, quotas and scopes that the file does not have', () => {
    const right = bodyOf({ 'name!': text });
    expect(told(right, { query: () => ({ fields: ['list'] }) })[0]).toMatch(/knows no fields\[list\]/);
    expect(told(right, { query: () => ({ sort: ['name'] }) })[0]).toMatch(/no query parameter sort/);
    expect(told(right, { tier: () => 'L' })[0]).toMatch(/allows 10\/150\/150, the sandbox 75\/750/);
    expect(told(right, { scopes: ['lists:read'] })[0]).toMatch(/scopes are lists:write/);
  });
});

describe('two revisions side by side', () => {
  it('show what is new, gone, required and allowed', () => {
    const before = smallFile('2025-01-15');
    const after = smallFile('2026-07-15', (attributes) => {
      delete attributes['note'];
      attributes['opt_in'] = { type: 'string', enum: ['a', 'b'] };
      attributes['created'] = { type: 'string', format: 'date-time', nullable: true };
    });
    const [change] = sideBySide([operations.createList], before, after);
    expect(change?.lines).toEqual([
      'body: data.attributes.opt_in new',
      'body: data.attributes.note gone',
      'body: data.attributes.created: may be null now',
      'answer 201: data.attributes.opt_in new',
      'answer 201: data.attributes.note gone',
      'answer 201: data.attributes.created: may be null now',
    ]);
    expect(sideBySide([operations.getEvents], before, after)[0]?.lines).toEqual(['in neither revision']);
  });
});

describe('the folder of Klaviyo’s files', () => {
  it('is told to be absent, with the name of its variable', () => {
    expect(openFolder('no/such/folder')).toEqual({ absent: expect.stringContaining('KLAVIYO_OPENAPI_DIR') });
  });

  it('refuses what it does not understand rather than passing over it', () => {
    expect(() =>
      smallFile('2026-07-15', (attributes) => (attributes['name'] = { pattern: 'a+' })).schemas.shape([
        { pattern: 'a+' },
      ]),
    ).toThrow(/"pattern"/);
  });
});

withFiles('a deliberately wrong operation', (specifications) => {
  it('makes every revision red, in a sentence that names src/klaviyo/operations.ts', () => {
    const wrong = { ...operations.getSegments, path: '/api/segment' };
    for (const specification of specifications) {
      const [told, ...others] = sentences(tableDifferences([wrong], specifications, specification, NOW));
      expect(told).toBe(
        `Klaviyo ${specification.revision}, GET /api/segment (getSegments): no file has such a method and path, though our table says that it is there since 2022-10-17; change src/klaviyo/operations.ts.`,
      );
      expect(others).toEqual([]);
    }
  });
});
