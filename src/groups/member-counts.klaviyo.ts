import { Injectable } from '@nestjs/common';
import type { Document } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient, type KlaviyoCall } from '../klaviyo/klaviyo.client';
import { operations, type Operation } from '../klaviyo/operations';
import type { GroupKind } from './member-count.entity';

const READS: Record<GroupKind, Operation> = { list: operations.getList, segment: operations.getSegment };

/** Asks Klaviyo how many members a list or segment has: one call each, 15 a minute and account for both together. */
@Injectable()
export class MemberCountsKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** @returns null when Klaviyo names no count */
  async count(
    access: KlaviyoAccess,
    kind: GroupKind,
    id: string,
    call: Pick<KlaviyoCall, 'deadline' | 'priority'>,
  ): Promise<number | null> {
    const { body } = await this.klaviyo.call<Document<{ profile_count?: number | null }>>(access, READS[kind], {
      ...call,
      path: { id },
      query: { [`additional-fields[${kind}]`]: 'profile_count' },
    });
    return body.data.attributes.profile_count ?? null;
  }
}
