import { Injectable } from '@nestjs/common';
import { AppError } from '../common/errors';
import type { Resource } from '../mirror/resources';
import type { FetchedPage, PageCall, PageRequest, Part, Pass, Syncer } from '../mirror/syncer';
import { GroupsKlaviyo } from './groups.klaviyo';
import { GROUP_KINDS, type GroupKind } from './member-count.entity';
import { MemberCountHistoryRepository } from './member-count-history.repository';
import { MemberCountsRepository } from './member-counts.repository';
import { MembershipsRepository, type MemberRow } from './memberships.repository';
import { MirroredGroupsRepository, type LiveGroup } from './mirrored-groups.repository';

/** Joins show a little after they happen: an incremental pass begins that much before the one before it. */
const LOOK_BACK_MS = 10 * 60_000;

/**
 * Synchronises who is in which list and segment: a chain of pages a group, by the time people joined. An incremental
 * pass finds who joined; who left is found by a full one, since Klaviyo tells nothing of them.
 */
@Injectable()
export class MembershipsSyncer implements Syncer<MemberRow> {
  readonly resource = 'memberships';
  readonly after: readonly Resource[] = ['lists', 'segments'];

  constructor(
    private readonly atKlaviyo: GroupsKlaviyo,
    private readonly groups: MirroredGroupsRepository,
    private readonly memberships: MembershipsRepository,
    private readonly counts: MemberCountsRepository,
    private readonly history: MemberCountHistoryRepository,
  ) {}

  async parts(pass: Pass): Promise<Part[]> {
    const groups = await this.groups.live(pass.userId, pass.connectionId);
    return groups.map((group) => ({
      key: `${group.kind}:${group.id}`,
      divisible: true,
      span: { from: begin(pass, group), to: null },
    }));
  }

  /** @throws AppError LIST_NOT_FOUND, SEGMENT_NOT_FOUND when the group went meanwhile */
  fetch(pass: Pass, request: PageRequest, call: PageCall): Promise<FetchedPage<MemberRow>> {
    const { kind, id } = groupOf(request.part);
    return this.atKlaviyo.members(pass.access, kind, id, request, call);
  }

  newest(pass: Pass, part: Part, call: PageCall): Promise<number | null> {
    const { kind, id } = groupOf(part.key);
    return this.atKlaviyo.newestMember(pass.access, kind, id, call);
  }

  write({ userId, connectionId, startedAt }: Pass, rows: readonly MemberRow[]): Promise<number> {
    return this.memberships.upsert(userId, connectionId, startedAt, rows);
  }

  unseen({ userId, connectionId, startedAt }: Pass): Promise<{ live: number; unseen: number }> {
    return this.memberships.unseen(userId, connectionId, startedAt);
  }

  sweep({ userId, connectionId, startedAt }: Pass, limit: number): Promise<number> {
    return this.memberships.sweep(userId, connectionId, startedAt, limit);
  }

  /** The members of every group that was read whole are counted: as of when the pass began, by our own rows. */
  async finished({ userId, connectionId, startedAt, kind }: Pass): Promise<void> {
    const counted = await this.memberships.counts(userId, connectionId, startedAt, kind === 'full');
    const counts = counted.map((group) => ({ ...group, at: startedAt }));
    await this.counts.save(userId, connectionId, counts);
    await this.history.append(userId, connectionId, 'pass', counts);
    await this.groups.membersSeen(userId, connectionId, startedAt);
    if (kind === 'full') await this.history.thin(userId, connectionId);
  }

  erase(userId: number, connectionIds: readonly string[], limit: number): Promise<number> {
    return this.memberships.erase(userId, connectionIds, limit);
  }
}

/** A group whose members were never read whole is read whole, whatever the pass. */
function begin(pass: Pass, { membersSeenAt }: LiveGroup): number | null {
  if (pass.kind === 'full' || membersSeenAt === null || pass.highWater === null) return null;
  return Math.min(membersSeenAt.getTime(), pass.highWater.getTime()) - LOOK_BACK_MS;
}

function groupOf(part: string): { kind: GroupKind; id: string } {
  const colon = part.indexOf(':');
  const kind = GROUP_KINDS.find((known) => known === part.slice(0, colon));
  if (!kind) throw new AppError('INTERNAL', { reason: 'a part of memberships names no kind of group' });
  return { kind, id: part.slice(colon + 1) };
}
