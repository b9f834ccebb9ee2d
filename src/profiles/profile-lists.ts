import { Injectable } from '@nestjs/common';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { ProfilesKlaviyo, type KnownList } from './profiles.klaviyo';

/** Most lists that one call may name: Klaviyo takes 10 memberships a second and 150 a minute. */
export const MAX_LISTS = 50;

/** Checks that lists exist before anything is written. */
@Injectable()
export class ProfileLists {
  constructor(private readonly atKlaviyo: ProfilesKlaviyo) {}

  /** The lists in the given order, asked for at once. @throws AppError LIST_NOT_FOUND of the first that is unknown */
  async known(access: KlaviyoAccess, ids: readonly string[]): Promise<KnownList[]> {
    const asked = await Promise.allSettled(ids.map((id) => this.atKlaviyo.list(access, id)));
    return asked.map((result) => {
      if (result.status === 'rejected') throw result.reason;
      return result.value;
    });
  }
}
