import { Injectable } from '@nestjs/common';
import { Db, query } from '../database/scope';
import { conditionsOf, Parameters } from './profile-conditions.repository';
import { groupsOf, type ProfileFilters, type ProfileSort } from './profile-filters';

/** Somebody as mirrored. */
export interface FoundProfile {
  id: string;
  /** Where they stand in the order by update; PostgreSQL's text. */
  at: string;
  document: { attributes: Record<string, unknown> };
}

/** Where a page ended. */
export interface ProfilePlace {
  id: string;
  at: string;
  /** Whether those looked for were rare: then the order is not walked again. */
  rare: boolean;
}

export interface ProfileSearch {
  filters: ProfileFilters;
  sort: ProfileSort;
  after: ProfilePlace | null;
  /** Rows wanted at most. */
  limit: number;
}

export interface FoundPage {
  rows: FoundProfile[];
  rare: boolean;
}

/** The first page, with what says whether the mirror may give it. */
export interface FirstPage extends FoundPage {
  connectionId: string;
  status: 'active' | 'invalid';
  /** Null before people are mirrored; there are no rows then. */
  syncedAt: Date | null;
  /** Whether these are all rows of the page; else only what a sample of the order has of them. */
  whole: boolean;
}

/** Rows that are looked through in order, for each that is wanted, to learn how many match. */
const TRIED = 20;
/** Rows that are looked through at most before an index is asked for all that match. */
const MOST_LOOKED_THROUGH = 10_000;
/** A total is exact up to here. */
const MOST_COUNTED = 10_000;

/** Looks mirrored people up, each statement bound to its user. */
@Injectable()
export class ProfileSearchRepository {
  constructor(private readonly db: Db) {}

  /**
   * People in order. What many have is found soonest by walking the order, what few have by the index of what is
   * searched, and PostgreSQL cannot know beforehand which it is: so a stretch of the order is tried first. Where it
   * does not fill the page, what it found tells how long a stretch would; where that is too long, all that match are
   * fetched and sorted, who are few then.
   * @param sampled how many the first stretch has, where that is known
   */
  async page(userId: number, connectionId: string, search: ProfileSearch, sampled?: number): Promise<FoundPage> {
    const way = wayOf(search);
    const parameters = () => new Parameters(userId, connectionId);
    if (way === 'order') return { rows: await this.run(userId, walk(parameters(), search, null)), rare: false };
    const sample = search.limit * TRIED;
    let stretch = way === 'index' ? Infinity : sampled === undefined ? sample : longer(sample, search, sampled);
    for (let tries = 0; tries < 2 && stretch <= MOST_LOOKED_THROUGH; tries++) {
      const rows = await this.run(userId, walk(parameters(), search, stretch));
      if (rows.length >= search.limit) return { rows, rare: false };
      stretch = longer(stretch, search, rows.length);
    }
    return { rows: await this.run(userId, gather(parameters(), search)), rare: true };
  }

  /**
   * The first page of a connection (the user's default when undefined) and how old its mirror is: one statement, since
   * it is what is read most. Undefined where there is no such connection.
   */
  async first(
    userId: number,
    connectionId: string | undefined,
    search: ProfileSearch & { after: null },
  ): Promise<FirstPage | undefined> {
    const way = wayOf(search);
    const parameters = new Parameters(userId, connectionId ?? null, 'k.id');
    const stretch = way === 'order' ? null : search.limit * TRIED;
    const { sql } = way === 'index' ? gather(parameters, search) : walk(parameters, search, stretch);
    const statement = `SELECT k.id AS "connectionId", k.status, extract(epoch FROM s.synced_at)::float8 AS "syncedAt",
        CASE WHEN s.synced_at IS NOT NULL THEN
          (SELECT coalesce(json_agg(found), '[]') FROM (${sql}) AS found) END AS rows
      FROM connection AS k LEFT JOIN mirror_state AS s
        ON s.user_id = k.user_id AND s.connection_id = k.id AND s.resource = 'profiles'
      WHERE k.user_id = $1 AND CASE WHEN $2::uuid IS NULL THEN k.is_default ELSE k.id = $2 END`;
    // By an identifier one plan serves all; elsewhere the best one depends on the value.
    const [row] =
      way === 'index'
        ? await this.db.prepared<FirstRow>(userId, statement, parameters.values)
        : await this.db.forUser(userId, (manager) => query<FirstRow>(manager, statement, parameters.values));
    if (!row) return undefined;
    const { connectionId: id, status, syncedAt, rows } = row;
    return {
      connectionId: id,
      status,
      syncedAt: syncedAt === null ? null : new Date(syncedAt * 1000),
      rows: rows ?? [],
      rare: way === 'index',
      whole: way !== 'walk' || (rows ?? []).length >= search.limit,
    };
  }

  /** How many there are, up to 10,000; null above. */
  async count(userId: number, connectionId: string, filters: ProfileFilters): Promise<number | null> {
    const parameters = new Parameters(userId, connectionId);
    const where = conditionsOf(filters, parameters).join(' AND ');
    const most = parameters.add(MOST_COUNTED + 1);
    const [counted] = await this.db.forUser(userId, (manager) =>
      query<{ total: number }>(
        manager,
        `SELECT count(*)::int AS total FROM (SELECT 1 FROM mirrored_profile AS p
         WHERE p.user_id = $1 AND p.connection_id = $2 AND ${where} LIMIT ${most}) AS found`,
        parameters.values,
      ),
    );
    const total = counted?.total ?? 0;
    return total > MOST_COUNTED ? null : total;
  }

