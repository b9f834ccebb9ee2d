import type { Context, Reply } from '../context.ts';
import { pageLinks, single } from '../context.ts';
import { invalidBody, notFound } from '../errors.ts';
import type { JsonObject } from '../json.ts';
import { listPage } from '../paging.ts';
import type { ListRow, SegmentRow } from '../store/rows.ts';
import { includedTags, listResource, segmentResource, tagResource } from './group-view.ts';
import { groupsOf, requireGroup } from './membership.ts';
import { requireProfile } from './profiles.ts';

/** Klaviyo's lists and segments never carry a count in a collection: only the single GET may be asked for one. */
function pageOfGroups<R extends ListRow | SegmentRow>(
  context: Context,
  page: { rows: R[]; next: string | null },
  view: (row: R, withTags: boolean) => JsonObject,
  bogusPrev: boolean,
): Reply {
  const withTags = context.query.include.has('tags');
  return {
    status: 200,
    document: {
      data: page.rows.map((row) => view(row, withTags)),
      ...(context.query.include.size > 0 ? { included: withTags ? includedTags(context, page.rows) : [] } : {}),
      links: pageLinks(context, page.next, bogusPrev),
    },
  };
}

export function getLists(context: Context): Reply {
  const page = listPage(context, context.account.lists, { order: 'created' });
  const first = context.query.cursor === null;
  return pageOfGroups(
    context,
    page,
    (row, withTags) => listResource(context, row, { withTags }),
    first && context.account.switches.bogusPrev,
  );
}

export function getSegments(context: Context): Reply {
  // Recorded: a filter on is_starred is taken and ignored.
  const conditions = context.query.conditions.filter(({ field }) => field !== 'is_starred');
  const page = listPage(context, context.account.segments, { order: 'created', conditions });
  return pageOfGroups(context, page, (row, withTags) => segmentResource(context, row, { withTags }), false);
}

function extras(context: Context, type: 'list' | 'segment', row: ListRow | SegmentRow) {
  const counted = context.query.additional.get(type)?.has('profile_count') === true;
  const hidden = 'processingUntil' in row && row.processingUntil > context.now;
  return {
    withTags: context.query.include.has('tags'),
    ...(counted ? { profileCount: hidden ? 0 : context.account.membersOf(row.id).size } : {}),
  };
}

function included(context: Context, row: ListRow | SegmentRow): JsonObject[] | undefined {
  if (context.query.include.size === 0) return undefined;
  return context.query.include.has('tags') ? includedTags(context, [row]) : [];
}

export function getList(context: Context): Reply {
  const row = requireGroup(context, context.account.lists, 'list');
  return {
    status: 200,
    document: single(context, listResource(context, row, extras(context, 'list', row)), included(context, row)),
  };
}

export function getSegment(context: Context): Reply {
  const row = requireGroup(context, context.account.segments, 'segment');
  return {
    status: 200,
    document: single(context, segmentResource(context, row, extras(context, 'segment', row)), included(context, row)),
  };
}

interface GroupBody {
  data: {
    id?: string;
    attributes: {
      name?: string | null;
      opt_in_process?: ListRow['optIn'] | null;
      definition?: JsonObject;
      is_starred?: boolean | null;
      is_active?: boolean | null;
    };
  };
}

export function createList(context: Context): Reply {
  const { attributes } = (context.body as GroupBody).data;
  const row: ListRow = {
    id: context.account.ids.short(2),
    name: checkName(attributes.name),
    created: context.now,
    updated: context.now,
    optIn: attributes.opt_in_process ?? 'double_opt_in',
    tagIds: [],
  };
  context.account.lists.put(row);
  return { status: 201, document: single(context, listResource(context, row)) };
}

export function updateList(context: Context): Reply {
  const row = requireGroup(context, context.account.lists, 'list');
  const { data } = context.body as GroupBody;
  checkId(context, data.id);
  const { name, opt_in_process: optIn } = data.attributes;
  const changed = {
    ...row,
    name: name === undefined || name === null ? row.name : checkName(name),
    optIn: optIn ?? row.optIn,
    updated: context.now,
  };
  context.account.lists.put(changed);
  return { status: 200, document: single(context, listResource(context, changed)) };
}

