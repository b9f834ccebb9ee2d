import type { Profile } from '../../src/profiles/profile';
import { changesBetween } from '../../src/profiles/profile-diff';
import { readProfile } from '../../src/profiles/profile-reading.klaviyo';

const profile = (attributes: Record<string, unknown>): Profile => readProfile({ id: '01A', attributes });
const touched = { profile: {}, unset: [], tags: false };

describe('the changes of an update', () => {
  it('name each field that differs, dotted, with both values', () => {
    const before = profile({ first_name: 'Ada', location: { city: 'Lyon' }, properties: { role: 'pro', tags: ['a'] } });
    const after = profile({ first_name: 'Eva', location: {}, properties: { plan: { name: 'x' }, tags: ['a', 'b'] } });
    const asked = {
      profile: { firstName: 'Eva', location: { city: null }, customAttributes: { plan: { name: 'x' } } },
      unset: ['role'],
      tags: true,
    };
    expect(changesBetween(before, after, asked)).toEqual([
      { field: 'firstName', from: 'Ada', to: 'Eva' },
      { field: 'location.city', from: 'Lyon', to: null },
      { field: 'customAttributes.plan', from: null, to: { name: 'x' } },
      { field: 'customAttributes.role', from: 'pro', to: null },
      { field: 'tags', from: ['a'], to: ['a', 'b'] },
    ]);
  });

  it('leave out what was asked but is the same', () => {
    const same = profile({ first_name: 'Ada', properties: { plan: { name: 'x' }, tags: ['a'] } });
    const asked = {
      profile: { firstName: 'Ada', customAttributes: { plan: { name: 'x' } } },
      unset: ['x'],
      tags: true,
    };
    expect(changesBetween(same, same, asked)).toEqual([]);
  });

  it("leave out what somebody else's hand changed meanwhile", () => {
    const before = profile({ first_name: 'Ada', last_name: 'Byron', properties: { tags: ['a'] } });
    const after = profile({ first_name: 'Eva', last_name: 'King', properties: { tags: [] } });
    expect(changesBetween(before, after, { ...touched, profile: { firstName: 'Eva' } })).toEqual([
      { field: 'firstName', from: 'Ada', to: 'Eva' },
    ]);
  });

  it('tell of every part of a location that is cleared as a whole', () => {
    const before = profile({ location: { city: 'Lyon', latitude: '45.7' } });
    expect(changesBetween(before, profile({}), { ...touched, profile: { location: null } })).toEqual([
      { field: 'location.city', from: 'Lyon', to: null },
      { field: 'location.latitude', from: 45.7, to: null },
    ]);
  });

  it('do not take an inherited name for a custom attribute', () => {
    const after = profile({ properties: { toString: 'x' } });
    const asked = {
      ...touched,
      profile: { customAttributes: { toString: 'x' } as unknown as Record<string, unknown> },
    };
    expect(changesBetween(profile({}), after, asked)).toEqual([
      { field: 'customAttributes.toString', from: null, to: 'x' },
    ]);
  });
});
