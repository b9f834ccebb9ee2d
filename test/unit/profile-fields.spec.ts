import { AppError } from '../../src/common/errors';
import { validateInput } from '../../src/common/validation.pipe';
import { writableFields, type FieldName } from '../../src/profiles/profile-fields';
import { ProfileChangeRequest, ProfileRequest } from '../../src/profiles/profile-input.dto';

/** One value that each type takes and one beyond its rule. */
const SAMPLES: Record<string, { good: unknown; bad: unknown }> = {
  email: { good: "o'brien+x@exämple.fr", bad: 'nobody' },
  phone: { good: '+33612345678', bad: '0612345678' },
  text: { good: 'x', bad: 'x'.repeat(5000) },
  number: { good: 45.5, bad: 1000 },
  object: { good: { plan: 'pro' }, bad: [] },
  'text[]': { good: ['vip'], bad: ['   '] },
};

function inside(name: FieldName, value: unknown): object {
  const [first = '', second] = name.split('.');
  return second === undefined ? { [first]: value } : { [first]: { [second]: value } };
}

function faultsOf(type: new () => object, input: object): string[] {
  try {
    validateInput(type, input);
    return [];
  } catch (error) {
    return (error as AppError).errors.map((fault) => fault.field);
  }
}

describe('the table of writable fields', () => {
  const fields = writableFields();

  it('has every field of a profile once', () => {
    const names = fields.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(names).toHaveLength(9 + 10 + 2);
  });

  it.each(fields)('is what judges $name, in creation and in change', ({ name, type }) => {
    const { good, bad } = SAMPLES[type]!;
    for (const request of [ProfileRequest, ProfileChangeRequest]) {
      expect(faultsOf(request, inside(name, good))).toEqual([]);
      expect(faultsOf(request, inside(name, bad))).toEqual([name]);
    }
  });

  it.each(fields.filter(({ name }) => name !== 'customAttributes'))(
    'lets null clear $name in a change, and refuses it in a creation',
    ({ name }) => {
      expect(faultsOf(ProfileChangeRequest, inside(name, null))).toEqual([]);
      expect(faultsOf(ProfileRequest, inside(name, null))).toEqual([name]);
    },
  );

  it('does not clear all custom attributes at once', () => {
    expect(faultsOf(ProfileChangeRequest, { customAttributes: null })).toEqual(['customAttributes']);
  });

  it.each(fields.filter(({ type }) => type === 'text'))(
    'says the length that $name may have',
    ({ name, constraints }) => {
      const max = Number(constraints[0]?.params?.['max']);
      expect(faultsOf(ProfileRequest, inside(name, 'x'.repeat(max)))).toEqual([]);
      expect(faultsOf(ProfileRequest, inside(name, 'x'.repeat(max + 1)))).toEqual([name]);
    },
  );
});
