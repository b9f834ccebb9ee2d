import type { Writable } from 'node:stream';
import { Query, type QueryResult } from 'pg';
import { SpareBuffers } from '../common/spare-buffers';
import { JoinedTexts } from './joined-texts';

export type BulkParameter = string | number | JoinedTexts;

/** A statement about many rows. */
export interface BulkWrite {
  readonly sql: string;
  readonly columns: readonly BulkParameter[];
}

/** What pg's connection offers to whoever sends messages of his own (as pg's own cursors do). */
interface Line {
  readonly stream: Writable;
  parse(statement: { text: string }): void;
  describe(portal: { type: 'P' }): void;
  execute(portal: object): void;
  sync(): void;
}

/** What runs one: a client of pg. */
interface Client {
  query(statement: Query): unknown;
}

/** Statements have one to three megabytes; so many are on their way at once at the most. */
const KEPT_BYTES = 16 * 1024 * 1024;
const spare = new SpareBuffers(KEPT_BYTES);

/** Of PostgreSQL's protocol: the message Bind, its formats, and places of fixed size in it. */
const BIND = 0x42;
const INT32 = 4;
const INT16 = 2;
const AS_TEXT = 0;
const AS_BYTES = 1;

/**
 * A statement with megabytes of parameters, which are encoded once, into memory that is used again: pg itself would put
 * them together in buffers that grow, three times their size, all of it thrown away at once.
 */
class BulkStatement extends Query {
  constructor(
    private readonly sql: string,
    private readonly bound: Buffer,
    private readonly sent: () => void,
    done: (error: Error | undefined, result: QueryResult) => void,
  ) {
    super({ text: sql }, done);
  }

  override submit = (connection: unknown): void => {
    const line = connection as Line;
    // One write to the socket, not five.
    line.stream.cork();
    line.parse({ text: this.sql });
    line.stream.write(this.bound, this.sent);
    line.describe({ type: 'P' });
    line.execute({});
    line.sync();
    line.stream.uncork();
  };
}

/** @returns the statement's rows. @throws Error of pg */
export async function runBulk<T>(client: Client, sql: string, parameters: readonly BulkParameter[]): Promise<T[]> {
  return bulkOf<T>(sql, parameters)(client);
}

/**
 * Encodes a statement.
 * @returns what sends it, at once and only once. It answers with the statement's rows, or an Error of pg
 */
export function bulkOf<T>(sql: string, parameters: readonly BulkParameter[]): (client: Client) => Promise<T[]> {
  const buffer = spare.take(mostBytes(parameters));
  const bound = bind(buffer, parameters);
  return (client) =>
    new Promise<T[]>((resolve, reject) => {
      const done = (error: Error | undefined, result: QueryResult): void => {
        if (error) reject(error);
        else resolve(result.rows as T[]);
      };
      client.query(new BulkStatement(sql, bound, () => spare.give(buffer), done));
    });
}

function mostBytes(parameters: readonly BulkParameter[]): number {
  const fixed = 1 + INT32 + 2 + 4 * INT16;
  return parameters.reduce<number>(
    (sum, value) =>
      sum + INT16 + INT32 + (value instanceof JoinedTexts ? value.mostBytes : Buffer.byteLength(String(value))),
    fixed,
  );
}

/** The message that gives the unnamed statement its parameters, and asks for rows as text. */
function bind(buffer: Buffer, parameters: readonly BulkParameter[]): Buffer {
  buffer[0] = BIND;
  // Neither the portal nor the statement has a name.
  let at = 1 + INT32;
  buffer[at++] = 0;
  buffer[at++] = 0;
  at = buffer.writeInt16BE(parameters.length, at);
  for (const value of parameters) at = buffer.writeInt16BE(value instanceof JoinedTexts ? AS_BYTES : AS_TEXT, at);
  at = buffer.writeInt16BE(parameters.length, at);
  for (const value of parameters) {
    const from = at + INT32;
    const to = value instanceof JoinedTexts ? value.write(buffer, from) : from + buffer.write(String(value), from);
    buffer.writeInt32BE(to - from, at);
    at = to;
  }
  at = buffer.writeInt16BE(1, at);
  at = buffer.writeInt16BE(AS_TEXT, at);
  buffer.writeInt32BE(at - 1, 1);
  return buffer.subarray(0, at);
}
