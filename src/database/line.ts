import type { QueryRunner } from 'typeorm';
import { again } from './again';
import { bulkOf, type BulkWrite } from './bulk-statement';
import { fromDriver } from './errors';
import type { PreparedStatements } from './prepared';
import { failedStatement, inOnePiece, type Sending } from './statement';

/** A statement that needs nothing of what another one answers. */
export type FlownStatement =
  /** One that comes over and over, see `Db.prepared`. */
  | { readonly sql: string; readonly params: readonly unknown[] }
  /** One about many rows, see `Db.bulk`. */
  | BulkWrite;

/** As much of pg's client as is used here. */
type Client = Parameters<ReturnType<typeof bulkOf>>[0] &
  Sending & {
    query(statement: string | object): Promise<{ rows: unknown[] }>;
  };

/**
 * A connection for transactions of one user, each of which is sent at once, COMMIT included: PostgreSQL never waits for us in
 * between. One may be sent while others are under way; they take place in the order of sending.
 */
export class Line {
  /** Transactions that failed so far. */
  private failures = 0;

  private constructor(
    private readonly runner: QueryRunner,
    private readonly client: Client,
    private readonly prepared: PreparedStatements,
  ) {}

  /** @throws Error of pg when there is no connection to be had */
  static async of(runner: QueryRunner, prepared: PreparedStatements): Promise<Line> {
    return new Line(runner, (await runner.connect()) as Client, prepared);
  }

  /**
   * One transaction. Repeated on a deadlock, a serialisation failure or a prepared statement that did not last: then those
   * that were sent meanwhile have taken place before it.
   * @returns the rows of each statement
   * @throws DatabaseError
   */
  async fly(statements: readonly FlownStatement[]): Promise<unknown[][]> {
    return again(() => this.once(statements));
  }

  async release(): Promise<void> {
    await this.runner.release();
  }

  /**
   * A statement that fails takes the transaction with it: PostgreSQL refuses those behind it, and COMMIT then undoes what
   * was done. So the first failure tells what happened.
   */
  private async once(statements: readonly FlownStatement[]): Promise<unknown[][]> {
    const { client, failures } = this;
    // All of it is spelled before any of it is sent.
    const spelled = statements.map((one) =>
      'columns' in one
        ? bulkOf<unknown>(one.sql, one.columns, this.prepared.nameFor(one.sql))
        : this.plain(one.sql, one.params),
    );
    const said = (sql: string) => client.query(sql).then(({ rows }) => rows);
    const sent = inOnePiece(client, () => [
      said('START TRANSACTION'),
      ...spelled.map((send) => send(client)),
      said('COMMIT'),
    ]);
    const answers = await Promise.allSettled(sent);
    return answers
      .map((answer, place) => {
        if (answer.status === 'fulfilled') return answer.value;
        // Behind one that failed a statement may be missing because that one was to prepare it.
        if (this.failures === failures) this.prepared.failed(answer.reason);
        this.failures += 1;
        throw fromDriver(failedStatement(statements[place - 1]?.sql ?? 'COMMIT', answer.reason));
      })
      .slice(1, -1);
  }

  private plain(sql: string, params: readonly unknown[]): (client: Client) => Promise<unknown[]> {
    const statement = this.prepared.statementOf(sql, params);
    return async (client) => (await client.query(statement)).rows;
  }
}
