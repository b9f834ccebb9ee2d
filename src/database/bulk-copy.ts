import { Query } from 'pg';
import { INT16, INT32, MOST_BYTES, sendBulk, type Bulk, type Client, type Line } from './bulk-line';

/** A column of rows that are copied into a table, as PostgreSQL's binary format has it. */
export interface CopyColumn<Row> {
  readonly name: string;
  /** More bytes than these are not written. */
  mostBytes(row: Row): number;
  /** @returns the place behind what was written */
  write(row: Row, buffer: Buffer, at: number): number;
}

/** Of the protocol: messages, the header of the format, and what is null or ends the rows. */
const COPY_DATA = 0x64;
const COPY_DONE = 0x63;
const HEADER = Buffer.from('5047434f50590aff0d0a000000000000000000', 'hex');
const NULL = -1;
const END = -1;
const JSONB_VERSION = 1;
/** PostgreSQL counts microseconds from 2000-01-01. */
const EPOCH_MS = Date.UTC(2000, 0, 1);
const INT64 = 8;
const MINUS_INFINITY = -(2n ** 63n);

/** @param of text without U+0000 and lone surrogates */
export function textColumn<Row>(name: string, of: (row: Row) => string | null): CopyColumn<Row> {
  return {
    name,
    mostBytes: (row) => INT32 + MOST_BYTES * (of(row)?.length ?? 0),
    write: (row, buffer, at) => {
      const text = of(row);
      return text === null ? buffer.writeInt32BE(NULL, at) : writeSized(text, buffer, at, at + INT32);
    },
  };
}

/** @param of JSON that PostgreSQL takes */
export function jsonbColumn<Row>(name: string, of: (row: Row) => string): CopyColumn<Row> {
  return {
    name,
    mostBytes: (row) => INT32 + 1 + MOST_BYTES * of(row).length,
    write: (row, buffer, at) => writeSized(of(row), buffer, at, buffer.writeUInt8(JSONB_VERSION, at + INT32)),
  };
}

/** @param of RFC 3339 to the millisecond, or `-infinity` */
export function timestampColumn<Row>(name: string, of: (row: Row) => string | null): CopyColumn<Row> {
  return {
    name,
    mostBytes: () => INT32 + INT64,
    write: (row, buffer, at) => {
      const time = of(row);
      if (time === null) return buffer.writeInt32BE(NULL, at);
      const micros = time === '-infinity' ? MINUS_INFINITY : BigInt(Date.parse(time) - EPOCH_MS) * 1000n;
      return buffer.writeBigInt64BE(micros, buffer.writeInt32BE(INT64, at));
    },
  };
}

/** The same in every row. */
export function bigintColumn(name: string, value: number): CopyColumn<unknown> {
  const bytes = Buffer.alloc(INT64);
  bytes.writeBigInt64BE(BigInt(value));
  return sameColumn(name, bytes);
}

/** The same in every row. */
export function uuidColumn(name: string, value: string): CopyColumn<unknown> {
  return sameColumn(name, Buffer.from(value.replaceAll('-', ''), 'hex'));
}

function sameColumn(name: string, bytes: Buffer): CopyColumn<unknown> {
  return {
    name,
    mostBytes: () => INT32 + bytes.length,
    write: (_row, buffer, at) => {
      const from = buffer.writeInt32BE(bytes.length, at);
      return from + bytes.copy(buffer, from);
    },
  };
}

/** @param at where its size belongs. @param from where its text does */
function writeSized(text: string, buffer: Buffer, at: number, from: number): number {
  const to = from + buffer.write(text, from);
  buffer.writeInt32BE(to - at - INT32, at);
  return to;
}

/**
 * COPY with all its rows behind it, without waiting until PostgreSQL says that it is ready for them: if it refuses the
 * statement, it passes over the rows.
 */
class BulkCopy extends Query {
  constructor(
    private readonly sql: string,
    private readonly bulk: Bulk,
  ) {
    super({ text: sql }, bulk.done);
  }

  override submit = (connection: unknown): void => {
    const line = connection as Line;
    line.stream.cork();
    line.query(this.sql);
    line.stream.write(this.bulk.message, this.bulk.sent);
    line.stream.uncork();
  };

  /** The rows are on their way already. */
  handleCopyInResponse(): void {
    return;
  }
}

/** @param sql COPY of these columns, `FROM STDIN (FORMAT binary)`. @throws Error of pg: all rows are stored, or none */
export async function runCopy<Row>(
  client: Client,
  sql: string,
  columns: readonly CopyColumn<Row>[],
  rows: readonly Row[],
): Promise<void> {
  await sendBulk(
    client,
    mostBytes(columns, rows),
    (buffer) => encode(buffer, columns, rows),
    (bulk) => new BulkCopy(sql, bulk),
  );
}

function mostBytes<Row>(columns: readonly CopyColumn<Row>[], rows: readonly Row[]): number {
  const messages = 2 * (1 + INT32) + HEADER.length + INT16;
  return rows.reduce(
    (sum, row) => columns.reduce((most, column) => most + column.mostBytes(row), sum + INT16),
    messages,
  );
}

function encode<Row>(buffer: Buffer, columns: readonly CopyColumn<Row>[], rows: readonly Row[]): Buffer {
  let at = buffer.writeUInt8(COPY_DATA, 0) + INT32;
  at += HEADER.copy(buffer, at);
  for (const row of rows) {
    at = buffer.writeInt16BE(columns.length, at);
    for (const column of columns) at = column.write(row, buffer, at);
  }
  at = buffer.writeInt16BE(END, at);
  buffer.writeInt32BE(at - 1, 1);
  at = buffer.writeUInt8(COPY_DONE, at);
  at = buffer.writeInt32BE(INT32, at);
  return buffer.subarray(0, at);
}
