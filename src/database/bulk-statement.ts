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

interface Named {
  readonly name?: string;
  readonly text: string;
}

/** What pg's connection offers to whoever sends messages of his own (as pg's own cursors do). */
interface Line {
  readonly stream: Writable;
  /** What PostgreSQL was told to keep, and is known to keep, by name. */
  readonly submittedNamedStatements: Record<string, string>;
  readonly parsedStatements: Record<string, string>;
  parse(statement: Named): void;
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
    private readonly statement: Named,
    private readonly bound: Buffer,
    private readonly sent: () => void,
    done: (error: Error | undefined, result: QueryResult) => void,
  ) {
    super(statement, done);
  }

  override submit = (connection: unknown): void => {
    const line = connection as Line;
    // One write to the socket, not five.
    line.stream.cork();
    this.parse(line);
    line.stream.write(this.bound, this.sent);
    line.describe({ type: 'P' });
    line.execute({});
    line.sync();
    line.stream.uncork();
  };

  /** PostgreSQL keeps one with a name for as long as the connection lasts; pg notes that it does once it is told so. */
  private parse(line: Line): void {
    const { name, text } = this.statement;
    if (name !== undefined) {
      if (name in line.parsedStatements || name in line.submittedNamedStatements) return;
      line.submittedNamedStatements[name] = text;
    }
    line.parse(this.statement);
  }
}

/** @returns the statement's rows. @throws Error of pg */
export async function runBulk<T>(client: Client, sql: string, parameters: readonly BulkParameter[]): Promise<T[]> {
  return bulkOf<T>(sql, parameters)(client);
}

/**
 * Encodes a statement.
 * @param name under which PostgreSQL keeps it prepared; without one it does not
 * @returns what sends it, at once and only once. It answers with the statement's rows, or an Error of pg
 */
export function bulkOf<T>(
  sql: string,
  parameters: readonly BulkParameter[],
  name?: string,
): (client: Client) => Promise<T[]> {
  const buffer = spare.take(mostBytes(parameters, name));
  const bound = bind(buffer, parameters, name);
  const statement = name === undefined ? { text: sql } : { name, text: sql };
  return (client) =>
    new Promise<T[]>((resolve, reject) => {
      const done = (error: Error | undefined, result: QueryResult): void => {
        if (error) reject(error);
        else resolve(result.rows as T[]);
      };
      client.query(new BulkStatement(statement, bound, () => spare.give(buffer), done));
    });
}

function mostBytes(parameters: readonly BulkParameter[], name = ''): number {
  const fixed = 1 + INT32 + 2 + name.length + 4 * INT16;
  return parameters.reduce<number>(
    (sum, value) =>
      sum + INT16 + INT32 + (value instanceof JoinedTexts ? value.mostBytes : Buffer.byteLength(String(value))),
    fixed,
  );
}

/** The message that gives a statement its parameters, and asks for rows as text. */
function bind(buffer: Buffer, parameters: readonly BulkParameter[], name = ''): Buffer {
  buffer[0] = BIND;
  let at = 1 + INT32;
  // The portal has no name.
  buffer[at++] = 0;
  at += buffer.write(name, at, 'latin1');
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
