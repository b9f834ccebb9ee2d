import { isDeepStrictEqual } from 'node:util';
import { LOCATION_FIELDS, TEXT_FIELDS, type Change, type Profile, type ProfileInput } from './profile';

/** What an update was asked to touch. */
export interface Touched {
  profile: ProfileInput;
  unset: readonly string[];
  tags: boolean;
}

/**
 * The fields that an update was asked to touch and that differ afterwards. Others may have changed meanwhile by
 * somebody else's hand: they are not this update's.
 */
export function changesBetween(before: Profile, after: Profile, touched: Touched): Change[] {
  const { profile } = touched;
  const changes: Change[] = [];
  const compare = (field: string, from: unknown, to: unknown): void => {
    if (!isDeepStrictEqual(from, to)) changes.push({ field, from: from ?? null, to: to ?? null });
  };
  for (const name of TEXT_FIELDS) if (profile[name] !== undefined) compare(name, before[name], after[name]);
  for (const name of LOCATION_FIELDS)
    if (profile.location === null || profile.location?.[name] !== undefined)
      compare(`location.${name}`, before.location[name], after.location[name]);
  for (const name of new Set([...Object.keys(profile.customAttributes ?? {}), ...touched.unset]))
    compare(`customAttributes.${name}`, own(before.customAttributes, name), own(after.customAttributes, name));
  if (touched.tags) compare('tags', before.tags, after.tags);
  return changes;
}

function own(attributes: Record<string, unknown>, name: string): unknown {
  return Object.hasOwn(attributes, name) ? attributes[name] : null;
}
