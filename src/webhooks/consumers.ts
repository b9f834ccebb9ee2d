import { Injectable } from '@nestjs/common';
import { EventMirrorService } from '../events/event-mirror.service';
import { changesProfile, isMerge } from './consumers-topics';
import { Forwards } from './forwards';
import { ProcessRefreshRepository } from './process-refresh.repository';
import type { WorkEvent } from './process.repository';

/** Klaviyo's name of the one that vanished in a merge. */
const MERGED = 'Merged Profile ID';

/**
 * What follows from received events, inside the transaction that settles them: nothing here waits for Klaviyo or for
 * anybody else. Profiles that may have changed are noted, and read again within the quota.
 */
@Injectable()
export class Consumers {
  constructor(
    private readonly mirror: EventMirrorService,
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
    await this.refreshes.want(userId, connectionId, profilesToRead(events));
    const again = events.filter((event) => event.again);
    await this.forwards.plan(
      userId,
      connectionId,
      events.filter((event) => !event.again),
    );
    if (again.length > 0) await this.forwards.replay(userId, connectionId, again);
  }
}

/** Those whose profile an event may have changed, and those who vanished in a merge. */
function profilesToRead(events: readonly WorkEvent[]): string[] {
  return events.flatMap(({ topic, profileId, properties }) => {
    const merged = isMerge(topic) ? properties[MERGED] : undefined;
    return [
      ...(profileId !== null && changesProfile(topic) ? [profileId] : []),
      ...(typeof merged === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(merged) ? [merged] : []),
    ];
  });
}
