import { AsyncLocalStorage } from 'node:async_hooks';
import { Injectable } from '@nestjs/common';
import { DataSource, type EntityManager } from 'typeorm';
import { again } from './again';
import { runBulk, type BulkParameter } from './bulk-statement';
import { DatabaseError, fromDriver } from './errors';
import { Line } from './line';
import { PreparedStatements } from './prepared';
import { clientOf, failedStatement, gather, type Sending } from './statement';

export { query } from './statement';

type Work<T> = (manager: EntityManager) => Promise<T>;

interface OpenTransaction {
  userId: number | null;
  manager: EntityManager;
}

/** As much of pg's client as is used here. */
interface Client extends Sending {
  query(sql: string): Promise<unknown>;
}

/**
 * The one door to the database. Every repository goes through `forUser`, so that a second line of isolation
 * (row-level security) can stand behind it without touching a repository. Repositories called inside
 * `inTransaction` join that transaction by themselves.
 */
@Injectable()
export class Db {
  private readonly open = new AsyncLocalStorage<OpenTransaction>();

  private readonly statements: PreparedStatements;

  constructor(private readonly dataSource: DataSource) {
    this.statements = new PreparedStatements(dataSource);
  }

  /** Runs statements about one user's rows. `userId` must also stand in each statement's WHERE or VALUES. */
  async forUser<T>(userId: number, work: Work<T>): Promise<T> {
    const open = this.open.getStore();
    if (open && open.userId !== null && open.userId !== userId)
      throw new Error('A transaction of one user must not touch another user');
    return scrubbed(() => work(open?.manager ?? this.dataSource.manager));
  }

  /**
   * One statement about one user's rows that comes so often that PostgreSQL keeps it prepared: one of few texts and of one
   * good plan, whatever the parameters. Inside a transaction it belongs to that.
   */
  async prepared<T>(userId: number, sql: string, params: readonly unknown[]): Promise<T[]> {
    if (!this.open.getStore()) return scrubbed(async () => (await this.statements.rows(sql, params)) as T[]);
    return this.forUser(userId, async (manager) => (await this.statements.rows(sql, params, manager)) as T[]);
  }

  /**
   * One statement about many rows of one user, whose columns are `JoinedTexts`: nothing of it is copied on its way to the
   * socket. Inside a transaction it belongs to that.
   */
  async bulk<T>(userId: number, sql: string, params: readonly BulkParameter[]): Promise<T[]> {
    return this.inTransaction(userId, (manager) => queryBulk<T>(manager, sql, params));
  }

  /**
   * A connection of one's own for transactions that are sent ahead of each other. `userId` must also stand in each statement.
   * To be released.
   * @throws DatabaseError
   */
  async line(_userId: number): Promise<Line> {
    return scrubbed(() => Line.of(this.dataSource.createQueryRunner(), this.statements));
  }

  /** Runs statements that have no single user (receiver, due work, retention). For `*.system.repository.ts` only. */
  async system<T>(work: Work<T>): Promise<T> {
    return scrubbed(() => work(this.open.getStore()?.manager ?? this.dataSource.manager));
  }

  /**
   * One transaction around several repository calls of one user. Repeated from the start on a deadlock, a serialisation
   * failure or a prepared statement that did not last, so `work` must do nothing but database work.
   */
  async inTransaction<T>(userId: number, work: Work<T>): Promise<T> {
    return this.transaction(userId, work);
  }

  /** As `inTransaction`, for work that has no single user. For `*.system.repository.ts` only. */
  async inSystemTransaction<T>(work: Work<T>): Promise<T> {
    return this.transaction(null, work);
  }

  private async transaction<T>(userId: number | null, work: Work<T>): Promise<T> {
    const open = this.open.getStore();
    if (open) return userId === null ? this.system(work) : this.forUser(userId, work);
    return again(() => scrubbed(() => this.attempt(userId, work)));
  }

  /** The first statement of `work` travels together with the one that begins the transaction. */
  private async attempt<T>(userId: number | null, work: Work<T>): Promise<T> {
    const runner = this.dataSource.createQueryRunner();
    try {
      const client = (await runner.connect()) as Client;
      gather(client);
      const begun = said(client, 'START TRANSACTION');
      // Whoever waits for `work` hears of it.
      begun.catch(() => undefined);
      try {
        const { manager } = runner;
        const result = await this.open.run({ userId, manager }, () => work(manager));
        await begun;
        await said(client, 'COMMIT');
        return result;
      } catch (error) {
        // Where that fails too the connection is gone, and the transaction with it.
        await said(client, 'ROLLBACK').catch(() => undefined);
        throw error;
      }
    } finally {
      await runner.release();
    }
  }
}

async function said(client: Client, sql: string): Promise<void> {
  try {
    await client.query(sql);
  } catch (error) {
    throw failedStatement(sql, error);
  }
}

async function scrubbed<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw error instanceof DatabaseError ? error : fromDriver(error);
  }
}

/** Rows of a statement about many rows, inside a transaction; see `Db.bulk`. */
export async function queryBulk<T>(
  manager: EntityManager,
  sql: string,
  params: readonly BulkParameter[],
): Promise<T[]> {
  try {
    return await runBulk<T>(await clientOf(manager), sql, params);
  } catch (error) {
    throw failedStatement(sql, error);
  }
}
