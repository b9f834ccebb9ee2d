import { Injectable } from '@nestjs/common';
import type { BulkParameter, BulkWrite } from '../database/bulk-statement';
import { JoinedTexts, takenApart } from '../database/joined-texts';
import { Db, query } from '../database/scope';
import { MirroredRows } from '../mirror/mirrored-rows.repository';
import { noting } from '../mirror/noted';

/** A person as the mirror keeps them; texts hold nothing that PostgreSQL refuses. */
export interface MirrorRow {
  id: string;
  /** In lower case. */
  email: string | null;
  phone: string | null;
  externalId: string | null;
  /** Folded as names are compared. */
  name: string | null;
  /** JSON of `Searchable`. */
  searchable: string;
  /** RFC 3339 in UTC. */
  createdAt: string | null;
  updatedAt: string | null;
  /** JSON of what Klaviyo gave. */
  document: string;
}

/** Of one statement: a profile weighs 1.5 KB as a rule and 100 KB at most. */
const MAX_ROWS = 2000;
const MAX_CHARACTERS = 8_000_000;

/** As parameters from the third on. */
const COLUMNS_GIVEN = [
  'id',
  'email',
  'phone',
  'external_id',
  'name',
  'created_at',
  'updated_at',
  'searchable',
  'document',
];
const COLUMNS = ['email', 'phone', 'external_id', 'name', 'searchable', 'created_at', 'updated_at', 'fingerprint'];
/** Klaviyo may show an older version than one that came otherwise: it counts as seen and changes nothing. */
const NEWER = `(EXCLUDED.updated_at >= m.updated_at OR EXCLUDED.updated_at = '-infinity')`;
const IS_OTHER = `(${NEWER} AND m.fingerprint <> EXCLUDED.fingerprint OR m.deleted_at IS NOT NULL)`;

/** `statement_timestamp()` tells a row that this statement changed from one that an earlier one of the same transaction did. */
const UPSERT = `
  WITH kept AS (
    INSERT INTO mirrored_profile AS m (user_id, connection_id, klaviyo_id, email, phone, external_id, name, searchable,
      created_at, updated_at, fingerprint, document, changed_at, synced_at)
    SELECT $1, $2, id, email, phone, external_id, name, searchable::jsonb, created_at::timestamptz,
      coalesce(updated_at::timestamptz, '-infinity'), hashtextextended(document, 0), document, statement_timestamp(),
      now()
    FROM ROWS FROM (${COLUMNS_GIVEN.map((_, place) => takenApart(`$${place + 3}`)).join(', ')})
      AS row (${COLUMNS_GIVEN.join(', ')})
    ON CONFLICT (user_id, connection_id, klaviyo_id) DO UPDATE SET
      ${COLUMNS.map((name) => `${name} = CASE WHEN ${NEWER} THEN EXCLUDED.${name} ELSE m.${name} END`).join(', ')},
      document = CASE WHEN ${NEWER} AND m.fingerprint <> EXCLUDED.fingerprint THEN EXCLUDED.document ELSE m.document END,
      changed_at = CASE WHEN ${IS_OTHER} THEN EXCLUDED.changed_at ELSE m.changed_at END,
      synced_at = EXCLUDED.synced_at, deleted_at = NULL
    RETURNING changed_at
  )
  SELECT count(*)::int AS changed, ${noting('profiles', 'count(*)')} FROM kept WHERE changed_at = statement_timestamp()`;

/** The rows of mirrored people as they are written, each statement bound to its user. */
@Injectable()
export class ProfileMirrorRepository extends MirroredRows {
  constructor(db: Db) {
    super(db, { table: 'mirrored_profile', hasChangedAt: true });
  }

  /** What a pass read. @returns how many are new or changed */
  async upsert(userId: number, connectionId: string, rows: readonly MirrorRow[]): Promise<number> {
    let changed = 0;
    for (const { sql, columns } of this.upserts(userId, connectionId, rows)) {
      const [counted] = await this.db.bulk<{ changed: number }>(userId, sql, columns);
      changed += counted?.changed ?? 0;
    }
    return changed;
  }

  /** What does that. */
  upserts(userId: number, connectionId: string, rows: readonly MirrorRow[]): BulkWrite[] {
    return chunksOf(rows).map((chunk) => ({ sql: UPSERT, columns: columnsOf(userId, connectionId, chunk) }));
  }

  /** What came otherwise than by a pass. Nothing is written where the connection is gone, or people were never mirrored. */
  async keep(userId: number, connectionId: string, rows: readonly MirrorRow[]): Promise<void> {
    if (rows.length === 0) return;
    await this.db.inTransaction(userId, async () => {
      if (await this.isMirrored(userId, connectionId)) await this.upsert(userId, connectionId, rows);
    });
  }

  /** Marks people as gone at Klaviyo. @returns those that were there until now */
  async markGone(userId: number, connectionId: string, ids: readonly string[]): Promise<string[]> {
    const gone = await this.db.forUser(userId, (manager) =>
      query<{ id: string }>(
        manager,
        `UPDATE mirrored_profile SET deleted_at = now(), changed_at = now()
         WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id = ANY($3) AND deleted_at IS NULL
         RETURNING klaviyo_id AS id`,
        [userId, connectionId, ids],
      ),
    );
    return gone.map(({ id }) => id);
  }

  /** Holds the connection until the transaction ends. */
  private async isMirrored(userId: number, connectionId: string): Promise<boolean> {
    const found = await this.db.forUser(userId, (manager) =>
      query(
        manager,
        `SELECT 1 FROM connection AS c WHERE user_id = $1 AND id = $2 AND EXISTS (SELECT 1 FROM mirror_state AS s
           WHERE s.user_id = $1 AND s.connection_id = $2 AND s.resource = 'profiles') FOR KEY SHARE OF c`,
        [userId, connectionId],
      ),
    );
    return found.length > 0;
  }
}

/** Each person once, the newest of them; sorted, so that two writers never wait for each other crosswise. */
function chunksOf(rows: readonly MirrorRow[]): MirrorRow[][] {
  const byId = new Map<string, MirrorRow>();
  for (const row of rows) {
    const known = byId.get(row.id);
    if (!known || (row.updatedAt ?? '') >= (known.updatedAt ?? '')) byId.set(row.id, row);
  }
  const chunks: MirrorRow[][] = [];
  let chunk: MirrorRow[] = [];
  let characters = 0;
  for (const row of [...byId.values()].sort((a, b) => (a.id < b.id ? -1 : 1))) {
    if (chunk.length === 0 || chunk.length === MAX_ROWS || characters > MAX_CHARACTERS) {
      chunks.push((chunk = []));
      characters = 0;
    }
    chunk.push(row);
    characters += row.document.length;
  }
  return chunks;
}

function columnsOf(userId: number, connectionId: string, rows: readonly MirrorRow[]): BulkParameter[] {
  return [
    userId,
    connectionId,
    JoinedTexts.of(rows.map(({ id }) => id)),
    JoinedTexts.of(rows.map(({ email }) => email)),
    JoinedTexts.of(rows.map(({ phone }) => phone)),
    JoinedTexts.of(rows.map(({ externalId }) => externalId)),
    JoinedTexts.of(rows.map(({ name }) => name)),
    JoinedTexts.of(rows.map(({ createdAt }) => createdAt)),
    JoinedTexts.of(rows.map(({ updatedAt }) => updatedAt)),
    JoinedTexts.ofJson(rows.map(({ searchable }) => searchable)),
    JoinedTexts.ofJson(rows.map(({ document }) => document)),
  ];
}
