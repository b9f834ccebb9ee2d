import type { Writable } from 'node:stream';
import type { Query, QueryResult } from 'pg';
import { SpareBuffers } from '../common/spare-buffers';

/** What pg's connection offers to whoever sends messages of his own (as pg's own cursors do). */
export interface Line {
  readonly stream: Writable;
  query(text: string): void;
  parse(statement: { text: string }): void;
  describe(portal: { type: 'P' }): void;
  execute(portal: object): void;
  sync(): void;
}

/** What runs a statement: a client of pg. */
export interface Client {
  query(statement: Query): unknown;
}

/** A message with megabytes of rows, and who is told what. */
export interface Bulk {
  readonly message: Buffer;
  /** It has left: its memory may be used again. */
  readonly sent: () => void;
  readonly done: (error: Error | undefined, result: QueryResult) => void;
}

export const INT32 = 4;
export const INT16 = 2;
/** A character of a string has so many bytes at the most. */
export const MOST_BYTES = 3;

/** Statements have one to three megabytes; so many are on their way at once at the most. */
const KEPT_BYTES = 16 * 1024 * 1024;
const spare = new SpareBuffers(KEPT_BYTES);

/**
 * Encodes many rows once, into memory that is used again: pg itself would put them together in buffers that grow, three
 * times their size, all of it thrown away at once.
 *
 * @param bytes more are not written. @param encode fills a buffer and returns the part that is to be sent
 * @throws Error of pg
 */
export async function sendBulk(
  client: Client,
  bytes: number,
  encode: (buffer: Buffer) => Buffer,
  statement: (bulk: Bulk) => Query,
): Promise<QueryResult> {
  const buffer = spare.take(bytes);
  const message = encode(buffer);
  return new Promise((resolve, reject) => {
    const done = (error: Error | undefined, result: QueryResult): void => {
      if (error) reject(error);
      else resolve(result);
    };
    client.query(statement({ message, sent: () => spare.give(buffer), done }));
  });
}
