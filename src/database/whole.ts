import type { EntityManager } from 'typeorm';
import { query } from './scope';

const BY_INDEX = `SELECT set_config('enable_indexscan', $1, true)`;

/**
 * Rows of a statement that goes over all rows of a connection, inside a transaction. Row by row in the order of an index
 * each page of a large table would be fetched over and over, which is what PostgreSQL plans while it knows nothing of a
 * connection yet: so it must go through the table in the order in which it lies.
 */
export async function queryWhole<T>(manager: EntityManager, sql: string, params: readonly unknown[]): Promise<T[]> {
  await query(manager, BY_INDEX, ['off']);
  const rows = await query<T>(manager, sql, params);
  await query(manager, BY_INDEX, ['on']);
  return rows;
}
