import { Injectable } from '@nestjs/common';
import { CampaignEngagementService } from '../campaigns/campaign-engagement.service';
import { EventMirrorService } from '../events/event-mirror.service';
import { GroupsService, type MemberChange } from '../groups/groups.service';
import { MirrorStatesRepository } from '../mirror/mirror-states.repository';
import { changesProfile, engagementOf, isMerge, membershipOf } from './consumers-topics';
import { ConsumersRepository } from './consumers.repository';
import { Forwards } from './forwards';
import { ProcessRefreshRepository } from './process-refresh.repository';
import type { WorkEvent } from './process.repository';

/** Properties of Klaviyo's own events: the one that vanished in a merge, the list's name, the campaign or its message. */
const MERGED = 'Merged Profile ID';
const LIST = 'List';
const MESSAGE = '$message';
const KLAVIYO_ID = /^[A-Za-z0-9_-]{1,64}$/;

/**
 * What follows from received events, inside the transaction that settles them: nothing here waits for Klaviyo or for
 * anybody else. Profiles that may have changed are noted, and read again within the quota.
 */
@Injectable()
export class Consumers {
  constructor(
    private readonly mirror: EventMirrorService,
    private readonly groups: GroupsService,
    private readonly campaigns: CampaignEngagementService,
    private readonly states: MirrorStatesRepository,
    private readonly lookups: ConsumersRepository,
    private readonly refreshes: ProcessRefreshRepository,
    private readonly forwards: Forwards,
  ) {}

  /**
   * Events of one connection, in the order of their arrival. All of it, or nothing when it throws.
   * @throws DatabaseError, AppError
   */
  async consume(userId: number, connectionId: string, events: readonly WorkEvent[]): Promise<void> {
    if (events.length === 0) return;
    await this.mirror.keep(
      userId,
      connectionId,
      events.map(({ externalId, ...event }) => ({ ...event, id: externalId })),
    );
    await this.groups.noteMembers(userId, connectionId, await this.memberChanges(userId, connectionId, events));
    await this.readAgain(userId, connectionId, profilesToRead(events));
    // Whatever an event that comes once more counts for was counted the first time.
    const first = events.filter((event) => !event.again);
    const again = events.filter((event) => event.again);
    await this.campaigns.noteEngagement(userId, connectionId, first.flatMap(engagement));
    await this.forwards.plan(userId, connectionId, first);
    if (again.length > 0) await this.forwards.replay(userId, connectionId, again);
  }

  /** Where people were never mirrored there is nothing to bring up to date: the first pass will read all of them. */
  private async readAgain(userId: number, connectionId: string, profileIds: readonly string[]): Promise<void> {
    if (profileIds.length === 0 || !(await this.states.of(userId, connectionId)).has('profiles')) return;
    await this.refreshes.want(userId, connectionId, profileIds);
  }

  /** Klaviyo names lists by their names in events. */
  private async memberChanges(
    userId: number,
    connectionId: string,
    events: readonly WorkEvent[],
  ): Promise<MemberChange[]> {
    const moves = events.flatMap(({ topic, profileId, properties, occurredAt }) => {
      const move = membershipOf(topic);
      const list = textOf(properties, LIST);
      return move === null || profileId === null || list === null ? [] : [{ move, profileId, list, at: occurredAt }];
    });
    const lists = await this.lookups.listsNamed(
      userId,
      connectionId,
      moves.map(({ list }) => list),
    );
    return moves.flatMap(({ move, profileId, list, at }) => {
      const groupId = lists.get(list);
      return groupId === undefined ? [] : [{ kind: 'list', groupId, profileId, joined: move === 'joined', at }];
    });
  }
}

/** Those whose profile an event may have changed, and those who vanished in a merge. */
function profilesToRead(events: readonly WorkEvent[]): string[] {
  return events.flatMap(({ topic, profileId, properties }) => {
    const merged = isMerge(topic) ? textOf(properties, MERGED) : null;
    return [
      ...(profileId !== null && changesProfile(topic) ? [profileId] : []),
      ...(merged !== null && KLAVIYO_ID.test(merged) ? [merged] : []),
    ];
  });
}

function engagement({ topic, properties, occurredAt }: WorkEvent) {
  const kind = engagementOf(topic);
  const message = textOf(properties, MESSAGE);
  return kind === null || message === null || !KLAVIYO_ID.test(message)
    ? []
    : [{ message, kind, at: occurredAt, count: 1 }];
}

function textOf(properties: Record<string, unknown>, name: string): string | null {
  const value = Object.hasOwn(properties, name) ? properties[name] : undefined;
  return typeof value === 'string' ? value : null;
}
