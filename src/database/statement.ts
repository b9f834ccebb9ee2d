import { QueryFailedError, type EntityManager } from 'typeorm';

/** Rows of a statement. TypeORM answers UPDATE and DELETE as [rows, count]; this makes both the same. */
export async function query<T>(manager: EntityManager, sql: string, params: readonly unknown[] = []): Promise<T[]> {
  const result: unknown = await manager.query(sql, [...params]);
  if (!Array.isArray(result)) return [];
  if (result.length === 2 && Array.isArray(result[0]) && typeof result[1] === 'number') return result[0] as T[];
  return result as T[];
}

/** pg's own client under a transaction. */
export async function clientOf<Client>(manager: EntityManager): Promise<Client> {
  const client = (await manager.queryRunner?.connect()) as Client | undefined;
  if (!client) throw new Error('There is no transaction');
  return client;
}

/** A failure as TypeORM would have it, without the parameters. */
export function failedStatement(sql: string, error: unknown): unknown {
  return error instanceof Error ? new QueryFailedError(sql, [], error) : error;
}
