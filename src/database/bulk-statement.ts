import { Query } from 'pg';
import { INT16, INT32, sendBulk, type Bulk, type Client, type Line } from './bulk-line';
import { JoinedTexts } from './joined-texts';

export type BulkParameter = string | number | JoinedTexts;

/** Of PostgreSQL's protocol: the message Bind, and its formats. */
const BIND = 0x42;
const AS_TEXT = 0;
const AS_BYTES = 1;

/** A statement with megabytes of parameters. */
class BulkStatement extends Query {
  constructor(
    private readonly sql: string,
    private readonly bulk: Bulk,
  ) {
    super({ text: sql }, bulk.done);
  }

  override submit = (connection: unknown): void => {
    const line = connection as Line;
    // One write to the socket, not five.
    line.stream.cork();
    line.parse({ text: this.sql });
    line.stream.write(this.bulk.message, this.bulk.sent);
    line.describe({ type: 'P' });
    line.execute({});
    line.sync();
    line.stream.uncork();
  };
}

/** @returns the statement's rows. @throws Error of pg */
export async function runBulk<T>(client: Client, sql: string, parameters: readonly BulkParameter[]): Promise<T[]> {
  const { rows } = await sendBulk(
    client,
    mostBytes(parameters),
    (buffer) => bind(buffer, parameters),
    (bulk) => new BulkStatement(sql, bulk),
  );
  return rows as T[];
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