  /** Null for somebody who is unknown or gone. */
  async one(userId: number, connectionId: string, id: string): Promise<FoundProfile | null> {
    const [found] = await this.db.forUser(userId, (manager) =>
      query<FoundProfile>(
        manager,
        `SELECT p.klaviyo_id AS id, p.updated_at::text AS at, p.document::json AS document
         FROM mirrored_profile AS p
         WHERE p.user_id = $1 AND p.connection_id = $2 AND p.klaviyo_id = $3 AND p.deleted_at IS NULL`,
        [userId, connectionId, id],
      ),
    );
    return found ?? null;
  }

  private run(userId: number, { sql, parameters }: Statement): Promise<FoundProfile[]> {
    return this.db.forUser(userId, (manager) => query<FoundProfile>(manager, sql, parameters.values));
  }
}

type FirstRow = Pick<FirstPage, 'connectionId' | 'status'> & { syncedAt: number | null; rows: FoundProfile[] | null };

interface Statement {
  sql: string;
  parameters: Parameters;
}

/** How long a stretch would fill the page, as far as one that did not can tell, and a half more. */
function longer(stretch: number, { limit }: ProfileSearch, found: number): number {
  return Math.ceil((1.5 * stretch * limit) / found);
}

/** `order`: every row on the way counts. `index`: an identifier, or known to be rare. `walk`: not known yet. */
function wayOf({ filters, sort, after }: ProfileSearch): 'order' | 'index' | 'walk' {
  if (after?.rare === true) return 'index';
  const { email, phoneNumber, externalId, updatedSince, updatedUntil, ...others } = filters;
  if (email !== undefined || phoneNumber !== undefined || externalId !== undefined) return 'index';
  const range = updatedSince !== undefined || updatedUntil !== undefined;
  if (Object.keys(others).length > 0) return 'walk';
  return range && byId(sort) ? 'walk' : 'order';
}

/** Goes along the order, or a stretch of it: along the members of a list or segment, where the order is theirs too. */
function walk(parameters: Parameters, search: ProfileSearch, stretch: number | null): Statement {
  const { filters, sort } = search;
  const [group] = byId(sort) ? groupsOf(filters) : [];
  const where = conditionsOf(filters, parameters).join(' AND ');
  const enough = stretch === null ? '' : `LIMIT ${parameters.add(stretch)}`;
  // Ordered here only where it is cut here: else PostgreSQL would sort everybody for one page.
  const source =
    group === undefined
      ? `SELECT * FROM mirrored_profile AS p WHERE p.user_id = $1
           AND p.connection_id = ${parameters.connection} ${beyond(search, parameters)} ${range(filters, sort, parameters)} ${enough && `ORDER BY ${orderOf(sort)} ${enough}`}`
      : `SELECT q.* FROM (SELECT m.profile_id AS klaviyo_id FROM membership AS m
           WHERE m.user_id = $1 AND m.connection_id = ${parameters.connection} AND m.kind = '${group.kind}'
             AND m.group_id = ${parameters.add(group.id)} AND m.left_at IS NULL
             ${beyond(search, parameters).replace('p.klaviyo_id', 'm.profile_id')}
           ORDER BY m.profile_id ${directionOf(sort)} ${enough}) AS member
         JOIN mirrored_profile AS q ON q.user_id = $1 AND q.connection_id = ${parameters.connection}
           AND q.klaviyo_id = member.klaviyo_id`;
  return shown(`SELECT * FROM (${source}) AS p WHERE ${where}`, parameters, search);
}

/** Fetches all that match: without the fence PostgreSQL might take the order for the shorter way. */
function gather(parameters: Parameters, search: ProfileSearch): Statement {
  const where = conditionsOf(search.filters, parameters).join(' AND ');
  const matching = `SELECT p.klaviyo_id, p.updated_at, p.document FROM mirrored_profile AS p
    WHERE p.user_id = $1 AND p.connection_id = ${parameters.connection} ${beyond(search, parameters)} AND ${where}
    OFFSET 0`;
  return shown(`SELECT * FROM (${matching}) AS p`, parameters, search);
}

function shown(source: string, parameters: Parameters, { sort, limit }: ProfileSearch): Statement {
  const sql = `
    SELECT p.klaviyo_id AS id, p.updated_at::text AS at, p.document::json AS document
    FROM (${source} ORDER BY ${orderOf(sort)} LIMIT ${parameters.add(limit)}) AS p
    ORDER BY ${orderOf(sort)}`;
  return { sql, parameters };
}

/** The bounds on the axis that is walked stand where the walk begins and ends. */
function range({ updatedSince, updatedUntil }: ProfileFilters, sort: ProfileSort, parameters: Parameters): string {
  if (byId(sort)) return '';
  const since = updatedSince === undefined ? '' : `AND p.updated_at >= ${parameters.add(updatedSince)}`;
  const until = updatedUntil === undefined ? '' : `AND p.updated_at < ${parameters.add(updatedUntil)}`;
  return `${since} ${until}`;
}

function beyond({ sort, after }: ProfileSearch, parameters: Parameters): string {
  if (after === null) return '';
  const than = directionOf(sort) === 'DESC' ? '<' : '>';
  if (byId(sort)) return `AND p.klaviyo_id ${than} ${parameters.add(after.id)}`;
  return `AND (p.updated_at, p.klaviyo_id) ${than} (${parameters.add(after.at)}::timestamptz, ${parameters.add(after.id)})`;
}

function orderOf(sort: ProfileSort): string {
  const direction = directionOf(sort);
  return byId(sort) ? `p.klaviyo_id ${direction}` : `p.updated_at ${direction}, p.klaviyo_id ${direction}`;
}

function byId(sort: ProfileSort): boolean {
  return sort === 'id' || sort === '-id';
}

function directionOf(sort: ProfileSort): 'ASC' | 'DESC' {
  return sort.startsWith('-') ? 'DESC' : 'ASC';
}
