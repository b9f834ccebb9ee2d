import { AppError } from '../../src/common/errors';
import { errorOf, isCursorExpired, mapPointer, type RefusedRequest } from '../../src/klaviyo/klaviyo-error';
import { operations, type Operation } from '../../src/klaviyo/operations';
import { interpret, type Outcome } from '../../src/klaviyo/outcome';
import { scrub, sentValues } from '../../src/klaviyo/scrub';
import type { TransportResult } from '../../src/klaviyo/transport';

const NOW = Date.parse('2026-11-22T12:00:00Z');

function answer(status: number, body: unknown, retryAfter?: string): TransportResult {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  return {
    kind: 'answer',
    status,
    body: text,
    retryAfter,
    rateLimit: undefined,
    remaining: undefined,
    requestId: undefined,
  };
}

function fault(code: string, detail: string, source: object = {}, meta: object = {}): object {
  return { errors: [{ id: 'x', code, title: 'Title.', detail, source, meta }] };
}

const HTML = '<!DOCTYPE html><html><title>Just a moment…</title></html>';

function request(operation: Operation, some: Partial<RefusedRequest> = {}): RefusedRequest {
  return { operation, path: { id: 'Y6nRLr' }, filter: undefined, body: undefined, cursor: false, ...some };
}

/** From what came over the line to the error that leaves the client. */
function errorFor(result: TransportResult, operation: Operation, some: Partial<RefusedRequest> = {}): AppError {
  const outcome = interpret(result, operation.method === 'GET', NOW);
  if (outcome.kind === 'success') throw new Error('that is no failure');
  return errorOf(outcome, request(operation, some));
}

