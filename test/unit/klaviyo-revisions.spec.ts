import { KlaviyoAccess } from '../../src/klaviyo/klaviyo-access';
import { limitsOf, pageSizeOf } from '../../src/klaviyo/operation';
import { operations, type Operation } from '../../src/klaviyo/operations';
import { prepare, type PreparedRequest } from '../../src/klaviyo/prepared-request';
import { bucketsOf } from '../../src/klaviyo/quota';
import { retiresAt, revisionToSend, servedAs } from '../../src/klaviyo/revisions';
import type { KlaviyoCall } from '../../src/klaviyo/klaviyo-call';

const TODAY = Date.parse('2026-11-22T12:00:00Z');
const NEXT_YEAR = Date.parse('2027-02-01T00:00:00Z');
const access = new KlaviyoAccess({
  userId: 1,
  connectionId: 'c',
  accountId: 'ABC123',
  privateKey: 'pk_0123456789abcdef',
});

function prepared(operation: Operation, call: KlaviyoCall, sent = '2026-07-15', served = sent): PreparedRequest {
  return prepare(access, operation, call, {
    baseUrl: 'https://a.klaviyo.com',
    revision: { sent, served },
    deadline: 0,
    maxRetries: 0,
    timeoutMs: 0,
  });
}

describe('the revision that a call is sent under', () => {
  it.each([
    ['the base, which has it', '2026-07-15', '2024-02-15', TODAY, '2026-07-15'],
    ['an old base that has it', '2023-10-15', '2022-10-17', TODAY, '2023-10-15'],
    ['the oldest live one for what is younger than the base', '2023-10-15', '2024-02-15', TODAY, '2025-01-15'],
    ['the first that has it', '2025-01-15', '2026-04-15', TODAY, '2026-07-15'],
    ['another once the oldest has retired', '2023-10-15', '2024-02-15', NEXT_YEAR, '2026-07-15'],
    ['the newest when all have retired', '2023-10-15', '2024-02-15', Date.parse('2030-01-01'), '2026-07-15'],
  ])('is %s', (_, base, needed, now, sent) => {
    expect(revisionToSend(base, needed, now)).toBe(sent);
  });

  it('is never a guess: what no checked revision has is a fault of the program', () => {
    expect(() => revisionToSend('2026-07-15', '2027-01-15', TODAY)).toThrow(/2027-01-15/);
  });
});

describe('the revision that Klaviyo answers as', () => {
  it.each([
    ['itself while it lives', '2025-01-15', TODAY, '2025-01-15'],
    ['the oldest live one for a retired one', '2023-10-15', TODAY, '2025-01-15'],
    ['on the last day still itself', '2025-01-15', Date.parse('2027-01-14T23:59:59Z'), '2025-01-15'],
    ['from the day of its retirement the next', '2025-01-15', Date.parse('2027-01-15T00:00:00Z'), '2025-04-15'],
    ['and a later one each quarter', '2023-10-15', Date.parse('2027-08-01T00:00:00Z'), '2025-10-15'],
  ])('is %s', (_, sent, now, served) => {
    expect(servedAs(sent, now)).toBe(served);
  });

  it('is judged by two years from its date', () => {
    expect(new Date(retiresAt('2023-10-15')).toISOString()).toBe('2025-10-15T00:00:00.000Z');
  });
});

