import { createHash } from 'node:crypto';
import { Logger } from '@nestjs/common';
import { QueryFailedError, type DataSource } from 'typeorm';

/** As much of pg's pool as is used here. */
interface Pool {
  query(statement: { name: string; text: string; values: unknown[] }): Promise<{ rows: unknown[] }>;
}

/**
 * What PostgreSQL says of a prepared statement that is not what this connection takes it for: a transaction-mode pooler
 * led it to another one (26000, 42P05), or a table of it was changed (0A000). The statement itself has not begun.
 */
const NOT_AS_PREPARED = new Set(['26000', '42P05', '0A000']);

/**
 * Runs reads that are asked over and over as prepared statements: PostgreSQL parses and plans each once a connection,
 * and TypeORM's own work on every statement falls away.
 */
export class PreparedReads {
  private readonly logger = new Logger('Database');
  private readonly names = new Map<string, string>();
  private usable = true;

  constructor(private readonly dataSource: DataSource) {}

  /**
   * @param sql the same text whenever the same is asked: what differs belongs in `params`
   * @throws QueryFailedError
   */
  async rows(sql: string, params: readonly unknown[]): Promise<unknown[]> {
    // On a server that takes no more prepared statements of ours, the names are left out for good.
    if (!this.usable) return this.plain(sql, params);
    try {
      const { rows } = await poolOf(this.dataSource).query({ name: this.nameOf(sql), text: sql, values: [...params] });
      return rows;
    } catch (error) {
      const code = error instanceof Error && 'code' in error ? String(error.code) : '';
      if (!NOT_AS_PREPARED.has(code)) throw failedStatement(sql, error);
      this.usable = false;
      this.logger.warn('Prepared statements do not last here (a pooler, or a migration): going on without', { code });
      return this.plain(sql, params);
    }
  }

  private async plain(sql: string, params: readonly unknown[]): Promise<unknown[]> {
    return this.dataSource.query<unknown[]>(sql, [...params]);
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

/** As TypeORM would have it, without the parameters. */
export function failedStatement(sql: string, error: unknown): unknown {
  return error instanceof Error ? new QueryFailedError(sql, [], error) : error;
}

function poolOf(dataSource: DataSource): Pool {
  return (dataSource.driver as unknown as { master: Pool }).master;
}
