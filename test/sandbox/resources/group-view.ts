import { stamp } from '../clock.ts';
import type { Context } from '../context.ts';
import { identifiers, relation, resource } from '../context.ts';
import type { JsonObject } from '../json.ts';
import type { ListRow, SegmentRow, TagRow } from '../store/rows.ts';

interface Extra {
  profileCount?: number;
  withTags?: boolean;
}

export function listResource(context: Context, row: ListRow, extra: Extra = {}): JsonObject {
  const attributes: JsonObject = {
    name: row.name,
    created: stamp(row.created),
    updated: stamp(row.updated),
    ...(context.revision >= '2025-01-15' ? { opt_in_process: row.optIn } : {}),
    ...(extra.profileCount === undefined ? {} : { profile_count: extra.profileCount }),
  };
  return resource(
    context,
    'list',
    row.id,
    'lists',
    attributes,
    groupRelations(context, `lists/${row.id}`, row.tagIds, extra.withTags === true),
  );
}

export function segmentResource(context: Context, row: SegmentRow, extra: Extra = {}): JsonObject {
  const { revision } = context;
  const attributes: JsonObject = {
    name: row.name,
    ...(revision >= '2024-06-15' ? { definition: row.definition } : {}),
    created: stamp(row.created),
    updated: stamp(row.updated),
    ...(revision >= '2024-02-15'
      ? { is_active: row.isActive, is_processing: row.processingUntil > context.now, is_starred: row.isStarred }
      : {}),
    ...(extra.profileCount === undefined ? {} : { profile_count: extra.profileCount }),
  };
  const owner = `segments/${row.id}`;
  return resource(
    context,
    'segment',
    row.id,
    'segments',
    attributes,
    groupRelations(context, owner, row.tagIds, extra.withTags === true),
  );
}

function groupRelations(context: Context, owner: string, tagIds: readonly string[], withTags: boolean): JsonObject {
  return {
    profiles: relation(context, owner, 'profiles'),
    tags: relation(context, owner, 'tags', withTags ? identifiers('tag', tagIds) : undefined),
    ...(context.revision >= '2024-10-15'
      ? {
          'flow-triggers': relation(
            context,
            owner,
            'flow-triggers',
            context.query.include.has('flow-triggers') ? [] : undefined,
          ),
        }
      : {}),
  };
}

export function tagResource(context: Context, row: TagRow): JsonObject {
  const owner = `tags/${row.id}`;
  return resource(
    context,
    'tag',
    row.id,
    'tags',
    { name: row.name },
    {
      'tag-group': relation(context, owner, 'tag-group'),
      lists: relation(context, owner, 'lists'),
      segments: relation(context, owner, 'segments'),
      campaigns: relation(context, owner, 'campaigns'),
      flows: relation(context, owner, 'flows'),
    },
  );
}

/** The tags that rows name, each once. */
export function includedTags(context: Context, rows: readonly { tagIds: string[] }[]): JsonObject[] {
  const ids = new Set(rows.flatMap((row) => row.tagIds));
  return [...ids].flatMap((id) => {
    const tag = context.account.tags.get(id);
    return tag === undefined ? [] : [tagResource(context, tag)];
  });
}