describe('what depends on the revision', () => {
  it('spells paths with a slash at the end before 2024-10-15 and without since', () => {
    expect(prepared(operations.getList, { path: { id: 'Y6nRLr' } }, '2023-10-15').url.pathname).toBe(
      '/api/lists/Y6nRLr/',
    );
    expect(prepared(operations.getList, { path: { id: 'Y6nRLr' } }, '2025-01-15').url.pathname).toBe(
      '/api/lists/Y6nRLr',
    );
  });

  it.each<[string, Operation, string, number | undefined, number | undefined]>([
    ['profiles take 100', operations.getProfiles, '2025-01-15', undefined, 100],
    ['fewer when fewer are wanted', operations.getProfiles, '2025-01-15', 7, 7],
    ['never more', operations.getProfiles, '2025-01-15', 500, 100],
    ['at least one', operations.getProfiles, '2025-01-15', 0, 1],
    ['lists have no such parameter before 2026-04-15', operations.getLists, '2025-01-15', 10, undefined],
    ['and 10 since', operations.getLists, '2026-07-15', undefined, 10],
    ['events 1,000 since 2026-01-15', operations.getEvents, '2026-07-15', undefined, 1000],
    ['and none before', operations.getEvents, '2025-01-15', undefined, undefined],
    ['member ids 1,000 of old', operations.getListProfileIds, '2023-10-15', undefined, 1000],
    ['and 100 now', operations.getListProfileIds, '2025-01-15', undefined, 100],
    ['metrics none at all', operations.getMetrics, '2026-07-15', 50, undefined],
  ])('page size: %s', (_, operation, served, wanted, size) => {
    expect(pageSizeOf(operation, served, wanted)).toBe(size);
  });

  it('knows the limits that grew', () => {
    expect(limitsOf(operations.getProfiles, '2025-01-15').steady).toBe(700);
    expect(limitsOf(operations.getProfiles, '2026-07-15').steady).toBe(750);
    expect(limitsOf(operations.createList, '2023-10-15').daily).toBeUndefined();
    expect(limitsOf(operations.createList, '2025-01-15').daily).toBe(150);
  });

  it('counts the second budgets that a query costs', () => {
    const names = (operation: Operation, query: string, served = '2026-07-15'): string[] =>
      bucketsOf(operation, new URLSearchParams(query), served).map(({ name }) => name);
    expect(names(operations.getList, '')).toEqual(['getList']);
    expect(names(operations.getList, 'additional-fields[list]=profile_count')).toEqual(['getList', 'profile_count']);
    expect(names(operations.getSegment, 'additional-fields[segment]=profile_count')).toEqual([
      'getSegment',
      'profile_count',
    ]);
    expect(names(operations.getProfiles, 'additional-fields[profile]=subscriptions,predictive_analytics')).toEqual([
      'getProfiles',
      'predictive_analytics',
    ]);
    expect(names(operations.getProfiles, 'additional-fields[profile]=subscriptions')).toEqual(['getProfiles']);
    expect(names(operations.getProfile, 'include=lists')).toEqual(['getProfile', 'profile_include']);
    expect(names(operations.getProfile, 'include=lists', '2024-07-15')).toEqual(['getProfile']);
  });
});

describe('a prepared request', () => {
  it('keeps an id in its segment of the path', () => {
    expect(prepared(operations.getList, { path: { id: 'a/b?c#d' } }).url.pathname).toBe('/api/lists/a%2Fb%3Fc%23d');
  });

  it.each(['', '.', '..'])('answers an id of "%s", which would name another endpoint, as not found', (id) => {
    expect(() => prepared(operations.getList, { path: { id } })).toThrow(
      expect.objectContaining({ code: 'LIST_NOT_FOUND', status: 404 }) as Error,
    );
  });

  it('is refused where its body is larger than Klaviyo’s 5 MB', () => {
    const body = { data: { attributes: { properties: { text: 'é'.repeat(2_500_000) } } } };
    expect(() => prepared(operations.createEvent, { body })).toThrow(
      expect.objectContaining({ code: 'PAYLOAD_TOO_LARGE', status: 413 }) as Error,
    );
  });

  it('leaves out undefined query values and encodes the others', () => {
    const { url } = prepared(operations.getProfiles, { query: { sort: undefined, 'page[size]': 5, filter: 'a+b&c' } });
    expect(url.search).toBe('?page%5Bsize%5D=5&filter=a%2Bb%26c');
  });

  it.each<[string, Operation, unknown, boolean]>([
    ['a read', operations.getProfiles, undefined, true],
    ['a report, though a POST', operations.campaignValuesReport, {}, true],
    ['an event with its own id', operations.createEvent, { data: { attributes: { unique_id: 'x' } } }, true],
    ['an event without', operations.createEvent, { data: { attributes: {} } }, false],
    ['an upsert', operations.upsertProfile, { data: { attributes: {} } }, true],
    [
      'an upsert that appends',
      operations.upsertProfile,
      { data: { meta: { patch_properties: { append: { tags: 'a' } } } } },
      false,
    ],
    ['a new list', operations.createList, {}, false],
    ['a new webhook', operations.createWebhook, {}, false],
    ['membership', operations.addProfilesToList, {}, true],
  ])('knows whether it may arrive twice: %s', (_, operation, body, repeatable) => {
    const path = { id: 'x' };
    expect(prepared(operation, { path, body }).repeatable).toBe(repeatable);
  });
});
