import { RESOURCES, type PassKind, type Resource } from '../mirror/resources';

/** What a run reads, and how. */
export interface SyncScope {
  mode: PassKind;
  /** In the order of `RESOURCES`, each once. */
  resources: readonly Resource[];
}

/** What must be read in the same run, because the one is meaningless without the other. */
const IMPLIED: Partial<Record<Resource, readonly Resource[]>> = { memberships: ['lists', 'segments'] };

/** The scope of a request: everything and all of it unless it says less; what is implied is added. */
export function scopeOf(wanted: { mode?: PassKind; resources?: readonly Resource[] }): SyncScope {
  const asked = wanted.resources ?? RESOURCES;
  return { mode: wanted.mode ?? 'full', resources: inOrder([...asked, ...asked.flatMap((one) => IMPLIED[one] ?? [])]) };
}

/** Whether a run of the first scope brings all that one of the second would. */
export function covers(wide: SyncScope, narrow: SyncScope): boolean {
  const reads = new Set(wide.resources);
  return (wide.mode === 'full' || narrow.mode === 'incremental') && narrow.resources.every((one) => reads.has(one));
}

/** The least scope that covers both. */
export function union(one: SyncScope, other: SyncScope): SyncScope {
  return {
    mode: one.mode === 'full' || other.mode === 'full' ? 'full' : 'incremental',
    resources: inOrder([...one.resources, ...other.resources]),
  };
}

function inOrder(resources: readonly Resource[]): Resource[] {
  const wanted = new Set(resources);
  return RESOURCES.filter((resource) => wanted.has(resource));
}
