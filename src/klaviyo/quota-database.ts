import { Inject, Injectable, Logger, type OnApplicationShutdown } from '@nestjs/common';
import { Pool } from 'pg';
import { ENV, type Env } from '../config/env';
import { DatabaseError, fromDriver } from '../database/errors';

/** One statement is on its way for each line that waits; they take a fraction of a millisecond each. */
const CONNECTIONS = 4;
const CONNECT_MS = 3000;
/** The database's own limit first: it names the reason. */
const STATEMENT_MS = 3000;
const ANSWER_MS = 4000;

/**
 * A few connections of the quota's own: bookkeeping is never inside a caller's transaction, and neither waits for the
 * service's pool nor takes from it. They go past a transaction-mode pooler, as prepared statements must, and do not wait
 * for the disk: a crash of PostgreSQL may forget the last fraction of a second of counting, which the margins cover.
 */
@Injectable()
export class QuotaDatabase implements OnApplicationShutdown {
  private readonly logger = new Logger('KlaviyoQuota');
  private readonly pool: Pool;

  constructor(@Inject(ENV) env: Env) {
    this.pool = new Pool({
      connectionString: env.databaseDirectUrl,
      application_name: 'klaviyo-service-quota',
      max: CONNECTIONS,
      connectionTimeoutMillis: CONNECT_MS,
      statement_timeout: STATEMENT_MS,
      query_timeout: ANSWER_MS,
      idleTimeoutMillis: 300_000,
      keepAlive: true,
      options: '-c synchronous_commit=off -c plan_cache_mode=force_generic_plan -c jit=off',
    });
    // An idle line that PostgreSQL closed is replaced at the next statement.
    this.pool.on('error', (error) => this.logger.debug({ msg: 'an idle connection ended', reason: error.message }));
  }

  /**
   * Runs one statement, prepared under its name.
   * @throws DatabaseError
   */
  async run<T>(name: string, sql: string, params: readonly unknown[]): Promise<T[]> {
    try {
      const { rows } = await this.pool.query<T & Record<string, unknown>>({ name, text: sql, values: [...params] });
      return rows;
    } catch (error) {
      throw scrubbed(error);
    }
  }

  async onApplicationShutdown(): Promise<void> {
    await this.pool.end();
  }
}

/** The driver's error may show parameters: only SQLSTATE and whether the database is out of reach go on. */
function scrubbed(error: unknown): DatabaseError {
  const known = fromDriver(error);
  if (known instanceof DatabaseError) return known;
  const { code, message } = error as { code?: unknown; message?: unknown };
  const sqlState = typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined;
  // The statement's own time limit, ours for the answer: a database that is too slow is out of reach.
  const slow = sqlState === '57014' || message === 'Query read timeout';
  return new DatabaseError(sqlState, undefined, slow, `quota statement failed (${sqlState ?? 'unknown'})`);
}
