import { invalid } from '../common/errors';
import { foldName } from '../common/name-filter';
import type { Source } from '../common/read.dto';
import type { Resource } from '../mirror/resources';
import type { Profile } from './profile';
import { groupsOf, MIN_NAME_PART, type ProfileFilters, type ProfileSort } from './profile-filters';

export interface ListProfilesInput extends Omit<ProfileFilters, 'attribute'> {
  connectionId?: string;
  /** `name:value`. */
  attribute?: string;
  sort?: ProfileSort;
  includeTotal?: boolean;
  limit?: number;
  cursor?: string;
  source?: Source;
}

/** What the answer is made of. */
export function resourcesOf(filters: ProfileFilters): Resource[] {
  const groups = groupsOf(filters).map(({ kind }) => (kind === 'list' ? 'lists' : 'segments') as Resource);
  return groups.length === 0 ? ['profiles'] : ['profiles', 'memberships', ...groups];
}

/** @throws AppError VALIDATION_FAILED */
export function filtersOf(input: ListProfilesInput): ProfileFilters {
  const { email, phoneNumber, externalId, name, tag, attribute, listId, segmentId, updatedSince, updatedUntil } = input;
  if (name !== undefined && foldName(name).length < MIN_NAME_PART)
    throw invalid('name', 'tooShort', { min: MIN_NAME_PART });
  return {
    ...(email === undefined ? {} : { email }),
    ...(phoneNumber === undefined ? {} : { phoneNumber }),
    ...(externalId === undefined ? {} : { externalId }),
    ...(name === undefined ? {} : { name }),
    ...(tag === undefined ? {} : { tag }),
    ...(attribute === undefined ? {} : { attribute: attributeOf(attribute) }),
    ...(listId === undefined ? {} : { listId }),
    ...(segmentId === undefined ? {} : { segmentId }),
    ...(updatedSince === undefined ? {} : { updatedSince }),
    ...(updatedUntil === undefined ? {} : { updatedUntil }),
  };
}

/** The first colon separates: a value may hold others. */
function attributeOf(text: string): { key: string; value: string } {
  const colon = text.indexOf(':');
  if (colon < 1) throw invalid('attribute', 'malformed');
  return { key: text.slice(0, colon), value: text.slice(colon + 1) };
}

/** Klaviyo's own bounds are whole seconds. */
export function withinTimes({ updatedSince, updatedUntil }: ProfileFilters): (profile: Profile) => boolean {
  const since = updatedSince === undefined ? -Infinity : Date.parse(updatedSince);
  const until = updatedUntil === undefined ? Infinity : Date.parse(updatedUntil);
  return ({ updatedAt }) => {
    if (updatedAt === null) return since === -Infinity && until === Infinity;
    const at = Date.parse(updatedAt);
    return at >= since && at < until;
  };
}
