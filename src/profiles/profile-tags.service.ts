import { Injectable } from '@nestjs/common';
import type { UserScope } from '../auth/user-scope';
import { foldName } from '../common/name-filter';
import { Cursors, DEFAULT_LIMIT } from '../common/page';
import type { ReadPage } from '../common/read.dto';
import { ConnectionService } from '../connection/connection.service';
import { MirrorService } from '../mirror/mirror.service';
import { ProfileTagsRepository, type TagCount } from './profile-tags.repository';

export interface TagsInput {
  connectionId?: string;
  name?: string;
  limit?: number;
  cursor?: string;
}

/** The tags of people and how many have each, as counted when the last synchronisation of people ended. */
@Injectable()
export class ProfileTagsService {
  constructor(
    private readonly connections: ConnectionService,
    private readonly mirror: MirrorService,
    private readonly tags: ProfileTagsRepository,
    private readonly cursors: Cursors,
  ) {}

  /**
   * In the order of their characters' code points. Klaviyo has no such list: it is the mirror's or none.
   * @throws AppError CONNECTION_NOT_FOUND; NOT_SYNCED; VALIDATION_FAILED `cursor`
   */
  async page(scope: UserScope, { name, cursor, ...input }: TagsInput): Promise<ReadPage<TagCount>> {
    const connection = await this.connections.resolve(scope, input.connectionId);
    const binding = { userId: scope.userId, scope: JSON.stringify(['tags', connection.id, name ?? null]) };
    const after = this.cursors.decode(binding, cursor) as string | undefined;
    const limit = input.limit ?? DEFAULT_LIMIT;
    const { value, ...provenance } = await this.mirror.read(connection, ['profiles'], 'mirror', {
      mirror: () =>
        this.tags.page(scope.userId, connection.id, { after, limit: limit + 1, part: name && foldName(name) }),
      live: () => Promise.reject(new Error('tags are read from the mirror alone')),
    });
    const rows = value.slice(0, limit);
    const last = rows.at(-1);
    const more = value.length > limit && last !== undefined;
    return {
      rows,
      pagination: {
        limit,
        nextCursor: more ? this.cursors.encode(binding, last.name) : null,
        ...(after === undefined && !more ? { total: rows.length } : {}),
      },
      ...provenance,
    };
  }
}
