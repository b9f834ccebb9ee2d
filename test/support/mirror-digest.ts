import { createHash } from 'node:crypto';
import type { Sandbox } from './sandbox.ts';

/** Which mirror is compared: that of a connection, over SQL, with what its account at the sandbox holds. */
export interface Mirrored {
  sql: <T extends object>(text: string, params?: unknown[]) => Promise<T[]>;
  sandbox: Sandbox;
  userId: number;
  connectionId: string;
  accountId: string;
}

/** A resource that is not the same here and there. Ids are named up to `MOST_IDS` of each kind. */
export interface Difference {
  resource: string;
  mirrored: number;
  atKlaviyo: number;
  missing: string[];
  extra: string[];
  changed: string[];
}

interface Row {
  id: string;
  /** What is hashed: the attributes as the newest revision answers them. */
  value: unknown;
}

const SPACE = 2 ** 48;
const CHUNK = 5000;
const MOST_IDS = 20;

/** Live rows by resource: `$1` user, `$2` connection, `$3` the id before, `$4` how many. */
const ATTRIBUTES = `coalesce(document->'attributes', document)`;
const grouped = (kind: string) => `
  SELECT klaviyo_id AS id, ${ATTRIBUTES} AS value FROM mirrored_group
  WHERE user_id = $1 AND connection_id = $2 AND kind = '${kind}' AND klaviyo_id COLLATE "C" > $3 AND deleted_at IS NULL
  ORDER BY klaviyo_id COLLATE "C" LIMIT $4`;
const table = (name: string, value = ATTRIBUTES) => `
  SELECT klaviyo_id AS id, ${value} AS value FROM ${name}
  WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id COLLATE "C" > $3 AND deleted_at IS NULL
  ORDER BY klaviyo_id COLLATE "C" LIMIT $4`;
const ROWS: Record<string, string> = {
  lists: grouped('list'),
  segments: grouped('segment'),
  profiles: `
    SELECT klaviyo_id AS id, document::json->'attributes' AS value
    FROM mirrored_profile
    WHERE user_id = $1 AND connection_id = $2 AND klaviyo_id > $3 AND deleted_at IS NULL
    ORDER BY klaviyo_id LIMIT $4`,
  memberships: `
    SELECT * FROM (SELECT group_id || ':' || profile_id AS id, NULL AS value FROM membership
      WHERE user_id = $1 AND connection_id = $2 AND left_at IS NULL) AS member
    WHERE id COLLATE "C" > $3 ORDER BY id COLLATE "C" LIMIT $4`,
  campaigns: table('mirrored_campaign'),
  metrics: table('mirrored_metric'),
  events: table('mirrored_event', `${ATTRIBUTES} || jsonb_build_object('profile', profile_id, 'metric', metric_id)`),
};
export const COMPARED = Object.keys(ROWS);

/** What is not the same in the mirror as at the sandbox, row for row; nothing when all is. */
export async function differences(of: Mirrored, resources: readonly string[] = COMPARED): Promise<Difference[]> {
  const found: Difference[] = [];
  for (const resource of resources) {
    const ours = new Map<string, number>();
    let sum = 0;
    for await (const { id, value } of rowsOf(of, resource)) {
      const hash = hashOf(id, value);
      sum = (sum + hash) % SPACE;
      ours.set(id, hash);
    }
    const theirs = await digestOf(of, resource, false);
    if (theirs.count === ours.size && theirs.digest === sum.toString(16).padStart(12, '0')) continue;
    found.push(compared(resource, ours, new Map(Object.entries((await digestOf(of, resource, true)).rows ?? {}))));
  }
  return found;
}

async function* rowsOf(of: Mirrored, resource: string): AsyncGenerator<Row> {
  const statement = ROWS[resource];
  if (statement === undefined) throw new Error(`Nobody knows how ${resource} are compared`);
  for (let after = ''; ;) {
    const rows = await of.sql<Row>(statement, [of.userId, of.connectionId, after, CHUNK]);
    yield* rows;
    const last = rows.at(-1);
    if (last === undefined || rows.length < CHUNK) return;
    after = last.id;
  }
}

async function digestOf(
  { sandbox, accountId }: Mirrored,
  resource: string,
  rows: boolean,
): Promise<{ count: number; digest: string; rows?: Record<string, number> }> {
  const path = `/accounts/${accountId}/digest?resource=${resource}${rows ? '&rows=true' : ''}`;
  const answer = await sandbox.control<
    Record<string, { count: number; digest: string; rows?: Record<string, number> }>
  >('GET', path);
  const digest = answer[resource];
  if (digest === undefined) throw new Error(`The sandbox has no digest of ${resource}`);
  return digest;
}

function compared(resource: string, ours: Map<string, number>, theirs: Map<string, number>): Difference {
  const missing = [...theirs.keys()].filter((id) => !ours.has(id));
  const extra = [...ours.keys()].filter((id) => !theirs.has(id));
  const changed = [...ours].filter(([id, hash]) => theirs.has(id) && theirs.get(id) !== hash).map(([id]) => id);
  return {
    resource,
    mirrored: ours.size,
    atKlaviyo: theirs.size,
    missing: missing.slice(0, MOST_IDS),
    extra: extra.slice(0, MOST_IDS),
    changed: changed.slice(0, MOST_IDS),
  };
}

function hashOf(id: string, value: unknown): number {
  return createHash('sha256')
    .update(`${id}\n${canonical(value)}`)
    .digest()
    .readUIntBE(0, 6);
}

/** JSON with sorted keys and no spaces. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  const members = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(',')}}`;
}
