import { createHash } from 'node:crypto';
import { Logger } from '@nestjs/common';
import type { DataSource, EntityManager } from 'typeorm';
import { DatabaseError } from './errors';
import { clientOf, failedStatement, query } from './statement';

/** As much of pg's pool, or of one client of it, as is used here. */
interface Queryable {
  query(statement: { name?: string; text: string; values: unknown[] }): Promise<{ rows: unknown[] }>;
}

/**
 * What PostgreSQL says of a prepared statement that is not what this connection takes it for: a transaction-mode pooler
 * led it to another one (26000, 42P05), or a table of it was changed (0A000). The statement itself has not begun.
 */
const NOT_AS_PREPARED = new Set(['26000', '42P05', '0A000']);

/** Whether a transaction failed of that alone: repeated, it goes on without prepared statements. */
export function isNotAsPrepared(error: unknown): boolean {
  return error instanceof DatabaseError && NOT_AS_PREPARED.has(error.sqlState ?? '');
}

/**
 * Runs statements that come over and over as prepared ones: PostgreSQL parses and plans each once a connection, and
 * TypeORM's own work on every statement falls away.
 */
export class PreparedStatements {
  private readonly logger = new Logger('Database');
  private readonly names = new Map<string, string>();
  private usable = true;

  constructor(private readonly dataSource: DataSource) {}

  /**
   * @param sql the same text whenever the same is asked: what differs belongs in `params`
   * @param manager of the transaction that it belongs to; a failure ends that, see `isNotAsPrepared`
   * @throws QueryFailedError
   */
  async rows(sql: string, params: readonly unknown[], manager?: EntityManager): Promise<unknown[]> {
    if (!this.usable) return this.plain(sql, params, manager);
    try {
      const line = manager ? await clientOf<Queryable>(manager) : poolOf(this.dataSource);
      const { rows } = await line.query(this.statementOf(sql, params));
      return rows;
    } catch (error) {
      if (!this.failed(error) || manager) throw failedStatement(sql, error);
      return this.plain(sql, params);
    }
  }

  /** For whoever sends it: on a server that takes no more prepared statements of ours, the names are left out for good. */
  statementOf(sql: string, params: readonly unknown[]): { name?: string; text: string; values: unknown[] } {
    const name = this.nameFor(sql);
    return { ...(name === undefined ? {} : { name }), text: sql, values: [...params] };
  }

  /** The name under which PostgreSQL keeps it; undefined where it keeps none. */
  nameFor(sql: string): string | undefined {
    return this.usable ? this.nameOf(sql) : undefined;
  }

  /** @returns whether pg's error says that a prepared statement did not last: from then on none are used */
  failed(error: unknown): boolean {
    const code = error instanceof Error && 'code' in error ? String(error.code) : '';
    if (!NOT_AS_PREPARED.has(code)) return false;
    this.giveUp(code);
    return true;
  }

  private giveUp(code: string): void {
    if (this.usable)
      this.logger.warn('Prepared statements do not last here (a pooler, or a migration): going on without', { code });
    this.usable = false;
  }

  private async plain(sql: string, params: readonly unknown[], manager?: EntityManager): Promise<unknown[]> {
    return query<unknown>(manager ?? this.dataSource.manager, sql, params);
  }

  private nameOf(sql: string): string {
    let name = this.names.get(sql);
    if (name === undefined) {
      name = createHash('sha256').update(sql).digest('base64url').slice(0, 32);
      this.names.set(sql, name);
    }
    return name;
  }
}

function poolOf(dataSource: DataSource): Queryable {
  return (dataSource.driver as unknown as { master: Queryable }).master;
}