export function deleteList(context: Context): Reply {
  const row = requireGroup(context, context.account.lists, 'list');
  context.account.lists.remove(row.id);
  context.account.members.delete(row.id);
  return { status: 204 };
}

export function createSegment(context: Context): Reply {
  const { attributes } = (context.body as GroupBody).data;
  const { account, now } = context;
  const row: SegmentRow = {
    id: account.ids.short(3),
    name: checkName(attributes.name),
    created: now,
    updated: now,
    definition: attributes.definition ?? null,
    isActive: true,
    isStarred: attributes.is_starred ?? false,
    processingUntil: now + Math.max(account.asyncDelayMs, 1),
    tagIds: [],
  };
  account.segments.put(row);
  return { status: 201, document: single(context, segmentResource(context, row)) };
}

export function updateSegment(context: Context): Reply {
  const row = requireGroup(context, context.account.segments, 'segment');
  const { data } = context.body as GroupBody;
  checkId(context, data.id);
  const { name, definition, is_active: isActive, is_starred: isStarred } = data.attributes;
  const changed: SegmentRow = {
    ...row,
    name: name === undefined || name === null ? row.name : checkName(name),
    definition: definition ?? row.definition,
    isActive: isActive ?? row.isActive,
    isStarred: isStarred ?? row.isStarred,
    updated: context.now,
  };
  context.account.segments.put(changed);
  return { status: 200, document: single(context, segmentResource(context, changed)) };
}

export function deleteSegment(context: Context): Reply {
  const row = requireGroup(context, context.account.segments, 'segment');
  context.account.segments.remove(row.id);
  context.account.members.delete(row.id);
  return { status: 204 };
}

/** GET /profiles/{id}/lists and /segments: all of them, without pages. */
export function groupsOfProfile(kind: 'lists' | 'segments') {
  return (context: Context): Reply => {
    const { id } = requireProfile(context, context.params.id ?? '');
    const { account } = context;
    const data =
      kind === 'lists'
        ? groupsOf(account, account.lists, id).map((row) => listResource(context, row))
        : groupsOf(account, account.segments, id).map((row) => segmentResource(context, row));
    return { status: 200, document: { data, links: pageLinks(context, null) } };
  };
}

/** GET /lists|segments/{id}/tags. */
export function tagsOfGroup(kind: 'lists' | 'segments') {
  return (context: Context): Reply => {
    const { account } = context;
    const row =
      kind === 'lists'
        ? requireGroup(context, account.lists, 'list')
        : requireGroup(context, account.segments, 'segment');
    return { status: 200, document: { data: includedTags(context, [row]), links: pageLinks(context, null) } };
  };
}

export function getTags(context: Context): Reply {
  const { rows, next } = listPage(context, context.account.tags, { order: 'name' });
  return {
    status: 200,
    document: {
      data: rows.map((row) => tagResource(context, row)),
      ...(context.query.include.size > 0 ? { included: [] } : {}),
      links: pageLinks(context, next),
    },
  };
}

export function getTag(context: Context): Reply {
  const row = requireTag(context);
  return {
    status: 200,
    document: single(context, tagResource(context, row), context.query.include.size > 0 ? [] : undefined),
  };
}

function requireTag(context: Context) {
  const id = context.params.id ?? '';
  const row = context.account.tags.get(id);
  if (row === undefined) throw notFound('tag', id);
  return row;
}

function checkName(name: string | null | undefined): string {
  if (typeof name !== 'string' || name.trim() === '')
    throw invalidBody("'name' may not be empty.", '/data/attributes/name');
  return name;
}

function checkId(context: Context, id: string | undefined): void {
  if (id !== context.params.id) throw invalidBody('The id in the body must match the id in the path.', '/data/id');
}
