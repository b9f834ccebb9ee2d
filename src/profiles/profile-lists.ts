import { Injectable, Logger } from '@nestjs/common';
import { Clock } from '../common/clock';
import { GroupsService } from '../groups/groups.service';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { ProfilesKlaviyo, type KnownList } from './profiles.klaviyo';

/** Most lists that one call may name: Klaviyo takes 10 memberships a second and 150 a minute. */
export const MAX_LISTS = 50;

/** Checks that lists exist before anything is written, and notes in the mirror who joined and left. */
@Injectable()
export class ProfileLists {
  private readonly logger = new Logger('ProfileLists');

  constructor(
    private readonly atKlaviyo: ProfilesKlaviyo,
    private readonly groups: GroupsService,
    private readonly clock: Clock,
  ) {}

  /** The lists in the given order, asked for at once. @throws AppError LIST_NOT_FOUND of the first that is unknown */
  async known(access: KlaviyoAccess, ids: readonly string[]): Promise<KnownList[]> {
    const asked = await Promise.allSettled(ids.map((id) => this.atKlaviyo.list(access, id)));
    return asked.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  }

  /** What Klaviyo has done. It is not undone because our copy could not be kept: the next pass has it. */
  async note(
    { userId, connectionId }: KlaviyoAccess,
    profileId: string,
    joined: readonly string[],
    left: readonly string[] = [],
  ): Promise<void> {
    const at = new Date(this.clock.now());
    const change = (isIn: boolean) => (groupId: string) => ({
      kind: 'list' as const,
      groupId,
      profileId,
      joined: isIn,
      at,
    });
    try {
      await this.groups.noteMembers(userId, connectionId, [...joined.map(change(true)), ...left.map(change(false))]);
    } catch (error) {
      const reason = error instanceof Error ? error.message : 'unknown';
      this.logger.warn({ msg: 'mirrored memberships were not updated', connectionId, reason });
    }
  }
}
