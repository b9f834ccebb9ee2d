import { AppError } from '../../src/common/errors';
import { EVENT_TYPES, predefined } from '../../src/events/event-catalogue';
import { planEvent, type EventInput } from '../../src/events/event-plan';
import { isReserved } from '../../src/events/event-type';
import { findProfile } from '../../src/events/find-profile';

const NOW = Date.parse('2026-11-22T10:00:00.789Z');
const EARLIEST = Date.UTC(2000, 0, 1);
const ADA = { profile: { email: 'ada@example.com' } };

const plan = (input: Partial<EventInput>) =>
  planEvent({ eventType: 'Placed Order', eventData: {}, ...ADA, ...input }, NOW, () => EARLIEST);

function faultOf(work: () => unknown): { field: string; key?: string } | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    expect(error.code).toBe('VALIDATION_FAILED');
    const [first] = error.errors;
    return first && { field: first.field, ...('key' in first ? { key: first.key } : {}) };
  }
}

describe('the type of an event', () => {
  it.each([
    ['placed_order', 'Placed Order'],
    ['PLACED_ORDER', 'Placed Order'],
    ['placed order', 'Placed Order'],
    ['Canceled Order', 'Cancelled Order'],
    ['CANCELLED ORDER', 'Cancelled Order'],
    ['canceled_order', 'Cancelled Order'],
    ['Active on Site', 'Active on Site'],
    ['Réserva une table', 'Réserva une table'],
    ['placed-order', 'placed-order'],
    [' Spun the Wheel', ' Spun the Wheel'],
    ['constructor', 'constructor'],
  ])('%s is sent as %s', (given, sent) => {
    expect(plan({ eventType: given }).eventType).toBe(sent);
  });

  it.each([
    'Received Email',
    'opened email',
    'CLICKED EMAIL',
    'Bounced Email',
    'Dropped Email',
    'Marked Email as Spam',
    'Unsubscribed',
    'Subscribed to List',
    'Unsubscribed from List',
    'Subscribed to Back in Stock',
    'Merged Profile',
    'Subscribed to Email Marketing',
    'Unsubscribed from SMS Marketing',
    'Manually Suppressed from Email Marketing',
    'Manually Unsuppressed from Email Marketing',
    'Updated Email Preferences',
    'Received SMS',
    'Clicked SMS',
    'Sent SMS',
    'Failed to Deliver SMS',
    'Received Automated Response SMS',
    'Opened Push',
    'Received Push',
    'Bounced Push',
    'Clicked Email to Unsubscribe',
    'Skipped Send',
    'Submitted Review',
    'Ready  to Review',
    ' Opened Email ',
  ])('%s is left to Klaviyo', (name) => {
    expect(faultOf(() => plan({ eventType: name }))).toEqual({ field: 'event.eventType', key: 'reservedMetric' });
  });

  it.each(['Received Email Address', 'Opened', 'Clicked', 'Subscribed to Newsletter', 'Sent Gift', 'Received Parcel'])(
    '%s is nobody’s and may be sent',
    (name) => {
      expect(isReserved(name)).toBe(false);
    },
  );

  it('is not blank and holds no control characters', () => {
    expect(faultOf(() => plan({ eventType: '   ' }))).toEqual({ field: 'event.eventType', key: 'empty' });
    expect(faultOf(() => plan({ eventType: 'a\nb' }))).toEqual({ field: 'event.eventType', key: 'malformed' });
  });
});

