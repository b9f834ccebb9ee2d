import type { GroupRow } from '../groups/groups.service';

/** A list of people who joined it. */
export interface List {
  /** Klaviyo's. */
  id: string;
  name: string | null;
  /** `single_opt_in` or `double_opt_in`; null where the revision does not say. */
  optInProcess: string | null;
  createdAt: string | null;
  updatedAt: string | null;
}

/** With its members as last counted, where they were asked for. */
export interface CountedList extends List {
  memberCount?: number | null;
  memberCountAt?: string | null;
}

/** As our mirror keeps it. */
export function fromListRow({ id, name, optInProcess, createdAt, updatedAt }: GroupRow): List {
  return { id, name, optInProcess, createdAt, updatedAt };
}
