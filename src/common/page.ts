import { createHash } from 'node:crypto';
import { ApiProperty, ApiPropertyOptional } from '@nestjs/swagger';
import { invalid } from './errors';
import { Optional, QueryInt, Text } from './rules';
import { ScopedQuery } from './scoped.dto';

/** What a list without `limit` gives, unless its route says otherwise. */
export const DEFAULT_LIMIT = 50;

/** Base of queries that page. */
export abstract class PageQuery extends ScopedQuery {
  @ApiPropertyOptional({ type: 'integer', minimum: 1, maximum: 200, description: 'Rows of a page' })
  @Optional()
  @QueryInt({ min: 1, max: 200 })
  limit?: number;

  @ApiPropertyOptional({ description: '`pagination.nextCursor` of the page before' })
  @Optional()
  @Text({ max: 2000 })
  cursor?: string;
}

/** Where a page stands. */
export class Pagination {
  @ApiProperty({ type: 'integer', description: 'Rows asked for' })
  limit: number;

  @ApiProperty({ type: 'string', nullable: true, description: 'The `cursor` of the next page; null on the last' })
  nextCursor: string | null;

  @ApiPropertyOptional({ type: 'integer', description: 'All rows; exact up to 10,000, absent above' })
  total?: number;
}

/** Keyed fingerprints, as the encryption provider makes them. */
interface Fingerprints {
  mac(purpose: string, data: string): { keyId: string; mac: string };
  macMatches(purpose: string, data: string, known: { keyId: string; mac: string }): boolean;
}

/** To what a cursor belongs; used anywhere else it is refused. */
export interface CursorBinding {
  userId: number;
  /** The route, filters and source in one string, in a fixed order. */
  scope: string;
}

const PURPOSE = 'cursor';

/** Makes and reads opaque page cursors: base64url of a JSON position and its keyed fingerprint, bound to user and scope. */
export class Cursors {
  constructor(private readonly fingerprints: Fingerprints) {}

  /** @param position what the next page needs to know; JSON */
  encode(binding: CursorBinding, position: unknown): string {
    const text = JSON.stringify(position);
    const { keyId, mac } = this.fingerprints.mac(PURPOSE, bound(binding, text));
    return Buffer.from(JSON.stringify([keyId, mac, text])).toString('base64url');
  }

  /**
   * The position that `encode` was given; undefined without a cursor.
   * @throws AppError VALIDATION_FAILED `cursor`: not ours, changed, or of another user, route, filter or source
   */
  decode(binding: CursorBinding, cursor: string | undefined): unknown {
    if (cursor === undefined) return undefined;
    const parts = parse(cursor);
    if (!parts) throw invalid('cursor', 'badCursor');
    const [keyId, mac, text] = parts;
    if (!this.fingerprints.macMatches(PURPOSE, bound(binding, text), { keyId, mac }))
      throw invalid('cursor', 'badCursor');
    return JSON.parse(text);
  }
}

function bound(binding: CursorBinding, text: string): string {
  return JSON.stringify([binding.userId, createHash('sha256').update(binding.scope).digest('base64url'), text]);
}

function parse(cursor: string): [string, string, string] | undefined {
  try {
    const value: unknown = JSON.parse(Buffer.from(cursor, 'base64url').toString('utf8'));
    if (Array.isArray(value) && value.length === 3 && value.every((item) => typeof item === 'string'))
      return value as [string, string, string];
  } catch {
    // Not ours: refused by the caller.
  }
  return undefined;
}