describe('the catalogue', () => {
  it('has each key and name once, none of them Klaviyo’s own', () => {
    const words = EVENT_TYPES.flatMap(({ key, name, aliases = [] }) => [key, name.toLowerCase(), ...aliases]);
    expect(new Set(words).size).toBe(words.length);
    for (const { key, name } of EVENT_TYPES) {
      expect(key).toMatch(/^[a-z]+(_[a-z]+)*$/);
      expect(isReserved(name)).toBe(false);
      expect(predefined(key)?.name).toBe(name);
    }
  });

  it('covers each category, in both languages', () => {
    expect(new Set(EVENT_TYPES.map(({ category }) => category))).toEqual(
      new Set(['purchase', 'browsing', 'engagement']),
    );
    for (const { description, recommendedProperties } of EVENT_TYPES) {
      expect(description.fr).toMatch(/\.$/);
      expect(description.en).toMatch(/\.$/);
      expect(recommendedProperties.length).toBeGreaterThan(0);
    }
  });

  it('gives examples that are taken as they are and use the recommended properties', () => {
    for (const { name, example, recommendedProperties } of EVENT_TYPES) {
      const made = plan({ profile: undefined, ...example });
      expect(made.eventType).toBe(name);
      expect(recommendedProperties).toEqual(expect.arrayContaining(Object.keys(made.properties)));
    }
  });
});

describe('the profile of an event', () => {
  const found = (eventData: Record<string, unknown>) => findProfile({}, eventData);

  it.each<[Record<string, unknown>, object, string]>([
    [{ email: 'a@b.fr' }, { email: 'a@b.fr' }, 'email'],
    [{ Email: 'a@b.fr' }, { email: 'a@b.fr' }, 'Email'],
    [{ $email: 'a@b.fr' }, { email: 'a@b.fr' }, '$email'],
    [{ customerEmail: ' a@b.fr ' }, { email: 'a@b.fr' }, 'customerEmail'],
    [{ customer_email: 'a@b.fr' }, { email: 'a@b.fr' }, 'customer_email'],
    [{ CustomerEmail: 'a@b.fr' }, { email: 'a@b.fr' }, 'CustomerEmail'],
    [{ customer: { email: 'a@b.fr' } }, { email: 'a@b.fr' }, 'customer.email'],
    [{ Customer: { email_address: 'a@b.fr' } }, { email: 'a@b.fr' }, 'Customer.email_address'],
    [{ user: { name: 'A', email: "o'b+x@y.fr" } }, { email: "o'b+x@y.fr" }, 'user.email'],
    [{ customer: { email: 'c@b.fr' }, email: 'a@b.fr' }, { email: 'a@b.fr' }, 'email'],
    [{ phoneNumber: '+33612345678' }, { phoneNumber: '+33612345678' }, 'phoneNumber'],
    [{ phone: '+33612345678', email: 'n/a' }, { phoneNumber: '+33612345678' }, 'phone'],
    [{ customer: { phone_number: '+33612345678' } }, { phoneNumber: '+33612345678' }, 'customer.phone_number'],
    [{ external_id: 'C-7' }, { externalId: 'C-7' }, 'external_id'],
  ])('is found in %j', (eventData, identifiers, path) => {
    const { profile, fields } = found(eventData);
    expect(profile).toEqual({ id: null, email: null, phoneNumber: null, externalId: null, ...identifiers });
    expect(Object.values(fields)).toEqual([`event.eventData.${path}`]);
  });

  it('is asked for where the data names nobody', () => {
    for (const eventData of [{}, { email: null }, { email: '' }, { email: 7 }, { items: [{ email: 'a@b.fr' }] }])
      expect(faultOf(() => found(eventData))).toEqual({ field: 'event.profile', key: 'oneOfRequired' });
  });

  it('is refused under the name that the caller used, when all that was found is malformed', () => {
    expect(faultOf(() => found({ customer: { email: 'nobody' } }))).toEqual({
      field: 'event.eventData.customer.email',
      key: 'notEmail',
    });
    expect(faultOf(() => found({ phone: '06 12 34 56 78' }))).toEqual({
      field: 'event.eventData.phone',
      key: 'notPhone',
    });
  });

  it('may be Klaviyo’s id or identifiers, not both and not nothing', () => {
    expect(findProfile({ profileId: '01H' }, { email: 'a@b.fr' }).profile).toEqual({
      id: '01H',
      email: null,
      phoneNumber: null,
      externalId: null,
    });
    expect(faultOf(() => findProfile({ profileId: '01H', profile: { email: 'a@b.fr' } }, {}))?.key).toBe('onlyOneOf');
    expect(faultOf(() => findProfile({ profile: {} }, { email: 'a@b.fr' }))).toEqual({
      field: 'event.profile',
      key: 'oneOfRequired',
    });
  });
});

