import { invalidBody } from '../errors.ts';
import type { Fault } from '../schemas/validate.ts';
import type { ProfileAttributes } from '../store/profiles.ts';

const EMAIL =
  /^[^\s@"(),:;<>[\]\\]+@[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?(?:\.[\p{L}\p{N}](?:[\p{L}\p{N}-]*[\p{L}\p{N}])?)*\.\p{L}{2,}$/u;
const E164 = /^\+[1-9]\d{6,14}$/;
/** From 2025-01-15 on Klaviyo refuses a profile above this size. */
export const PROFILE_BYTES = 100 * 1024;

export function isEmail(text: string): boolean {
  return (
    text.length <= 255 && EMAIL.test(text) && !text.includes('..') && !text.startsWith('.') && !text.includes('.@')
  );
}

export function isPhone(text: string): boolean {
  return E164.test(text);
}

/** Faults of a profile's identifiers, in Klaviyo's words, with the pointer of each. */
export function identifierFaults(attributes: ProfileAttributes, pointer: string): Fault[] {
  const faults: Fault[] = [];
  const { email, phone_number: phone } = attributes;
  if (typeof email === 'string' && !isEmail(email))
    faults.push({ detail: 'Invalid email address', pointer: `${pointer}/email` });
  if (typeof phone === 'string' && !isPhone(phone))
    faults.push({
      detail: 'Invalid phone number format (Example of a valid format: +12345678901)',
      pointer: `${pointer}/phone_number`,
    });
  return faults;
}

/** Refuses a profile without any identifier. */
export function requireIdentifier(attributes: ProfileAttributes, id: string | null | undefined, pointer: string): void {
  const { email, phone_number: phone, external_id: external } = attributes;
  const any = [email, phone, external, id].some((value) => typeof value === 'string' && value !== '');
  if (!any)
    throw invalidBody('One of email, phone_number or external_id must be provided to identify the profile.', pointer);
}

/** Refuses a profile above 100 KB under the revisions that have the limit. */
export function checkProfileSize(data: unknown, revision: string, pointer: string): void {
  if (revision >= '2025-01-15' && Buffer.byteLength(JSON.stringify(data)) > PROFILE_BYTES)
    throw invalidBody('A profile may not be larger than 100 KB.', pointer);
}
