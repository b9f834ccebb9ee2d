import { LOCATION_FIELDS, TEXT_FIELDS, type ProfileInput } from './profile';
import { THEIR_NAMES } from './profile-reading.klaviyo';

/** What one write changes: the attributes as they come, and operations on arrays and keys of `properties`. */
export interface ProfileWrite {
  fields: Omit<ProfileInput, 'tags'>;
  /** All tags at once; null removes them. Undefined leaves them. */
  replaceTags?: readonly string[] | null;
  appendTags?: readonly string[];
  removeTags?: readonly string[];
  /** Names of custom attributes to remove, beside those that `fields` gives as null. */
  unset?: readonly string[];
}

/** The JSON:API resource of a write, valid under every revision that this service sends writes with. */
export interface ProfileBody {
  type: 'profile';
  id?: string;
  attributes: Record<string, unknown>;
  meta?: { patch_properties: Record<string, unknown> };
}

/**
 * Builds the body of `profile-import` (without an id) or of the update of one profile. Tags are added and removed by
 * `append` and `unappend`, so that two writers at once do not overwrite each other's.
 */
export function profileBody(write: ProfileWrite, id?: string): ProfileBody {
  const patch = patchProperties(write);
  return {
    type: 'profile',
    ...(id === undefined ? {} : { id }),
    attributes: attributes(write),
    ...(Object.keys(patch).length === 0 ? {} : { meta: { patch_properties: patch } }),
  };
}

/** Whether a write changes nothing: Klaviyo need not be asked. */
export function isEmpty(write: ProfileWrite): boolean {
  const { attributes: own, meta } = profileBody(write);
  return Object.keys(own).length === 0 && meta === undefined;
}

function attributes({ fields, replaceTags }: ProfileWrite): Record<string, unknown> {
  const own: Record<string, unknown> = {};
  for (const name of TEXT_FIELDS) if (fields[name] !== undefined) own[THEIR_NAMES[name]] = fields[name];
  const location = writeLocation(fields.location);
  if (location) own['location'] = location;
  const kept = Object.entries(fields.customAttributes ?? {}).filter(([, value]) => value !== null);
  if (replaceTags) kept.push(['tags', replaceTags]);
  if (kept.length > 0) own['properties'] = Object.fromEntries(kept);
  return own;
}

/** Klaviyo merges a location field by field; the whole is cleared by clearing each. */
function writeLocation(location: ProfileInput['location']): Record<string, unknown> | undefined {
  if (location === undefined) return undefined;
  const entries = LOCATION_FIELDS.map((name) => [name, location === null ? null : location[name]] as const);
  const given = entries.filter(([, value]) => value !== undefined);
  return given.length === 0 ? undefined : Object.fromEntries(given);
}

function patchProperties(write: ProfileWrite): Record<string, unknown> {
  const { fields, replaceTags, appendTags = [], removeTags = [] } = write;
  const nulls = Object.entries(fields.customAttributes ?? {}).filter(([, value]) => value === null);
  const unset = new Set([...nulls.map(([name]) => name), ...(write.unset ?? [])]);
  if (replaceTags === null) unset.add('tags');
  return {
    ...(appendTags.length === 0 ? {} : { append: { tags: appendTags } }),
    ...(removeTags.length === 0 ? {} : { unappend: { tags: removeTags } }),
    ...(unset.size === 0 ? {} : { unset: [...unset] }),
  };
}

/** Klaviyo's pointers in the words of our own requests. */
export const PROFILE_POINTERS: Readonly<Record<string, string>> = {
  ...Object.fromEntries(TEXT_FIELDS.map((name) => [`data.attributes.${THEIR_NAMES[name]}`, `profile.${name}`])),
  'data.attributes.location': 'profile.location',
  'data.attributes.properties': 'profile.customAttributes',
  'data.attributes.properties.tags': 'profile.tags',
  'data.attributes': 'profile',
  'data.meta.patch_properties.unappend.tags': 'removeTags',
  'data.meta.patch_properties.unset': 'unset',
  data: 'profile',
};
export const TAG_POINTER = 'data.meta.patch_properties.append.tags';
