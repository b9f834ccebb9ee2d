import type { FetchedPage, PageCall, PageRequest, Part, Pass, Syncer } from '../mirror/syncer';
import type { GroupsKlaviyo } from './groups.klaviyo';
import type { GroupKind } from './member-count.entity';
import type { MembershipsRepository } from './memberships.repository';
import type { GroupDocument, MirroredGroupsRepository } from './mirrored-groups.repository';

/** Members that leave deleted groups in the transaction that ends a pass; what is more leaves in the next ones. */
const LEAVING_AT_ONCE = 20_000;

/** Synchronises lists, or segments: small, and read whole in every run. */
export class GroupsSyncer implements Syncer<GroupDocument> {
  readonly resource: 'lists' | 'segments';
  readonly after = [];

  constructor(
    private readonly kind: GroupKind,
    private readonly atKlaviyo: GroupsKlaviyo,
    private readonly groups: MirroredGroupsRepository,
    private readonly memberships: MembershipsRepository,
  ) {
    this.resource = kind === 'list' ? 'lists' : 'segments';
  }

  parts(): Promise<Part[]> {
    return Promise.resolve([{ key: 'all', divisible: true, span: { from: null, to: null } }]);
  }

  fetch(pass: Pass, request: PageRequest, call: PageCall): Promise<FetchedPage<GroupDocument>> {
    return this.atKlaviyo.groups(pass.access, this.kind, request, call);
  }

  newest(pass: Pass, _part: Part, call: PageCall): Promise<number | null> {
    return this.atKlaviyo.newestGroup(pass.access, this.kind, call);
  }

  write({ userId, connectionId }: Pass, rows: readonly GroupDocument[]): Promise<number> {
    return this.groups.upsert(userId, connectionId, this.kind, rows);
  }

  unseen({ userId, connectionId, startedAt }: Pass): Promise<{ live: number; unseen: number }> {
    return this.groups.unseen(userId, connectionId, this.kind, startedAt);
  }

  sweep({ userId, connectionId, startedAt }: Pass, limit: number): Promise<number> {
    return this.groups.sweep(userId, connectionId, this.kind, startedAt, limit);
  }

  /** Nobody is a member of what is gone. */
  async finished({ userId, connectionId }: Pass): Promise<void> {
    await this.memberships.leaveGone(userId, connectionId, this.kind, LEAVING_AT_ONCE);
  }

  erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.groups.erase(userId, connectionIds, this.kind, limit);
  }
}
