import { Injectable } from '@nestjs/common';
import { toInstant } from '../common/instants';
import { firstOf, type RemotePage } from '../common/walk';
import type { Document, Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';
import type { Segment } from './segment';

interface SegmentAttributes {
  name?: string | null;
  created?: string | null;
  updated?: string | null;
  /** These three since revision 2024-02-15. */
  is_active?: boolean | null;
  is_processing?: boolean | null;
  is_starred?: boolean | null;
}

/** Segments as Klaviyo speaks of them, turned into ours. */
@Injectable()
export class SegmentsKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** Ten segments, from `next` on. */
  async page(access: KlaviyoAccess, next: string | null, deadline?: number): Promise<RemotePage<Segment>> {
    const pages = this.klaviyo.pages<SegmentAttributes>(access, operations.getSegments, {
      ...(next === null ? {} : { cursor: next }),
      ...(deadline === undefined ? {} : { deadline }),
    });
    const page = await firstOf(pages);
    return page ? { items: page.items.map(toSegment), next: page.next } : { items: [], next: null };
  }

  /** @throws AppError SEGMENT_NOT_FOUND */
  async one(access: KlaviyoAccess, id: string): Promise<Segment> {
    const { body } = await this.klaviyo.call<Document<SegmentAttributes>>(access, operations.getSegment, {
      path: { id },
    });
    return toSegment(body.data);
  }
}

/** What a revision does not know is null. */
export function toSegment({ id, attributes }: Pick<Resource<SegmentAttributes>, 'id' | 'attributes'>): Segment {
  return {
    id,
    name: attributes.name ?? null,
    isActive: attributes.is_active ?? null,
    isProcessing: attributes.is_processing ?? null,
    isStarred: attributes.is_starred ?? null,
    createdAt: toInstant(attributes.created),
    updatedAt: toInstant(attributes.updated),
  };
}
