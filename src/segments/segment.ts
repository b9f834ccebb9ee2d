import type { GroupRow } from '../groups/groups.service';

/** A segment: people whom a definition chooses. */
export interface Segment {
  /** Klaviyo's. */
  id: string;
  name: string | null;
  /** Does Klaviyo keep it up to date? Null, like the two below, where the revision does not say. */
  isActive: boolean | null;
  /** Is it being computed? Its members are not complete then. */
  isProcessing: boolean | null;
  isStarred: boolean | null;
  createdAt: string | null;
  updatedAt: string | null;
}

/** With its members as last counted, where they were asked for. */
export interface CountedSegment extends Segment {
  memberCount?: number | null;
  memberCountAt?: string | null;
}

/** As our mirror keeps it. */
export function fromSegmentRow(row: GroupRow): Segment {
  const { id, name, isActive, isProcessing, isStarred, createdAt, updatedAt } = row;
  return { id, name, isActive, isProcessing, isStarred, createdAt, updatedAt };
}
