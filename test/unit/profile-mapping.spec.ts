import { AppError } from '../../src/common/errors';
import { profileBody } from '../../src/profiles/profile-writing.klaviyo';
import { isEmpty } from '../../src/profiles/profile-writing.klaviyo';
import { readProfile, resourceOf, resourcesOf } from '../../src/profiles/profile-reading.klaviyo';
import { neededFor, subscribeJob } from '../../src/profiles/subscribing.klaviyo';

const NOWHERE = {
  address1: null,
  address2: null,
  city: null,
  region: null,
  country: null,
  zip: null,
  timezone: null,
  latitude: null,
  longitude: null,
  ip: null,
};

const read = (attributes: Record<string, unknown>) => readProfile({ id: '01A', attributes });

describe('a profile read from Klaviyo', () => {
  it('is complete, with null for whatever Klaviyo leaves out', () => {
    expect(read({})).toEqual({
      id: '01A',
      email: null,
      phoneNumber: null,
      externalId: null,
      firstName: null,
      lastName: null,
      organization: null,
      title: null,
      image: null,
      locale: null,
      location: NOWHERE,
      customAttributes: {},
      tags: [],
      subscriptions: null,
      createdAt: null,
      updatedAt: null,
    });
  });

  it.each([
    ['40.7128', 40.7128],
    [40.7128, 40.7128],
    ['0', 0],
    ['-12.5', -12.5],
    ['', null],
    ['  ', null],
    ['north', null],
    [null, null],
    [true, null],
    ['Infinity', null],
  ])('has a number for the latitude %j', (latitude, expected) => {
    expect(read({ location: { latitude } }).location.latitude).toBe(expected);
  });

  it.each([
    [
      ['vip', 'b2b'],
      ['vip', 'b2b'],
    ],
    [['vip', 'vip', ''], ['vip']],
    ['vip', ['vip']],
    ['', []],
    [null, []],
    [7, ['7']],
    [{ vip: true }, []],
    [
      ['vip', null, 7, { a: 1 }],
      ['vip', '7'],
    ],
  ])('has the tags of properties.tags %j, each once', (tags, expected) => {
    const profile = read({ properties: { tags, role: 'pro' } });
    expect(profile.tags).toEqual(expected);
    expect(profile.customAttributes).toEqual({ role: 'pro' });
  });

  it('gives instants in UTC, and null for what is none', () => {
    const profile = read({ created: '2026-01-02T03:04:05+02:00', updated: 'yesterday' });
    expect(profile).toMatchObject({ createdAt: '2026-01-02T01:04:05.000Z', updatedAt: null });
  });

  it('maps consent and suppressions of mail, and consent of text messages', () => {
    const { subscriptions } = read({
      subscriptions: {
        email: {
          marketing: {
            can_receive_email_marketing: false,
            consent: 'UNSUBSCRIBED',
            consent_timestamp: '2026-02-21T20:07:38+00:00',
            suppression: [{ reason: 'UNSUBSCRIBE', timestamp: '2026-02-22T20:07:38+00:00' }, null],
          },
        },
        sms: { marketing: { can_receive_sms_marketing: true, consent: 'SUBSCRIBED', consent_timestamp: null } },
      },
    });
    expect(subscriptions).toEqual({
      email: {
        consent: 'UNSUBSCRIBED',
        canReceive: false,
        consentedAt: '2026-02-21T20:07:38.000Z',
        suppressions: [{ reason: 'UNSUBSCRIBE', at: '2026-02-22T20:07:38.000Z' }],
      },
      sms: { consent: 'SUBSCRIBED', canReceive: true, consentedAt: null },
    });
  });

  it('has nulls for a channel that the account does not have', () => {
    const { subscriptions } = read({ subscriptions: { email: { marketing: null } } });
    const nothing = { consent: null, canReceive: null, consentedAt: null };
    expect(subscriptions).toEqual({ email: { ...nothing, suppressions: [] }, sms: nothing });
  });

  it.each([
    undefined,
    null,
    {},
    { data: null },
    { data: [] },
    { data: { id: 7, attributes: {} } },
    { data: { id: 'a' } },
  ])('is Klaviyo being unavailable when the answer is %j', (body) => {
    expect(() => resourceOf(body)).toThrow(expect.objectContaining({ code: 'KLAVIYO_UNAVAILABLE' }) as AppError);
  });

  it('is Klaviyo being unavailable when a collection is none, or holds something else', () => {
    expect(() => resourcesOf({ data: {} })).toThrow(AppError);
    expect(() => resourcesOf({ data: [null] })).toThrow(AppError);
    expect(resourcesOf({ data: [] })).toEqual([]);
  });
});

