import { AppError, type ErrorCode } from '../../src/common/errors';
import { LIFETIME_SECONDS, pauseAfter, settlementOf, verdictOf } from '../../src/events/delivery';
import { circuitOpen } from '../../src/klaviyo/klaviyo-error';
import { inCallersWords } from '../../src/events/events.klaviyo';

const ROW = { userId: 1, connectionId: 'c', id: 'e', lease: 'l' };

describe('the plan of deliveries', () => {
  it('waits 2, 5, 10, 20, 60 seconds, 5 minutes, then 15 minutes again and again', () => {
    expect([1, 2, 3, 4, 5, 6, 7, 8, 90].map(pauseAfter)).toEqual([2, 5, 10, 20, 60, 300, 900, 900, 900]);
  });

  it('goes on for 24 hours', () => {
    expect(LIFETIME_SECONDS).toBe(86_400);
  });
});

describe('what an attempt means for the event', () => {
  it.each<[ErrorCode, string]>([
    ['KLAVIYO_REJECTED', 'rejected'],
    ['PROFILE_CONFLICT', 'rejected'],
    ['CONFLICT', 'rejected'],
    ['PROFILE_NOT_FOUND', 'rejected'],
    ['KLAVIYO_KEY_INVALID', 'refused'],
    ['KLAVIYO_SCOPE_MISSING', 'refused'],
    ['KLAVIYO_REVISION_RETIRED', 'refused'],
    ['KLAVIYO_UNAVAILABLE', 'later'],
    ['KLAVIYO_TIMEOUT', 'later'],
    ['KLAVIYO_RATE_LIMITED', 'later'],
    ['SERVICE_UNAVAILABLE', 'later'],
    ['INTERNAL', 'later'],
  ])('%s: %s', (code, kind) => {
    expect(verdictOf(new AppError(code)).kind).toBe(kind);
  });

  it('keeps the event whatever unforeseen thing happens', () => {
    expect(verdictOf(new TypeError('x'))).toEqual({ kind: 'later', code: 'INTERNAL' });
    expect(verdictOf('x')).toEqual({ kind: 'later', code: 'INTERNAL' });
  });

  it.each([
    ['sent', { kind: 'sent' } as const, 0, { status: 'sent', error: null, attempts: 1 }],
    [
      'a first failure',
      verdictOf(new AppError('KLAVIYO_UNAVAILABLE', { retryAfter: 5 })),
      0,
      { status: 'queued', error: 'KLAVIYO_UNAVAILABLE', pause: 2, attempts: 1 },
    ],
    [
      'a seventh failure',
      verdictOf(new AppError('KLAVIYO_TIMEOUT')),
      6,
      { status: 'queued', error: 'KLAVIYO_TIMEOUT', pause: 900, attempts: 1 },
    ],
    [
      'an account that nothing is sent to for now, which costs no attempt',
      verdictOf(circuitOpen(3.2)),
      4,
      { status: 'queued', error: 'KLAVIYO_UNAVAILABLE', pause: 4, attempts: 0 },
    ],
    [
      'a limit with a time',
      verdictOf(new AppError('KLAVIYO_RATE_LIMITED', { retryAfter: 37 })),
      3,
      { status: 'queued', error: 'KLAVIYO_RATE_LIMITED', pause: 37, attempts: 1 },
    ],
    [
      'a refused event',
      verdictOf(new AppError('KLAVIYO_REJECTED')),
      2,
      { status: 'failed', error: 'KLAVIYO_REJECTED', attempts: 1 },
    ],
    [
      'a refused key, which costs no attempt',
      verdictOf(new AppError('KLAVIYO_KEY_INVALID')),
      2,
      { status: 'queued', error: 'KLAVIYO_KEY_INVALID', attempts: 0 },
    ],
    [
      'a permission taken away, which may come back',
      verdictOf(new AppError('KLAVIYO_SCOPE_MISSING')),
      0,
      { status: 'queued', error: 'KLAVIYO_SCOPE_MISSING', pause: 2, attempts: 1 },
    ],
  ])('%s is written down as such', (_, verdict, attempts, settlement) => {
    expect(settlementOf(ROW, attempts, verdict)).toMatchObject({ ...ROW, ...settlement });
  });
});

describe('what Klaviyo refuses', () => {
  const fields = (pointer: string, where = {}) => {
    const error = new AppError('KLAVIYO_REJECTED', { errors: [{ field: pointer, message: 'no' }] });
    return (inCallersWords(error, where) as AppError).errors[0]?.field;
  };

  it.each([
    ['data.attributes.metric.data.attributes.name', 'event.eventType'],
    ['data.attributes.properties', 'event.eventData'],
    ['data.attributes.properties.OrderId', 'event.eventData.OrderId'],
    ['data.attributes.time', 'event.time'],
    ['data.attributes.value', 'event.value'],
    ['data.attributes.value_currency', 'event.currency'],
    ['data.attributes.unique_id', 'event.uniqueId'],
    ['data.attributes.backfill', 'event.backfill'],
    ['data.attributes.profile.data.attributes', 'event.profile'],
  ])('%s is told as %s', (theirs, ours) => {
    expect(fields(theirs)).toBe(ours);
  });

  it('is told where the caller wrote the identifier', () => {
    expect(fields('data.attributes.profile.data.attributes.email', { email: 'event.eventData.customer.email' })).toBe(
      'event.eventData.customer.email',
    );
    expect(fields('data.attributes.profile.data.id', { id: 'event.profileId' })).toBe('event.profileId');
  });
});
