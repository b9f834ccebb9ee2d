/** What is mirrored, in the order in which a run shows it. */
export const RESOURCES = ['lists', 'segments', 'profiles', 'memberships', 'campaigns', 'metrics', 'events'] as const;
export type Resource = (typeof RESOURCES)[number];

/** How a pass reads a resource: all of it, or what changed since the last pass. */
export const PASS_KINDS = ['full', 'incremental'] as const;
export type PassKind = (typeof PASS_KINDS)[number];
