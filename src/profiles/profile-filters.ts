/** Which people a page is of. All that is given must hold; what is not looked for is absent. */
export interface ProfileFilters {
  email?: string;
  phoneNumber?: string;
  externalId?: string;
  /** A part of first name, last name or organization; three characters at least once folded. */
  name?: string;
  tag?: string;
  /** The exact value of a custom attribute, or of one of its items. */
  attribute?: { key: string; value: string };
  listId?: string;
  segmentId?: string;
  /** RFC 3339; inclusive. */
  updatedSince?: string;
  /** RFC 3339; exclusive. */
  updatedUntil?: string;
}

export const SORTS = ['id', '-id', 'updatedAt', '-updatedAt'] as const;
export type ProfileSort = (typeof SORTS)[number];

/** Fewer characters are in no index of parts of names. */
export const MIN_NAME_PART = 3;

/** The filters that Klaviyo itself has no way to answer. */
const MIRROR_ONLY = ['name', 'tag', 'attribute'] as const;
/** Klaviyo gives members in the order they joined, found by these alone. */
const OF_MEMBERS: readonly string[] = ['listId', 'segmentId', 'email', 'phoneNumber'];

/**
 * What keeps Klaviyo from answering in the mirror's stead, by the names of the parameters; none when it can.
 * Klaviyo joins filters by "and" only, finds nobody by name, tag or custom attribute, and looks into one group at a
 * time.
 */
export function notLive(filters: ProfileFilters, sort: ProfileSort | undefined): string[] {
  const given = Object.keys(filters);
  const only = MIRROR_ONLY.filter((name) => given.includes(name));
  if (filters.listId === undefined && filters.segmentId === undefined) return only;
  const both = filters.listId !== undefined && filters.segmentId !== undefined;
  return [
    ...given.filter((name) => !OF_MEMBERS.includes(name)),
    ...(both ? ['segmentId'] : []),
    ...(sort === undefined ? [] : ['sort']),
  ];
}

/** The groups that people must be members of. */
export function groupsOf({ listId, segmentId }: ProfileFilters): { kind: 'list' | 'segment'; id: string }[] {
  return [
    ...(listId === undefined ? [] : [{ kind: 'list' as const, id: listId }]),
    ...(segmentId === undefined ? [] : [{ kind: 'segment' as const, id: segmentId }]),
  ];
}