describe('a profile written to Klaviyo', () => {
  it('carries only what was given, under their names', () => {
    const fields = { email: 'ada@example.com', phoneNumber: '+33612345678', location: { city: 'Lyon' } };
    expect(profileBody({ fields })).toEqual({
      type: 'profile',
      attributes: { email: 'ada@example.com', phone_number: '+33612345678', location: { city: 'Lyon' } },
    });
  });

  it('clears a field by null, a location field by field, and removes a custom attribute by unset', () => {
    const fields = { firstName: null, location: null, customAttributes: { role: null, plan: 'pro' } };
    expect(profileBody({ fields, unset: ['old'] }, '01A')).toEqual({
      type: 'profile',
      id: '01A',
      attributes: { first_name: null, location: NOWHERE, properties: { plan: 'pro' } },
      meta: { patch_properties: { unset: ['role', 'old'] } },
    });
  });

  it('adds and removes tags one by one, and replaces them only where that was asked', () => {
    expect(profileBody({ fields: {}, appendTags: ['a'], removeTags: ['b'] })).toEqual({
      type: 'profile',
      attributes: {},
      meta: { patch_properties: { append: { tags: ['a'] }, unappend: { tags: ['b'] } } },
    });
    expect(profileBody({ fields: {}, replaceTags: [] }).attributes).toEqual({ properties: { tags: [] } });
    expect(profileBody({ fields: {}, replaceTags: null })).toEqual({
      type: 'profile',
      attributes: {},
      meta: { patch_properties: { unset: ['tags'] } },
    });
  });

  it('is empty when nothing is in it', () => {
    expect(isEmpty({ fields: { location: {}, customAttributes: {} }, appendTags: [], removeTags: [] })).toBe(true);
    expect(isEmpty({ fields: { firstName: null } })).toBe(false);
    expect(isEmpty({ fields: {}, replaceTags: null })).toBe(false);
  });

  it('keeps a custom attribute called "constructor" as any other', () => {
    const customAttributes = JSON.parse('{"constructor":"Renault"}') as Record<string, unknown>;
    expect(profileBody({ fields: { customAttributes } }).attributes).toEqual({ properties: customAttributes });
  });
});

describe('the subscribe job', () => {
  it('asks for the channels that were agreed to, on the list', () => {
    const consent = { email: 'ada@example.com', phoneNumber: '+33612345678', source: 'Checkout' };
    expect(subscribeJob('01A', consent, 'LIST01')).toEqual({
      data: {
        type: 'profile-subscription-bulk-create-job',
        attributes: {
          custom_source: 'Checkout',
          profiles: {
            data: [
              {
                type: 'profile',
                id: '01A',
                attributes: {
                  email: 'ada@example.com',
                  phone_number: '+33612345678',
                  subscriptions: {
                    email: { marketing: { consent: 'SUBSCRIBED' } },
                    sms: { marketing: { consent: 'SUBSCRIBED' } },
                  },
                },
              },
            ],
          },
        },
        relationships: { list: { data: { type: 'list', id: 'LIST01' } } },
      },
    });
  });

  it('is a historical import when the consent is of the past, and then needs a revision that has it', () => {
    const consent = { email: 'ada@example.com', consentedAt: '2024-01-01T00:00:00Z' };
    expect(subscribeJob('01A', consent, undefined)).toMatchObject({
      data: {
        attributes: {
          historical_import: true,
          profiles: {
            data: [
              {
                attributes: {
                  subscriptions: { email: { marketing: { consent: 'SUBSCRIBED', consented_at: consent.consentedAt } } },
                },
              },
            ],
          },
        },
      },
    });
    expect(neededFor(consent, 'LIST01')).toBe('2024-07-15');
    expect(neededFor({ email: 'ada@example.com' }, undefined)).toBe('2023-12-15');
    expect(neededFor({ email: 'ada@example.com' }, 'LIST01')).toBeUndefined();
  });
});
