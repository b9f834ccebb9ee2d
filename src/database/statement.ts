import type { Writable } from 'node:stream';
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

/** As much of pg's client as it takes to write to its socket. */
export interface Sending {
  readonly connection: { readonly stream: Writable };
}

/** What is sent meanwhile goes to the socket in one piece: each piece is a call of the system, and wakes PostgreSQL. */
export function inOnePiece<T>({ connection: { stream } }: Sending, send: () => T): T {
  stream.cork();
  try {
    return send();
  } finally {
    stream.uncork();
  }
}

/** The same for what is sent from now on until nothing is left to be done but to wait. */
export function gather({ connection: { stream } }: Sending): void {
  stream.cork();
  process.nextTick(() => stream.uncork());
}
