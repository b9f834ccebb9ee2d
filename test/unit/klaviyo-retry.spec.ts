import type { Outcome } from '../../src/klaviyo/outcome';
import { decide, type AttemptFacts } from '../../src/klaviyo/retry';
import { parseRetryAfter } from '../../src/klaviyo/retry-after';

type Failure = AttemptFacts['outcome'];

const throttled = (retryAfterMs?: number): Failure => ({ kind: 'throttled', retryAfterMs });
const status = (code: number, retryAfterMs?: number): Failure => ({ kind: 'failed', status: code, retryAfterMs });
const network = (sent: boolean): Failure => ({ kind: 'network', sent, reason: 'ECONNRESET' });
const garbled = (code: number, what: Extract<Outcome, { kind: 'garbled' }>['what']): Failure => ({
  kind: 'garbled',
  status: code,
  what,
});
const timeout: Failure = { kind: 'timeout' };

const facts = (outcome: Failure, some: Partial<AttemptFacts> = {}): AttemptFacts => ({
  outcome,
  attempt: 1,
  maxRetries: 5,
  repeatable: true,
  now: 1_000_000,
  deadline: 1_000_000 + 60_000,
  random: 0.5,
  ...some,
});

describe('the decision to send once more', () => {
  it.each<[string, AttemptFacts, number | null]>([
    ['a 429 waits exactly what Klaviyo says', facts(throttled(5000)), 5000],
    [
      'a 429 was not done: a write that must not arrive twice goes too',
      facts(throttled(2000), { repeatable: false }),
      2000,
    ],
    ['chance adds nothing to Retry-After', facts(throttled(2000), { random: 0.99 }), 2000],
    ['nor does the number of the attempt', facts(throttled(2000), { attempt: 4 }), 2000],
    ['a 429 without a time waits a second at least', facts(throttled(), { random: 0 }), 1000],
    ['and a little more by chance', facts(throttled(), { random: 0.5 }), 1125],
    ['twice as long the second time', facts(throttled(), { attempt: 2, random: 0 }), 2000],
    ['and four times the third', facts(throttled(), { attempt: 3, random: 0 }), 4000],
    ['a minute at most', facts(throttled(), { attempt: 9, maxRetries: 20, random: 0, deadline: 9e15 }), 60_000],
    ['an upsert may arrive twice', facts(status(502)), 125],
    ['a write that may have been applied does not', facts(status(500), { repeatable: false }), null],
    ['503 is no promise that nothing was done', facts(status(503), { repeatable: false }), null],
    ['a read after 500', facts(status(500)), 125],
    ['a read after 504', facts(status(504)), 125],
    ['a read after 524', facts(status(524)), 125],
    ['backoff doubles', facts(status(503), { attempt: 3, random: 1 }), 1000],
    ['with full jitter', facts(status(503), { attempt: 3, random: 0 }), 0],
    ['up to 10 s', facts(status(503), { attempt: 15, maxRetries: 20, random: 1 }), 10_000],
    ['a 503 that names a time is not asked sooner', facts(status(503, 3000)), 3000],
    ['a reset read', facts(network(true)), 125],
    ['a reset write', facts(network(true), { repeatable: false }), null],
    ['a write that never left', facts(network(false), { repeatable: false }), 125],
    ['a read in silence', facts(timeout), 125],
    ['a write in silence', facts(timeout, { repeatable: false }), null],
    ['half a document of a read', facts(garbled(200, 'not json')), 125],
    ['half a document of a write', facts(garbled(200, 'not json'), { repeatable: false }), null],
    ['a redirect stays one', facts(garbled(302, 'redirect')), null],
    ['a block page stays one', facts(garbled(403, 'not json')), null],
    ['a flood stays one', facts(garbled(200, 'too large')), null],
    ['a refusal is final', facts({ kind: 'refused', status: 400, faults: [] }), null],
    ['the last attempt was the last', facts(status(503), { attempt: 6 }), null],
    ['the one before was not', facts(status(503), { attempt: 5, random: 0 }), 0],
    ['no retries at all', facts(throttled(1000), { maxRetries: 0 }), null],
    ['a wait up to the deadline is no use', facts(throttled(5000), { deadline: 1_005_000 }), null],
    ['a wait that ends before it is', facts(throttled(5000), { deadline: 1_005_001 }), 5000],
    ['the deadline binds backoff too', facts(status(503), { deadline: 1_000_100 }), null],
  ])('%s', (_, given, waitMs) => {
    expect(decide(given)).toEqual(waitMs === null ? null : { waitMs });
  });
});

describe('Retry-After', () => {
  const now = Date.parse('2026-11-22T10:00:00.400Z');

  it.each<[string, string | undefined, number | undefined]>([
    ['whole seconds', '5', 5000],
    ['with spaces around', ' 12 ', 12_000],
    ['at once', '0', 0],
    ['an HTTP date', 'Sun, 22 Nov 2026 10:00:05 GMT', 4600],
    ['an HTTP date that has passed', 'Sun, 22 Nov 2026 09:59:00 GMT', 0],
    ['more than a day is held to a day', '999999999', 86_400_000],
    ['absent', undefined, undefined],
    ['empty', '', undefined],
    ['negative', '-3', undefined],
    ['a fraction', '1.5', undefined],
    ['a word', 'soon', undefined],
    ['an exponent', '1e3', undefined],
    ['a date of another form', '2026-11-22T10:00:05Z', undefined],
    ['a date that does not exist', 'Foo, 99 Zzz 2026 10:00:05 GMT', undefined],
  ])('%s', (_, header, expected) => {
    expect(parseRetryAfter(header, now)).toBe(expected);
  });
});