describe('value and currency of an event', () => {
  it.each<[Partial<EventInput>, number | null, string | null]>([
    [{ eventData: { total: 89.9, currency: 'EUR' } }, 89.9, 'EUR'],
    [{ eventData: { total: 0, currency: 'eur' } }, 0, 'EUR'],
    [{ eventData: { total: 12, currency: 'euros' } }, 12, null],
    [{ eventData: { total: '12', currency: 'EUR' } }, null, null],
    [{ eventData: { currency: 'EUR' } }, null, null],
    [{ eventData: { total: 12, currency: 'EUR' }, value: 5, currency: 'USD' }, 5, 'USD'],
    [{ eventData: { total: 12, currency: 'EUR' }, value: null }, null, null],
    [{ eventData: { total: 12, currency: 'EUR' }, currency: null }, 12, null],
    [{ eventData: { total: -3 } }, -3, null],
    [{ eventData: {}, currency: 'EUR' }, null, 'EUR'],
  ])('%j gives %s %s', (input, value, currency) => {
    expect(plan(input)).toMatchObject({ value, currency });
  });
});

describe('the time of an event', () => {
  it.each([
    [undefined, '2026-11-22T10:00:00.000Z'],
    ['2026-11-20T10:00:00.999+02:00', '2026-11-20T08:00:00.000Z'],
    ['2026-11-20t10:00:00z', '2026-11-20T10:00:00.000Z'],
    ['2000-01-01T00:00:00Z', '2000-01-01T00:00:00.000Z'],
    ['2027-11-22T09:00:00Z', '2027-11-22T09:00:00.000Z'],
  ])('%s is sent as %s', (time, sent) => {
    expect(plan(time === undefined ? {} : { time }).time.toISOString()).toBe(sent);
  });

  it.each(['1999-12-31T23:59:59Z', '2027-11-23T10:00:00Z', '0001-01-01T00:00:00Z', '9999-12-31T23:59:59Z'])(
    '%s is out of Klaviyo’s range',
    (time) => {
      expect(faultOf(() => plan({ time }))).toEqual({ field: 'event.time', key: 'timeOutOfRange' });
    },
  );
});

describe('the data of an event', () => {
  const keys = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`k${i}`, i]));

  it('has at most 400 properties, whatever is within them', () => {
    expect(plan({ eventData: keys(400) }).properties).toHaveProperty('k399');
    expect(plan({ eventData: { Items: Array.from({ length: 60 }, () => keys(9)) } }).properties).toHaveProperty(
      'Items',
    );
    expect(faultOf(() => plan({ eventData: keys(401) }))).toEqual({ field: 'event.eventData', key: 'tooManyKeys' });
  });

  it('has texts of at most 100 KB and arrays of at most 4,000, wherever they are', () => {
    expect(plan({ eventData: { note: 'x'.repeat(100_000) } }).properties).toHaveProperty('note');
    expect(faultOf(() => plan({ eventData: { items: [{ note: 'é'.repeat(50_001) }] } }))).toEqual({
      field: 'event.eventData.items[0].note',
      key: 'tooLong',
    });
    expect(plan({ eventData: { ids: Array.from({ length: 4000 }, () => 1) } }).properties).toHaveProperty('ids');
    expect(faultOf(() => plan({ eventData: { a: { ids: Array.from({ length: 4001 }, () => 1) } } }))).toEqual({
      field: 'event.eventData.a.ids',
      key: 'tooManyItems',
    });
  });
});
