import { Injectable } from '@nestjs/common';
import { toInstant } from '../common/instants';
import { firstOf, type RemotePage } from '../common/walk';
import type { Document, Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { KlaviyoClient } from '../klaviyo/klaviyo.client';
import { operations } from '../klaviyo/operations';
import type { List } from './list';

interface ListAttributes {
  name?: string | null;
  created?: string | null;
  updated?: string | null;
  /** Read since 2025-01-15 (2023-10-15 has none), written since 2025-10-15. */
  opt_in_process?: string | null;
}

/** Lists as Klaviyo speaks of them, turned into ours. */
@Injectable()
export class ListsKlaviyo {
  constructor(private readonly klaviyo: KlaviyoClient) {}

  /** Ten lists, from `next` on. */
  async page(access: KlaviyoAccess, next: string | null, deadline?: number): Promise<RemotePage<List>> {
    const pages = this.klaviyo.pages<ListAttributes>(access, operations.getLists, {
      ...(next === null ? {} : { cursor: next }),
      ...(deadline === undefined ? {} : { deadline }),
    });
    const page = await firstOf(pages);
    return page ? { items: page.items.map(toList), next: page.next } : { items: [], next: null };
  }

  /** @throws AppError LIST_NOT_FOUND */
  async one(access: KlaviyoAccess, id: string): Promise<List> {
    const { body } = await this.klaviyo.call<Document<ListAttributes>>(access, operations.getList, { path: { id } });
    return toList(body.data);
  }
}

/** What a revision does not know is null. */
export function toList({ id, attributes }: Pick<Resource<ListAttributes>, 'id' | 'attributes'>): List {
  return {
    id,
    name: attributes.name ?? null,
    optInProcess: attributes.opt_in_process ?? null,
    createdAt: toInstant(attributes.created),
    updatedAt: toInstant(attributes.updated),
  };
}
