import { AppError, STATUS_OF, type ErrorCode } from '../../src/common/errors';
import { en } from '../../src/common/messages.en';
import { fr } from '../../src/common/messages.fr';
import { instanceOf, problemOf } from '../../src/common/problem';
import { routeTemplate } from '../../src/common/controller';
import { checkJson } from '../../src/http/json-check';

const call = { requestId: 'request-1', instance: '/api/klaviyo/x' };

describe('a problem document', () => {
  it.each(Object.keys(STATUS_OF) as ErrorCode[])('has its status, title and sentence in both languages: %s', (code) => {
    const error = new AppError(code, { params: { id: 'X1', scopes: 'lists:read', limit: '1 MB' }, retryAfter: 3 });
    const inFrench = problemOf(error, { ...call, language: 'fr' });
    const inEnglish = problemOf(error, { ...call, language: 'en' });
    expect(inFrench).toMatchObject({ success: false, code, status: STATUS_OF[code], title: fr.codes[code].title });
    expect(inEnglish).toMatchObject({ type: `/docs/errors#${code}`, title: en.codes[code].title, retryAfter: 3 });
    expect(inFrench.detail).not.toBe(inEnglish.detail);
    for (const text of [inFrench.detail, inEnglish.detail]) expect(text).not.toMatch(/[{}]/);
  });

  it('puts our faults into words and leaves others as they are', () => {
    const error = new AppError('VALIDATION_FAILED', {
      errors: [
        { field: 'a', key: 'tooLong', params: { max: 5 } },
        { field: 'b', message: "Klaviyo's words" },
      ],
    });
    expect(problemOf(error, { ...call, language: 'en' }).errors).toEqual([
      { field: 'a', message: 'must have at most 5 characters' },
      { field: 'b', message: "Klaviyo's words" },
    ]);
  });

  it('cannot have its own members replaced by what an error brings along', () => {
    const error = new AppError('CONFLICT', { extra: { status: 200, success: true, profileIds: ['1'] } });
    expect(problemOf(error, { ...call, language: 'en' })).toMatchObject({
      status: 409,
      success: false,
      profileIds: ['1'],
    });
  });

  it.each([
    ['/a/b?email=x@y.fr', '/a/b'],
    ['http://host/a?b', '/a'],
    ['/a#b', '/a'],
    [undefined, '/'],
    [`/${'x'.repeat(2000)}`, `/${'x'.repeat(499)}`],
  ])('names the path without its query: %s', (target, instance) => {
    expect(instanceOf(target)).toBe(instance);
  });
});

describe('the two addresses of a route', () => {
  it('are one template', () => {
    expect(routeTemplate('/api/klaviyo/lists/:id')).toBe('/api/v1/klaviyo/lists/:id');
    expect(routeTemplate('/api/v1/klaviyo/lists/:id')).toBe('/api/v1/klaviyo/lists/:id');
    expect(routeTemplate('/health/live')).toBe('/health/live');
  });
});

describe('a parsed body', () => {
  const nested = (levels: number): object => (levels === 1 ? {} : { a: nested(levels - 1) });
  const refusal = (body: unknown): unknown => {
    try {
      checkJson(body as object);
      return null;
    } catch (error) {
      return error instanceof AppError ? error.errors[0] : error;
    }
  };

  it.each<[string, string, unknown]>([
    ['a plain one', '{"a":[1,"x",null,{"b":true}]}', null],
    ['"__proto__" at the top', '{"__proto__":{}}', { field: '__proto__', key: 'forbiddenKey' }],
    ['"__proto__" far down', '{"a":[{},{"b":{"__proto__":1}}]}', { field: 'a[1].b.__proto__', key: 'forbiddenKey' }],
    ['"__proto__" with an escape', '{"\\u005f_proto__":1}', { field: '__proto__', key: 'forbiddenKey' }],
    ['a constructor with a prototype', '{"a":{"constructor":{"prototype":{}}}}', { field: 'a.constructor' }],
    ['a racing team', '{"constructor":"Ferrari"}', null],
    ['a NUL in a text', '{"a":{"b":"x\\u0000"}}', { field: 'a.b', key: 'malformed' }],
    ['a NUL in a key', '{"a":{"x\\u0000":1}}', { field: 'a', key: 'malformed' }],
    ['half a surrogate pair', '{"a":"\\ud83d"}', { field: 'a', key: 'malformed' }],
    ['a whole surrogate pair', '{"a":"\\ud83d\\ude00"}', null],
  ])('is judged before anything touches it: %s', (_, text, fault) => {
    const found = refusal(JSON.parse(text));
    if (fault === null) expect(found).toBeNull();
    else expect(found).toMatchObject(fault as object);
  });

  it('may have 32 levels and no more', () => {
    expect(refusal(nested(32))).toBeNull();
    expect(refusal(nested(33))).toMatchObject({ field: 'a', key: 'tooDeep', params: { max: 32 } });
    expect(refusal(JSON.parse(`{"a":${'['.repeat(100_000)}${']'.repeat(100_000)}}`))).toMatchObject({ key: 'tooDeep' });
  });
});
