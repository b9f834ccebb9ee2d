import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';

export interface MirroredMember {
  id: string;
  joinedAt: Date;
  /** The same as PostgreSQL's text, to the microsecond. */
  at: string;
  document: { attributes: Record<string, unknown> };
}

/** Behind a member. */
export interface MemberPlace {
  id: string;
  at: string;
}

interface GroupName {
  kind: 'list' | 'segment';
  id: string;
}

/** A total is exact up to here. */
const MOST_COUNTED = 10_000;

const MEMBERS = `FROM membership AS m JOIN mirrored_profile AS p
  ON p.user_id = $1 AND p.connection_id = $2 AND p.klaviyo_id = m.profile_id AND p.deleted_at IS NULL
  WHERE m.user_id = $1 AND m.connection_id = $2 AND m.kind = $3 AND m.group_id = $4 AND m.left_at IS NULL`;

/** Reads who is on a list or in a segment, each statement bound to its user. */
@Injectable()
export class MembersRepository {
  constructor(private readonly db: Db) {}

  /** Who joined last first, then by id downwards; of those who are mirrored. */
  async page(
    userId: number,
    connectionId: string,
    { kind, id }: GroupName,
    after: MemberPlace | null,
    limit: number,
  ): Promise<MirroredMember[]> {
    const beyond = after === null ? '' : 'AND (m.joined_at, m.profile_id) < ($6::timestamptz, $7)';
    return this.db.forUser(userId, (manager) =>
      query<MirroredMember>(
        manager,
        `SELECT m.profile_id AS id, m.joined_at AS "joinedAt", m.joined_at::text AS at, p.document::json AS document
         ${MEMBERS} ${beyond} ORDER BY m.joined_at DESC, m.profile_id DESC LIMIT $5`,
        [userId, connectionId, kind, id, limit, ...(after === null ? [] : [after.at, after.id])],
      ),
    );
  }

  /** How many there are, up to 10,000; null above. */
  async count(userId: number, connectionId: string, { kind, id }: GroupName): Promise<number | null> {
    const [counted] = await this.db.forUser(userId, (manager) =>
      query<{ total: number }>(manager, `SELECT count(*)::int AS total FROM (SELECT 1 ${MEMBERS} LIMIT $5) AS found`, [
        userId,
        connectionId,
        kind,
        id,
        MOST_COUNTED + 1,
      ]),
    );
    const total = counted?.total ?? 0;
    return total > MOST_COUNTED ? null : total;
  }
}
