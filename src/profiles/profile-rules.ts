import { AppError, type FieldFault } from '../common/errors';
import { IDENTIFIERS, OWN_IDENTIFIERS, type Identifier, type IdentifierField, type ProfileInput } from './profile';
import { MAX_PROFILE_BYTES, MAX_PROFILE_TEXT } from './profile-fields';

/** Throws every fault at once. @throws AppError VALIDATION_FAILED */
export function refuse(faults: readonly FieldFault[]): void {
  if (faults.length > 0) throw new AppError('VALIDATION_FAILED', { errors: faults });
}

/** What single fields cannot say of a profile that is written. */
export function profileFaults(profile: ProfileInput): FieldFault[] {
  const faults: FieldFault[] = [];
  const attributes = profile.customAttributes ?? {};
  if (Object.hasOwn(attributes, 'tags')) faults.push({ field: 'profile.customAttributes.tags', key: 'reservedTags' });
  if (Buffer.byteLength(JSON.stringify(profile)) > MAX_PROFILE_BYTES)
    faults.push({ field: 'profile', key: 'tooHeavy', params: { max: MAX_PROFILE_TEXT } });
  return faults;
}

/** A person is known by something. */
export function identifierFaults(profile: ProfileInput): FieldFault[] {
  if (OWN_IDENTIFIERS.some((name) => profile[name] !== undefined)) return [];
  return [{ field: 'profile', key: 'oneOfRequired', params: { fields: OWN_IDENTIFIERS.join(', ') } }];
}

type Given = Readonly<Partial<Record<IdentifierField, string>>>;

/** Faults of an input that must name one person: none, or more than one identifier. */
export function whoFaults(input: Given): FieldFault[] {
  const given = IDENTIFIERS.filter((name) => input[name] !== undefined);
  const params = { fields: IDENTIFIERS.join(', ') };
  if (given.length === 0) return [{ field: 'profileId', key: 'oneOfRequired', params }];
  return given.slice(1).map((field) => ({ field, key: 'onlyOneOf', params }));
}

/** The one identifier that was given. @throws AppError VALIDATION_FAILED for none or several */
export function identifierOf(input: Given): Identifier {
  refuse(whoFaults(input));
  const identifier = optionalIdentifier(input);
  if (!identifier) throw new Error('no identifier after the check for one');
  return identifier;
}

/** As `identifierOf`, where none is fine. */
export function optionalIdentifier(input: Given): Identifier | undefined {
  const given = IDENTIFIERS.flatMap((field) => {
    const value = input[field];
    return value === undefined ? [] : [{ field, value }];
  });
  if (given.length > 1) refuse(whoFaults(input));
  return given[0];
}

/** Tags as they are written: without spaces around, each once. */
export function cleanTags(tags: readonly string[] = []): string[] {
  return [...new Set(tags.map((tag) => tag.trim()))];
}

/** What both lists hold cannot be meant. */
export function overlapFaults(
  field: string,
  items: readonly string[] = [],
  others: readonly string[] = [],
): FieldFault[] {
  return items.flatMap((item, index) =>
    others.includes(item) ? [{ field: `${field}[${index}]`, key: 'givenTwice' as const }] : [],
  );
}
