import { Injectable } from '@nestjs/common';
import { any } from '../klaviyo/filter';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';

/** Ids that one filter names: Klaviyo documents no length. */
const IDS_A_FILTER = 100;
const OPERATION = { add: operations.addProfilesToList, remove: operations.removeProfilesFromList };

/** Klaviyo's calls that change who is on a list. */
@Injectable()
export class ListMembersKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** At most 1,000 people. Who is there already, or not there, is no fault. */
  async change(
    access: KlaviyoAccess,
    listId: string,
    profileIds: readonly string[],
    how: 'add' | 'remove',
  ): Promise<void> {
    const data = profileIds.map((id) => ({ type: 'profile', id }));
    await this.klaviyo.call(access, OPERATION[how], { path: { id: listId }, body: { data } });
  }

  /** Which of these ids are people's: a hundred a call, all calls at once. */
  async known(access: KlaviyoAccess, profileIds: readonly string[]): Promise<Set<string>> {
    const chunks = Array.from({ length: Math.ceil(profileIds.length / IDS_A_FILTER) }, (_, index) =>
      profileIds.slice(index * IDS_A_FILTER, (index + 1) * IDS_A_FILTER),
    );
    const known = new Set<string>();
    await Promise.all(
      chunks.map(async (ids) => {
        const query = { filter: any('id', ids), 'fields[profile]': 'created' };
        for await (const { items } of this.klaviyo.pages(access, operations.getProfiles, { query }))
          for (const { id } of items) known.add(id);
      }),
    );
    return known;
  }
}