describe('the code of each answer of Klaviyo', () => {
  const denied = fault('permission_denied', 'You do not have permission to perform this action.');
  const advanced = fault('permission_denied', 'You must have Advanced KDP enabled to use this endpoint.');

  it.each<[string, TransportResult, Operation, string]>([
    [
      '401 in JSON:API',
      answer(401, fault('authentication_failed', 'Incorrect.')),
      operations.getLists,
      'KLAVIYO_KEY_INVALID',
    ],
    ['401 as a page', answer(401, HTML), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['401 with nothing', answer(401, ''), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['401 in some other JSON', answer(401, { message: 'no' }), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['403 of a scope', answer(403, denied), operations.getLists, 'KLAVIYO_SCOPE_MISSING'],
    ['403 of a plan', answer(403, advanced), operations.getWebhookTopics, 'KLAVIYO_PLAN_REQUIRED'],
    ['those words on another operation', answer(403, advanced), operations.getLists, 'KLAVIYO_SCOPE_MISSING'],
    ['403 as a page', answer(403, HTML), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['400 as a page', answer(400, HTML), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    [
      '404 of a list',
      answer(404, fault('not_found', 'A list with id Y6nRLr does not exist.')),
      operations.getList,
      'LIST_NOT_FOUND',
    ],
    ['404 of a profile', answer(404, fault('not_found', 'No.')), operations.updateProfile, 'PROFILE_NOT_FOUND'],
    ['404 of a segment', answer(404, fault('not_found', 'No.')), operations.getSegmentProfiles, 'SEGMENT_NOT_FOUND'],
    ['404 of a campaign', answer(404, fault('not_found', 'No.')), operations.getCampaign, 'CAMPAIGN_NOT_FOUND'],
    ['404 of an event', answer(404, fault('not_found', 'No.')), operations.getEvent, 'EVENT_NOT_FOUND'],
    ['404 of a webhook', answer(404, fault('not_found', 'No.')), operations.deleteWebhook, 'WEBHOOK_NOT_FOUND'],
    ['404 of an import', answer(404, fault('not_found', 'No.')), operations.getBulkImportJob, 'IMPORT_NOT_FOUND'],
    [
      '404 of an endpoint that the revision does not know',
      answer(404, fault('not_found', 'Revision date requested is before the earliest available')),
      operations.getList,
      'KLAVIYO_REVISION_RETIRED',
    ],
    [
      'its other wording',
      answer(404, fault('not_found', 'No valid revisions found for method')),
      operations.createWebhook,
      'KLAVIYO_REVISION_RETIRED',
    ],
    [
      '404 of a whole collection',
      answer(404, fault('not_found', 'Not found.')),
      operations.getLists,
      'KLAVIYO_REVISION_RETIRED',
    ],
    [
      '404 of something named in the body',
      answer(404, fault('not_found', 'No.')),
      operations.queryMetricAggregates,
      'KLAVIYO_REJECTED',
    ],
    ['404 as a page', answer(404, HTML), operations.getList, 'KLAVIYO_UNAVAILABLE'],
    ['409 without an id', answer(409, fault('conflict', 'Conflict.')), operations.createProfile, 'CONFLICT'],
    ['410 in JSON:API', answer(410, fault('gone', 'Gone.')), operations.getLists, 'KLAVIYO_REVISION_RETIRED'],
    [
      '410 in the old words',
      answer(410, { message: 'This API has been retired' }),
      operations.getLists,
      'KLAVIYO_REVISION_RETIRED',
    ],
    ['410 as a page', answer(410, HTML), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['400', answer(400, fault('invalid', 'No.')), operations.getLists, 'KLAVIYO_REJECTED'],
    ['405', answer(405, fault('method_not_allowed', 'No.')), operations.getLists, 'KLAVIYO_REJECTED'],
    ['413', answer(413, fault('too_large', 'No.')), operations.createEvent, 'KLAVIYO_REJECTED'],
    ['415', answer(415, fault('unsupported', 'No.')), operations.createEvent, 'KLAVIYO_REJECTED'],
    ['422', answer(422, fault('invalid', 'No.')), operations.createEvent, 'KLAVIYO_REJECTED'],
    [
      '429 in JSON:API',
      answer(429, fault('throttled', 'Throttled.'), '7'),
      operations.getLists,
      'KLAVIYO_RATE_LIMITED',
    ],
    ['429 as a page', answer(429, HTML, '7'), operations.getLists, 'KLAVIYO_RATE_LIMITED'],
    ['500', answer(500, fault('error', 'Oops.')), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['503 as a page', answer(503, HTML), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['302', answer(302, ''), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['200 as a page', answer(200, HTML), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['200 cut off', answer(200, '{"data":[{"type":"li'), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['200 with nothing, where something was asked for', answer(200, ''), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['200 with another document', answer(200, { hello: 1 }), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['200 with a bare list', answer(200, []), operations.getLists, 'KLAVIYO_UNAVAILABLE'],
    ['silence', { kind: 'timeout' }, operations.getLists, 'KLAVIYO_TIMEOUT'],
    [
      'a dropped line',
      { kind: 'network', sent: true, reason: 'ECONNRESET' },
      operations.getLists,
      'KLAVIYO_UNAVAILABLE',
    ],
    ['a flood', { kind: 'oversized', status: 200 }, operations.getLists, 'KLAVIYO_UNAVAILABLE'],
  ])('%s', (_, result, operation, code) => {
    expect(errorFor(result, operation).code).toBe(code);
  });

  it('accepts an empty answer where Klaviyo gives none', () => {
    expect(interpret(answer(204, ''), false, NOW)).toEqual({ kind: 'success', status: 204, body: undefined });
    expect(interpret(answer(202, ''), false, NOW)).toEqual({ kind: 'success', status: 202, body: undefined });
  });

  it('names the scopes that the operation needs', () => {
    const error = errorFor(answer(403, denied), operations.getListProfiles);
    expect(error.params).toEqual({ scopes: 'lists:read, profiles:read' });
    expect(error.extra).toEqual({ scopes: ['lists:read', 'profiles:read'] });
  });

  it('names the profile that already has the identifier', () => {
    const body = fault('duplicate_profile', 'A profile already exists…', {}, { duplicate_profile_id: '01GD' });
    const error = errorFor(answer(409, body), operations.createProfile);
    expect(error).toMatchObject({ code: 'PROFILE_CONFLICT', status: 409, extra: { profileIds: ['01GD'] } });
  });

  it('tells the id that was not found', () => {
    expect(errorFor(answer(404, fault('not_found', 'No.')), operations.getList).params).toEqual({ id: 'Y6nRLr' });
  });

  it('passes on when it is worth coming again', () => {
    expect(errorFor(answer(429, '', '7'), operations.getLists)).toMatchObject({
      retryAfter: 7,
      params: { retryAfter: 7 },
    });
    expect(errorFor(answer(503, '', '30'), operations.getLists).retryAfter).toBe(30);
    expect(errorFor(answer(500, ''), operations.getLists).retryAfter).toBe(5);
  });

  it('tells an expired cursor from any other refusal', () => {
    const refused = answer(400, fault('invalid', 'Invalid cursor.', { parameter: 'page[cursor]' }));
    const expired = errorFor(refused, operations.getProfiles, { cursor: true });
    expect(expired).toMatchObject({ code: 'KLAVIYO_REJECTED', errors: [{ field: 'cursor', key: 'badCursor' }] });
    expect(isCursorExpired(expired)).toBe(true);
    expect(isCursorExpired(errorFor(refused, operations.getProfiles))).toBe(false);
    expect(isCursorExpired(new Error('cursor expired'))).toBe(false);
  });
});

describe('the fields of a refusal', () => {
  function rejected(pointer: string, table: Record<string, string>): string | undefined {
    const error = errorFor(answer(400, fault('invalid', 'No.', { pointer })), operations.createProfile);
    return (mapPointer(error, table) as AppError).errors[0]?.field;
  }

  it.each<[string, string, Record<string, string>, string]>([
    ['stay Klaviyo’s where nothing renames them', '/data/attributes/email', {}, 'data.attributes.email'],
    [
      'become the caller’s',
      '/data/attributes/phone_number',
      { 'data.attributes.phone_number': 'profile.phoneNumber' },
      'profile.phoneNumber',
    ],
    [
      'keep what follows',
      '/data/attributes/properties/my key/0',
      { 'data.attributes.properties': 'profile.customAttributes' },
      'profile.customAttributes.my key[0]',
    ],
    [
      'take the longest entry',
      '/data/attributes/location/address1',
      { 'data.attributes': 'profile', 'data.attributes.location': 'profile.location' },
      'profile.location.address1',
    ],
    [
      'are not cut within a word',
      '/data/attributes/emails',
      { 'data.attributes.email': 'x' },
      'data.attributes.emails',
    ],
    [
      'keep their index',
      '/data/attributes/profiles/data/3/attributes/email',
      { 'data.attributes.profiles.data[*].attributes': 'items[*]' },
      'items[3].email',
    ],
    ['may be general', '/data/', { data: 'profile' }, 'profile'],
    ['unescape JSON pointers', '/data/attributes/properties/a~1b~0c', {}, 'data.attributes.properties.a/b~c'],
    ['are named after Klaviyo when it points nowhere', '/', {}, 'klaviyo'],
  ])('%s', (_, pointer, table, field) => {
    expect(rejected(pointer, table)).toBe(field);
  });

  it('fall back to the query parameter', () => {
    const error = errorFor(answer(400, fault('invalid', 'No.', { parameter: 'filter' })), operations.getLists);
    expect(error.errors).toEqual([{ field: 'filter', message: 'No.' }]);
  });

  it('keep everything else of the error, and leave other errors alone', () => {
    const original = new AppError('KLAVIYO_REJECTED', {
      errors: [{ field: 'data.a', message: 'm' }],
      params: { x: 1 },
      extra: { y: 2 },
      retryAfter: 3,
      reason: 'r',
    });
    expect(mapPointer(original, { 'data.a': 'b' })).toMatchObject({
      code: 'KLAVIYO_REJECTED',
      errors: [{ field: 'b', message: 'm' }],
      params: { x: 1 },
      extra: { y: 2 },
      retryAfter: 3,
      reason: 'r',
    });
    const other = new TypeError('x');
    expect(mapPointer(other, { data: 'b' })).toBe(other);
  });
});

describe('Klaviyo’s words', () => {
  const body = {
    data: {
      type: 'profile',
      attributes: {
        email: `o'brien+x@y.fr`,
        phone_number: '+33612345678',
        first_name: 'Ada',
        last_name: 'de la Tour',
        properties: { plan: 'gold-2026', score: 4711 },
      },
    },
  };
  const sent = sentValues(body, undefined);

  it.each([
    ['an address', 'ada@example.com is not valid', '… is not valid'],
    ['an address in quotes', `"ada@example.com" is not valid`, `"…" is not valid`],
    ['the address that we sent', `o'brien+x@y.fr is taken`, '… is taken'],
    ['a phone number', 'Invalid phone number: +1 (500) 555-0006.', 'Invalid phone number: ….'],
    ['a phone number without a plus', '0612345678 is no phone', '… is no phone'],
    ['a key', 'key pk_abcdef0123456789 unknown', 'key … unknown'],
    ['a first name that we sent', 'Ada is not a name', '… is not a name'],
    ['a last name of several words', `'de la Tour' and de la Tour`, `'…' and …`],
    ['a custom value', `"gold-2026" is not allowed`, `"…" is not allowed`],
    ['a number that we sent', `'4711' is too high`, `'…' is too high`],
    ['control characters', 'a\u0000\u001b[31mb\r\nc', 'a [31mb c'],
  ])('are shown without %s', (_, words, shown) => {
    expect(scrub(words, sent)).toBe(shown);
  });

  it.each([
    "'equals' is not an allowed filter operator for name.  Allowed operators are contains",
    'Must be a date after 1990-01-01T00:00:00',
    'Limit is 100 profiles per call; 101 given.',
    'An Adapter is not a profile.',
    "'profiless' is not an allowed include parameter for this resource.",
  ])('are otherwise left as they are: %s', (words) => {
    expect(scrub(words, sent)).toBe(words);
  });

  it('hide what the filter asked for', () => {
    const values = sentValues(undefined, `equals(email,"o'brien+x\\"@y.fr"),any(id,["secret name","B"])`);
    expect([...values]).toEqual([`o'brien+x"@y.fr`, 'secret name', 'B']);
    expect(scrub('no secret name here', values)).toBe('no … here');
  });

  it('are bounded', () => {
    expect(scrub('word '.repeat(1000), new Set()).length).toBe(300);
  });

  it('are scrubbed quickly even when they are hostile', () => {
    const from = performance.now();
    for (const hostile of ['a@'.repeat(50_000), '1 '.repeat(50_000), '"'.repeat(100_000), '+1('.repeat(30_000)])
      scrub(hostile, sent);
    expect(performance.now() - from).toBeLessThan(2000);
  });

  it('reach the caller only so', () => {
    const detail = `Phone '+33612345678' of o'brien+x@y.fr is not valid`;
    const error = errorFor(answer(400, fault('invalid', detail)), operations.createProfile, { body });
    expect(JSON.stringify(error)).not.toMatch(/brien|33612345678/);
    expect(error.errors[0]).toMatchObject({ message: `Phone '…' of … is not valid` });
  });
});

describe('an outcome', () => {
  it('names at most a hundred faults and survives odd ones', () => {
    const errors = [null, 'x', [], { detail: 5 }, ...Array.from({ length: 500 }, () => ({ detail: 'd' }))];
    const outcome = interpret(answer(400, { errors }), true, NOW) as Extract<Outcome, { kind: 'refused' }>;
    expect(outcome.faults.length).toBeLessThanOrEqual(100);
    expect(outcome.faults[0]).toMatchObject({ detail: '', code: '', pointer: undefined });
  });
});
