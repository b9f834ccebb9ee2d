import type { EntityManager } from 'typeorm';
import { clientOf, failedStatement, inOnePiece, type Sending } from './statement';

/** As much of pg's client as is used here. */
interface Client extends Sending {
  query(statement: { text: string; values: readonly unknown[] }): Promise<{ rows: unknown[] }>;
}

const BY_INDEX = `SELECT set_config('enable_indexscan', $1, true)`;

/**
 * Rows of a statement that goes over all rows of a connection, inside a transaction. Row by row in the order of an index
 * each page of a large table would be fetched over and over, which is what PostgreSQL plans while it knows nothing of a
 * connection yet: so it must go through the table in the order in which it lies.
 */
export async function queryWhole<T>(manager: EntityManager, sql: string, params: readonly unknown[]): Promise<T[]> {
  const client = await clientOf<Client>(manager);
  const all = [
    { text: BY_INDEX, values: ['off'] },
    { text: sql, values: params },
    { text: BY_INDEX, values: ['on'] },
  ];
  const sent = inOnePiece(client, () => all.map((statement) => client.query(statement)));
  // All have ended before anybody goes on: the first that failed says why.
  const answers = await Promise.allSettled(sent);
  const [, rows = []] = answers.map((answer) => {
    if (answer.status === 'rejected') throw failedStatement(sql, answer.reason);
    return answer.value.rows;
  });
  return rows as T[];
}
