import { Injectable } from '@nestjs/common';
import { toInstant } from '../common/instants';
import { firstOf, type RemotePage } from '../common/walk';
import type { Document, Resource } from '../klaviyo/json-api';
import type { KlaviyoAccess } from '../klaviyo/klaviyo-access';
import { mapPointer } from '../klaviyo/klaviyo-error';
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

/** A list to be made. */
export interface NewList {
  name: string;
  optInProcess?: 'single_opt_in' | 'double_opt_in' | undefined;
}

/** How a list was made, and as Klaviyo gave it. */
export interface MadeList {
  list: List;
  given: { id: string; attributes: ListAttributes };
}

/** `opt_in_process` is written since then. */
const OPT_IN_WRITTEN_SINCE = '2025-10-15';
const POINTERS = { 'data.attributes.name': 'name', 'data.attributes.opt_in_process': 'optInProcess' };

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

  /** Not repeated by itself: Klaviyo would make a second list of the same name. */
  async create(access: KlaviyoAccess, { name, optInProcess }: NewList): Promise<MadeList> {
    const optIn = optInProcess === undefined ? {} : { opt_in_process: optInProcess };
    try {
      const { body } = await this.klaviyo.call<Document<ListAttributes>>(access, operations.createList, {
        body: { data: { type: 'list', attributes: { name, ...optIn } } },
        ...(optInProcess === undefined ? {} : { needs: OPT_IN_WRITTEN_SINCE }),
      });
      return { list: toList(body.data), given: body.data };
    } catch (error) {
      throw mapPointer(error, POINTERS);
    }
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
